"""What a department's managers set on a person counts within the department only. Budgets of before are a department's where the
last to write them was a person who is not of the staff, or a key that speaks for that department: what was told of it went to the
department that the person was in then.
"""

import django.db.models.deletion
from django.db import migrations, models

# The end of a membership switches off and sets nothing.
AS_EVENTS_TELL = """
    UPDATE billing_budget budget SET within_id = told.department_id
      FROM (SELECT DISTINCT ON (resource_id) resource_id, actor, department_id FROM events_event
             WHERE resource = 'billing' AND starts_with(resource_id, 'budget:') AND action IN ('create', 'update')
               AND NOT is_change AND actor <> 'policy:membership'
             ORDER BY resource_id, id DESC) told
     WHERE budget.covers = 'user' AND told.resource_id = 'budget:' || budget.id
       AND EXISTS (SELECT FROM accounts_department department WHERE department.id = told.department_id)
       AND CASE split_part(told.actor, ':', 1)
               WHEN 'user' THEN NOT EXISTS (SELECT FROM accounts_user person
                                             WHERE person.is_staff AND person.handle = substr(told.actor, 6))
               WHEN 'key' THEN EXISTS (SELECT FROM accounts_apikey one
                                        WHERE one.prefix = substr(told.actor, 5) AND one.department_id = told.department_id
                                          AND NOT 'admin' = ANY(one.scopes))
               ELSE false END
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_projects"),
        ("billing", "0010_people_as_their_accounts"),
        ("events", "0001_events_and_deliveries"),
    ]

    operations = [
        migrations.AddField(
            model_name="budget",
            name="within",
            field=models.ForeignKey(
                editable=False,
                help_text="Counts and stops only what the person uses as one of this department's people. Empty: everything.",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="accounts.department",
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.CheckConstraint(
                condition=models.Q(("within", None), ("covers", "user"), _connector="OR"),
                name="budget_within_of_person",
            ),
        ),
        migrations.RunSQL(AS_EVENTS_TELL, migrations.RunSQL.noop),
    ]
