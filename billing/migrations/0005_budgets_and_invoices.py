from decimal import Decimal

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [("billing", "0003_budgets")]

    dependencies = [
        ("billing", "0004_sums_for_reports"),
        ("events", "0001_events_and_deliveries"),
    ]

    operations = [
        migrations.CreateModel(
            name="ProviderBalance",
            fields=[
                ("provider_account", models.BigIntegerField(primary_key=True, serialize=False)),
                ("provider", models.CharField(max_length=30)),
                ("name", models.CharField(max_length=60)),
                ("balance_usd", models.DecimalField(decimal_places=6, max_digits=20, null=True)),
                (
                    "usd_per_hour",
                    models.DecimalField(
                        decimal_places=9,
                        help_text="What everything there costs now.",
                        max_digits=14,
                        null=True,
                    ),
                ),
                ("looked_at", models.DateTimeField(null=True)),
                (
                    "low_below_usd",
                    models.DecimalField(
                        decimal_places=6,
                        default=20,
                        help_text="Staff are told when less is left. TensorDock warns at 20 and stops machines at 0.",
                        max_digits=20,
                    ),
                ),
                ("low_since", models.DateTimeField(editable=False, null=True)),
            ],
            options={
                "ordering": ("name",),
            },
        ),
        migrations.CreateModel(
            name="ProviderInvoice",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("provider", models.CharField(max_length=30)),
                ("file_name", models.CharField(max_length=200)),
                ("digest", models.CharField(help_text="SHA-256 of the file.", max_length=64, unique=True)),
                ("imported_at", models.DateTimeField()),
                ("actor", models.CharField(max_length=100)),
            ],
            options={
                "ordering": ("-imported_at",),
            },
        ),
        migrations.CreateModel(
            name="InvoiceLine",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("provider", models.CharField(max_length=30)),
                ("day", models.DateField()),
                ("machine_id", models.CharField(max_length=100)),
                (
                    "line_key",
                    models.CharField(
                        help_text="The provider's own id of the line, or what stands for one.", max_length=100
                    ),
                ),
                ("amount_usd", models.DecimalField(decimal_places=6, max_digits=20)),
                (
                    "invoice",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="lines",
                        to="billing.providerinvoice",
                    ),
                ),
            ],
            options={
                "ordering": ("day", "machine_id", "id"),
                "indexes": [
                    models.Index(fields=["provider", "day", "machine_id"], name="invoice_line_of_day")
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("provider", "line_key"), name="invoice_line_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="FleetDifference",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("day", models.DateField()),
                ("provider_account", models.BigIntegerField()),
                ("provider", models.CharField(max_length=30)),
                ("name", models.CharField(max_length=60)),
                ("looked_at", models.DateTimeField()),
                ("their_machines", models.PositiveIntegerField()),
                ("our_machines", models.PositiveIntegerField()),
                (
                    "their_usd_per_hour",
                    models.DecimalField(
                        decimal_places=9,
                        help_text="Empty when the provider does not say.",
                        max_digits=14,
                        null=True,
                    ),
                ),
                ("our_usd_per_hour", models.DecimalField(decimal_places=9, max_digits=14)),
                ("unknown", models.JSONField(default=list, help_text="Machines of ours that no row wants.")),
                (
                    "missing",
                    models.JSONField(
                        default=list, help_text="Machines in our rows that the provider does not list."
                    ),
                ),
            ],
            options={
                "ordering": ("-day", "name"),
                "indexes": [
                    models.Index(
                        condition=models.Q(
                            models.Q(("unknown", []), _negated=True),
                            models.Q(("missing", []), _negated=True),
                            _connector="OR",
                        ),
                        fields=["-day"],
                        name="fleet_differs",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("day", "provider_account"), name="fleet_difference_once_a_day"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="BudgetWatch",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("next_look_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Budget",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                (
                    "covers",
                    models.CharField(
                        choices=[
                            ("global", "everything"),
                            ("provider", "a provider"),
                            ("project", "a project"),
                            ("department", "a department"),
                            ("user", "a person"),
                        ],
                        max_length=10,
                    ),
                ),
                ("provider", models.CharField(blank=True, max_length=30)),
                (
                    "period",
                    models.CharField(
                        choices=[
                            ("daily", "every day"),
                            ("monthly", "every month"),
                            ("custom", "from a day to a day"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "starts_on",
                    models.DateField(blank=True, help_text="The first day, of a custom period.", null=True),
                ),
                (
                    "ends_on",
                    models.DateField(blank=True, help_text="The last day, of a custom period.", null=True),
                ),
                (
                    "limit_usd",
                    models.DecimalField(
                        decimal_places=6,
                        max_digits=20,
                        validators=[django.core.validators.MinValueValidator(Decimal("0.000001"))],
                    ),
                ),
                (
                    "emails",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.EmailField(max_length=254),
                        blank=True,
                        default=list,
                        help_text="Who is told by mail.",
                        size=20,
                    ),
                ),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "department",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="budgets",
                        to="accounts.department",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="budgets",
                        to="accounts.project",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="budgets",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "webhook",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="events.webhook",
                    ),
                ),
            ],
            options={
                "ordering": ("-id",),
                "indexes": [
                    models.Index(
                        condition=models.Q(("is_active", True)), fields=["covers"], name="budget_active"
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("covers", "global"),
                                ("department", None),
                                ("project", None),
                                ("provider", ""),
                                ("user", None),
                            ),
                            models.Q(
                                ("covers", "provider"),
                                ("department", None),
                                ("project", None),
                                ("user", None),
                                models.Q(("provider", ""), _negated=True),
                            ),
                            models.Q(
                                ("covers", "project"),
                                ("department", None),
                                ("project__isnull", False),
                                ("provider", ""),
                                ("user", None),
                            ),
                            models.Q(
                                ("covers", "department"),
                                ("department__isnull", False),
                                ("project", None),
                                ("provider", ""),
                                ("user", None),
                            ),
                            models.Q(
                                ("covers", "user"),
                                ("department", None),
                                ("project", None),
                                ("provider", ""),
                                ("user__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="budget_covers_one",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("ends_on__gte", models.F("starts_on")),
                                ("period", "custom"),
                                ("starts_on__isnull", False),
                            ),
                            models.Q(
                                ("ends_on", None), ("period__in", ("daily", "monthly")), ("starts_on", None)
                            ),
                            _connector="OR",
                        ),
                        name="budget_period_whole",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("limit_usd__gt", 0)), name="budget_limit_positive"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Threshold",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "percent",
                    models.PositiveIntegerField(
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(1000),
                        ]
                    ),
                ),
                (
                    "notifies",
                    models.BooleanField(
                        default=True, help_text="By mail and webhook; the event is always there."
                    ),
                ),
                ("blocks_launches", models.BooleanField(default=False)),
                (
                    "stops_vms",
                    models.BooleanField(
                        default=False, help_text="And refuses new ones.", verbose_name="stops VMs"
                    ),
                ),
                (
                    "budget",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="thresholds",
                        to="billing.budget",
                    ),
                ),
            ],
            options={
                "ordering": ("percent",),
                "constraints": [
                    models.UniqueConstraint(fields=("budget", "percent"), name="threshold_once"),
                    models.CheckConstraint(
                        condition=models.Q(("percent__gte", 1), ("percent__lte", 1000)),
                        name="threshold_percent",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="BudgetCrossing",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("percent", models.PositiveIntegerField()),
                ("period_start", models.DateField()),
                ("period_end", models.DateField()),
                ("spent_usd", models.DecimalField(decimal_places=6, max_digits=20)),
                ("limit_usd", models.DecimalField(decimal_places=6, max_digits=20)),
                ("crossed_at", models.DateTimeField()),
                ("lifted_at", models.DateTimeField(null=True)),
                (
                    "budget",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="crossings",
                        to="billing.budget",
                    ),
                ),
            ],
            options={
                "verbose_name": "crossed threshold",
                "ordering": ("-crossed_at", "-id"),
                "indexes": [
                    models.Index(
                        condition=models.Q(("lifted_at", None)),
                        fields=["period_end"],
                        name="crossing_in_force",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("budget", "period_start", "percent"), name="crossing_once_per_period"
                    )
                ],
            },
        ),
    ]
