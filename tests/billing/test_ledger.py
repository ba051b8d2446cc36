"""Double entry: every posting once, whole, and with its balances."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import Error, IntegrityError, connection, transaction

from billing import ledger
from billing.ledger import KeyReused, Posting, Side
from billing.models import CreditAccount, Entry, Leg, UsageRecord
from billing.services import accounts
from tests.billing.metered import D, broken
from tests.billing.usage import of, subject_of
from tests.world import NOON, World

GRANT = Entry.Kind.GRANT


@pytest.fixture
def account(world: World) -> CreditAccount:
    return accounts.account_of(world.arcade, NOON)


def posting(account: CreditAccount, usd: str, key: str = "k", ours: str | None = None) -> Posting:
    other = D(ours) if ours is not None else -D(usd)
    sides = [Side(account.pk, D(usd)), Side(ledger.house(ledger.GIVEN).pk, other)]
    return Posting(key, GRANT, sides, "user:sam")


def balance(account: CreditAccount) -> Decimal:
    account.refresh_from_db()
    return account.balance_usd


class TestPosting:
    def test_moves_the_balance_by_its_legs(self, account: CreditAccount) -> None:
        ledger.post_many([posting(account, "10", "a"), posting(account, "-2.5", "b")], NOON)
        assert balance(account) == D("7.5")
        assert broken() == []

    def test_replayed_changes_nothing(self, account: CreditAccount) -> None:
        first = ledger.post_many([posting(account, "10")], NOON)
        again = ledger.post_many([posting(account, "10")], NOON)
        assert (first[0].entry_id, first[0].is_new, again[0].is_new) == (again[0].entry_id, True, False)
        assert balance(account) == D("10")

    def test_under_a_used_key_with_other_inputs_is_an_error(self, account: CreditAccount) -> None:
        ledger.post_many([posting(account, "10")], NOON)
        with pytest.raises(KeyReused):
            ledger.post_many([posting(account, "11")], NOON)

    def test_that_mixes_old_and_new_posts_the_new(self, account: CreditAccount) -> None:
        ledger.post_many([posting(account, "10", "old")], NOON)
        posted = ledger.post_many([posting(account, "1", "new"), posting(account, "10", "old")], NOON)
        assert [one.is_new for one in posted] == [True, False]
        assert balance(account) == D("11")

    @pytest.mark.parametrize("ours", ["-9.999999", "10", "-10.000001"])
    def test_that_does_not_sum_to_zero_is_refused(self, account: CreditAccount, ours: str) -> None:
        with pytest.raises(Error, match="do not sum to zero"), transaction.atomic():
            ledger.post_many([posting(account, "10", ours=ours)], NOON)
        assert not Entry.objects.exists()


class TestTheDatabase:
    def test_takes_no_further_legs_into_an_entry(self, account: CreditAccount) -> None:
        (posted,) = ledger.post_many([posting(account, "10")], NOON)
        ours = ledger.house(ledger.GIVEN)
        with pytest.raises(Error, match="not all there"), connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO billing_leg (entry_id, account_id, amount_usd) VALUES (%s, %s, 1), (%s, %s, 2), (%s, %s, -3)",
                [posted.entry_id, account.pk, posted.entry_id, account.pk, posted.entry_id, ours.pk],
            )

    def test_takes_no_second_set_of_legs_into_an_entry(self, account: CreditAccount) -> None:
        (posted,) = ledger.post_many([posting(account, "10")], NOON)
        sides = [(account, D("1")), (ledger.house(ledger.GIVEN), D("-1"))]
        with pytest.raises(Error, match="not all there"):
            Leg.objects.bulk_create(
                Leg(entry_id=posted.entry_id, account=one, amount_usd=usd) for one, usd in sides
            )

    def test_takes_no_leg_alone(self, account: CreditAccount) -> None:
        entry = Entry.objects.create(
            key="alone", digest="", kind=GRANT, at=NOON, actor="user:sam", legs_count=2
        )
        with pytest.raises(Error, match="do not sum to zero"), transaction.atomic():
            Leg.objects.create(entry=entry, account=account, amount_usd=D("5"))
        assert broken() != []  # an entry without legs is found

    @pytest.mark.parametrize("column", ["entry_id", "account_id", "record_id"])
    def test_takes_no_leg_that_points_at_nothing(self, account: CreditAccount, column: str) -> None:
        entry = Entry.objects.create(
            key="astray", digest="", kind=GRANT, at=NOON, actor="user:sam", legs_count=2
        )
        leg = {"entry_id": entry.pk, "account_id": account.pk, "record_id": None}
        legs = [Leg(**leg, amount_usd=D("5")), Leg(**{**leg, column: 10**9}, amount_usd=D("-5"))]
        with pytest.raises(IntegrityError, match="points at an entry, an account or an interval"):
            Leg.objects.bulk_create(legs)

    @pytest.mark.parametrize("column", ["subject_id", "centre_id"])
    def test_takes_no_interval_that_points_at_nothing(self, world: World, column: str) -> None:
        subject = subject_of(of(world.alice), NOON, None, D("1"), D("1"))
        told = {"subject_id": subject.pk, "centre_id": subject.centre_id, column: 10**9}
        with pytest.raises(IntegrityError, match="a machine or a cost centre that is not there"):
            UsageRecord.objects.create(
                **told, kind="running", day=NOON.date(), started_at=NOON, ended_at=NOON + timedelta(hours=1), origin=NOON,
                cost_usd_per_hour=1, charge_usd_per_hour=1, is_charged=True, cost_usd=1, charge_usd=1,
            )  # fmt: skip

    def test_lets_nothing_go_that_is_pointed_at(self, world: World, account: CreditAccount) -> None:
        subject = subject_of(of(world.alice), NOON, None, D("1"), D("1"))
        for row in (subject, account):
            with pytest.raises(IntegrityError, match="is refused"), transaction.atomic():
                type(row).objects.filter(pk=row.pk)._raw_delete("default")


class TestHouseAccounts:
    def test_are_opened_once_and_keep_no_balance(self, account: CreditAccount) -> None:
        ledger.post_many([posting(account, "10")], NOON)
        ours = ledger.house(ledger.GIVEN)
        assert ours == ledger.house(ledger.GIVEN)
        assert balance(ours) == 0
