"""What the database holds by itself: sums of zero, balances, and facts that nobody changes."""

from django.db import migrations

# The twin of billing.rating.total, exact: whole numbers of nano-dollars and microseconds, `div` cuts nothing off a half.
TOTAL = """
CREATE FUNCTION billing_total(usd_per_hour numeric, origin timestamptz, at timestamptz) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT div(2 * round(usd_per_hour, 9) * 1000000000
             * greatest(extract(epoch FROM at - origin) * 1000000, 0) + 3600000000000, 7200000000000) * 0.000001
$$
"""

# AFTER INSERT of legs, once per statement: every entry in it is whole and sums to zero, and the balances move with it.
# Accounts are locked in the order of their ids, so that two postings never wait for each other in a circle. Our own accounts keep
# no balance: every entry has a leg there, and would wait for that row.
LEGS = """
CREATE FUNCTION billing_legs_post() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE wrong bigint;
BEGIN
  SELECT entry.id INTO wrong
    FROM (SELECT entry_id, sum(amount_usd) AS usd, count(*) AS legs FROM new_legs GROUP BY entry_id) AS sums
    JOIN billing_entry entry ON entry.id = sums.entry_id
   WHERE sums.usd <> 0 OR sums.legs <> entry.legs_count
   LIMIT 1;
  IF wrong IS NOT NULL THEN
    RAISE EXCEPTION 'the legs of entry % do not sum to zero or are not all there', wrong
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

# The day of an interval is a reading of its time in a zone, and is read anew when the zone changes.
USED = (
    "subject_id, centre_id, kind, started_at, ended_at, origin, is_charged, cost_usd_per_hour, charge_usd_per_hour,"
    " cost_usd, charge_usd"
)
REFUSED = {
    "entry": ("UPDATE", "what was booked stays; correct it by another entry"),
    "leg": ("UPDATE", "what was booked stays; correct it by another entry"),
    "usagerecord": (f"UPDATE OF {USED}", "what was used stays"),
    "costcentre": ("UPDATE", "figures point at it"),
}


def law(table: str, change: str, why: str) -> migrations.RunSQL:
    name, row = f"billing_{table}_stays", f"billing_{table}"
    return migrations.RunSQL(
        f"CREATE TRIGGER {name} BEFORE {change} OR DELETE ON {row} FOR EACH ROW EXECUTE FUNCTION billing_refuse('{why}')",
        f"DROP TRIGGER {name} ON {row}",
    )


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]

    operations = [
        migrations.RunSQL(TOTAL, "DROP FUNCTION billing_total"),
        migrations.RunSQL(LEGS, "DROP FUNCTION billing_legs_post CASCADE"),
        migrations.RunSQL(BALANCE, "DROP FUNCTION billing_refuse CASCADE"),
        *(law(table, change, why) for table, (change, why) in REFUSED.items()),
    ]
