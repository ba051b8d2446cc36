"""The staff's front page: money against its limits. What it says of machines is `tests/vms/admin/test_dashboard.py`."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.principal import policy
from billing.budgets import rows, watch
from billing.budgets.rows import Target
from billing.models import CreditAccount, FleetDifference, ProviderBalance, Verification
from tests.billing.usage import Where, of, runs, used
from tests.factories import DepartmentFactory, ProjectFactory, UserFactory
from tests.world import World, client_for

pytestmark = pytest.mark.django_db
BY = policy("test")


def money(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/admin/").context["money"]
    return found


def everything_amiss(world: World) -> None:
    now = timezone.now()
    rows.create(by=BY, now=now, name="Arcade's", limit_usd=Decimal(1), target=Target(department=world.arcade))
    runs(of(world.alice), now - timedelta(minutes=1), cost="120", charge="120")
    watch.evaluate(now)
    ProviderBalance.objects.create(
        provider_account=1, provider="tensordock", name="Main", balance_usd=Decimal("3.5"), low_since=now
    )
    ProviderBalance.objects.create(
        provider_account=2, provider="tensordock", name="Well", balance_usd=Decimal(300)
    )
    Verification.objects.create(at=now, broken={"legs sum to zero": [1]})
    FleetDifference.objects.create(
        day=now.date(), provider_account=1, provider="tensordock", name="Main", looked_at=now, their_machines=2, our_machines=1,
        our_usd_per_hour=1, unknown=["m-1"],
    )  # fmt: skip
    CreditAccount.objects.filter(user=world.alice).update(warned_at=now)


class TestMoney:
    def test_tells_what_is_spent_and_burns_now(self, world: World, sam: Client) -> None:
        now = timezone.now()
        runs(of(world.alice), now - timedelta(minutes=1), cost="6", charge="7.5")
        tiles = {name: (figure[0], text) for name, figure, text, _ in money(sam)["tiles"]}
        assert tiles["Burning now, an hour"] == ("$6.000", "$7.500 charged")
        used(of(world.bob), now - timedelta(days=2, hours=1), now - timedelta(days=2), cost="30")
        figures = money(sam)
        assert [one["name"] for one in figures["spenders"]][:2] in (
            ["bob@gamer.test", "alice@gamer.test"],
            ["alice@gamer.test"],  # on a month's first days
        )
        assert sum(figures["chart"]["series"][0]["values"]) >= 30

    def test_leads_to_the_costs_behind(self, world: World, sam: Client) -> None:
        runs(of(world.alice), timezone.now() - timedelta(minutes=1), cost="6")
        runs(Where(), timezone.now() - timedelta(minutes=1), cost="1")
        figures = money(sam)
        for link in [*(tile[3] for tile in figures["tiles"]), *(one["link"] for one in figures["spenders"])]:
            assert sam.get(link).status_code == 200, link
        first, second = (sam.get(one["link"]).context["table"].total for one in figures["spenders"])
        assert first.cells[5][0] == second.cells[5][0] == "1"

    def test_sets_spending_against_the_limits_over_everything(self, world: World, sam: Client) -> None:
        assert "Nothing limits what may be spent" in sam.get("/admin/").content.decode()
        now = timezone.now()
        rows.create(by=BY, now=now, name="House", limit_usd=Decimal(100), period="daily")
        rows.create(
            by=BY, now=now, name="Arcade's", limit_usd=Decimal(1), target=Target(department=world.arcade)
        )
        runs(of(world.alice), now - timedelta(seconds=4), cost="76500")  # 85 USD in all
        (limit,) = money(sam)["limits"]
        assert (limit.name, limit.severity) in (("House", "warning"), ("House", "critical"))
        assert " of $100.00 today, " in limit.words

    def test_shows_what_needs_a_look_the_worst_first(self, world: World, sam: Client) -> None:
        assert "Nothing: no budget is crossed" in sam.get("/admin/").content.decode()
        everything_amiss(world)
        alerts = money(sam)["alerts"]
        assert [(one.colour, one.word) for one in alerts] == [
            ("danger", "100 %"), ("danger", "low balance"), ("danger", "ledger"), ("warning", "fleet"), ("warning", "low credit"),
        ]  # fmt: skip
        page = sam.get("/admin/").content.decode()
        assert "Main at tensordock has $3.50 left" in page
        assert "legs sum to zero" in page

    def test_is_for_those_who_may_see_costs(self, world: World) -> None:
        staff = UserFactory(is_staff=True)
        client = client_for(staff)
        assert "money" not in client.get("/admin/").context
        staff.user_permissions.set(Permission.objects.filter(codename="view_usageday"))
        answer = client.get("/admin/")
        assert "money" in answer.context
        assert "fleet" not in answer.context

    @pytest.mark.parametrize(
        ("names", "words"),
        [
            ([], None),
            (["view_budget"], ["100 %"]),
            (["view_providerbalance"], ["low balance"]),
            (["view_verification"], ["ledger"]),
            (["view_fleetdifference"], []),  # it leads to the strays
            (["view_fleetdifference", "view_stray"], ["fleet"]),
            (["view_creditaccount"], ["low credit"]),
        ],
    )
    def test_tells_each_only_of_what_they_may_open(
        self, world: World, names: list[str], words: list[str] | None
    ) -> None:
        everything_amiss(world)
        staff = UserFactory(is_staff=True)
        staff.user_permissions.set(Permission.objects.filter(codename__in=["view_usageday", *names]))
        client = client_for(staff)
        shown = money(client)
        assert (None if shown["alerts"] is None else [one.word for one in shown["alerts"]]) == words
        assert (shown["limits"] is not None) == ("view_budget" in names)
        assert [one.link for one in shown["alerts"] or () if client.get(one.link).status_code != 200] == []

    def test_asks_as_much_of_many_rows_as_of_one(self, world: World, sam: Client) -> None:
        def more(number: int) -> None:
            now = timezone.now()
            department = DepartmentFactory()
            user = UserFactory(department=department)
            project = ProjectFactory(owner=user)
            runs(
                of(user, project=project, provider=f"p{number}"),
                now - timedelta(minutes=1),
                cost="120",
                charge="120",
            )
            for target in (None, Target(department=department), Target(user=user), Target(project=project)):
                rows.create(
                    by=BY, now=now, name=f"b{number}", limit_usd=Decimal("0.1"), target=target or Target()
                )
            ProviderBalance.objects.create(
                provider_account=number, provider="p", name=f"n{number}", balance_usd=1, low_since=now
            )
            FleetDifference.objects.create(
                day=now.date(), provider_account=number, provider="p", name=f"n{number}", looked_at=now, their_machines=1,
                our_machines=0, our_usd_per_hour=0, unknown=["m"],
            )  # fmt: skip
            CreditAccount.objects.filter(user=user).update(warned_at=now)

        def asked() -> int:
            watch.evaluate(timezone.now())
            sam.get("/admin/")
            with CaptureQueriesContext(connection) as found:
                page = sam.get("/admin/")
            assert page.context["money"]["alerts"]
            return len(found)

        more(0)
        few = asked()
        for number in range(1, 12):
            more(number)
        assert asked() == few <= 40
