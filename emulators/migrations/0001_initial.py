from decimal import Decimal

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.core.validators
import django.db.models.constraints
import django.db.models.deletion
import django.db.models.functions.text
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

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
            },
        ),
        migrations.CreateModel(
            name="Game",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "game_id",
                    models.CharField(
                        help_text="The API's name of it, unique in its console.",
                        max_length=100,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}\\Z",
                                "Use letters, digits and . _ : - only, at most 100, starting with a letter or digit.",
                            )
                        ],
                    ),
                ),
                ("title", models.CharField(help_text="The title players see.", max_length=200)),
                (
                    "min_cpu",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="Raises the console's; never lowers it.",
                        null=True,
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
                        blank=True,
                        help_text="Raises the console's; never lowers it.",
                        null=True,
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
                        help_text="Asks for a GPU even where the console does not.",
                        verbose_name="requires a GPU",
                    ),
                ),
                (
                    "emulator",
                    models.CharField(
                        blank=True, help_text="Another emulator; empty for the console's.", max_length=60
                    ),
                ),
            ],
            options={
                "ordering": ("title", "game_id"),
            },
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
            },
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
            },
        ),
        migrations.CreateModel(
            name="ProviderPreference",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "provider",
                    models.CharField(
                        choices=[
                            ("tensordock", "TensorDock"),
                            ("cloudypad_gcp", "Google Cloud (CloudyPad)"),
                            ("cloudypad_aws", "AWS (CloudyPad)"),
                            ("cloudypad_azure", "Azure (CloudyPad)"),
                            ("cloudypad_paperspace", "Paperspace (CloudyPad)"),
                            ("cloudypad_scaleway", "Scaleway (CloudyPad)"),
                            ("libvirt", "Own hosts (libvirt)"),
                            ("memory", "Memory (tests)"),
                        ],
                        help_text="Who would run the machine; each at most once.",
                        max_length=25,
                    ),
                ),
                (
                    "priority",
                    models.PositiveSmallIntegerField(
                        default=1,
                        help_text="1 is tried first.",
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "enabled",
                    models.BooleanField(default=True, help_text="A switched-off provider is never asked."),
                ),
                (
                    "cost_per_hour_limit",
                    models.DecimalField(
                        blank=True,
                        decimal_places=6,
                        help_text="Never pay more here; empty for the console's limit.",
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
                    "regions",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=100),
                        blank=True,
                        default=list,
                        help_text="Only there: region codes or their beginnings, countries, states or cities, separated by commas; empty for anywhere.",
                        size=50,
                    ),
                ),
            ],
            options={
                "verbose_name": "provider",
                "ordering": ("config", "priority"),
            },
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
            ],
            options={
                "verbose_name": "console",
                "verbose_name_plural": "consoles",
                "ordering": ("console__position", "console_id"),
            },
        ),
        migrations.AddConstraint(
            model_name="console",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "slug__in",
                        ["nes", "snes", "gb", "gbc", "gba", "nds", "3ds", "gamecube", "wii", "switch"],
                    )
                ),
                name="console_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="console",
            constraint=models.CheckConstraint(
                condition=models.Q(("display_name", ""), _negated=True), name="console_has_a_name"
            ),
        ),
        migrations.AddField(
            model_name="game",
            name="console",
            field=models.ForeignKey(
                help_text="What it is played on.",
                on_delete=django.db.models.deletion.PROTECT,
                related_name="games",
                to="emulators.console",
            ),
        ),
        migrations.AddConstraint(
            model_name="gpuclass",
            constraint=models.UniqueConstraint(
                deferrable=django.db.models.constraints.Deferrable["DEFERRED"],
                fields=("rank",),
                name="gpu_class_rank",
            ),
        ),
        migrations.AddConstraint(
            model_name="gpuclass",
            constraint=models.CheckConstraint(
                condition=models.Q(("rank__gte", 1)), name="gpu_class_rank_positive"
            ),
        ),
        migrations.AddConstraint(
            model_name="gpuclass",
            constraint=models.CheckConstraint(
                condition=models.Q(("name", ""), _negated=True), name="gpu_class_has_a_name"
            ),
        ),
        migrations.AddConstraint(
            model_name="gpuclass",
            constraint=models.CheckConstraint(
                condition=models.Q(("terms__len__gte", 1), ("terms__len__lte", 200)),
                name="gpu_class_has_terms",
            ),
        ),
        migrations.AddField(
            model_name="game",
            name="gpu_class",
            field=models.ForeignKey(
                blank=True,
                help_text="Another least class for this game, wherever one is asked; empty for the console's.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="emulators.gpuclass",
                verbose_name="GPU class",
            ),
        ),
        migrations.AddConstraint(
            model_name="preset",
            constraint=models.CheckConstraint(
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
        ),
        migrations.AddConstraint(
            model_name="preset",
            constraint=models.CheckConstraint(
                condition=models.Q(("slug", ""), _negated=True), name="preset_has_a_name"
            ),
        ),
        migrations.AddField(
            model_name="game",
            name="preset",
            field=models.ForeignKey(
                blank=True,
                help_text="Another size of machine for this game, at every provider; empty for the console's.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="emulators.preset",
            ),
        ),
        migrations.AddField(
            model_name="providerpreference",
            name="gpu_class",
            field=models.ForeignKey(
                blank=True,
                help_text="Another least class here; empty for the console's.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="emulators.gpuclass",
                verbose_name="GPU class",
            ),
        ),
        migrations.AddField(
            model_name="providerpreference",
            name="preset_override",
            field=models.ForeignKey(
                blank=True,
                help_text="Another size of machine here; empty for the console's.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="emulators.preset",
                verbose_name="preset",
            ),
        ),
        migrations.AddField(
            model_name="providerpreference",
            name="config",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="preferences",
                to="emulators.emulatorconfig",
            ),
        ),
        migrations.AddField(
            model_name="emulatorconfig",
            name="default_preset",
            field=models.ForeignKey(
                help_text="The size of machine a launch asks for.",
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="emulators.preset",
            ),
        ),
        migrations.AddField(
            model_name="emulatorconfig",
            name="gpu_class",
            field=models.ForeignKey(
                blank=True,
                help_text="The least class, asked on TensorDock and on own hosts. A provider's row may name another one.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="emulators.gpuclass",
                verbose_name="GPU class",
            ),
        ),
        migrations.AddIndex(
            model_name="game",
            index=models.Index(fields=["title", "game_id"], name="game_by_title"),
        ),
        migrations.AddIndex(
            model_name="game",
            index=models.Index(
                django.contrib.postgres.indexes.OpClass(
                    django.db.models.functions.text.Upper("title"), "text_pattern_ops"
                ),
                name="game_title_begins",
            ),
        ),
        migrations.AddIndex(
            model_name="game",
            index=models.Index(
                django.contrib.postgres.indexes.OpClass(
                    django.db.models.functions.text.Upper("game_id"), "text_pattern_ops"
                ),
                name="game_id_begins",
            ),
        ),
        migrations.AddConstraint(
            model_name="game",
            constraint=models.UniqueConstraint(
                fields=("console", "game_id"),
                name="game_id_in_console",
                violation_error_message="This console has a game with this id.",
            ),
        ),
        migrations.AddConstraint(
            model_name="game",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("game_id", ""), _negated=True), models.Q(("title", ""), _negated=True)
                ),
                name="game_has_a_name",
            ),
        ),
        migrations.AddConstraint(
            model_name="game",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("min_cpu", None),
                        models.Q(("min_cpu__gte", 1), ("min_cpu__lte", 512)),
                        _connector="OR",
                    ),
                    models.Q(
                        ("min_ram_gb", None),
                        models.Q(("min_ram_gb__gte", 1), ("min_ram_gb__lte", 4096)),
                        _connector="OR",
                    ),
                ),
                name="game_floor",
            ),
        ),
        migrations.AddConstraint(
            model_name="providerpreference",
            constraint=models.UniqueConstraint(fields=("config", "provider"), name="preference_provider"),
        ),
        migrations.AddConstraint(
            model_name="providerpreference",
            constraint=models.UniqueConstraint(
                deferrable=django.db.models.constraints.Deferrable["DEFERRED"],
                fields=("config", "priority"),
                name="preference_priority",
            ),
        ),
        migrations.AddConstraint(
            model_name="providerpreference",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "provider__in",
                        [
                            "tensordock",
                            "cloudypad_gcp",
                            "cloudypad_aws",
                            "cloudypad_azure",
                            "cloudypad_paperspace",
                            "cloudypad_scaleway",
                            "libvirt",
                            "memory",
                        ],
                    )
                ),
                name="preference_provider_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="providerpreference",
            constraint=models.CheckConstraint(
                condition=models.Q(("priority__gte", 1)), name="preference_priority_positive"
            ),
        ),
        migrations.AddConstraint(
            model_name="providerpreference",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("cost_per_hour_limit", None), ("cost_per_hour_limit__gt", 0), _connector="OR"
                ),
                name="preference_limit_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="providerpreference",
            constraint=models.CheckConstraint(
                condition=models.Q(("regions__len__lte", 50)), name="preference_regions"
            ),
        ),
        migrations.AddConstraint(
            model_name="emulatorconfig",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("min_cpu__gte", 1),
                    ("min_cpu__lte", 512),
                    ("min_ram_gb__gte", 1),
                    ("min_ram_gb__lte", 4096),
                ),
                name="emulator_config_floor",
            ),
        ),
        migrations.AddConstraint(
            model_name="emulatorconfig",
            constraint=models.CheckConstraint(
                condition=models.Q(("max_session_hours__gte", 1), ("max_session_hours__lte", 168)),
                name="emulator_config_session",
            ),
        ),
        migrations.AddConstraint(
            model_name="emulatorconfig",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("cost_per_hour_limit", None), ("cost_per_hour_limit__gt", 0), _connector="OR"
                ),
                name="emulator_config_limit_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="emulatorconfig",
            constraint=models.CheckConstraint(
                condition=models.Q(("default_emulator", ""), _negated=True),
                name="emulator_config_has_emulator",
            ),
        ),
        migrations.AddConstraint(
            model_name="emulatorconfig",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("save_file_extensions__len__lte", 50), ("supported_file_extensions__len__lte", 50)
                ),
                name="emulator_config_extensions",
            ),
        ),
    ]
