from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [("gamer_web", "0001_initial"), ("gamer_web", "0002_tallies")]

    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Allowance",
            fields=[
                ("name", models.CharField(max_length=200, primary_key=True, serialize=False)),
                ("full_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="IdempotencyRecord",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("principal", models.CharField(max_length=60)),
                ("key", models.CharField(max_length=255)),
                ("request_hash", models.CharField(max_length=64)),
                ("status", models.PositiveSmallIntegerField(null=True)),
                ("body", models.TextField(default="")),
                ("location", models.TextField(default="")),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "indexes": [models.Index(fields=["created_at"], name="idempotency_created_at")],
                "constraints": [
                    models.UniqueConstraint(fields=("principal", "key"), name="idempotency_key_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="Tally",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=60)),
                ("labels", models.JSONField(default=dict)),
                ("value", models.FloatField()),
            ],
            options={
                "verbose_name_plural": "tallies",
                "constraints": [models.UniqueConstraint(fields=("name", "labels"), name="tally_once")],
            },
        ),
        migrations.RunSQL(
            # Room on each page for the next version of its rows, and no log: a crash may forget them.
            "ALTER TABLE gamer_web_allowance SET (fillfactor = 50); ALTER TABLE gamer_web_allowance SET UNLOGGED",
            migrations.RunSQL.noop,
        ),
    ]
