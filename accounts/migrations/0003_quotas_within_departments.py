"""What a department's managers set on a person limits what is the department's. Limits of before are a department's where the last to
write them was a person who is not of the staff: what was told of it went to the department that the person was in then.
"""

import django.db.models.deletion
from django.db import migrations, models

# The end of a membership takes limits away and sets none.
AS_EVENTS_TELL = """
    UPDATE accounts_quota quota SET within_id = told.department_id
      FROM (SELECT DISTINCT ON (owner_id) owner_id, actor, department_id FROM events_event
             WHERE resource = 'users' AND action = 'quota' AND NOT is_change AND actor <> 'policy:membership'
             ORDER BY owner_id, id DESC) told
     WHERE told.owner_id = quota.user_id AND starts_with(told.actor, 'user:')
       AND EXISTS (SELECT FROM accounts_department department WHERE department.id = told.department_id)
       AND NOT EXISTS (SELECT FROM accounts_user person WHERE person.is_staff AND person.handle = substr(told.actor, 6))
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_projects"),
        ("events", "0001_events_and_deliveries"),
    ]

    operations = [
        migrations.AddField(
            model_name="quota",
            name="within",
            field=models.ForeignKey(
                editable=False,
                help_text="Counts and refuses only what the person holds as one of this department's people. Empty: everything.",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="accounts.department",
            ),
        ),
        migrations.AddConstraint(
            model_name="quota",
            constraint=models.CheckConstraint(
                condition=models.Q(("within", None), ("user__isnull", False), _connector="OR"),
                name="quota_within_of_person",
            ),
        ),
        migrations.RunSQL(AS_EVENTS_TELL, migrations.RunSQL.noop),
    ]
