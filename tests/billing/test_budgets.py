from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core import mail
from django.db import IntegrityError, connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from accounts.models import Department, DepartmentRole, Project, User
from accounts.principal import Principal, policy
from billing.budgets import force, rows, watch
from billing.budgets.rows import Step, Target
from billing.models import Budget, BudgetCrossing, BudgetWatch
from events import deliveries
from events.models import Delivery, Event, Webhook
from gamer.errors import Conflict, NotFound, PermissionDenied, ValidationError
from gamer.moments import written
from gamer.web.views import description
from tests.billing.usage import at, of, runs, used
from tests.events.channels.receiver import Receiver, receiving
from tests.world import NOON, Clock, World

pytestmark = pytest.mark.django_db
OURS = policy("test")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one, override_settings(WEBHOOKS_MAY_BE_LOCAL=True):
        yield one


def budget(**wish: Any) -> Budget:
    wish = {"name": "Play", "limit_usd": Decimal(10), **wish}
    return rows.create(by=OURS, now=wish.pop("now", NOON), **wish).budget


def crossed(**which: Any) -> list[int]:
    return sorted(BudgetCrossing.objects.filter(**which).values_list("percent", flat=True))


def refused(**wish: Any) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as caught:
        budget(**wish)
    assert not Budget.objects.exists()
    return caught.value.details


class TestLooking:
    def test_crosses_80_percent_and_then_100(self, world: World, clock: Clock) -> None:
        one = budget()
        runs(of(world.alice), at("2026-06-15 12:00"), cost="8")
        watch.evaluate(clock.advance(minutes=59))
        assert crossed() == []
        watch.evaluate(clock.advance(minutes=1))
        assert crossed() == [80]
        watch.evaluate(clock.advance(minutes=15))
        assert crossed(budget=one) == [80, 100]
        crossing = BudgetCrossing.objects.get(percent=100)
        assert (crossing.spent_usd, crossing.limit_usd, crossing.severity) == (10, 10, "critical")
        assert (crossing.period_start, crossing.period_end) == (date(2026, 6, 1), date(2026, 6, 30))

    def test_watches_what_providers_ask_for_everything_and_for_a_provider(self, world: World) -> None:
        used(of(world.alice), at("2026-06-15 10:00"), at("2026-06-15 11:00"), cost="9", charge="0")
        used(
            of(world.bob, provider="libvirt"),
            at("2026-06-15 10:00"),
            at("2026-06-15 11:00"),
            cost="1",
            charge="99",
        )
        everything, vendor, metal = (
            budget(),
            budget(target=Target(provider="tensordock")),
            budget(target=Target(provider="libvirt")),
        )
        assert crossed(budget=everything) == [80, 100]
        assert crossed(budget=vendor) == [80]
        assert crossed(budget=metal) == []

    def test_watches_what_customers_pay_for_everybody_else(self, world: World) -> None:
        project = Project.objects.create(name="Mario", owner=world.alice, department=world.arcade)
        used(
            of(world.alice, project=project),
            at("2026-06-15 09:00"),
            at("2026-06-15 10:00"),
            cost="99",
            charge="8",
        )
        used(of(world.bob), at("2026-06-15 09:00"), at("2026-06-15 10:00"), cost="99", charge="2")
        used(of(world.charlie), at("2026-06-15 09:00"), at("2026-06-15 10:00"), cost="99", charge="7")
        assert crossed(budget=budget(target=Target(project=project))) == [80]
        assert crossed(budget=budget(target=Target(department=world.arcade))) == [80, 100]
        assert crossed(budget=budget(target=Target(user=world.alice))) == [80]
        assert crossed(budget=budget(target=Target(user=world.charlie))) == []

    @pytest.mark.parametrize(
        ("period", "expected"),
        [
            ({"period": "daily"}, 2),
            ({"period": "monthly"}, 6),
            ({"period": "custom", "starts_on": date(2026, 5, 31), "ends_on": date(2026, 6, 20)}, 14),
            ({"period": "custom", "starts_on": date(2026, 6, 14), "ends_on": date(2026, 6, 14)}, None),
        ],
    )
    def test_sums_its_period_only(self, world: World, period: dict[str, Any], expected: int | None) -> None:
        for day, usd in (("2026-05-30", "16"), ("2026-05-31", "8"), ("2026-06-14", "4"), ("2026-06-15", "2")):
            used(of(world.alice), at(f"{day} 08:00"), at(f"{day} 09:00"), cost=usd, charge=usd)
        for target in (Target(), Target(user=world.alice)):
            one = budget(target=target, **period)
            found = watch.spent(NOON, [one])
            assert found == {} if expected is None else found[one.pk][2] == expected

    def test_begins_anew_with_the_next_period(self, world: World, clock: Clock) -> None:
        budget(period="daily", thresholds=[Step(100)])
        runs(of(world.alice), at("2026-06-15 11:00"), cost="10")
        watch.evaluate(clock.now)
        watch.evaluate(clock.advance(hours=6))
        assert BudgetCrossing.objects.count() == 1
        watch.evaluate(clock.advance(hours=7))
        assert [one.period_start for one in BudgetCrossing.objects.order_by("period_start")] == [
            date(2026, 6, 15),
            date(2026, 6, 16),
        ]

    def test_ends_days_at_the_zones_midnight(self, world: World) -> None:
        with override_settings(BILLING_TIME_ZONE="Europe/Berlin"):
            one = budget(period="daily")
            runs(of(world.alice), at("2026-06-15 21:00"), cost="4")
            assert watch.spent(at("2026-06-15 22:30"), [one]) == {
                one.pk: (date(2026, 6, 16), date(2026, 6, 16), Decimal(2))
            }

    def test_is_one_statement_for_all_of_them_once_there_are_any(self, world: World) -> None:
        for number in range(8):
            budget(name=f"No. {number}", target=Target(user=[world.alice, world.bob][number % 2]))
        with CaptureQueriesContext(connection) as asked:
            watch.evaluate(NOON)
        assert len([one for one in asked if "SAVEPOINT" not in one["sql"]]) == 2

    def test_happens_once_in_a_quarter_of_a_minute_whoever_asks(self, clock: Clock) -> None:
        assert watch.look(clock.now)
        assert not watch.look(clock.now)
        assert not watch.look(clock.advance(seconds=14))
        assert watch.look(clock.advance(seconds=1))
        assert watch.look(clock.advance(hours=-1)), "a clock that went back puts nothing off"
        assert BudgetWatch.objects.count() == 1

    def test_passes_over_budgets_that_are_switched_off(self, world: World) -> None:
        used(of(world.alice), at("2026-06-15 08:00"), at("2026-06-15 09:00"), cost="99")
        budget(is_active=False)
        assert crossed() == []


