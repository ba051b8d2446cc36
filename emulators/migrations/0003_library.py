import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [("emulators", "0004_distance_weighed")]

    dependencies = [
        ("emulators", "0002_providers_and_games"),
    ]

    operations = [
        migrations.CreateModel(
            name="LibraryScan",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("lease_token", models.UUIDField(editable=False, null=True)),
                ("lease_until", models.DateTimeField(editable=False, null=True)),
                ("tries", models.PositiveSmallIntegerField(default=0, editable=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("listing", "Listing"),
                            ("sorting", "Sorting"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("asked_by", models.CharField(max_length=100)),
                ("asked_at", models.DateTimeField()),
                ("started_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("folder", models.CharField(blank=True, help_text="Where it is now.", max_length=255)),
                ("files", models.PositiveBigIntegerField(default=0, help_text="Seen so far.")),
                ("size", models.PositiveBigIntegerField(default=0, verbose_name="bytes")),
                ("made", models.PositiveIntegerField(default=0, verbose_name="new games")),
                (
                    "linked",
                    models.PositiveIntegerField(
                        default=0,
                        help_text="Games that had none, or whose file has another name now.",
                        verbose_name="given a file",
                    ),
                ),
                (
                    "vanished",
                    models.PositiveIntegerField(
                        default=0, help_text="Files gone since the scan before.", verbose_name="newly missing"
                    ),
                ),
                ("missing", models.PositiveIntegerField(default=0, verbose_name="games without their file")),
                (
                    "findings",
                    models.JSONField(default=dict, help_text="Files that are no game's, counted by why."),
                ),
                ("error_text", models.CharField(blank=True, max_length=500)),
            ],
            options={
                "ordering": ("-pk",),
                "constraints": [
                    models.UniqueConstraint(
                        models.Value(1),
                        condition=models.Q(("state__in", ["waiting", "listing", "sorting"])),
                        name="library_scan_alone",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at", None), ("state__in", ["waiting", "listing", "sorting"])),
                            models.Q(("ended_at__isnull", False), ("state__in", ["done", "failed"])),
                            _connector="OR",
                        ),
                        name="library_scan_ends_once",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="LibraryFile",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("path", models.CharField(max_length=1000, unique=True)),
                ("size", models.PositiveBigIntegerField(default=0, verbose_name="bytes")),
                ("title", models.CharField(blank=True, help_text="As its name has it.", max_length=200)),
                ("game_id", models.CharField(blank=True, help_text="As its name has it.", max_length=100)),
                (
                    "rank",
                    models.PositiveSmallIntegerField(
                        default=0, help_text="Of several versions the lowest is the game's."
                    ),
                ),
                (
                    "finding",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "a game's"),
                            ("unknown_folder", "no console's"),
                            ("unknown_extension", "no game file"),
                            ("several_files", "one of several"),
                            ("unsafe_name", "unsafe name"),
                            ("empty", "empty"),
                            ("duplicate", "another version"),
                        ],
                        default="",
                        max_length=20,
                        verbose_name="what it is",
                    ),
                ),
                (
                    "scan",
                    models.PositiveBigIntegerField(help_text="The last scan that knew of it.", null=True),
                ),
                ("missing_since", models.DateTimeField(null=True)),
                (
                    "console",
                    models.ForeignKey(
                        help_text="By its folder.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="emulators.console",
                    ),
                ),
                (
                    "given_to",
                    models.ForeignKey(
                        help_text="The game a scan gave it to.",
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="emulators.game",
                    ),
                ),
            ],
            options={
                "verbose_name": "library file",
                "ordering": ("path",),
                "indexes": [
                    models.Index(
                        condition=models.Q(("finding", ""), _negated=True),
                        fields=["finding", "path"],
                        name="library_file_findings",
                    ),
                    models.Index(
                        condition=models.Q(("missing_since__isnull", False)),
                        fields=["path"],
                        name="library_file_missing",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "finding__in",
                                [
                                    "",
                                    "unknown_folder",
                                    "unknown_extension",
                                    "several_files",
                                    "unsafe_name",
                                    "empty",
                                    "duplicate",
                                ],
                            )
                        ),
                        name="library_file_finding_known",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="GameUpload",
            fields=[
                ("lease_token", models.UUIDField(editable=False, null=True)),
                ("lease_until", models.DateTimeField(editable=False, null=True)),
                ("tries", models.PositiveSmallIntegerField(default=0, editable=False)),
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("receiving", "Receiving"),
                            ("waiting", "Waiting"),
                            ("moving", "Moving"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                        ],
                        default="receiving",
                        max_length=10,
                    ),
                ),
                ("game_id", models.CharField(max_length=100)),
                ("title", models.CharField(max_length=200)),
                ("file", models.CharField(help_text="Where it will lie in the library.", max_length=300)),
                ("replaces", models.BooleanField(default=False, verbose_name="replace what is there")),
                ("size", models.PositiveBigIntegerField(verbose_name="bytes")),
                ("received", models.PositiveBigIntegerField(default=0)),
                ("moved", models.PositiveBigIntegerField(default=0)),
                ("asked_by", models.CharField(max_length=100)),
                ("asked_at", models.DateTimeField()),
                ("changed_at", models.DateTimeField(help_text="The last piece, or move.")),
                ("started_at", models.DateTimeField(help_text="When it was first written there.", null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("error_text", models.CharField(blank=True, max_length=500)),
                (
                    "console",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="emulators.console"
                    ),
                ),
            ],
            options={
                "verbose_name": "upload",
                "ordering": ("-asked_at", "id"),
                "indexes": [models.Index(fields=["-asked_at", "id"], name="game_upload_newest")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ["receiving", "waiting", "moving"])),
                        fields=("file",),
                        name="game_upload_alone",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("received__lte", models.F("size"))), name="game_upload_no_more"
                    ),
                ],
            },
        ),
    ]
