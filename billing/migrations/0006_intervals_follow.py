from django.db import migrations, models

# Intervals of one machine follow each other: each begins where the one before ended, the first where the machine began to cost.
# With one interval for each beginning (a unique index), an end after its beginning (a check), and no change afterwards, they are a
# chain without a gap or an overlap, whoever writes them and how many at once: of two that continue the same interval, one is refused.
# Looked up once per statement, together with what they point at.
FOLLOW = """
CREATE OR REPLACE FUNCTION billing_usage_points() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE wrong record;
BEGIN
  SELECT one.id, subject.id IS NULL AS is_astray INTO wrong
    FROM new_records one LEFT JOIN billing_subject subject ON subject.id = one.subject_id
   WHERE subject.id IS NULL OR one.started_at <> coalesce(
           (SELECT former.ended_at FROM billing_usagerecord former
             WHERE former.subject_id = one.subject_id AND former.started_at < one.started_at
             ORDER BY former.started_at DESC LIMIT 1), subject.started_at)
   ORDER BY is_astray DESC LIMIT 1;
  IF wrong.is_astray
     OR EXISTS (SELECT FROM (SELECT DISTINCT centre_id FROM new_records) AS one
                 WHERE NOT EXISTS (SELECT FROM billing_costcentre WHERE id = one.centre_id)) THEN
    RAISE EXCEPTION 'an interval points at a machine or a cost centre that is not there'
      USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'usage_points';
  ELSIF wrong.id IS NOT NULL THEN
    RAISE EXCEPTION 'interval % does not begin where the one before ended', wrong.id
      USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'usage_follows';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER billing_subject_began BEFORE UPDATE OF started_at ON billing_subject FOR EACH ROW
  WHEN (OLD.started_at IS DISTINCT FROM NEW.started_at) EXECUTE FUNCTION billing_refuse('its intervals begin there')
"""

# The laws of legs, in one trigger instead of two: what they point at is there (an entry and an account are looked up once, however
# many legs they have), each entry is whole, sums to zero and gets no second set, and balances move. Accounts are locked in the order of their ids, so
# that two postings never wait for each other in a circle; our own keep no balance, for everybody would wait for that row.
LEGS = """
CREATE OR REPLACE FUNCTION billing_legs_post() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE wrong record;
BEGIN
  SELECT sums.entry_id AS id, entry.id IS NULL AS is_astray INTO wrong
    FROM (SELECT entry_id, sum(amount_usd) AS usd FROM new_legs GROUP BY entry_id) AS sums
    LEFT JOIN billing_entry entry ON entry.id = sums.entry_id
   WHERE entry.id IS NULL OR sums.usd <> 0
      OR entry.legs_count <> (SELECT count(*) FROM billing_leg leg WHERE leg.entry_id = entry.id)
   ORDER BY is_astray DESC LIMIT 1;
  IF wrong.is_astray
     OR EXISTS (SELECT FROM (SELECT DISTINCT account_id FROM new_legs) AS one
                 WHERE NOT EXISTS (SELECT FROM billing_creditaccount WHERE id = one.account_id))
     OR EXISTS (SELECT FROM new_legs WHERE record_id IS NOT NULL
                   AND NOT EXISTS (SELECT FROM billing_usagerecord WHERE id = new_legs.record_id)) THEN
    RAISE EXCEPTION 'a leg points at an entry, an account or an interval that is not there'
      USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'legs_point';
  ELSIF wrong.id IS NOT NULL THEN
    RAISE EXCEPTION 'the legs of entry % do not sum to zero or are not all there', wrong.id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'legs_sum_to_zero';
  END IF;
  PERFORM FROM billing_creditaccount
    WHERE id IN (SELECT account_id FROM new_legs) AND kind <> 'house' ORDER BY id FOR NO KEY UPDATE;
  UPDATE billing_creditaccount account SET balance_usd = account.balance_usd + moved.usd
    FROM (SELECT account_id, sum(amount_usd) AS usd FROM new_legs GROUP BY account_id) AS moved
   WHERE account.id = moved.account_id AND account.kind <> 'house';
  RETURN NULL;
END $$;
DROP FUNCTION billing_legs_point CASCADE
"""

# Every hour rewrites all meters and holds, and what is rewritten changes no index: with room on its page a row stays there.
ROOM = [f"ALTER TABLE billing_{table} SET (fillfactor = 50)" for table in ("meter", "hold", "creditaccount")]


class Migration(migrations.Migration):
    dependencies = [("billing", "0005_laws_by_statement")]

    operations = [
        migrations.RemoveConstraint(model_name="usagerecord", name="usage_never_overlaps"),
        migrations.RemoveIndex(model_name="usagerecord", name="usage_of_subject"),
        migrations.AddConstraint(
            model_name="usagerecord",
            constraint=models.UniqueConstraint(
                fields=("subject", "started_at"), include=("ended_at",), name="usage_of_subject"
            ),
        ),
        migrations.AddIndex(
            model_name="meter",
            index=models.Index(fields=["centre", "subject"], name="meter_of_centre"),
        ),
        migrations.RunSQL(FOLLOW),
        migrations.RunSQL(LEGS),
        migrations.RunSQL(ROOM),
    ]
