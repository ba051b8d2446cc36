from decimal import Decimal

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.core.validators
import django.db.models.constraints
import django.db.models.deletion
import django.db.models.functions.text
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [
        ("emulators", "0002_history"),
        ("emulators", "0003_game_file"),
    ]

    dependencies = [
        ("emulators", "0001_consoles"),
    ]

    operations = [
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
                (
                    "gpu_class",
                    models.ForeignKey(
                        blank=True,
                        help_text="Another least class here; empty for the console's.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="emulators.gpuclass",
                        verbose_name="GPU class",
                    ),
                ),
                (
                    "preset_override",
                    models.ForeignKey(
                        blank=True,
                        help_text="Another size of machine here; empty for the console's.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="emulators.preset",
                        verbose_name="preset",
                    ),
                ),
                (
                    "config",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="preferences",
                        to="emulators.emulatorconfig",
                    ),
                ),
            ],
            options={
                "verbose_name": "provider",
                "ordering": ("config", "priority"),
                "constraints": [
                    models.UniqueConstraint(fields=("config", "provider"), name="preference_provider"),
                    models.UniqueConstraint(
                        deferrable=django.db.models.constraints.Deferrable["DEFERRED"],
                        fields=("config", "priority"),
                        name="preference_priority",
                    ),
                    models.CheckConstraint(
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
                    models.CheckConstraint(
                        condition=models.Q(("priority__gte", 1)), name="preference_priority_positive"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("cost_per_hour_limit", None), ("cost_per_hour_limit__gt", 0), _connector="OR"
                        ),
                        name="preference_limit_positive",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("regions__len__lte", 50)), name="preference_regions"
                    ),
                ],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="providerpreference",
            trigger=pgtrigger.compiler.Trigger(
                name="history",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE r jsonb;",
                    func="r := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END; PERFORM events_note_change('emulators', format('%s', r->>'config_id'), format('provider %s', r->>'provider'), CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END, CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END, ARRAY[]::text[], ARRAY[]::text[]); RETURN NULL;",
                    hash="c711f78b5910edfb708e28339314205b75a81c0b",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_history_80c44",
                    table="emulators_providerpreference",
                    when="AFTER",
                ),
            ),
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
                (
                    "console",
                    models.ForeignKey(
                        help_text="What it is played on.",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="games",
                        to="emulators.console",
                    ),
                ),
                (
                    "gpu_class",
                    models.ForeignKey(
                        blank=True,
                        help_text="Another least class for this game, wherever one is asked; empty for the console's.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="emulators.gpuclass",
                        verbose_name="GPU class",
                    ),
                ),
                (
                    "preset",
                    models.ForeignKey(
                        blank=True,
                        help_text="Another size of machine for this game, at every provider; empty for the console's.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="emulators.preset",
                    ),
                ),
                (
                    "file",
                    models.CharField(
                        blank=True,
                        help_text="Where it lies in the library of games, such as nes/Castle of Blocks (World).nes.",
                        max_length=300,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^(?!/)(?!(?:.*/)?\\.{1,2}(?:/|\\Z))[^\\x00-\\x1f\\x7f\\\\]+(?<!/)\\Z",
                                "Write a path inside the library, without .. and control characters.",
                            )
                        ],
                    ),
                ),
            ],
            options={
                "ordering": ("title", "game_id"),
                "indexes": [
                    models.Index(fields=["title", "game_id"], name="game_by_title"),
                    models.Index(
                        django.contrib.postgres.indexes.OpClass(
                            django.db.models.functions.text.Upper("title"), "text_pattern_ops"
                        ),
                        name="game_title_begins",
                    ),
                    models.Index(
                        django.contrib.postgres.indexes.OpClass(
                            django.db.models.functions.text.Upper("game_id"), "text_pattern_ops"
                        ),
                        name="game_id_begins",
                    ),
                    models.Index(fields=["file"], name="game_by_file"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("console", "game_id"),
                        name="game_id_in_console",
                        violation_error_message="This console has a game with this id.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("game_id", ""), _negated=True), models.Q(("title", ""), _negated=True)
                        ),
                        name="game_has_a_name",
                    ),
                    models.CheckConstraint(
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
                ],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="game",
            trigger=pgtrigger.compiler.Trigger(
                name="history",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE r jsonb;",
                    func="r := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END; PERFORM events_note_change('emulators', format('game:%s/%s', r->>'console_id', r->>'game_id'), 'game', CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END, CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END, ARRAY[]::text[], ARRAY[]::text[]); RETURN NULL;",
                    hash="ae4efba5d3b22a15ea78f84cad50b8c7ffe6f682",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_history_53bab",
                    table="emulators_game",
                    when="AFTER",
                ),
            ),
        ),
    ]
