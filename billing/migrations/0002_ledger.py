import django.db.models.deletion
from django.db import migrations, models

# Every hour rewrites all meters and holds, and what is rewritten changes no index: with room on its page a row stays there.
ROOM = [f"ALTER TABLE billing_{table} SET (fillfactor = 50)" for table in ("meter", "hold", "creditaccount")]


class Migration(migrations.Migration):
    replaces = [("billing", "0006_intervals_follow")]

    dependencies = [
        ("billing", "0001_prices_and_subjects"),
    ]

    operations = [
        migrations.CreateModel(
            name="Verification",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField()),
                ("broken", models.JSONField(default=dict)),
            ],
            options={
                "ordering": ("-id",),
                "indexes": [models.Index(fields=["-at"], name="verification_newest")],
            },
        ),
        migrations.CreateModel(
            name="Entry",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("key", models.CharField(max_length=120, unique=True)),
                ("digest", models.CharField(max_length=64)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("usage", "usage"),
                            ("signup", "signup credit"),
                            ("grant", "credit given"),
                            ("deduct", "credit taken"),
                            ("expiry", "credit expired"),
                        ],
                        max_length=8,
                    ),
                ),
                ("at", models.DateTimeField()),
                ("actor", models.CharField(max_length=100)),
                ("reason", models.CharField(blank=True, max_length=300)),
                ("legs_count", models.PositiveIntegerField(help_text="As many as its one statement wrote.")),
            ],
            options={
                "verbose_name_plural": "entries",
                "ordering": ("-id",),
                "indexes": [models.Index(fields=["-at"], name="entry_newest")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("legs_count__gte", 2)), name="entry_has_two_sides"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="UsageRecord",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("running", "running"),
                            ("stopped", "stopped, but billed"),
                            ("storage", "its disk only"),
                        ],
                        max_length=7,
                    ),
                ),
                ("day", models.DateField()),
                ("started_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField()),
                ("origin", models.DateTimeField()),
                ("cost_usd_per_hour", models.DecimalField(decimal_places=9, max_digits=14)),
                ("charge_usd_per_hour", models.DecimalField(decimal_places=9, max_digits=14)),
                ("is_charged", models.BooleanField()),
                ("cost_usd", models.DecimalField(decimal_places=6, max_digits=20)),
                ("charge_usd", models.DecimalField(decimal_places=6, max_digits=20)),
                (
                    "centre",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="records",
                        to="billing.costcentre",
                    ),
                ),
                (
                    "subject",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="records",
                        to="billing.subject",
                    ),
                ),
            ],
            options={
                "ordering": ("id",),
                "indexes": [models.Index(fields=["day", "centre"], name="usage_of_day")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("ended_at__gt", models.F("started_at")), ("started_at__gte", models.F("origin"))
                        ),
                        name="usage_runs_forward",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("charge_usd__gte", 0),
                            ("charge_usd_per_hour__gte", 0),
                            ("cost_usd__gte", 0),
                            ("cost_usd_per_hour__gte", 0),
                        ),
                        name="usage_not_negative",
                    ),
                    models.UniqueConstraint(
                        fields=("subject", "started_at"), include=("ended_at",), name="usage_of_subject"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Leg",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("amount_usd", models.DecimalField(decimal_places=6, max_digits=20)),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="legs",
                        to="billing.creditaccount",
                    ),
                ),
                (
                    "entry",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="legs",
                        to="billing.entry",
                    ),
                ),
                (
                    "record",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="legs",
                        to="billing.usagerecord",
                    ),
                ),
            ],
            options={
                "ordering": ("id",),
                "indexes": [models.Index(fields=["account", "id"], name="leg_of_account")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("record__isnull", False)),
                        fields=("record",),
                        name="leg_charges_usage_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("amount_usd", 0), _negated=True), name="leg_moves_something"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Grant",
            fields=[
                (
                    "leg",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="grant",
                        serialize=False,
                        to="billing.leg",
                    ),
                ),
                ("amount_usd", models.DecimalField(decimal_places=6, max_digits=20)),
                ("expires_at", models.DateTimeField(null=True)),
                (
                    "expired_at",
                    models.DateTimeField(help_text="When what was left of it was taken back.", null=True),
                ),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="grants",
                        to="billing.creditaccount",
                    ),
                ),
                (
                    "expiry",
                    models.OneToOneField(
                        help_text="Empty when nothing was left.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.entry",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("expired_at", None), ("expires_at__isnull", False)),
                        fields=["expires_at"],
                        name="grant_to_expire",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("amount_usd__gt", 0)), name="grant_gives")
                ],
            },
        ),
        migrations.CreateModel(
            name="Hold",
            fields=[
                ("vm", models.UUIDField(primary_key=True, serialize=False)),
                ("amount_usd", models.DecimalField(decimal_places=6, max_digits=20)),
                ("held_at", models.DateTimeField()),
                ("renewed_at", models.DateTimeField()),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="holds",
                        to="billing.creditaccount",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("amount_usd__gte", 0)), name="hold_not_negative"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Meter",
            fields=[
                (
                    "subject",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="meter",
                        serialize=False,
                        to="billing.subject",
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("running", "running"),
                            ("stopped", "stopped, but billed"),
                            ("storage", "its disk only"),
                        ],
                        max_length=7,
                    ),
                ),
                ("origin", models.DateTimeField()),
                ("since", models.DateTimeField()),
                ("cost_usd_per_hour", models.DecimalField(decimal_places=9, max_digits=14)),
                (
                    "charge_usd_per_hour",
                    models.DecimalField(
                        decimal_places=9, help_text="0 while nobody can play on it.", max_digits=14
                    ),
                ),
                ("is_charged", models.BooleanField(help_text="Somebody can play on it, be it for nothing.")),
                (
                    "centre",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="meters",
                        to="billing.costcentre",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["centre", "subject"], name="meter_of_centre")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("charge_usd_per_hour__gte", 0),
                            ("cost_usd_per_hour__gte", 0),
                            ("since__gte", models.F("origin")),
                        ),
                        name="meter_runs_forward",
                    )
                ],
            },
        ),
        migrations.RunSQL(ROOM, migrations.RunSQL.noop),
    ]
