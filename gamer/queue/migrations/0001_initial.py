"""What our broker adds to django-q2's table: the index its claim walks, and a count of claims.

As SQL, because the table belongs to django-q2, whose models and migrations must not see it. Inserts by django-q2 itself
keep working by the default.
"""

from django.db import migrations


class Migration(migrations.Migration):
    initial = True
    dependencies = [("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE django_q_ormq ADD COLUMN claims integer NOT NULL DEFAULT 0",
            "ALTER TABLE django_q_ormq DROP COLUMN claims",
        ),
        migrations.RunSQL(
            "CREATE INDEX gamer_queue_due ON django_q_ormq (key, lock)",
            "DROP INDEX gamer_queue_due",
        ),
    ]
