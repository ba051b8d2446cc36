import django.db.models.deletion
from django.db import migrations, models

FIGURES = "running_us, charged_us, stopped_us, storage_us, cost_usd, charge_usd, saved_usd, machines_begun, machines_ended"
SUMMED = ", ".join(f"sum({name})" for name in FIGURES.split(", "))
# Of the days that are in spans; the schedule goes on from there.
TO_DATE = f"""
INSERT INTO billing_usagetodate (day, user_id, project_id, department_id, {FIGURES})
SELECT days.day + later AS on_day, user_id, project_id, department_id, {SUMMED}
  FROM billing_usageday days JOIN billing_costcentre centre ON centre.id = days.centre_id
 CROSS JOIN (SELECT max(day) AS day FROM billing_usageday WHERE is_folded) AS made
 CROSS JOIN LATERAL generate_series(0, least(63 - (days.day - DATE '2000-01-01') % 64, made.day - days.day)) AS later
 WHERE days.is_folded GROUP BY on_day, user_id, project_id, department_id
"""  # noqa: S608  # our own words only


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0008_days_are_additions"),
    ]

    operations = [
        migrations.RunSQL("DELETE FROM billing_usagespan WHERE centre_id IS NULL", migrations.RunSQL.noop),
        migrations.RemoveField(model_name="usagespan", name="department"),
        migrations.RemoveField(model_name="usagespan", name="project"),
        migrations.RemoveField(model_name="usagespan", name="user"),
        migrations.AlterField(
            model_name="usagespan",
            name="centre",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="spans",
                to="billing.costcentre",
            ),
        ),
        migrations.AlterField(
            model_name="usagespan",
            name="is_folded",
            field=models.BooleanField(
                db_default=False, help_text="It is part of a longer span; of the longest, nothing is."
            ),
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
            options={"indexes": [models.Index(fields=["day"], name="usage_to_date_of_day")]},
        ),
        migrations.RunSQL(TO_DATE, migrations.RunSQL.noop),
    ]
