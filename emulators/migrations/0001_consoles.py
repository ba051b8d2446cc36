from decimal import Decimal

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.constraints
import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [
        ("emulators", "0001_initial"),
        ("emulators", "0006_library"),
    ]

    initial = True

    dependencies = [
        ("events", "0001_events_and_deliveries"),
    ]

    operations = [
        migrations.CreateModel(
            name="Console",
            fields=[
                (
                    "slug",
                    models.CharField(
                        choices=[
                            ("nes", "Nintendo Entertainment System"),
                            ("snes", "Super Nintendo"),
                            ("gb", "Game Boy"),
                            ("gbc", "Game Boy Color"),
                            ("gba", "Game Boy Advance"),
                            ("nds", "Nintendo DS"),
                            ("3ds", "Nintendo 3DS"),
                            ("gamecube", "GameCube"),
                            ("wii", "Wii"),
                            ("switch", "Nintendo Switch"),
                        ],
                        max_length=10,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("display_name", models.CharField(help_text="The name players see.", max_length=60)),
                (
                    "position",
                    models.PositiveSmallIntegerField(default=0, help_text="Lower comes first in lists."),
                ),
            ],
            options={
                "ordering": ("position", "slug"),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "slug__in",
                                [
                                    "nes",
                                    "snes",
                                    "gb",
                                    "gbc",
                                    "gba",
                                    "nds",
                                    "3ds",
                                    "gamecube",
                                    "wii",
                                    "switch",
                                ],
                            )
                        ),
                        name="console_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("display_name", ""), _negated=True), name="console_has_a_name"
                    ),
                ],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="console",
            trigger=pgtrigger.compiler.Trigger(
                name="history",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE r jsonb;",
                    func="r := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END; PERFORM events_note_change('emulators', format('%s', r->>'slug'), 'console', CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END, CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END, ARRAY[]::text[], ARRAY[]::text[]); RETURN NULL;",
                    hash="6006ccbb459658822e8d3a5cac881e05a7324576",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_history_8ed6a",
                    table="emulators_console",
                    when="AFTER",
                ),
            ),
        ),
        migrations.CreateModel(
            name="GpuClass",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        help_text="Named after its best-known card.", max_length=40, unique=True
                    ),
                ),
                (
                    "rank",
                    models.PositiveSmallIntegerField(
                        help_text="1 is the weakest; asking for a class accepts every higher one.",
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "terms",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            max_length=40,
                            validators=[
                                django.core.validators.RegexValidator(
                                    "^[a-z0-9]{2,40}\\Z",
                                    "Write a term in small letters and digits only, such as rtx4090.",
                                )
                            ],
                        ),
                        help_text="Parts of vendors' model names in small letters and digits, separated by commas: rtx4090, l40s.",
                        size=200,
                    ),
                ),
            ],
            options={
                "verbose_name": "GPU class",
                "verbose_name_plural": "GPU classes",
                "ordering": ("rank",),
                "constraints": [
                    models.UniqueConstraint(
                        deferrable=django.db.models.constraints.Deferrable["DEFERRED"],
                        fields=("rank",),
                        name="gpu_class_rank",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("rank__gte", 1)), name="gpu_class_rank_positive"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("name", ""), _negated=True), name="gpu_class_has_a_name"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("terms__len__gte", 1), ("terms__len__lte", 200)),
                        name="gpu_class_has_terms",
                    ),
                ],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="gpuclass",
            trigger=pgtrigger.compiler.Trigger(
                name="history",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE r jsonb;",
                    func="r := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END; PERFORM events_note_change('emulators', format('gpu_class:%s', r->>'name'), 'GPU class', CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END, CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END, ARRAY[]::text[], ARRAY[]::text[]); RETURN NULL;",
                    hash="fb0c7ec8da73c56c38346d2083b925b8d32ed3aa",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_history_1fdde",
                    table="emulators_gpuclass",
                    when="AFTER",
                ),
            ),
        ),
        migrations.CreateModel(
            name="Preset",
            fields=[
                (
                    "slug",
                    models.SlugField(
                        help_text="The API's name of it; never changes.",
                        max_length=20,
                        primary_key=True,
                        serialize=False,
                        verbose_name="name",
                    ),
                ),
                (
                    "vcpus",
                    models.PositiveSmallIntegerField(
                        help_text="At least so many.",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(512),
                        ],
                        verbose_name="vCPUs",
                    ),
                ),
                (
                    "ram_gb",
                    models.PositiveSmallIntegerField(
                        help_text="At least so much.",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(4096),
                        ],
                        verbose_name="RAM (GB)",
                    ),
                ),
                (
                    "disk_gb",
                    models.PositiveIntegerField(
                        help_text="At least so much.",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(65536),
                        ],
                        verbose_name="disk (GB)",
                    ),
                ),
                (
                    "gpus",
                    models.PositiveSmallIntegerField(
                        default=0,
                        help_text="0 buys none.",
                        validators=[django.core.validators.MaxValueValidator(16)],
                        verbose_name="GPUs",
                    ),
                ),
            ],
            options={
                "ordering": ("vcpus", "ram_gb", "disk_gb", "gpus", "slug"),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("vcpus__gte", 1),
                            ("vcpus__lte", 512),
                            ("ram_gb__gte", 1),
                            ("ram_gb__lte", 4096),
                            ("disk_gb__gte", 1),
                            ("disk_gb__lte", 65536),
                            ("gpus__gte", 0),
                            ("gpus__lte", 16),
                        ),
                        name="preset_is_a_size",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("slug", ""), _negated=True), name="preset_has_a_name"
                    ),
                ],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="preset",
            trigger=pgtrigger.compiler.Trigger(
                name="history",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE r jsonb;",
                    func="r := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END; PERFORM events_note_change('emulators', format('preset:%s', r->>'slug'), 'preset', CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END, CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END, ARRAY[]::text[], ARRAY[]::text[]); RETURN NULL;",
                    hash="16b0ad0f513e70f0645cc9d9a1f8ba78c3fdac7b",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_history_68d9b",
                    table="emulators_preset",
                    when="AFTER",
                ),
            ),
        ),
        migrations.CreateModel(
            name="EmulatorConfig",
            fields=[
                (
                    "console",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="config",
                        serialize=False,
                        to="emulators.console",
                    ),
                ),
                (
                    "default_emulator",
                    models.CharField(
                        help_text="The program that plays its games, such as Dolphin.", max_length=60
                    ),
                ),
                (
                    "min_cpu",
                    models.PositiveSmallIntegerField(
                        help_text="No preset below this is accepted.",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(512),
                        ],
                        verbose_name="least vCPUs",
                    ),
                ),
                (
                    "min_ram_gb",
                    models.PositiveSmallIntegerField(
                        help_text="No preset below this is accepted.",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(4096),
                        ],
                        verbose_name="least RAM (GB)",
                    ),
                ),
                (
                    "requires_gpu",
                    models.BooleanField(
                        default=False,
                        help_text="No preset without a GPU is accepted.",
                        verbose_name="requires a GPU",
                    ),
                ),
                (
                    "cost_per_hour_limit",
                    models.DecimalField(
                        blank=True,
                        decimal_places=6,
                        help_text="Never pay more; empty for no limit. Providers may have their own.",
                        max_digits=10,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(
                                Decimal("0.000001"), "A limit must be above 0; leave it empty for none."
                            )
                        ],
                        verbose_name="limit (USD per hour)",
                    ),
                ),
                (
                    "max_session_hours",
                    models.PositiveSmallIntegerField(
                        default=8,
                        help_text="A machine is ended so many hours after it became ready.",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(168),
                        ],
                        verbose_name="longest session (hours)",
                    ),
                ),
                (
                    "supported_file_extensions",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            max_length=11,
                            validators=[
                                django.core.validators.RegexValidator(
                                    "^\\.[a-z0-9]{1,10}\\Z",
                                    "Write an extension as a dot and small letters, such as .nes.",
                                )
                            ],
                        ),
                        blank=True,
                        default=list,
                        help_text="Extensions, separated by commas: .nes, .unf",
                        size=50,
                        verbose_name="game files",
                    ),
                ),
                (
                    "save_file_extensions",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            max_length=11,
                            validators=[
                                django.core.validators.RegexValidator(
                                    "^\\.[a-z0-9]{1,10}\\Z",
                                    "Write an extension as a dot and small letters, such as .nes.",
                                )
                            ],
                        ),
                        blank=True,
                        default=list,
                        help_text="Extensions of files that hold progress: .sav, .srm",
                        size=50,
                        verbose_name="save files",
                    ),
                ),
                (
                    "default_preset",
                    models.ForeignKey(
                        help_text="The size of machine a launch asks for.",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="emulators.preset",
                    ),
                ),
                (
                    "gpu_class",
                    models.ForeignKey(
                        blank=True,
                        help_text="The least class, asked on TensorDock and on own hosts. A provider's row may name another one.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="emulators.gpuclass",
                        verbose_name="GPU class",
                    ),
                ),
                (
                    "usd_per_1000_km",
                    models.DecimalField(
                        blank=True,
                        decimal_places=6,
                        help_text="With it, offers are tried by score, whoever sells them: the price, and so much for every 1,000 km. Empty: provider by provider in their order, the nearest offer first.",
                        max_digits=10,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(
                                Decimal("0"),
                                "A distance cannot be worth less than nothing; at 0 only the price counts.",
                            ),
                            django.core.validators.MaxValueValidator(
                                Decimal("100"),
                                "At most 100 dollars an hour for 1,000 km; long before that only the distance counts.",
                            ),
                        ],
                        verbose_name="what 1,000 km are worth (USD per hour)",
                    ),
                ),
            ],
            options={
                "verbose_name": "console",
                "verbose_name_plural": "consoles",
                "ordering": ("console__position", "console_id"),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("min_cpu__gte", 1),
                            ("min_cpu__lte", 512),
                            ("min_ram_gb__gte", 1),
                            ("min_ram_gb__lte", 4096),
                        ),
                        name="emulator_config_floor",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("max_session_hours__gte", 1), ("max_session_hours__lte", 168)),
                        name="emulator_config_session",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("cost_per_hour_limit", None), ("cost_per_hour_limit__gt", 0), _connector="OR"
                        ),
                        name="emulator_config_limit_positive",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("default_emulator", ""), _negated=True),
                        name="emulator_config_has_emulator",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("save_file_extensions__len__lte", 50),
                            ("supported_file_extensions__len__lte", 50),
                        ),
                        name="emulator_config_extensions",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("usd_per_1000_km", None),
                            models.Q(("usd_per_1000_km__gte", 0), ("usd_per_1000_km__lte", 100)),
                            _connector="OR",
                        ),
                        name="emulator_config_distance",
                    ),
                ],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="emulatorconfig",
            trigger=pgtrigger.compiler.Trigger(
                name="history",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE r jsonb;",
                    func="r := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END; PERFORM events_note_change('emulators', format('%s', r->>'console_id'), 'console', CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END, CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END, ARRAY[]::text[], ARRAY[]::text[]); RETURN NULL;",
                    hash="de3a0593612b4bab543c7eb3a20e32c26b42289c",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_history_fc9be",
                    table="emulators_emulatorconfig",
                    when="AFTER",
                ),
            ),
        ),
    ]
