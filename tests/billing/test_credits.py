"""Credit accounts: who pays, what staff give and take, what expires, what is held, and who runs out."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction

from accounts.models import Project, User
from accounts.principal import Principal
from billing import rating
from billing.models import CreditAccount, Entry, Grant, Hold
from billing.services import accounts, credits, grants, holds, hours, runway
from events.models import Event
from gamer.errors import InsufficientCredits, ValidationError
from tests.billing.metered import PLAYS, D, Till, broken
from tests.factories import UserFactory
from tests.world import NOON, World


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def change(world: World, owner: Any, usd: str, **options: Any) -> CreditAccount:
    by = Principal(user=world.sam)
    return credits.change(
        by=by, owner=owner, usd=D(usd), **{"reason": "Compensation", "now": NOON, **options}
    )


class TestOpening:
    def test_gives_people_who_sign_up_their_credit_once(self, world: World) -> None:
        for _ in range(2):
            account = accounts.account_of(world.alice, NOON)
        assert (account.balance_usd, account.is_postpaid) == (D("5"), False)
        assert Entry.objects.get(kind=Entry.Kind.SIGNUP).key == f"signup:{world.alice.pk}"

    def test_gives_nothing_where_the_installation_gives_nothing(self, world: World, settings: Any) -> None:
        settings.SIGNUP_CREDIT_USD = Decimal(0)
        assert accounts.account_of(world.alice, NOON).balance_usd == 0

    def test_lets_those_named_by_a_service_and_staff_play_on_account(self, world: World) -> None:
        named = UserFactory(is_postpaid=True)
        for user in (named, world.sam):
            account = accounts.account_of(user, NOON)
            assert (account.balance_usd, account.is_postpaid) == (0, True)
            user.refresh_from_db()
            assert user.is_postpaid


class TestThePayer:
    @pytest.mark.parametrize(
        ("opened", "expected"),
        [
            ((), "user"),
            (("department",), "department"),
            (("department", "project"), "project"),
            (("project",), "project"),
        ],
    )
    def test_is_the_projects_account_else_the_departments_else_the_users(
        self, world: World, opened: tuple[str, ...], expected: str
    ) -> None:
        project = Project.objects.create(name="Speedruns", owner=world.alice, department=world.arcade)
        owners = {"department": world.arcade, "project": project}
        for one in opened:
            accounts.account_of(owners[one], NOON)
        payer = accounts.payer_of(user=world.alice, project=project, department=world.arcade, now=NOON)
        assert payer.kind == expected

    def test_of_what_nobody_owns_is_the_house(self, world: World) -> None:
        payer = accounts.payer_of(user=None, project=None, department=None, now=NOON)
        assert (payer.kind, payer.code) == ("house", "unowned")


class TestStaff:
    def test_give_and_take_with_a_reason(self, world: World) -> None:
        change(world, world.alice, "10")
        change(world, world.alice, "-3", reason="A mistake")
        assert accounts.account_of(world.alice, NOON).balance_usd == D("12")
        told = Event.objects.filter(resource="billing").order_by("id").values_list("action", "details")
        assert list(told) == [
            ("credit_given", {"usd": 10, "reason": "Compensation"}),
            ("credit_taken", {"usd": 3, "reason": "A mistake"}),
        ]
        assert broken() == []

    def test_take_no_more_than_is_free(self, world: World) -> None:
        account = accounts.account_of(world.alice, NOON)
        holds.put(vm=uuid4(), account=account, usd_per_hour=D("1.56"), now=NOON)
        with pytest.raises(InsufficientCredits, match=r"3\.44 USD free"):
            change(world, world.alice, "-3.45")
        change(world, world.alice, "-3.44")

    def test_take_from_a_postpaid_account_what_they_like(self, world: World) -> None:
        change(world, world.sam, "-100")
        assert accounts.account_of(world.sam, NOON).balance_usd == D("-100")

    def test_give_once_under_a_key(self, world: World) -> None:
        first = change(world, world.alice, "10", key="form-1")
        assert change(world, world.alice, "10", key="form-1") == first
        taken = change(world, world.alice, "-15", key="form-2")
        assert change(world, world.alice, "-15", key="form-2") == taken
        assert accounts.account_of(world.alice, NOON).balance_usd == 0
        assert Event.objects.filter(resource="billing").count() == 2

    @pytest.mark.parametrize(
        ("usd", "options", "field"),
        [
            ("0", {}, "amount"),
            ("0.0000001", {}, "amount"),
            ("1000001", {}, "amount"),
            ("5", {"reason": " "}, "reason"),
            ("5", {"expires_at": NOON}, "expires_at"),
            ("-1", {"expires_at": NOON + timedelta(days=1)}, "expires_at"),
        ],
    )
    def test_are_told_which_field_is_wrong(
        self, world: World, usd: str, options: dict[str, Any], field: str
    ) -> None:
        with pytest.raises(ValidationError) as error:
            change(world, world.alice, usd, **options)
        assert list(error.value.details) == [field]


class TestExpiry:
    def expire_at(self, minutes: float) -> Decimal:
        grants.expire(at(minutes))
        return accounts.account_of(User.objects.get(email="alice@gamer.test"), at(minutes)).balance_usd

    def test_takes_back_what_was_not_spent(self, world: World) -> None:
        change(world, world.alice, "10", expires_at=at(60))
        assert [self.expire_at(59), self.expire_at(60), self.expire_at(61)] == [D("15"), D("5"), D("5")]
        assert Event.objects.get(action="credit_expired").details == {"usd": 10}
        assert broken() == []

    def test_spends_first_what_expires_first(self, world: World) -> None:
        change(world, world.alice, "10", expires_at=at(6000))
        change(world, world.alice, "2", expires_at=at(600))
        till = Till(world.alice, NOON)
        till.follow("a", PLAYS, at(0))
        till.follow("a", None, at(60))  # 1.56 of the two dollars
        left = {
            grant.amount_usd: grants.lots_of(till.account)[grant.pk].left for grant in Grant.objects.all()
        }
        assert left == {D("5"): D("5"), D("10"): D("10"), D("2"): D("0.44")}
        assert self.expire_at(600) == D("15")
        assert self.expire_at(6000) == D("5")

    def test_leaves_what_was_played_but_is_not_posted_yet(self, world: World) -> None:
        change(world, world.alice, "2", expires_at=at(30))
        till = Till(world.alice, NOON)
        till.follow("a", PLAYS, at(0))
        assert self.expire_at(30) == D("5.78")  # half an hour of it was played
        till.follow("a", None, at(30))
        assert till.balance == D("5")
        assert broken() == []

    def test_of_grants_that_end_in_the_same_hour_leaves_it_once(self, world: World) -> None:
        change(world, world.alice, "2", expires_at=at(30))
        change(world, world.alice, "2", expires_at=at(30))
        change(world, world.alice, "2", expires_at=at(45))
        till = Till(world.alice, NOON)
        till.follow("a", PLAYS, at(0))
        assert self.expire_at(30) == D("7.78")
        assert self.expire_at(45) == D("6.17")  # what was played by then, on top of the five that stay
        till.follow("a", None, at(45))
        assert till.balance == D("5")
        assert broken() == []

    def test_takes_nothing_where_all_is_spent(self, world: World) -> None:
        change(world, world.alice, "1", expires_at=at(60))
        change(world, world.alice, "-4")
        assert self.expire_at(60) == D("2")
        grant = Grant.objects.get(amount_usd=1)
        assert (grant.expired_at, grant.expiry) == (at(60), None)

    def test_pays_a_debt_from_the_next_grant(self, world: World) -> None:
        change(world, world.sam, "-3")
        change(world, world.sam, "5", expires_at=at(60))
        account = accounts.account_of(world.sam, NOON)
        assert grants.lots_of(account)[Grant.objects.get().pk].left == D("2")
        grants.expire(at(60))
        account.refresh_from_db()
        assert account.balance_usd == 0


class TestSpending:
    def test_takes_from_lots_in_the_order_of_their_end(self) -> None:
        lots = {
            1: rating.Lot(D("5"), None),
            2: rating.Lot(D("5"), at(20)),
            3: rating.Lot(D("5"), at(10)),
        }
        assert rating.spend(lots, D("7")) == 0
        assert [lot.left for lot in lots.values()] == [D("5"), D("3"), D("0")]
        assert rating.spend(lots, D("10")) == D("2")


class TestHolds:
    @pytest.fixture
    def account(self, world: World) -> CreditAccount:
        return accounts.account_of(world.alice, NOON)

    def free(self, account: CreditAccount) -> Decimal:
        account.refresh_from_db()
        return account.available_usd

    def test_put_an_hours_price_aside_and_give_it_back(self, account: CreditAccount) -> None:
        vm = uuid4()
        for _ in range(2):
            holds.put(vm=vm, account=account, usd_per_hour=D("1.56"), now=NOON)
        assert (self.free(account), broken()) == (D("3.44"), [])
        assert [holds.release(vm), holds.release(vm)] == [True, False]
        assert (self.free(account), broken()) == (D("5"), [])

    def test_are_refused_saying_what_is_missing_and_whose(self, account: CreditAccount) -> None:
        holds.put(vm=uuid4(), account=account, usd_per_hour=D("4"), now=NOON)
        with pytest.raises(InsufficientCredits) as error:
            holds.put(vm=uuid4(), account=account, usd_per_hour=D("1.56"), now=NOON)
        assert error.value.message == (
            "An hour costs 1.56 USD and 1.00 USD of your credit are free: 0.56 USD are missing."
        )
        assert error.value.details["missing_usd"] == ["0.56"]
        assert self.free(account) == D("1")

    def test_follow_the_real_price_as_far_as_credit_goes(self, account: CreditAccount) -> None:
        vm = uuid4()
        holds.put(vm=vm, account=account, usd_per_hour=D("1"), now=NOON)
        holds.adjust(vm=vm, usd_per_hour=D("2"), now=NOON)
        assert self.free(account) == D("3")
        holds.adjust(vm=vm, usd_per_hour=D("9"), now=NOON)
        assert (self.free(account), Hold.objects.get().amount_usd) == (D("0"), D("5"))
        holds.adjust(vm=vm, usd_per_hour=D("0.5"), now=NOON)
        assert (self.free(account), broken()) == (D("4.5"), [])

    def test_put_again_stand_on_the_account_of_who_pays_now(
        self, world: World, account: CreditAccount
    ) -> None:
        vm = uuid4()
        holds.put(vm=vm, account=account, usd_per_hour=D("1"), now=NOON)
        change(world, world.arcade, "3")
        arcade = accounts.account_of(world.arcade, NOON)
        with pytest.raises(InsufficientCredits), transaction.atomic():
            holds.put(vm=vm, account=arcade, usd_per_hour=D("4"), now=NOON)
        assert (self.free(account), self.free(arcade)) == (D("4"), D("3"))
        holds.put(vm=vm, account=arcade, usd_per_hour=D("2"), now=NOON)
        assert (self.free(account), self.free(arcade), broken()) == (D("5"), D("1"), [])

    def test_need_no_credit_on_a_postpaid_account(self, world: World) -> None:
        account = accounts.account_of(world.arcade, NOON)
        credits.set_postpaid(by=Principal(user=world.sam), account=account, is_postpaid=True, now=NOON)
        holds.put(vm=uuid4(), account=account, usd_per_hour=D("100"), now=NOON)
        assert self.free(account) == D("-100")

    def test_are_needed_or_not_as_the_person_shows(self, world: World, account: CreditAccount) -> None:
        for is_postpaid in (True, False):
            by = Principal(user=world.sam)
            credits.set_postpaid(by=by, account=account, is_postpaid=is_postpaid, now=NOON)
            assert account.user is not None
            assert User.objects.get(pk=account.user.pk).is_postpaid == is_postpaid

    def test_of_before_are_shown_by_the_person_too(self, account: CreditAccount) -> None:
        CreditAccount.objects.filter(pk=account.pk).update(is_postpaid=True)
        with connection.cursor() as cursor:
            cursor.execute(import_module("billing.migrations.0010_people_as_their_accounts").AS_ACCOUNTS)
        assert account.user is not None
        assert User.objects.get(pk=account.user.pk).is_postpaid

    def test_are_renewed_while_the_account_covers_them(self, world: World, account: CreditAccount) -> None:
        till, vm = Till(world.alice, NOON), uuid4()
        holds.put(vm=vm, account=account, usd_per_hour=D("1.56"), now=NOON)
        till.follow("a", PLAYS, at(0), vm=vm)
        renewed = []
        for hour in range(1, 4):
            hours.close_hours(at(60 * hour))
            renewed.append(Hold.objects.get().renewed_at)
        assert renewed == [at(60), at(120), at(120)]  # 5 - 3 × 1.56 no longer holds another hour
        assert broken() == []


class TestRunningOut:
    @pytest.fixture
    def till(self, world: World) -> Till:
        till = Till(world.alice, NOON)
        till.follow("a", PLAYS, at(0))  # 5 USD at 1.56 an hour last 192 minutes and a bit
        return till

    def test_is_told_a_quarter_of_an_hour_ahead_and_once(self, till: Till) -> None:
        seen = []
        for minute in (170, 178, 179, 190):
            hours.close_hours(at(minute))
            seen.append(len(runway.look(at(minute)).warned))
        assert seen == [0, 1, 0, 0]
        event = Event.objects.get(action="credit_low")
        assert (event.resource, event.owner_id) == ("billing", till.user.pk)
        assert event.details["usd_per_hour"] == 1.56
        assert event.details["left_usd"] == pytest.approx(5 - 1.56 * 178 / 60, abs=1e-6)

    def test_empties_an_account_at_the_second_its_credit_ends(self, till: Till) -> None:
        hours.close_hours(at(192))
        ends = NOON + timedelta(hours=float(D("5") / D("1.56")))
        assert runway.look(ends - timedelta(seconds=1)).empty == []
        assert runway.look(ends + timedelta(seconds=1)).empty == [till.account.pk]

    def test_is_forgotten_once_it_is_well_again(self, till: Till, world: World) -> None:
        runway.look(at(185))
        change(world, world.alice, "100", now=at(186))
        runway.look(at(187))
        till.account.refresh_from_db()
        assert till.account.warned_at is None

    def test_is_forgotten_when_nothing_runs_any_more(self, till: Till, world: World) -> None:
        runway.look(at(185))
        assert CreditAccount.objects.get(pk=till.account.pk).warned_at is not None
        till.follow("a", None, at(186))
        runway.look(at(187))
        assert CreditAccount.objects.get(pk=till.account.pk).warned_at is None

    def test_never_meets_those_who_play_on_account(self, world: World) -> None:
        Till(world.sam, NOON).follow("a", PLAYS, at(0))
        assert runway.look(at(10_000)).looked_at == 0
