import uuid

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [("emulators", "0005_saves")]

    dependencies = [
        ("accounts", "0001_people"),
        ("emulators", "0003_library"),
    ]

    operations = [
        migrations.CreateModel(
            name="SaveSlot",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "subject",
                    models.CharField(
                        blank=True, help_text="Without an owner: the VM it is of.", max_length=36
                    ),
                ),
                ("game_id", models.CharField(max_length=100)),
                (
                    "save_id",
                    models.CharField(
                        blank=True,
                        help_text="The name a launch asks for it by; empty is the usual one.",
                        max_length=100,
                    ),
                ),
                (
                    "last_number",
                    models.PositiveIntegerField(default=0, help_text="Numbers of versions are given once."),
                ),
                (
                    "clock_epoch",
                    models.DateTimeField(
                        blank=True,
                        help_text="What time it is in the game at first; empty for the real time.",
                        null=True,
                    ),
                ),
                (
                    "played_s",
                    models.PositiveBigIntegerField(default=0, help_text="All its sessions together."),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "console",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="emulators.console"
                    ),
                ),
                (
                    "made_by",
                    models.ForeignKey(
                        blank=True,
                        help_text="Without an owner: the key that may see it.",
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="accounts.apikey",
                    ),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="save_slots",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ("-created_at", "id"),
                "indexes": [
                    models.Index(
                        fields=["game_id"], name="save_slot_game_begins", opclasses=["varchar_pattern_ops"]
                    ),
                    models.Index(fields=["-created_at", "id"], name="save_slot_newest"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("owner__isnull", False)),
                        fields=("owner", "console", "game_id", "save_id"),
                        name="save_slot_of_owner",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("owner", None)),
                        fields=("subject", "console", "game_id", "save_id"),
                        name="save_slot_of_subject",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("owner", None), models.Q(("subject", ""), _negated=True)),
                            models.Q(("owner__isnull", False), ("subject", "")),
                            _connector="OR",
                        ),
                        name="save_slot_is_somebodys",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("game_id", ""), _negated=True), name="save_slot_has_a_game"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SaveArchive",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("digest", models.CharField(max_length=64)),
                ("size", models.PositiveIntegerField(help_text="Bytes, packed.")),
                ("name", models.CharField(max_length=200, unique=True)),
                ("created_at", models.DateTimeField()),
                ("stored_at", models.DateTimeField(null=True)),
                (
                    "doomed_at",
                    models.DateTimeField(
                        help_text="Since then no version holds it, nor ever will.", null=True
                    ),
                ),
                (
                    "slot",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="archives",
                        to="emulators.saveslot",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("doomed_at__isnull", False)),
                        fields=["doomed_at"],
                        name="save_archive_doomed",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("doomed_at", None)),
                        fields=("slot", "digest"),
                        name="save_archive_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("slot__isnull", False), ("doomed_at__isnull", False), _connector="OR"
                        ),
                        name="save_archive_is_of_a_slot",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="UnstoredArchive",
            fields=[
                (
                    "archive",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="unstored",
                        serialize=False,
                        to="emulators.savearchive",
                    ),
                ),
                ("content", models.BinaryField()),
                ("taken_at", models.DateTimeField()),
                ("next_try_at", models.DateTimeField(db_index=True)),
                ("tries", models.PositiveIntegerField(default=0)),
                ("token", models.UUIDField(help_text="Whose turn it is, until the next try.", null=True)),
                ("last_error", models.CharField(blank=True, max_length=300)),
            ],
        ),
        migrations.CreateModel(
            name="SaveVersion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("base", models.PositiveIntegerField(default=0)),
                (
                    "is_conflict",
                    models.BooleanField(
                        default=False,
                        help_text="It came after a version that its maker did not know, and was kept beside.",
                    ),
                ),
                ("restored_from", models.PositiveIntegerField(null=True)),
                ("session_id", models.UUIDField(help_text="The game session that played it.", null=True)),
                ("subject", models.CharField(blank=True, help_text="The VM it came from.", max_length=36)),
                ("played_s", models.PositiveBigIntegerField(default=0, help_text="How far its session was.")),
                ("by", models.CharField(max_length=100)),
                ("created_at", models.DateTimeField()),
                (
                    "archive",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="versions",
                        to="emulators.savearchive",
                    ),
                ),
                (
                    "slot",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="versions",
                        to="emulators.saveslot",
                    ),
                ),
            ],
            options={
                "ordering": ("-number",),
                "constraints": [
                    models.UniqueConstraint(fields=("slot", "number"), name="save_version_number_once"),
                    models.CheckConstraint(
                        condition=models.Q(("base__lt", models.F("number"))),
                        name="save_version_after_its_base",
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="saveslot",
            name="current",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="emulators.saveversion",
            ),
        ),
        # Archives are packed already: the database need not try.
        migrations.RunSQL(
            "ALTER TABLE emulators_unstoredarchive ALTER COLUMN content SET STORAGE EXTERNAL",
            migrations.RunSQL.noop,
        ),
    ]