class TestNotices:
    def test_go_out_once_a_period_by_mail_webhook_and_event(
        self, world: World, receiver: Receiver, clock: Clock
    ) -> None:
        used(of(world.alice), at("2026-06-15 08:00"), at("2026-06-15 09:00"), charge="9")
        department = Target(department=world.arcade)
        budget(
            target=department,
            emails=["ops@gamer.test", "boss@gamer.test"],
            webhook_url=receiver.url,
            webhook_secret=SECRET,
        )
        for _ in range(3):
            watch.evaluate(clock.advance(minutes=1))
        while deliveries.deliver_due(clock.now, clock):
            pass
        assert sorted(one.to[0] for one in mail.outbox) == ["boss@gamer.test", "ops@gamer.test"]
        assert mail.outbox[0].subject == "[warning] Budget Play: 80 % is spent"
        assert "9.00 of 10.00 USD" in mail.outbox[0].body
        assert len(receiver.requests) == 1
        event = Event.objects.get(action="budget_crossed")
        assert (event.resource, event.department_id, event.details["percent"]) == (
            "billing",
            world.arcade.pk,
            80,
        )

    def test_go_to_a_webhook_as_the_description_shows(
        self, world: World, receiver: Receiver, clock: Clock
    ) -> None:
        used(of(world.alice), at("2026-06-15 08:00"), at("2026-06-15 09:00"), charge="400.1")
        wish = {"name": "Arcade's June", "limit_usd": Decimal(500), "webhook_url": receiver.url}
        made = budget(target=Target(department=world.arcade), **wish)
        deliveries.deliver_due(clock.advance(minutes=1), clock)
        _, headers, body = receiver.requests[0]
        told = description("gamer.urls")["paths"]["/billing/budgets"]["post"]["description"]
        shown = json.loads(told.partition("```json")[2].partition("```")[0])
        shown["data"]["budget_id"], shown["timestamp"] = made.pk, written(NOON)
        assert json.loads(body) == shown
        assert {"webhook-id", "webhook-timestamp", "webhook-signature"} <= set(headers)

    def test_are_an_event_only_where_nobody_is_to_be_told(self, world: World) -> None:
        used(of(world.alice), at("2026-06-15 08:00"), at("2026-06-15 09:00"), cost="9")
        budget(emails=["ops@gamer.test"], thresholds=[Step(80, notifies=False)])
        assert not Delivery.objects.exists()
        assert Event.objects.filter(action="budget_crossed").exists()

    def test_are_not_repeated_when_a_limit_is_raised_and_reached_again(self, world: World) -> None:
        used(of(world.alice), at("2026-06-15 08:00"), at("2026-06-15 09:00"), cost="10")
        one = budget(emails=["ops@gamer.test"], thresholds=[Step(100, blocks_launches=True)])
        rows.change(by=OURS, budget=one, now=NOON, limit_usd=Decimal(11))
        assert BudgetCrossing.objects.get().lifted_at == NOON
        used(of(world.alice), at("2026-06-15 09:00"), at("2026-06-15 10:00"), cost="10")
        later = NOON + timedelta(minutes=1)
        watch.evaluate(later)
        crossing = BudgetCrossing.objects.get()
        assert (crossing.lifted_at, crossing.crossed_at) == (None, later)
        assert (crossing.spent_usd, crossing.limit_usd) == (20, 11)
        assert Delivery.objects.count() == 1

    def test_go_to_nobody_who_is_suspended(self, world: World) -> None:
        type(world.bob).objects.filter(pk=world.bob.pk).update(is_active=False)
        used(of(world.alice), at("2026-06-15 08:00"), at("2026-06-15 09:00"), cost="10")
        budget(emails=["Bob@gamer.test", "ops@gamer.test"], thresholds=[Step(100)])
        assert [one.target for one in Delivery.objects.all()] == ["ops@gamer.test"]


