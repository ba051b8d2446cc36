import django.db.models.deletion
from django.db import migrations, models

# Found by the last day on which both were there.
TOGETHER = """
CREATE INDEX billing_takeover_together ON billing_takeover (coalesce(least(last_day, before_last_day), DATE 'infinity'), day)
 WHERE is_only;
CREATE INDEX billing_takeover_of_many ON billing_takeover (coalesce(least(last_day, before_last_day), DATE 'infinity'), day)
 WHERE NOT is_only
"""


class Migration(migrations.Migration):
    replaces = [
        ("billing", "0004_coarse_sums"),
        ("billing", "0007_spans_and_takeovers"),
        ("billing", "0008_days_are_additions"),
    ]

    dependencies = [
        ("billing", "0003_laws"),
    ]

    operations = [
        migrations.CreateModel(
            name="UsageDay",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("day", models.DateField(help_text="In settings.BILLING_TIME_ZONE.")),
                ("running_us", models.BigIntegerField(db_default=0)),
                ("charged_us", models.BigIntegerField(db_default=0)),
                ("stopped_us", models.BigIntegerField(db_default=0)),
                ("storage_us", models.BigIntegerField(db_default=0)),
                ("cost_usd", models.DecimalField(db_default=0, decimal_places=6, max_digits=20)),
                ("charge_usd", models.DecimalField(db_default=0, decimal_places=6, max_digits=20)),
                (
                    "centre",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="days",
                        to="billing.costcentre",
                    ),
                ),
                (
                    "is_folded",
                    models.BooleanField(db_default=False, help_text="It is part of a span of two days."),
                ),
                ("machines_begun", models.IntegerField(db_default=0)),
                ("machines_ended", models.IntegerField(db_default=0)),
                ("saved_usd", models.DecimalField(db_default=0, decimal_places=6, max_digits=20)),
                (
                    "is_whole",
                    models.BooleanField(db_default=False, help_text="It was made of the day's additions."),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["centre", "day"], name="usage_day_of_centre"),
                    models.Index(fields=["day"], name="usage_day_by_day"),
                    models.Index(
                        condition=models.Q(("is_folded", False)),
                        fields=["day", "centre"],
                        name="usage_day_to_fold",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="UsageSpan",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("day", models.DateField(help_text="In settings.BILLING_TIME_ZONE.")),
                ("running_us", models.BigIntegerField(db_default=0)),
                ("charged_us", models.BigIntegerField(db_default=0)),
                ("stopped_us", models.BigIntegerField(db_default=0)),
                ("storage_us", models.BigIntegerField(db_default=0)),
                ("cost_usd", models.DecimalField(db_default=0, decimal_places=6, max_digits=20)),
                ("charge_usd", models.DecimalField(db_default=0, decimal_places=6, max_digits=20)),
                ("saved_usd", models.DecimalField(db_default=0, decimal_places=6, max_digits=20)),
                ("machines_begun", models.IntegerField(db_default=0)),
                ("machines_ended", models.IntegerField(db_default=0)),
                (
                    "centre",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="spans",
                        to="billing.costcentre",
                    ),
                ),
                ("length", models.SmallIntegerField(help_text="Days.")),
                (
                    "is_folded",
                    models.BooleanField(
                        db_default=False, help_text="It is part of a longer span; of the longest, nothing is."
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["length", "day", "centre"], name="usage_span_of_length"),
                    models.Index(
                        condition=models.Q(("is_folded", False), ("length__lt", 128)),
                        fields=["day"],
                        name="usage_span_to_fold",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="UsageSum",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("day", models.DateField(help_text="In settings.BILLING_TIME_ZONE.")),
                ("running_us", models.BigIntegerField(db_default=0)),
                ("charged_us", models.BigIntegerField(db_default=0)),
                ("stopped_us", models.BigIntegerField(db_default=0)),
                ("storage_us", models.BigIntegerField(db_default=0)),
                ("cost_usd", models.DecimalField(db_default=0, decimal_places=6, max_digits=20)),
                ("charge_usd", models.DecimalField(db_default=0, decimal_places=6, max_digits=20)),
                (
                    "face",
                    models.CharField(
                        choices=[
                            ("all", "everything"),
                            ("place", "providers and regions"),
                            ("game", "consoles and presets"),
                            ("product", "places and games"),
                            ("tenant", "for whom"),
                        ],
                        max_length=7,
                    ),
                ),
                ("provider", models.CharField(blank=True, max_length=30)),
                ("provider_account", models.BigIntegerField(null=True)),
                ("region", models.CharField(blank=True, max_length=100)),
                ("console", models.CharField(blank=True, max_length=30)),
                ("preset", models.CharField(blank=True, max_length=30)),
                ("project", models.BigIntegerField(db_column="project_id", null=True)),
                ("department", models.BigIntegerField(db_column="department_id", null=True)),
                ("is_whole", models.BooleanField(default=False, help_text="It was folded.")),
                ("machines_begun", models.IntegerField(db_default=0)),
                ("machines_ended", models.IntegerField(db_default=0)),
                ("saved_usd", models.DecimalField(db_default=0, decimal_places=6, max_digits=20)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["face", "day"], name="usage_sum_of_face"),
                    models.Index(
                        condition=models.Q(("is_whole", False)), fields=["day"], name="usage_sum_to_fold"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="UsageToDate",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("day", models.DateField(help_text="In settings.BILLING_TIME_ZONE.")),
                ("running_us", models.BigIntegerField(db_default=0)),
                ("charged_us", models.BigIntegerField(db_default=0)),
                ("stopped_us", models.BigIntegerField(db_default=0)),
                ("storage_us", models.BigIntegerField(db_default=0)),
                ("cost_usd", models.DecimalField(db_default=0, decimal_places=6, max_digits=20)),
                ("charge_usd", models.DecimalField(db_default=0, decimal_places=6, max_digits=20)),
                ("saved_usd", models.DecimalField(db_default=0, decimal_places=6, max_digits=20)),
                ("machines_begun", models.IntegerField(db_default=0)),
                ("machines_ended", models.IntegerField(db_default=0)),
                ("user", models.BigIntegerField(db_column="user_id", null=True)),
                ("project", models.BigIntegerField(db_column="project_id", null=True)),
                ("department", models.BigIntegerField(db_column="department_id", null=True)),
            ],
            options={
                "indexes": [models.Index(fields=["day"], name="usage_to_date_of_day")],
            },
        ),
        migrations.CreateModel(
            name="Takeover",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "subject_id",
                        "before_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "subject",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.subject",
                    ),
                ),
                (
                    "before",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.subject",
                    ),
                ),
                (
                    "centre",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.costcentre",
                    ),
                ),
                (
                    "before_centre",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.costcentre",
                    ),
                ),
                (
                    "day",
                    models.DateField(
                        help_text="On which the later one began, in settings.BILLING_TIME_ZONE."
                    ),
                ),
                ("last_day", models.DateField(null=True)),
                ("before_last_day", models.DateField(null=True)),
                (
                    "agrees",
                    models.SmallIntegerField(
                        help_text="In what the centres are the same: a bit for each of what reports group by."
                    ),
                ),
                (
                    "is_only",
                    models.BooleanField(
                        help_text="The later one is the second of its VM: it has no other row."
                    ),
                ),
            ],
        ),
        migrations.RunSQL(
            TOGETHER, "DROP INDEX billing_takeover_together; DROP INDEX billing_takeover_of_many"
        ),
    ]
