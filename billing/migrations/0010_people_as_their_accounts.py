"""People's pages say how their accounts pay: what was changed at an account before did not reach the person."""

from django.db import migrations

AS_ACCOUNTS = """
    UPDATE accounts_user person SET is_postpaid = account.is_postpaid
      FROM billing_creditaccount account
     WHERE account.user_id = person.id AND account.is_postpaid <> person.is_postpaid
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_projects"), ("billing", "0005_budgets_and_invoices")]
    operations = [migrations.RunSQL(AS_ACCOUNTS, migrations.RunSQL.noop)]