class TestForce:
    def blocks(self, **whose: Any) -> bool:
        asked = {"owner_id": None, "project_id": None, "department_id": None, **whose}
        return force.blocking(now=NOON, **asked) is not None

    @pytest.mark.parametrize("step", [Step(80, blocks_launches=True), Step(80, stops_vms=True)])
    def test_forbids_launches_of_whom_it_covers(self, world: World, step: Step) -> None:
        used(of(world.alice), at("2026-06-15 08:00"), at("2026-06-15 09:00"), charge="9")
        budget(target=Target(user=world.alice), thresholds=[step])
        assert self.blocks(owner_id=world.alice.pk, department_id=world.arcade.pk)
        assert not self.blocks(owner_id=world.bob.pk, department_id=world.arcade.pk)
        budget(target=Target(department=world.arcade), thresholds=[step])
        assert self.blocks(owner_id=world.bob.pk, department_id=world.arcade.pk)
        assert not self.blocks()
        budget(thresholds=[step], limit_usd=Decimal(1))
        assert self.blocks()

    def test_of_a_provider_concerns_its_machines_only(self, world: World) -> None:
        used(of(world.alice), at("2026-06-15 08:00"), at("2026-06-15 09:00"), cost="9")
        budget(target=Target(provider="tensordock"), thresholds=[Step(50, blocks_launches=True)])
        assert force.blocked_providers(NOON) == {"tensordock": "Play"}
        assert not self.blocks(owner_id=world.alice.pk)

    def test_ends_with_the_period_the_threshold_and_the_budget(self, world: World) -> None:
        used(of(world.alice), at("2026-06-15 08:00"), at("2026-06-15 09:00"), cost="9")
        one = budget(thresholds=[Step(80, stops_vms=True)])
        assert self.blocks()
        assert len(force.stopping(NOON)) == 1
        assert force.stopping(NOON + timedelta(days=20)) == []
        rows.change(by=OURS, budget=one, now=NOON, thresholds=[Step(80)])
        assert not self.blocks()
        rows.change(by=OURS, budget=one, now=NOON, thresholds=[Step(80, blocks_launches=True)])
        assert self.blocks()
        rows.change(by=OURS, budget=one, now=NOON, is_active=False)
        assert not self.blocks()
        rows.change(by=OURS, budget=one, now=NOON, is_active=True, period="daily")
        assert self.blocks()
        rows.delete(by=OURS, budget=one, now=NOON)
        assert not self.blocks()

    @pytest.mark.parametrize(
        ("before", "after", "last"),
        [
            (
                {"period": "custom", "starts_on": date(2026, 6, 15), "ends_on": date(2026, 6, 16)},
                {"ends_on": date(2026, 6, 30)},
                date(2026, 6, 30),
            ),
            (
                {"period": "custom", "starts_on": date(2026, 6, 15), "ends_on": date(2026, 6, 30)},
                {"ends_on": date(2026, 6, 16)},
                date(2026, 6, 16),
            ),
            ({"period": "daily", "now": at("2026-06-01 12:00")}, {"period": "monthly"}, date(2026, 6, 30)),
        ],
    )
    def test_holds_until_the_period_ends_that_the_budget_has_now(
        self, world: World, before: dict[str, Any], after: dict[str, Any], last: date
    ) -> None:
        now = before.get("now", NOON)
        used(of(world.alice), now - timedelta(hours=4), now - timedelta(hours=3), cost="10")
        one = budget(thresholds=[Step(100, stops_vms=True)], **before)
        rows.change(by=OURS, budget=one, now=now, **after)
        ending = at(f"{last} 12:00")
        watch.evaluate(ending)
        assert len(force.stopping(ending)) == 1
        watch.evaluate(ending + timedelta(days=1))
        assert force.stopping(ending + timedelta(days=1)) == []
        assert Event.objects.filter(action="budget_crossed").count() == 1, "it is told once a period"


