from decimal import Decimal

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [
        ("billing", "0001_initial"),
        ("billing", "0009_to_date"),
    ]

    initial = True

    dependencies = [
        ("accounts", "0002_projects"),
    ]

    operations = [
        migrations.CreateModel(
            name="Rate",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("provider", models.CharField(max_length=30)),
                (
                    "preset",
                    models.CharField(
                        blank=True, help_text="Empty: any preset without a row of its own.", max_length=30
                    ),
                ),
                (
                    "usd_per_hour",
                    models.DecimalField(
                        decimal_places=9,
                        max_digits=14,
                        validators=[django.core.validators.MinValueValidator(Decimal("0"))],
                    ),
                ),
                (
                    "starts_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now,
                        help_text="In force from then until a newer row begins.",
                    ),
                ),
            ],
            options={
                "ordering": ("provider", "preset", "-starts_at"),
                "constraints": [
                    models.UniqueConstraint(fields=("provider", "preset", "starts_at"), name="rate_once"),
                    models.CheckConstraint(
                        condition=models.Q(("usd_per_hour__gte", 0)), name="rate_not_negative"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RateFactor",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("provider", models.CharField(max_length=30)),
                (
                    "console",
                    models.CharField(
                        blank=True,
                        help_text="Empty: the provider's overhead, on every console.",
                        max_length=30,
                    ),
                ),
                (
                    "factor",
                    models.DecimalField(
                        decimal_places=4,
                        max_digits=8,
                        validators=[django.core.validators.MinValueValidator(Decimal("0.0001"))],
                    ),
                ),
                (
                    "starts_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now,
                        help_text="In force from then until a newer row begins.",
                    ),
                ),
            ],
            options={
                "ordering": ("provider", "console", "-starts_at"),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("provider", "console", "starts_at"), name="rate_factor_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("factor__gt", 0)), name="rate_factor_positive"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Margin",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "share",
                    models.DecimalField(
                        decimal_places=4,
                        help_text="0.15 is 15 %.",
                        max_digits=6,
                        validators=[django.core.validators.MinValueValidator(Decimal("-1"))],
                    ),
                ),
                (
                    "starts_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now,
                        help_text="Holds for machines bought from then on.",
                        unique=True,
                    ),
                ),
            ],
            options={
                "ordering": ("-starts_at",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("share__gte", -1)), name="margin_not_below_free"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="CreditAccount",
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
                            ("user", "a person's"),
                            ("project", "a project's"),
                            ("department", "a department's"),
                            ("house", "our own"),
                        ],
                        max_length=10,
                    ),
                ),
                ("code", models.CharField(blank=True, editable=False, max_length=20)),
                (
                    "is_postpaid",
                    models.BooleanField(
                        default=False,
                        help_text="Plays without credit and is billed.",
                        verbose_name="postpaid",
                    ),
                ),
                (
                    "balance_usd",
                    models.DecimalField(
                        decimal_places=6, default=Decimal("0"), editable=False, max_digits=20
                    ),
                ),
                (
                    "held_usd",
                    models.DecimalField(
                        decimal_places=6, default=Decimal("0"), editable=False, max_digits=20
                    ),
                ),
                ("opened_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "warned_at",
                    models.DateTimeField(
                        editable=False,
                        help_text="When its people were told that credit runs out; empty once it is well.",
                        null=True,
                    ),
                ),
                (
                    "department",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="credit_account",
                        to="accounts.department",
                    ),
                ),
                (
                    "project",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="credit_account",
                        to="accounts.project",
                    ),
                ),
                (
                    "user",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="credit_account",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "credit account",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("code", ""),
                                ("department", None),
                                ("kind", "user"),
                                ("project", None),
                                ("user__isnull", False),
                            ),
                            models.Q(
                                ("code", ""),
                                ("department", None),
                                ("kind", "project"),
                                ("project__isnull", False),
                                ("user", None),
                            ),
                            models.Q(
                                ("code", ""),
                                ("department__isnull", False),
                                ("kind", "department"),
                                ("project", None),
                                ("user", None),
                            ),
                            models.Q(
                                ("department", None),
                                ("kind", "house"),
                                ("project", None),
                                ("user", None),
                                models.Q(("code", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="credit_account_of_one",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("code", ""), _negated=True),
                        fields=("code",),
                        name="credit_account_code_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("held_usd__gte", 0)), name="credit_account_holds_forward"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CostCentre",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "provider",
                    models.CharField(help_text="The kind: tensordock, cloudypad_gcp …", max_length=30),
                ),
                (
                    "provider_account",
                    models.BigIntegerField(help_text="Which account of ours at the provider.", null=True),
                ),
                ("region", models.CharField(blank=True, max_length=100)),
                ("console", models.CharField(max_length=30)),
                ("preset", models.CharField(max_length=30)),
                (
                    "department",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.department",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.project",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "payer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.creditaccount",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("project__isnull", False)),
                        fields=["project"],
                        name="cost_centre_project",
                    ),
                    models.Index(
                        condition=models.Q(("department__isnull", False)),
                        fields=["department"],
                        name="cost_centre_department",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=(
                            "user",
                            "project",
                            "department",
                            "payer",
                            "provider",
                            "provider_account",
                            "region",
                            "console",
                            "preset",
                        ),
                        name="cost_centre_once",
                        nulls_distinct=False,
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Subject",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.CharField(max_length=64, unique=True)),
                ("vm", models.UUIDField(null=True)),
                (
                    "price_source",
                    models.CharField(
                        choices=[
                            ("quote", "the vendor's quote"),
                            ("rate", "our rate card"),
                            ("unknown", "unknown: counted as nothing"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "factors",
                    models.JSONField(
                        default=list,
                        help_text="Ids of the factors in the price; empty for a quote, which has them in it.",
                    ),
                ),
                (
                    "cost_usd_per_hour",
                    models.DecimalField(
                        decimal_places=9, help_text="What the provider asks while it runs.", max_digits=14
                    ),
                ),
                (
                    "stopped_usd_per_hour",
                    models.DecimalField(
                        decimal_places=9,
                        help_text="What the provider asks while it is stopped.",
                        max_digits=14,
                    ),
                ),
                (
                    "charge_usd_per_hour",
                    models.DecimalField(
                        decimal_places=9,
                        help_text="What the customer pays while it can be played on.",
                        max_digits=14,
                    ),
                ),
                ("started_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "centre",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="subjects",
                        to="billing.costcentre",
                    ),
                ),
                (
                    "margin",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.margin",
                    ),
                ),
                (
                    "rate",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.rate",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["vm", "started_at"], name="subject_of_vm"),
                    models.Index(fields=["started_at"], name="subject_started"),
                    models.Index(fields=["centre", "started_at"], name="subject_of_centre"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("charge_usd_per_hour__gte", 0),
                            ("cost_usd_per_hour__gte", 0),
                            ("stopped_usd_per_hour__gte", 0),
                        ),
                        name="subject_prices_not_negative",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("ended_at", None), ("ended_at__gte", models.F("started_at")), _connector="OR"
                        ),
                        name="subject_ends_after_start",
                    ),
                ],
            },
        ),
        # Who was there in a period; a machine that still is has no end.
        migrations.RunSQL(
            "CREATE INDEX billing_subject_alive ON billing_subject USING gist (tstzrange(started_at, ended_at))",
            "DROP INDEX billing_subject_alive",
        ),
    ]
