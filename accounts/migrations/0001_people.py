import uuid

import django.contrib.auth.models
import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

import accounts.models.credentials
import gamer.sealed


class Migration(migrations.Migration):
    replaces = [("accounts", "0001_initial"), ("accounts", "0004_doors"), ("accounts", "0005_history")]

    initial = True

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("events", "0001_events_and_deliveries"),
    ]

    operations = [
        migrations.CreateModel(
            name="Department",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=100, unique=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={
                "ordering": ("name",),
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="department",
            trigger=pgtrigger.compiler.Trigger(
                name="history",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE r jsonb;",
                    func="r := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END; PERFORM events_note_change('departments', format('%s', r->>'id'), format('department %s', r->>'name'), CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END, CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END, ARRAY[]::text[], ARRAY[]::text[]); RETURN NULL;",
                    hash="d55a2e33cd887adfe98277a008133a88716bbe32",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_history_d05c9",
                    table="accounts_department",
                    when="AFTER",
                ),
            ),
        ),
        migrations.CreateModel(
            name="User",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("password", models.CharField(max_length=128, verbose_name="password")),
                ("last_login", models.DateTimeField(blank=True, null=True, verbose_name="last login")),
                (
                    "is_superuser",
                    models.BooleanField(
                        default=False,
                        help_text="Designates that this user has all permissions without explicitly assigning them.",
                        verbose_name="superuser status",
                    ),
                ),
                (
                    "handle",
                    models.CharField(
                        help_text="The API's user_id.",
                        max_length=64,
                        validators=[django.core.validators.RegexValidator("^[A-Za-z0-9._:@-]{1,64}\\Z")],
                    ),
                ),
                (
                    "email",
                    models.EmailField(
                        blank=True,
                        error_messages={"unique": "This address is taken."},
                        help_text="In lower case.",
                        max_length=254,
                        null=True,
                        unique=True,
                    ),
                ),
                ("first_name", models.CharField(blank=True, max_length=100)),
                ("last_name", models.CharField(blank=True, max_length=100)),
                (
                    "is_staff",
                    models.BooleanField(
                        default=False, help_text="May use the admin; sees everything.", verbose_name="staff"
                    ),
                ),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                (
                    "is_postpaid",
                    models.BooleanField(
                        default=False,
                        help_text="Plays without credit; somebody else is billed.",
                        verbose_name="postpaid",
                    ),
                ),
                (
                    "token_epoch",
                    models.PositiveIntegerField(
                        default=0, editable=False, help_text="Counted up to end every login at once."
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "groups",
                    models.ManyToManyField(
                        blank=True,
                        help_text="The groups this user belongs to. A user will get all permissions granted to each of their groups.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.group",
                        verbose_name="groups",
                    ),
                ),
                (
                    "user_permissions",
                    models.ManyToManyField(
                        blank=True,
                        help_text="Specific permissions for this user.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.permission",
                        verbose_name="user permissions",
                    ),
                ),
                (
                    "department",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="users",
                        to="accounts.department",
                    ),
                ),
                (
                    "department_role",
                    models.CharField(
                        blank=True,
                        choices=[("member", "member"), ("manager", "manager"), ("owner", "owner")],
                        help_text="Empty without a department.",
                        max_length=10,
                    ),
                ),
            ],
            options={
                "ordering": ("id",),
                "indexes": [
                    models.Index(fields=["handle"], name="user_handle", opclasses=["varchar_pattern_ops"])
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("department", "handle"),
                        name="user_handle_in_department",
                        nulls_distinct=False,
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("handle__regex", "^[A-Za-z0-9._:@-]+$")), name="user_handle_shape"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("email", django.db.models.functions.text.Lower("email"))),
                        name="user_email_lower_case",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("department", None), ("department_role", "")),
                            models.Q(
                                ("department__isnull", False),
                                ("department_role__in", ["member", "manager", "owner"]),
                            ),
                            _connector="OR",
                        ),
                        name="user_role_with_department",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("department_role", "owner")),
                        fields=("department",),
                        name="department_one_owner",
                    ),
                ],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="user",
            trigger=pgtrigger.compiler.Trigger(
                name="history",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE r jsonb;",
                    func="r := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END; PERFORM events_note_change('users', format('%s', r->>'handle'), 'user', CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END, CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END, ARRAY['last_login']::text[], ARRAY['password', 'token_epoch']::text[]); RETURN NULL;",
                    hash="dfa991b39b5919d09f94357b60a16bf124df7827",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_history_9c44e",
                    table="accounts_user",
                    when="AFTER",
                ),
            ),
        ),
        migrations.CreateModel(
            name="ApiKey",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                ("prefix", models.CharField(editable=False, max_length=16, unique=True)),
                ("digest", models.CharField(editable=False, max_length=64)),
                (
                    "scopes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            choices=[
                                ("read", "read"),
                                ("launch", "launch"),
                                ("act_as", "act as a user"),
                                ("config", "change configuration"),
                                ("billing", "billing"),
                                ("admin", "everything"),
                            ],
                            max_length=10,
                        ),
                        default=list,
                        size=None,
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("last_used_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "maker",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="api_keys",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "department",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="api_keys",
                        to="accounts.department",
                    ),
                ),
                (
                    "former_digest",
                    models.CharField(
                        blank=True,
                        editable=False,
                        help_text="Of the text before the last rotation.",
                        max_length=64,
                    ),
                ),
                ("former_until", models.DateTimeField(blank=True, editable=False, null=True)),
            ],
            options={
                "verbose_name": "API key",
                "ordering": ("-id",),
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="apikey",
            trigger=pgtrigger.compiler.Trigger(
                name="history",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE r jsonb;",
                    func="r := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END; PERFORM events_note_change('users', format('key:%s', r->>'prefix'), format('API key %s', r->>'name'), CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END, CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END, ARRAY['last_used_at']::text[], ARRAY['digest', 'former_digest']::text[]); RETURN NULL;",
                    hash="d9bf76c9266cf1fdf82adfa920b650f74b18932c",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_history_ed5c2",
                    table="accounts_apikey",
                    when="AFTER",
                ),
            ),
        ),
        migrations.CreateModel(
            name="Login",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("stamp", models.CharField(max_length=64)),
                ("current", models.UUIDField(help_text="The id of the refresh token that is good.")),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="logins",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["expires_at"], name="login_expires_at")],
            },
        ),
        migrations.CreateModel(
            name="Authenticator",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "name",
                    models.CharField(help_text="The human-readable name of this device.", max_length=64),
                ),
                ("confirmed", models.BooleanField(default=True, help_text="Is this device ready for use?")),
                (
                    "throttling_failure_timestamp",
                    models.DateTimeField(
                        blank=True,
                        default=None,
                        help_text="A timestamp of the last failed verification attempt. Null if last attempt succeeded.",
                        null=True,
                    ),
                ),
                (
                    "throttling_failure_count",
                    models.PositiveIntegerField(default=0, help_text="Number of successive failed attempts."),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        auto_now_add=True,
                        help_text="The date and time when this device was initially created in the system.",
                        null=True,
                    ),
                ),
                (
                    "last_used_at",
                    models.DateTimeField(
                        blank=True, help_text="The most recent date and time this device was used.", null=True
                    ),
                ),
                ("secret", gamer.sealed.SealedTextField(default=accounts.models.credentials.make_secret)),
                (
                    "last_step",
                    models.BigIntegerField(default=-1, help_text="The step of the last code that was taken."),
                ),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="authenticator",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="StaffGroup",
            fields=[],
            options={
                "verbose_name": "group",
                "proxy": True,
                "default_permissions": (),
            },
            bases=("auth.group",),
            managers=[
                ("objects", django.contrib.auth.models.GroupManager()),
            ],
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="staffgroup",
            trigger=pgtrigger.compiler.Trigger(
                name="history",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE r jsonb;",
                    func="r := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END; PERFORM events_note_change('groups', format('%s', r->>'id'), format('group %s', r->>'name'), CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END, CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END, ARRAY[]::text[], ARRAY[]::text[]); RETURN NULL;",
                    hash="deaa46be7e2f77a549f9d0a4133578d86b07a787",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_history_4cdfd",
                    table="auth_group",
                    when="AFTER",
                ),
            ),
        ),
        migrations.CreateModel(
            name="StaffGroupMember",
            fields=[],
            options={
                "verbose_name": "member of a group",
                "proxy": True,
                "default_permissions": (),
            },
            bases=("accounts.user_groups",),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="staffgroupmember",
            trigger=pgtrigger.compiler.Trigger(
                name="history",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE r jsonb;",
                    func="r := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END; PERFORM events_note_change('groups', format('%s', r->>'group_id'), format('member of a group %s', r->>'user_id'), CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END, CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END, ARRAY[]::text[], ARRAY[]::text[]); RETURN NULL;",
                    hash="2a41fbc139b107142d6881b6a8705c0d3ea1f6fd",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_history_4e449",
                    table="accounts_user_groups",
                    when="AFTER",
                ),
            ),
        ),
        migrations.CreateModel(
            name="StaffGroupPermission",
            fields=[],
            options={
                "verbose_name": "permission of a group",
                "proxy": True,
                "default_permissions": (),
            },
            bases=("auth.group_permissions",),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="staffgrouppermission",
            trigger=pgtrigger.compiler.Trigger(
                name="history",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE r jsonb;",
                    func="r := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END; PERFORM events_note_change('groups', format('%s', r->>'group_id'), format('permission of a group %s', r->>'permission_id'), CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END, CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END, ARRAY[]::text[], ARRAY[]::text[]); RETURN NULL;",
                    hash="357a37227cdf35ed6ffcb093cc93e6b0124cbacb",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_history_29d37",
                    table="auth_group_permissions",
                    when="AFTER",
                ),
            ),
        ),
        migrations.CreateModel(
            name="StaffPermission",
            fields=[],
            options={
                "verbose_name": "permission of a person",
                "proxy": True,
                "default_permissions": (),
            },
            bases=("accounts.user_user_permissions",),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="staffpermission",
            trigger=pgtrigger.compiler.Trigger(
                name="history",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE r jsonb;",
                    func="r := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END; PERFORM events_note_change('users', format('%s', r->>'user_id'), format('permission of a person %s', r->>'permission_id'), CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END, CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END, ARRAY[]::text[], ARRAY[]::text[]); RETURN NULL;",
                    hash="7e22c5b38a4e75f42c6f94a97e266ce149bc1cf0",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_history_6d216",
                    table="accounts_user_user_permissions",
                    when="AFTER",
                ),
            ),
        ),
    ]
