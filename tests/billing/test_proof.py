"""Every law of money that `verify_ledger` counts again, broken behind the database's back, and found."""

from __future__ import annotations

from datetime import datetime, timedelta
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django_q.conf import Conf
from django_q.models import OrmQ

from billing import health, metrics, tasks
from billing.models import UsageSum, Verification
from billing.services import days, hours, proof
from events.models import Delivery, Event
from tests import world as worlds
from tests.billing.metered import PLAYS, Till
from tests.world import NOON


@pytest.fixture
def till(transactional_db: None) -> Till:
    till = Till(worlds.build().alice, NOON)
    till.follow("a", PLAYS, NOON)
    till.follow("a", None, NOON + timedelta(minutes=90))
    till.follow("b", PLAYS, NOON)
    hours.close_hours(NOON + timedelta(minutes=61))
    return till


@pytest.fixture
def weeks(till: Till) -> Till:
    """The same, long ago: the days are folded, and a VM has been on two machines."""
    vm = uuid4()
    till.follow("first", PLAYS, NOON, vm=vm)
    till.follow("first", None, NOON + timedelta(minutes=10))
    till.follow("second", PLAYS, NOON + timedelta(minutes=10), vm=vm)
    till.follow("second", None, NOON + timedelta(minutes=20))
    days.fold(NOON + timedelta(weeks=2))
    return till