class TestRows:
    def test_warn_at_80_and_100_percent_unless_told_otherwise(self) -> None:
        assert [one.percent for one in budget().thresholds.all()] == [80, 100]

    @pytest.mark.parametrize(
        ("wish", "field"),
        [
            ({"limit_usd": Decimal(0)}, "limit_usd"),
            ({"period": "custom"}, "starts_on"),
            ({"period": "custom", "starts_on": date(2026, 6, 2), "ends_on": date(2026, 6, 1)}, "ends_on"),
            ({"period": "custom", "starts_on": date(2026, 6, 1), "ends_on": date(2027, 6, 2)}, "ends_on"),
            ({"period": "custom", "starts_on": date(1999, 12, 31), "ends_on": date(2000, 1, 1)}, "starts_on"),
            ({"period": "custom", "starts_on": date(2999, 12, 31), "ends_on": date(3000, 1, 1)}, "ends_on"),
            ({"starts_on": date(2026, 6, 2)}, "starts_on"),
            ({"emails": ["nobody"]}, "emails"),
            ({"emails": [f"p{number}@gamer.test" for number in range(21)]}, "emails"),
            ({"webhook_url": "ftp://a.test"}, "webhook_url"),
            ({"webhook_url": "http://a.test"}, "webhook_url"),
            ({"webhook_url": "https://a.test", "webhook_secret": "short"}, "webhook_secret"),
            ({"thresholds": []}, "thresholds"),
            ({"thresholds": [Step(80), Step(80)]}, "thresholds"),
            ({"thresholds": [Step(0)]}, "thresholds"),
            ({"thresholds": [Step(number) for number in range(1, 12)]}, "thresholds"),
        ],
    )
    def test_are_refused_by_the_fields_name(self, wish: dict[str, Any], field: str) -> None:
        with override_settings(WEBHOOKS_MAY_BE_LOCAL=False):
            assert field in refused(**wish)

    def test_cover_one_thing(self, world: World) -> None:
        assert "covers" in refused(target=Target(provider="libvirt", user=world.alice))
        with pytest.raises(IntegrityError, match="budget_covers_one"), transaction.atomic():
            Budget.objects.create(name="x", covers="user", period="daily", limit_usd=1)

    def test_tell_a_made_up_secret_once(self) -> None:
        made = rows.create(by=OURS, now=NOON, name="x", limit_usd=Decimal(1), webhook_url="https://a.test/x")
        assert made.webhook_secret.startswith("whsec_")
        assert made.budget.webhook is not None
        made.budget.webhook.refresh_from_db()
        assert made.budget.webhook.secret.reveal() == made.webhook_secret
        again = rows.change(by=OURS, budget=made.budget, now=NOON, webhook_url="https://a.test/x")
        assert again.webhook_secret == ""
        other = rows.change(
            by=OURS, budget=made.budget, now=NOON, webhook_url="https://b.test/x", webhook_secret=SECRET
        )
        assert other.webhook_secret == ""
        assert [one.url for one in Webhook.objects.all()] == ["https://b.test/x"]
        rows.change(by=OURS, budget=made.budget, now=NOON, webhook_url="")
        assert not Webhook.objects.exists()

    def test_leave_events_without_secrets(self) -> None:
        one = rows.create(
            by=OURS,
            now=NOON,
            name="x",
            limit_usd=Decimal(1),
            webhook_url="https://a.test",
            webhook_secret=SECRET,
        )
        rows.change(
            by=OURS,
            budget=one.budget,
            now=NOON,
            name="y",
            webhook_url="https://a.test",
            webhook_secret=SECRET[:-1] + "W",
        )
        rows.delete(by=OURS, budget=one.budget, now=NOON)
        events = list(Event.objects.filter(resource="billing").order_by("id"))
        assert [event.action for event in events] == ["create", "update", "delete"]
        assert SECRET[:20] not in str([event.details for event in events])

    def test_that_somebody_deleted_meanwhile_are_not_there_to_be_changed(self) -> None:
        one = budget()
        rows.delete(by=OURS, budget=Budget.objects.get(pk=one.pk), now=NOON)
        with pytest.raises(NotFound):
            rows.change(by=OURS, budget=one, now=NOON, name="y")

    def test_of_a_department_are_its_managers(self, world: World) -> None:
        world.bob.department_role = DepartmentRole.MANAGER
        world.bob.save()
        bob = Principal(user=world.bob)
        project = Project.objects.create(name="Mario", owner=world.alice, department=world.arcade)
        elsewhere = Project.objects.create(name="Mario", owner=world.charlie)
        for target in (Target(department=world.arcade), Target(project=project), Target(user=world.alice)):
            rows.create(by=bob, now=NOON, name="x", limit_usd=Decimal(1), target=target)
        for target in (
            Target(),
            Target(provider="libvirt"),
            Target(project=elsewhere),
            Target(user=world.charlie),
        ):
            with pytest.raises(PermissionDenied):
                rows.create(by=bob, now=NOON, name="x", limit_usd=Decimal(1), target=target)
        with pytest.raises(PermissionDenied):
            rows.create(
                by=Principal(user=world.alice),
                now=NOON,
                name="x",
                limit_usd=Decimal(1),
                target=Target(user=world.alice),
            )
        budget(name="ours")
        assert Budget.objects.visible_to(bob).count() == 3
        assert Budget.objects.visible_to(Principal(user=world.sam)).count() == 4
        assert Budget.objects.visible_to(Principal(user=world.alice)).count() == 0

    def test_of_a_manager_write_to_active_people_of_the_department_only(self, world: World) -> None:
        mona, department = Principal(user=world.mona), Target(department=world.arcade)
        wish = {"now": NOON, "name": "x", "limit_usd": Decimal(1), "target": department}
        User.objects.filter(pk=world.bob.pk).update(is_active=False)
        for stranger in ("who@elsewhere.test", world.charlie.email, world.bob.email):
            with pytest.raises(ValidationError) as caught:
                rows.create(by=mona, emails=["Alice@gamer.test", stranger], **wish)
            assert caught.value.details == {
                "emails": [f"Not of active people of your department: {stranger}."]
            }
        theirs = rows.create(by=mona, emails=["Alice@gamer.test", "mona@gamer.test"], **wish).budget
        with pytest.raises(ValidationError):
            rows.change(by=mona, budget=theirs, now=NOON, emails=["who@elsewhere.test"])
        rows.change(by=OURS, budget=theirs, now=NOON, emails=["who@elsewhere.test"])
        rows.change(by=mona, budget=theirs, now=NOON, emails=["who@elsewhere.test", "alice@gamer.test"])
        theirs.refresh_from_db()
        assert theirs.emails == ["who@elsewhere.test", "alice@gamer.test"]

    def test_of_a_department_are_so_many_at_most(self, world: World) -> None:
        def wish(by: Principal, whose: Department) -> None:
            rows.create(by=by, now=NOON, name="x", limit_usd=Decimal(1), target=Target(department=whose))

        mona, oscar = Principal(user=world.mona), Principal(user=world.oscar)
        Budget.objects.bulk_create(
            Budget(
                name="x", covers="user", user=world.alice, within=world.arcade, period="daily", limit_usd=1
            )
            for _ in range(rows.MOST_BUDGETS - 1)
        )
        wish(mona, world.arcade)
        with pytest.raises(Conflict, match="The department Arcade may have 50 budgets and has as many"):
            wish(mona, world.arcade)
        wish(oscar, world.palace)
        wish(Principal(user=world.sam), world.arcade)
