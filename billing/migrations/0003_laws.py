"""What the database holds by itself: sums of zero, balances, chains of intervals, and facts that nobody changes."""

from django.db import migrations

# The twin of billing.rating.total, exact: whole numbers of nano-dollars and microseconds, `div` cuts nothing off a half.
TOTAL = """
CREATE FUNCTION billing_total(usd_per_hour numeric, origin timestamptz, at timestamptz) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT div(2 * round(usd_per_hour, 9) * 1000000000
             * greatest(extract(epoch FROM at - origin) * 1000000, 0) + 3600000000000, 7200000000000) * 0.000001
$$
"""

# What the open meters have used until `at`, by the day it counts to: the part of every figure that no record holds yet. A cut
# that comes late leaves a meter over several days, and each gets its share: the running total makes the parts sum to the whole.
ACCRUED = """
CREATE FUNCTION billing_accrued(at timestamptz, zone text)
RETURNS TABLE (centre_id bigint, day date, kind varchar, us bigint, is_charged boolean, cost_usd numeric, charge_usd numeric)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT span.centre_id, span.day, span.kind, (extract(epoch FROM span.upper - span.lower) * 1000000)::bigint, span.is_charged,
         billing_total(span.cost_usd_per_hour, span.origin, span.upper)
           - billing_total(span.cost_usd_per_hour, span.origin, span.lower),
         billing_total(span.charge_usd_per_hour, span.origin, span.upper)
           - billing_total(span.charge_usd_per_hour, span.origin, span.lower)
    FROM (SELECT meter.*, (at AT TIME ZONE zone)::date AS day, meter.since AS lower, at AS upper
            FROM billing_meter meter
           WHERE meter.since < at AND meter.since >= date_trunc('day', at AT TIME ZONE zone) AT TIME ZONE zone
           UNION ALL
          SELECT meter.*, local::date, greatest(meter.since, local AT TIME ZONE zone),
                 least(at, (local + interval '1 day') AT TIME ZONE zone)
            FROM billing_meter meter
           CROSS JOIN generate_series(date_trunc('day', meter.since AT TIME ZONE zone), at AT TIME ZONE zone, interval '1 day')
                      AS local
           WHERE meter.since < date_trunc('day', at AT TIME ZONE zone) AT TIME ZONE zone) AS span
   WHERE span.upper > span.lower
$$
"""

# A balance is its legs' doing: nobody writes it by hand. pg_trigger_depth() is 0 outside of triggers.
BALANCE = """
CREATE FUNCTION billing_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0]
    USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_NAME;
END $$;
CREATE TRIGGER billing_balance_by_legs BEFORE UPDATE ON billing_creditaccount FOR EACH ROW
  WHEN (OLD.balance_usd IS DISTINCT FROM NEW.balance_usd AND pg_trigger_depth() = 0)
  EXECUTE FUNCTION billing_refuse('a balance moves with its legs');
CREATE TRIGGER billing_balance_from_zero BEFORE INSERT ON billing_creditaccount FOR EACH ROW
  WHEN (NEW.balance_usd <> 0 OR NEW.held_usd <> 0)
  EXECUTE FUNCTION billing_refuse('an account is opened empty')
"""

# The laws of legs, once per statement: what they point at is there (an entry and an account are looked up once, however many legs
# they have), each entry is whole, sums to zero and gets no second set, and balances move. Accounts are locked in the order of
# their ids, so that two postings never wait for each other in a circle; our own keep no balance, for everybody would wait for that row.
LEGS = """
CREATE FUNCTION billing_legs_post() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER billing_legs_post AFTER INSERT ON billing_leg
  REFERENCING NEW TABLE AS new_legs FOR EACH STATEMENT EXECUTE FUNCTION billing_legs_post()
"""

# Intervals of one machine follow each other: each begins where the one before ended, the first where the machine began to cost.
# With one interval for each beginning (a unique index), an end after its beginning (a check), and no change afterwards, they are a
# chain without a gap or an overlap, whoever writes them and how many at once: of two that continue the same interval, one is refused.
# Looked up once per statement, together with what they point at.
FOLLOW = """
CREATE FUNCTION billing_usage_points() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER billing_usage_points AFTER INSERT ON billing_usagerecord
  REFERENCING NEW TABLE AS new_records FOR EACH STATEMENT EXECUTE FUNCTION billing_usage_points();
CREATE TRIGGER billing_subject_began BEFORE UPDATE OF started_at ON billing_subject FOR EACH ROW
  WHEN (OLD.started_at IS DISTINCT FROM NEW.started_at) EXECUTE FUNCTION billing_refuse('its intervals begin there')
"""

# The day of an interval is a reading of its time in a zone, and is read anew when the zone changes.
USED = (
    "subject_id, centre_id, kind, started_at, ended_at, origin, is_charged, cost_usd_per_hour, charge_usd_per_hour,"
    " cost_usd, charge_usd"
)
# What intervals and legs point at never goes away: who writes them needs no lock on it.
REFUSED = {
    "entry": ("UPDATE OR DELETE", "what was booked stays; correct it by another entry"),
    "leg": ("UPDATE OR DELETE", "what was booked stays; correct it by another entry"),
    "usagerecord": (f"UPDATE OF {USED} OR DELETE", "what was used stays"),
    "costcentre": ("UPDATE OR DELETE", "figures point at it"),
    "subject": ("DELETE", "intervals point at it"),
    "creditaccount": ("DELETE", "entries point at it"),
}


def law(table: str, changes: str, why: str) -> migrations.RunSQL:
    name, row = f"billing_{table}_stays", f"billing_{table}"
    return migrations.RunSQL(
        f"CREATE TRIGGER {name} BEFORE {changes} ON {row} FOR EACH ROW EXECUTE FUNCTION billing_refuse('{why}')",
        f"DROP TRIGGER {name} ON {row}",
    )


class Migration(migrations.Migration):
    replaces = [("billing", "0002_laws"), ("billing", "0005_laws_by_statement")]

    dependencies = [("billing", "0002_ledger")]

    operations = [
        migrations.RunSQL(TOTAL, "DROP FUNCTION billing_total"),
        migrations.RunSQL(ACCRUED, "DROP FUNCTION billing_accrued"),
        migrations.RunSQL(BALANCE, "DROP FUNCTION billing_refuse CASCADE"),
        migrations.RunSQL(LEGS, "DROP FUNCTION billing_legs_post CASCADE"),
        migrations.RunSQL(FOLLOW, "DROP FUNCTION billing_usage_points CASCADE"),
        *(law(table, changes, why) for table, (changes, why) in REFUSED.items()),
    ]