def tamper(statement: str) -> None:
    """As somebody with the database's password could: with every trigger off."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(statement)
        cursor.execute("SET session_replication_role = DEFAULT")


LEG = "(SELECT id FROM billing_leg WHERE record_id IS NOT NULL ORDER BY id LIMIT 1)"
RECORD = "(SELECT id FROM billing_usagerecord ORDER BY id LIMIT 1)"


class TestVerifyLedger:
    def test_finds_nothing_where_all_is_well(self, weeks: Till) -> None:
        out = StringIO()
        call_command("verify_ledger", stdout=out)
        assert out.getvalue().count("ok ") == len(proof.LAWS)
        assert Verification.objects.get().broken == {}

    @pytest.mark.parametrize(
        ("law", "statement"),
        [
            (
                "the ledger sums to zero",
                f"UPDATE billing_leg SET amount_usd = amount_usd + 1 WHERE id = {LEG}",
            ),
            ("each entry sums to zero and is whole", f"DELETE FROM billing_leg WHERE id = {LEG}"),
            (
                "balances equal the replay of all entries",
                "UPDATE billing_creditaccount SET balance_usd = balance_usd + 0.000001 WHERE kind = 'user'",
            ),
            (
                "what is held equals the holds",
                "UPDATE billing_creditaccount SET held_usd = 1 WHERE kind = 'user'",
            ),
            (
                "no interval is counted twice",
                "UPDATE billing_meter SET since = since - interval '1 minute'",
            ),
            ("no second is missing", f"DELETE FROM billing_usagerecord WHERE id = {RECORD}"),
            (
                "each interval costs what its prices say",
                f"UPDATE billing_usagerecord SET cost_usd = cost_usd + 0.000001 WHERE id = {RECORD}",
            ),
            (
                "each charge is posted once, to its payer",
                f"UPDATE billing_leg SET record_id = NULL WHERE id = {LEG}",
            ),
            (
                "each day is the sum of its intervals",
                "UPDATE billing_usageday SET running_us = running_us + 1",
            ),
            (
                "each day is the sum of its intervals",
                "UPDATE billing_usageday SET machines_begun = machines_begun + 1",
            ),
            (
                "each coarse sum is the sum of its days",
                "UPDATE billing_usagesum SET charge_usd = charge_usd + 0.000001 WHERE face = 'tenant'",
            ),
            ("each coarse sum is the sum of its days", "DELETE FROM billing_usagesum WHERE face = 'product'"),
            (
                "each day is the sum of its intervals",
                "UPDATE billing_usageday SET saved_usd = saved_usd + 0.000001",
            ),
            (
                "each span is the sum of its days",
                "UPDATE billing_usagespan SET cost_usd = cost_usd + 0.000001 WHERE length = 4",
            ),
            ("each span is the sum of its days", "UPDATE billing_usageday SET is_folded = NOT is_folded"),
            ("each span is the sum of its days", "DELETE FROM billing_usagespan WHERE length = 2"),
            (
                "each running sum is the one before and its day",
                "UPDATE billing_usagetodate SET cost_usd = cost_usd + 0.000001 WHERE day = DATE '2026-06-16'",
            ),
            (
                "each running sum is the one before and its day",
                "DELETE FROM billing_usagetodate WHERE day = DATE '2026-06-15'",
            ),
            (
                "each running sum is the one before and its day",
                "UPDATE billing_usageday SET is_folded = NOT is_folded",
            ),
            ("every two machines of a VM are known", "UPDATE billing_takeover SET before_last_day = NULL"),
            ("every two machines of a VM are known", "UPDATE billing_takeover SET agrees = agrees - 1"),
            ("every two machines of a VM are known", "DELETE FROM billing_takeover"),
        ],
    )
    def test_finds_what_was_tampered_with(self, weeks: Till, law: str, statement: str) -> None:
        tamper(statement)
        out = StringIO()
        with pytest.raises(SystemExit) as exit_code:
            call_command("verify_ledger", stdout=out)
        assert exit_code.value.code == 1
        assert f"BROKEN  {law}" in out.getvalue()
        assert law in Verification.objects.get().broken


class TestTheNightlyProof:
    def test_alarms_and_is_seen_in_health(self, till: Till) -> None:
        tasks.prove()
        (part,) = health.ledger(Verification.objects.latest("id").at)
        assert part.problem.startswith("an hour has been open") or part.problem == ""
        UsageSum.objects.update(cost_usd=0)
        tasks.prove()
        (part,) = health.ledger(Verification.objects.first().at)
        assert part.problem == "broken: each coarse sum is the sum of its days"
        assert part.figures["proven_at"].endswith("Z")
        assert Event.objects.get(action="ledger_broken").resource == "billing"
        (mail,) = Delivery.objects.filter(payload__kind="billing.ledger_broken")
        assert mail.target == "sam@gamer.test"
        assert "each coarse sum is the sum of its days" in mail.payload["text"]
        assert "admin's page Proofs" in mail.payload["text"]

    def test_has_more_time_than_other_tasks(self, till: Till) -> None:
        tasks.verify()
        (row,) = OrmQ.objects.all()
        assert row.func() == tasks.PROOF == f"{tasks.prove.__module__}.{tasks.prove.__name__}"
        assert row.task["timeout"] == tasks.PROOF_S > Conf.TIMEOUT

    def test_is_not_begun_twice(self, till: Till) -> None:
        """The queue hands it out again after some minutes, though somebody is at it."""
        other = connection.copy()
        try:
            with other.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_lock(hashtext('billing.proof'))")
                assert not proof.prove(NOON)
                assert not Verification.objects.exists()
                cursor.execute("SELECT pg_advisory_unlock_all()")
        finally:
            other.close()
        assert proof.prove(NOON)
        assert Verification.objects.get().at == NOON


class TestMetrics:
    def figures(self, now: datetime) -> dict[str, float]:
        return {one.name: one.value for one in metrics.figures(now)}

    def test_tell_what_is_broken_unproven_and_open(self, till: Till) -> None:
        at = NOON + timedelta(minutes=110)
        assert self.figures(at) == {
            "ledger_broken": 0,
            "ledger_proven_age_seconds": 110 * 60,  # never; the first entry is of noon
            "oldest_open_hour_seconds": 50 * 60,
        }
        Verification.objects.create(at=at, broken={"a law": {}, "another": {}})
        found = self.figures(at + timedelta(minutes=1))
        assert (found["ledger_broken"], found["ledger_proven_age_seconds"]) == (2, 60)


class TestHealth:
    def test_is_well_while_hours_are_closed(self, till: Till) -> None:
        (part,) = health.ledger(NOON + timedelta(minutes=110))
        assert part.problem == ""
        (part,) = health.ledger(NOON + timedelta(minutes=160))
        assert part.problem == "an hour has been open for 100 minutes"

    def test_misses_a_proof_that_never_came(self, till: Till) -> None:
        (part,) = health.ledger(NOON + timedelta(days=3))
        assert part.problem == "was never proven"

    def test_misses_a_proof_that_is_days_old(self, till: Till) -> None:
        Verification.objects.create(at=NOON)
        (part,) = health.ledger(NOON + timedelta(days=3))
        assert part.problem == "was last proven at 2026-06-15 12:00 UTC"
