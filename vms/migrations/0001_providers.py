from decimal import Decimal

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import gamer.sealed


class Migration(migrations.Migration):
    replaces = [
        ("vms", "0001_initial"),
        ("vms", "0008_history"),
        ("vms", "0009_machine_types"),
        ("vms", "0017_archived"),
    ]

    initial = True

    dependencies = [
        ("events", "0001_events_and_deliveries"),
    ]

    operations = [
        migrations.CreateModel(
            name="Installation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("identifier", models.CharField(max_length=8, unique=True)),
                (
                    "database_mark",
                    models.CharField(
                        blank=True, help_text="The database cluster we last ran on.", max_length=100
                    ),
                ),
                (
                    "is_sweep_confirmed",
                    models.BooleanField(
                        default=True,
                        help_text="Off after the database moved or was restored: unknown machines are kept until an operator has looked.",
                    ),
                ),
                ("is_launching", models.BooleanField(default=True, verbose_name="accepts new launches")),
                (
                    "credit_look_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now,
                        editable=False,
                        help_text="When credit is looked at next.",
                    ),
                ),
            ],
            options={
                "verbose_name": "installation",
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="installation",
            trigger=pgtrigger.compiler.Trigger(
                name="history",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE r jsonb;",
                    func="r := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END; PERFORM events_note_change('installation', format('%s', r->>'identifier'), 'installation', CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END, CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END, ARRAY[]::text[], ARRAY[]::text[]); RETURN NULL;",
                    hash="690a2a630aaf929dbb44651aae2bf18ee9d6d7f6",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_history_78589",
                    table="vms_installation",
                    when="AFTER",
                ),
            ),
        ),
        migrations.CreateModel(
            name="ProviderAccount",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=60, unique=True)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("tensordock", "tensordock"),
                            ("cloudypad_gcp", "cloudypad_gcp"),
                            ("cloudypad_aws", "cloudypad_aws"),
                            ("cloudypad_azure", "cloudypad_azure"),
                            ("cloudypad_paperspace", "cloudypad_paperspace"),
                            ("cloudypad_scaleway", "cloudypad_scaleway"),
                            ("libvirt", "libvirt"),
                            ("memory", "memory"),
                        ],
                        max_length=30,
                    ),
                ),
                (
                    "base_url",
                    models.CharField(
                        blank=True, help_text="Empty for the vendor's own address.", max_length=200
                    ),
                ),
                ("credentials", gamer.sealed.SealedJSONField(blank=True, default=dict)),
                (
                    "is_paused",
                    models.BooleanField(
                        default=False,
                        help_text="No new machines here; existing ones are kept.",
                        verbose_name="paused by staff",
                    ),
                ),
                (
                    "max_machines",
                    models.PositiveIntegerField(blank=True, help_text="Empty: no limit.", null=True),
                ),
                (
                    "max_usd_per_hour",
                    models.DecimalField(
                        blank=True,
                        decimal_places=4,
                        help_text="What all its machines together may cost an hour. Empty: no limit.",
                        max_digits=10,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(Decimal("0"))],
                    ),
                ),
                (
                    "calls_per_minute",
                    models.PositiveIntegerField(
                        default=90, validators=[django.core.validators.MinValueValidator(1)]
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("paused_until", models.DateTimeField(blank=True, editable=False, null=True)),
                ("paused_why", models.CharField(blank=True, editable=False, max_length=300)),
                ("call_tokens", models.FloatField(default=10, editable=False)),
                ("call_tokens_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("failures_in_a_row", models.PositiveIntegerField(default=0, editable=False)),
                ("last_answered_at", models.DateTimeField(editable=False, null=True)),
                ("last_error", models.CharField(blank=True, editable=False, max_length=300)),
                ("last_error_at", models.DateTimeField(editable=False, null=True)),
                ("next_refresh_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("offers_refreshed_at", models.DateTimeField(editable=False, null=True)),
                ("next_sweep_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("order_failed_at", models.DateTimeField(editable=False, null=True)),
                (
                    "orders_failed_in_a_row",
                    models.PositiveIntegerField(
                        default=0,
                        editable=False,
                        help_text="Machines that did not come, by no fault of theirs who asked.",
                    ),
                ),
            ],
            options={
                "ordering": ("name",),
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="provideraccount",
            trigger=pgtrigger.compiler.Trigger(
                name="history",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE r jsonb;",
                    func="r := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END; PERFORM events_note_change('provider_accounts', format('%s', r->>'id'), format('provider account %s', r->>'name'), CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END, CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END, ARRAY['call_tokens', 'call_tokens_at', 'failures_in_a_row', 'last_answered_at', 'last_error', 'last_error_at', 'next_refresh_at', 'next_sweep_at', 'offers_refreshed_at', 'order_failed_at', 'orders_failed_in_a_row', 'paused_until', 'paused_why']::text[], ARRAY['call_tokens', 'call_tokens_at', 'credentials']::text[]); RETURN NULL;",
                    hash="4cbf3181288ca39223ef9951e63f7023dcd4b227",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_history_7051d",
                    table="vms_provideraccount",
                    when="AFTER",
                ),
            ),
        ),
        migrations.CreateModel(
            name="MachineType",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("cloudypad_gcp", "cloudypad_gcp"),
                            ("cloudypad_aws", "cloudypad_aws"),
                            ("cloudypad_azure", "cloudypad_azure"),
                            ("cloudypad_paperspace", "cloudypad_paperspace"),
                            ("cloudypad_scaleway", "cloudypad_scaleway"),
                        ],
                        max_length=30,
                    ),
                ),
                ("name", models.CharField(help_text="As the cloud calls it: g2-standard-8.", max_length=60)),
                (
                    "gpu_type",
                    models.CharField(
                        blank=True,
                        help_text="Google's name of it; empty at other clouds.",
                        max_length=40,
                        verbose_name="accelerator",
                    ),
                ),
                (
                    "gpu_model",
                    models.CharField(
                        help_text="As in the GPU classes: t4, l4, a10g.",
                        max_length=80,
                        verbose_name="GPU model",
                    ),
                ),
                (
                    "gpus",
                    models.PositiveSmallIntegerField(
                        default=1,
                        validators=[django.core.validators.MinValueValidator(1)],
                        verbose_name="GPUs",
                    ),
                ),
                (
                    "vcpus",
                    models.PositiveIntegerField(
                        validators=[django.core.validators.MinValueValidator(1)], verbose_name="vCPUs"
                    ),
                ),
                (
                    "ram_gb",
                    models.PositiveIntegerField(
                        validators=[django.core.validators.MinValueValidator(1)], verbose_name="RAM (GB)"
                    ),
                ),
                (
                    "root_disk_gb",
                    models.PositiveIntegerField(
                        validators=[django.core.validators.MinValueValidator(20)],
                        verbose_name="system disk (GB)",
                    ),
                ),
                (
                    "data_disk_gb",
                    models.PositiveIntegerField(
                        help_text="Games and saves, kept over a stop. 0 only where the system disk is the one disk.",
                        verbose_name="data disk (GB)",
                    ),
                ),
                (
                    "usd_per_hour",
                    models.DecimalField(
                        decimal_places=9,
                        help_text="With disks and address: what a machine of it is quoted, shown and metered at, from the next order on.",
                        max_digits=14,
                        validators=[django.core.validators.MinValueValidator(Decimal("0"))],
                        verbose_name="price (USD per hour)",
                    ),
                ),
                (
                    "zones",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=60),
                        help_text="One for each region it is ordered in.",
                        size=None,
                    ),
                ),
                ("is_sold", models.BooleanField(default=True, verbose_name="ordered")),
            ],
            options={
                "ordering": ("kind", "usd_per_hour", "name"),
                "constraints": [
                    models.UniqueConstraint(fields=("kind", "name"), name="machine_type_once_per_cloud")
                ],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="machinetype",
            trigger=pgtrigger.compiler.Trigger(
                name="history",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE r jsonb;",
                    func="r := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END; PERFORM events_note_change('machine_types', format('%s', r->>'id'), format('machine type %s', r->>'name'), CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END, CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END, ARRAY[]::text[], ARRAY[]::text[]); RETURN NULL;",
                    hash="fa97ecd603ba3029fe635456bc167e47479709c8",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_history_adf2a",
                    table="vms_machinetype",
                    when="AFTER",
                ),
            ),
        ),
        migrations.CreateModel(
            name="Offer",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("offer_id", models.CharField(max_length=150)),
                ("region", models.CharField(max_length=100)),
                ("city", models.CharField(blank=True, max_length=100)),
                ("state", models.CharField(blank=True, max_length=100)),
                ("country", models.CharField(blank=True, max_length=100)),
                ("latitude", models.FloatField(null=True)),
                ("longitude", models.FloatField(null=True)),
                ("gpu_model", models.CharField(blank=True, max_length=80)),
                ("min_gpus", models.PositiveIntegerField(default=0)),
                ("max_gpus", models.PositiveIntegerField(default=0)),
                ("max_vcpus", models.PositiveIntegerField()),
                ("max_ram_gb", models.PositiveIntegerField()),
                ("max_disk_gb", models.PositiveIntegerField()),
                ("usd_per_hour", models.DecimalField(decimal_places=9, default=Decimal("0"), max_digits=14)),
                ("usd_per_gpu", models.DecimalField(decimal_places=9, default=Decimal("0"), max_digits=14)),
                ("usd_per_vcpu", models.DecimalField(decimal_places=9, default=Decimal("0"), max_digits=14)),
                (
                    "usd_per_gb_ram",
                    models.DecimalField(decimal_places=9, default=Decimal("0"), max_digits=14),
                ),
                (
                    "usd_per_gb_disk",
                    models.DecimalField(decimal_places=9, default=Decimal("0"), max_digits=14),
                ),
                (
                    "usd_per_dedicated_ip",
                    models.DecimalField(decimal_places=9, default=Decimal("0"), max_digits=14),
                ),
                ("has_dedicated_ip", models.BooleanField(default=False)),
                ("maps_ports_one_to_one", models.BooleanField(default=False)),
                ("order", models.JSONField(default=dict)),
                ("refreshed_at", models.DateTimeField()),
                ("cools_until", models.DateTimeField(null=True)),
                ("cools_why", models.CharField(blank=True, max_length=300)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="offers",
                        to="vms.provideraccount",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("account", "offer_id"), name="offer_once_per_account")
                ],
            },
        ),
        migrations.CreateModel(
            name="Stray",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("machine_id", models.CharField(max_length=100)),
                ("tag", models.CharField(max_length=60)),
                (
                    "reason",
                    models.CharField(
                        choices=[("superseded", "its VM goes on without it"), ("unknown", "no row knows it")],
                        max_length=12,
                    ),
                ),
                ("usd_per_hour", models.DecimalField(decimal_places=9, max_digits=14, null=True)),
                ("first_seen_at", models.DateTimeField()),
                (
                    "ordered_at",
                    models.DateTimeField(help_text="When its deletion was last ordered.", null=True),
                ),
                ("gone_at", models.DateTimeField(null=True)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="strays",
                        to="vms.provideraccount",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("account", "machine_id"), name="stray_once")],
            },
        ),
        migrations.CreateModel(
            name="Attempt",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("round", models.PositiveIntegerField(default=1)),
                ("tag", models.CharField(max_length=60, unique=True)),
                ("offer_id", models.CharField(max_length=150)),
                ("offer", models.JSONField(default=dict, help_text="The offer as it was bought.")),
                ("region", models.CharField(blank=True, max_length=100)),
                ("location_name", models.CharField(blank=True, max_length=200)),
                ("distance_km", models.FloatField(null=True)),
                ("preset", models.CharField(max_length=30)),
                ("gpus", models.PositiveIntegerField()),
                ("vcpus", models.PositiveIntegerField()),
                ("ram_gb", models.PositiveIntegerField()),
                ("disk_gb", models.PositiveIntegerField()),
                ("usd_per_hour", models.DecimalField(decimal_places=9, max_digits=14)),
                ("created_at", models.DateTimeField()),
                ("sent_at", models.DateTimeField(null=True)),
                ("answered_at", models.DateTimeField(null=True)),
                ("machine_id", models.CharField(blank=True, max_length=100)),
                ("unseen_since", models.DateTimeField(null=True)),
                ("unseen_looks", models.PositiveIntegerField(default=0)),
                ("closed_at", models.DateTimeField(null=True)),
                ("gone_at", models.DateTimeField(null=True)),
                ("error_class", models.CharField(blank=True, max_length=30)),
                ("error_text", models.CharField(blank=True, max_length=500)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="attempts",
                        to="vms.provideraccount",
                    ),
                ),
                (
                    "charge_usd_per_hour",
                    models.DecimalField(
                        decimal_places=9,
                        default=Decimal("0"),
                        help_text="What the player pays: the price when it was chosen, and our margin.",
                        max_digits=14,
                    ),
                ),
                (
                    "stopped_usd_per_hour",
                    models.DecimalField(
                        decimal_places=9,
                        help_text="What it costs while stopped, once that is known.",
                        max_digits=14,
                        null=True,
                    ),
                ),
                (
                    "host_public_key",
                    models.CharField(
                        blank=True,
                        help_text="What its machine showed at first use; empty where the VM's own was placed.",
                        max_length=200,
                    ),
                ),
                (
                    "score",
                    models.DecimalField(
                        decimal_places=9,
                        help_text="Where a score chose it: the price, and what the distance was worth.",
                        max_digits=14,
                        null=True,
                    ),
                ),
            ],
            options={
                "ordering": ("vm", "number"),
                "indexes": [
                    models.Index(
                        condition=models.Q(("gone_at", None)), fields=["account"], name="attempt_held"
                    ),
                    models.Index(
                        fields=["machine_id"], name="attempt_machine_id", opclasses=["varchar_pattern_ops"]
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("machine_id", ""), _negated=True),
                        fields=("account", "machine_id"),
                        name="attempt_machine_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("sent_at__isnull", False), ("machine_id", ""), _connector="OR"),
                        name="attempt_sent_before_machine",
                    ),
                ],
            },
        ),
    ]
