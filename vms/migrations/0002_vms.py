import uuid

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import gamer.sealed
import vms.lifecycle


class Migration(migrations.Migration):
    replaces = [
        ("vms", "0002_search_by_prefix"),
        ("vms", "0003_whole_positions"),
        ("vms", "0004_project"),
        ("vms", "0005_tenants_and_quotes"),
        ("vms", "0006_keys_out_of_line"),
        ("vms", "0010_money"),
        ("vms", "0011_idle_clock"),
        ("vms", "0012_moves"),
        ("vms", "0013_scores"),
        ("vms", "0014_saves"),
        ("vms", "0015_room_for_looks"),
        ("vms", "0016_parting"),
    ]

    dependencies = [
        ("accounts", "0002_projects"),
        ("emulators", "0004_saves"),
        ("vms", "0001_providers"),
    ]

    operations = [
        migrations.CreateModel(
            name="VM",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("name", models.CharField(blank=True, max_length=100)),
                ("game_id", models.CharField(blank=True, max_length=100)),
                ("wanted_provider", models.CharField(blank=True, max_length=30)),
                ("wanted_preset", models.CharField(blank=True, max_length=30)),
                ("latitude", models.FloatField(blank=True, null=True)),
                ("longitude", models.FloatField(blank=True, null=True)),
                (
                    "auto_stop_timeout",
                    models.PositiveIntegerField(
                        default=900,
                        help_text="Seconds without a player.",
                        validators=[
                            django.core.validators.MinValueValidator(60),
                            django.core.validators.MaxValueValidator(86400),
                        ],
                    ),
                ),
                (
                    "desired",
                    models.CharField(
                        choices=[
                            (vms.lifecycle.Desired["RUNNING"], vms.lifecycle.Desired["RUNNING"]),
                            (vms.lifecycle.Desired["STOPPED"], vms.lifecycle.Desired["STOPPED"]),
                            (vms.lifecycle.Desired["GONE"], vms.lifecycle.Desired["GONE"]),
                        ],
                        default=vms.lifecycle.Desired["RUNNING"],
                        max_length=10,
                    ),
                ),
                (
                    "phase",
                    models.CharField(
                        choices=[
                            (vms.lifecycle.Phase["REQUESTED"], vms.lifecycle.Phase["REQUESTED"]),
                            (vms.lifecycle.Phase["CREATING"], vms.lifecycle.Phase["CREATING"]),
                            (vms.lifecycle.Phase["BOOTING"], vms.lifecycle.Phase["BOOTING"]),
                            (vms.lifecycle.Phase["SETTING_UP"], vms.lifecycle.Phase["SETTING_UP"]),
                            (vms.lifecycle.Phase["READY"], vms.lifecycle.Phase["READY"]),
                            (vms.lifecycle.Phase["STOPPING"], vms.lifecycle.Phase["STOPPING"]),
                            (vms.lifecycle.Phase["STOPPED"], vms.lifecycle.Phase["STOPPED"]),
                            (vms.lifecycle.Phase["DELETING"], vms.lifecycle.Phase["DELETING"]),
                            (vms.lifecycle.Phase["DELETED"], vms.lifecycle.Phase["DELETED"]),
                            (vms.lifecycle.Phase["FAILED"], vms.lifecycle.Phase["FAILED"]),
                        ],
                        default=vms.lifecycle.Phase["REQUESTED"],
                        max_length=12,
                    ),
                ),
                ("phase_since", models.DateTimeField(default=django.utils.timezone.now)),
                ("error", models.CharField(blank=True, max_length=40)),
                ("error_text", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("updated_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("ready_at", models.DateTimeField(null=True)),
                ("max_session_hours", models.PositiveIntegerField(default=8)),
                ("session_ends_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("last_activity", models.DateTimeField(null=True)),
                ("last_moonlight_connection", models.DateTimeField(null=True)),
                (
                    "round",
                    models.PositiveIntegerField(
                        default=1,
                        help_text="Counts placements from the start: a retry or a move begins a new one.",
                    ),
                ),
                ("ip_address", models.CharField(blank=True, max_length=60)),
                ("ssh_port", models.PositiveIntegerField(default=22)),
                ("ssh_user", models.CharField(blank=True, max_length=32)),
                ("machine_raw", models.JSONField(default=dict)),
                ("gaming_environment_ready", models.BooleanField(default=False)),
                ("cloudypad_configured", models.BooleanField(default=False)),
                ("games_mounted", models.BooleanField(default=False)),
                ("ssh_private_key", gamer.sealed.SealedTextField(blank=True, default="")),
                ("ssh_public_key", models.CharField(blank=True, max_length=200)),
                ("host_private_key", gamer.sealed.SealedTextField(blank=True, default="")),
                ("host_public_key", models.CharField(blank=True, max_length=200)),
                ("agent_bootstrap", gamer.sealed.SealedTextField(blank=True, default="")),
                ("agent_token_digest", models.CharField(blank=True, max_length=64)),
                ("agent_seen_at", models.DateTimeField(null=True)),
                ("is_acting", models.BooleanField(default=False)),
                ("next_look_at", models.DateTimeField(default=django.utils.timezone.now, null=True)),
                (
                    "is_poked",
                    models.BooleanField(
                        default=False,
                        help_text="Somebody changed the wish while a step was under way: look at once.",
                    ),
                ),
                ("hinted_at", models.DateTimeField(null=True)),
                ("lease_token", models.UUIDField(null=True)),
                ("lease_until", models.DateTimeField(null=True)),
                (
                    "action_sent_at",
                    models.DateTimeField(
                        help_text="When the phase's own order (stop, start, delete) was last sent.", null=True
                    ),
                ),
                ("alarmed_at", models.DateTimeField(null=True)),
                ("missing_since", models.DateTimeField(null=True)),
                ("missing_looks", models.PositiveIntegerField(default=0)),
                (
                    "attempt",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="vms.attempt",
                    ),
                ),
                (
                    "console",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="emulators.console",
                    ),
                ),
                (
                    "made_by",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
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
                        related_name="vms",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="vms",
                        to="accounts.project",
                    ),
                ),
                (
                    "department",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        help_text="Whom it was launched for; stays so when its owner leaves.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="vms",
                        to="accounts.department",
                    ),
                ),
                ("quoted_gpus", models.PositiveIntegerField(default=0)),
                (
                    "quoted_usd_per_hour",
                    models.DecimalField(
                        decimal_places=9,
                        help_text="What quotas count until a machine is ordered.",
                        max_digits=14,
                        null=True,
                    ),
                ),
                ("agent_boot_id", models.CharField(blank=True, max_length=64)),
                (
                    "agent_refusals",
                    models.PositiveIntegerField(
                        default=0,
                        help_text="Messages of its agent that were refused: malformed, replayed, from the future.",
                    ),
                ),
                ("agent_sent_at", models.DateTimeField(null=True)),
                (
                    "agent_sequence",
                    models.BigIntegerField(default=0, help_text="Of the last heartbeat taken in this boot."),
                ),
                ("end_warned_at", models.DateTimeField(null=True)),
                ("idle_seen_at", models.DateTimeField(null=True)),
                ("idle_since", models.DateTimeField(null=True)),
                ("idle_warned_at", models.DateTimeField(null=True)),
                (
                    "watched_at",
                    models.DateTimeField(help_text="When its agent was last asked over SSH.", null=True),
                ),
                ("moves_back_to", models.CharField(blank=True, max_length=12)),
                (
                    "moves_from",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="vms.attempt",
                    ),
                ),
                (
                    "moves_to",
                    models.JSONField(default=dict, help_text="The wish once it has arrived, by its columns."),
                ),
                (
                    "wanted_region",
                    models.CharField(
                        blank=True,
                        help_text="A region's code or its beginning, a country, a state or a city.",
                        max_length=100,
                    ),
                ),
                (
                    "parting_since",
                    models.DateTimeField(
                        help_text="When its machine was first asked for its saves before it is left.",
                        null=True,
                    ),
                ),
                (
                    "archived_at",
                    models.DateTimeField(
                        help_text="Since when it has no keys, no position and no logs any more.", null=True
                    ),
                ),
            ],
            options={
                "verbose_name": "VM",
                "indexes": [
                    models.Index(
                        condition=models.Q(("phase__in", ["deleted", "failed"]), _negated=True),
                        fields=["is_acting", "next_look_at"],
                        name="vm_due",
                    ),
                    models.Index(fields=["-created_at", "-id"], name="vm_newest"),
                    models.Index(fields=["owner", "-created_at"], name="vm_of_owner"),
                    models.Index(fields=["phase", "-created_at"], name="vm_in_phase"),
                    models.Index(
                        fields=["ip_address"], name="vm_ip_address", opclasses=["varchar_pattern_ops"]
                    ),
                    models.Index(
                        condition=models.Q(("department__isnull", False)),
                        fields=["department", "-created_at"],
                        name="vm_of_department",
                    ),
                    models.Index(fields=["console"], name="vm_of_console"),
                    models.Index(
                        condition=models.Q(("made_by__isnull", False)), fields=["made_by"], name="vm_made_by"
                    ),
                    models.Index(
                        condition=models.Q(("moves_from__isnull", False)),
                        fields=["moves_from"],
                        name="vm_moves_from",
                    ),
                    models.Index(
                        condition=models.Q(("archived_at", None), ("ended_at__isnull", False)),
                        fields=["ended_at"],
                        name="vm_to_archive",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("desired", "running"),
                            models.Q(("phase__in", ["deleted", "failed"]), _negated=True),
                        ),
                        fields=("owner", "console"),
                        name="vm_one_live_per_owner_and_console",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("auto_stop_timeout__gte", 60), ("auto_stop_timeout__lte", 86400)),
                        name="vm_auto_stop_timeout",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("next_look_at", None), ("phase__in", ["deleted", "failed"])),
                            models.Q(
                                models.Q(("phase__in", ["deleted", "failed"]), _negated=True),
                                ("next_look_at__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="vm_looked_at_until_terminal",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("error__gt", ""), ("phase", "deleted"), _negated=True),
                        name="vm_error_ends_failed",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("latitude", None), ("longitude", None)),
                            models.Q(
                                ("latitude__gte", -90),
                                ("latitude__isnull", False),
                                ("latitude__lte", 90),
                                ("longitude__gte", -180),
                                ("longitude__isnull", False),
                                ("longitude__lte", 180),
                            ),
                            _connector="OR",
                        ),
                        name="vm_position_whole_and_on_earth",
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="attempt",
            name="vm",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="attempts", to="vms.vm"
            ),
        ),
        migrations.AddConstraint(
            model_name="attempt",
            constraint=models.UniqueConstraint(fields=("vm", "number"), name="attempt_number_once"),
        ),
        migrations.CreateModel(
            name="SetupStep",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("position", models.PositiveIntegerField()),
                ("name", models.CharField(max_length=40)),
                ("title", models.CharField(max_length=100)),
                ("state", models.CharField(max_length=10)),
                ("seconds", models.FloatField(null=True)),
                ("log_tail", models.TextField(blank=True)),
                ("updated_at", models.DateTimeField()),
                (
                    "attempt",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="steps", to="vms.attempt"
                    ),
                ),
            ],
            options={
                "ordering": ("attempt", "position"),
                "constraints": [
                    models.UniqueConstraint(fields=("attempt", "name"), name="step_once_per_attempt")
                ],
            },
        ),
        migrations.CreateModel(
            name="GameSession",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("game_id", models.CharField(max_length=100)),
                ("save_id", models.CharField(blank=True, max_length=100)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("launched", "Launched"),
                            ("ended", "Ended"),
                            ("failed", "Failed"),
                        ],
                        default="queued",
                        max_length=10,
                    ),
                ),
                (
                    "is_end_wanted",
                    models.BooleanField(
                        default=False, help_text="Somebody asked to end it; the reconciler will."
                    ),
                ),
                ("queued_at", models.DateTimeField()),
                ("started_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("error_text", models.CharField(blank=True, max_length=500)),
                (
                    "vm",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="sessions", to="vms.vm"
                    ),
                ),
                ("played_s", models.PositiveIntegerField(default=0, help_text="As last reported, in all.")),
                (
                    "base",
                    models.PositiveIntegerField(
                        default=0,
                        help_text="Number of the slot's version that the machine was given; 0 for none.",
                    ),
                ),
                (
                    "slot",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="sessions",
                        to="emulators.saveslot",
                    ),
                ),
            ],
            options={
                "ordering": ("-queued_at", "id"),
                "indexes": [models.Index(fields=["vm", "-queued_at"], name="session_of_vm")],
            },
        ),
        # Sealed keys leave the rows: a page of history is read from a fifth of the blocks. A look writes its row anew in the
        # page it is in, where there is room, and then no index is touched.
        migrations.RunSQL(
            "ALTER TABLE vms_vm SET (toast_tuple_target = 128, fillfactor = 70)", migrations.RunSQL.noop
        ),
    ]
