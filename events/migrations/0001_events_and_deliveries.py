import uuid

import django.contrib.postgres.indexes
import django.db.models.deletion
import django.utils.timezone
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import gamer.sealed

# What the triggers of events.history call. Its plan: which columns differ, and nothing when none does.
NOTE_CHANGE = """
CREATE FUNCTION events_note_change(
    resource text, subject text, row_name text, old_row jsonb, new_row jsonb, unless text[], hidden text[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    changes jsonb;
BEGIN
    SELECT jsonb_object_agg(
               name,
               CASE
                   WHEN NOT name = ANY (hidden) THEN jsonb_build_array(old_row -> name, new_row -> name)
                   WHEN COALESCE(new_row ->> name, '') = '' THEN to_jsonb('removed'::text)
                   WHEN COALESCE(old_row ->> name, '') = '' THEN to_jsonb('set'::text)
                   ELSE to_jsonb('replaced'::text)
               END
           )
      INTO changes
      FROM jsonb_object_keys(COALESCE(new_row, old_row)) AS name
     WHERE NOT name = ANY (unless)
       AND NULLIF(old_row -> name, 'null') IS DISTINCT FROM NULLIF(new_row -> name, 'null')
       AND NOT (name = ANY (hidden) AND COALESCE(old_row ->> name, '') = COALESCE(new_row ->> name, ''));
    IF changes IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO events_event (at, actor, action, resource, resource_id, details, ip, request_id, is_change)
    VALUES (
        clock_timestamp(),
        left(COALESCE(NULLIF(current_setting('gamer.actor', true), ''), 'database:' || session_user), 100),
        CASE WHEN old_row IS NULL THEN 'row_created' WHEN new_row IS NULL THEN 'row_deleted' ELSE 'row_changed' END,
        resource,
        left(subject, 64),
        jsonb_build_object('row', row_name, 'changes', changes),
        NULLIF(current_setting('gamer.ip', true), '')::inet,
        left(COALESCE(current_setting('gamer.request_id', true), ''), 64),
        true
    );
END
$$;
"""


class Migration(migrations.Migration):
    replaces = [
        ("events", "0001_initial"),
        ("events", "0002_audience_and_ip"),
        ("events", "0003_history"),
        ("events", "0004_deliveries"),
    ]

    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Event",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
                (
                    "actor",
                    models.CharField(
                        help_text="Who did it: user:…, key:…, policy:… or command:…", max_length=100
                    ),
                ),
                ("action", models.CharField(max_length=40)),
                ("resource", models.CharField(max_length=20)),
                ("resource_id", models.CharField(max_length=64)),
                ("details", models.JSONField(default=dict)),
                ("owner_id", models.BigIntegerField(null=True)),
                ("project_id", models.BigIntegerField(null=True)),
                ("department_id", models.BigIntegerField(null=True)),
                (
                    "ip",
                    models.GenericIPAddressField(
                        help_text="Where the actor called from; erased after 90 days.",
                        null=True,
                        verbose_name="IP",
                    ),
                ),
                (
                    "is_change",
                    models.BooleanField(
                        db_default=False,
                        default=False,
                        help_text="Seen by the database, not told by a service.",
                    ),
                ),
                (
                    "request_id",
                    models.CharField(
                        db_default="",
                        default="",
                        help_text="The request it was part of, as in the log.",
                        max_length=64,
                    ),
                ),
            ],
            options={
                "ordering": ("id",),
                "indexes": [
                    models.Index(fields=["resource", "resource_id", "id"], name="event_subject"),
                    models.Index(fields=["owner_id", "id"], name="event_owner"),
                    models.Index(
                        fields=["resource_id"], name="event_resource_id", opclasses=["varchar_pattern_ops"]
                    ),
                    models.Index(fields=["actor"], name="event_actor", opclasses=["varchar_pattern_ops"]),
                    models.Index(
                        condition=models.Q(("project_id__isnull", False)),
                        fields=["project_id", "id"],
                        name="event_project",
                    ),
                    models.Index(
                        condition=models.Q(("department_id__isnull", False)),
                        fields=["department_id", "id"],
                        name="event_department",
                    ),
                    models.Index(
                        condition=models.Q(("ip__isnull", False)), fields=["at"], name="event_with_ip"
                    ),
                    models.Index(condition=models.Q(("ip__isnull", False)), fields=["ip"], name="event_ip"),
                    models.Index(fields=["action", "id"], name="event_action"),
                    models.Index(
                        condition=models.Q(("request_id", ""), _negated=True),
                        fields=["request_id"],
                        name="event_request",
                    ),
                    django.contrib.postgres.indexes.BrinIndex(fields=["at"], name="event_at"),
                ],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="event",
            trigger=pgtrigger.compiler.Trigger(
                name="append_only",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (NEW.ip IS NOT NULL OR to_jsonb(NEW) - 'ip' IS DISTINCT FROM to_jsonb(OLD) - 'ip')",
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="b247fd630b8b0fe46c168cd05d957bb7c4441b7b",
                    operation="UPDATE",
                    pgid="pgtrigger_append_only_affb7",
                    table="events_event",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="event",
            trigger=pgtrigger.compiler.Trigger(
                name="never_deleted",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                    hash="961446d3ff3ff4d4726ce53e6d53bf084b66d2c9",
                    operation="DELETE",
                    pgid="pgtrigger_never_deleted_62cbc",
                    table="events_event",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.CreateModel(
            name="Webhook",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("url", models.CharField(max_length=500, verbose_name="URL")),
                ("secret", gamer.sealed.SealedTextField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "key",
                    models.CharField(
                        help_text="What is told: the same key is told once.", max_length=200, unique=True
                    ),
                ),
                ("public_id", models.UUIDField(default=uuid.uuid4, editable=False)),
                ("channel", models.CharField(max_length=20)),
                ("target", models.CharField(max_length=500)),
                ("payload", models.JSONField()),
                ("created_at", models.DateTimeField()),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("next_try_at", models.DateTimeField()),
                ("token", models.UUIDField(null=True)),
                ("delivered_at", models.DateTimeField(null=True)),
                ("given_up_at", models.DateTimeField(null=True)),
                ("last_error", models.CharField(blank=True, max_length=300)),
                (
                    "webhook",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deliveries",
                        to="events.webhook",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "deliveries",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(
                        condition=models.Q(("delivered_at", None), ("given_up_at", None)),
                        fields=["next_try_at"],
                        name="delivery_due",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("delivered_at", None), ("given_up_at", None), _connector="OR"),
                        name="delivery_ends_once",
                    )
                ],
            },
        ),
        migrations.RunSQL(
            NOTE_CHANGE, "DROP FUNCTION events_note_change(text, text, text, jsonb, jsonb, text[], text[])"
        ),
    ]
