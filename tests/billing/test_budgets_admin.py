"""Staff's pages of budgets, and of what providers say."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.principal import Principal, policy
from billing.admin.budgets import BudgetAdmin
from billing.budgets import rows
from billing.budgets.rows import Target
from billing.models import (
    Budget,
    BudgetCrossing,
    FleetDifference,
    InvoiceLine,
    ProviderBalance,
    ProviderInvoice,
)
from events import deliveries
from events.deliveries import Post
from events.models import Event
from tests.factories import UserFactory
from tests.world import NOON, World, client_for

pytestmark = pytest.mark.django_db
BUDGETS = "/admin/billing/budget/"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def staff(world: World) -> Client:
    return client_for(world.sam)


def typed(**changes: Any) -> dict[str, Any]:
    right = {
        "name": "June", "provider": "", "project": "", "department": "", "user": "", "period": "monthly", "starts_on": "",
        "ends_on": "", "limit_usd": "500", "thresholds": "80 notify\n100% notify block", "emails": "ops@gamer.test",
        "webhook_url": "", "webhook_secret": SECRET, "is_active": "on",
    }  # fmt: skip
    return {**right, **changes}


def errors_of(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200
    return dict(answer.context["adminform"].form.errors)


class TestBudgets:
    def test_are_made_as_over_http(self, world: World, staff: Client) -> None:
        answer = staff.post(f"{BUDGETS}add/", typed(department=world.arcade.pk, webhook_url="https://a.test"))
        assert answer.status_code == 302, answer.context and errors_of(answer)
        budget = Budget.objects.get()
        assert (budget.covers, budget.department, budget.emails) == (
            "department",
            world.arcade,
            ["ops@gamer.test"],
        )
        found = budget.thresholds.values_list("percent", "notifies", "blocks_launches", "stops_vms")
        assert list(found) == [(80, True, False, False), (100, True, True, False)]
        assert budget.webhook is not None
        assert budget.webhook.secret.reveal() == SECRET
        event = Event.objects.get(resource="billing", action="create")
        assert event.actor == "user:sam@gamer.test"

    def test_offer_a_secret_and_never_show_it_again(self, staff: Client) -> None:
        assert b"whsec_" in staff.get(f"{BUDGETS}add/").content
        staff.post(f"{BUDGETS}add/", typed(webhook_url="https://a.test"))
        page = staff.get(f"{BUDGETS}{Budget.objects.get().pk}/change/")
        assert b"https://a.test" in page.content
        assert b"whsec_MfKQ9" not in page.content

    @pytest.mark.parametrize(
        ("wrong", "field"),
        [
            ({"thresholds": "soon"}, "thresholds"),
            ({"thresholds": "80 shout"}, "thresholds"),
            ({"thresholds": "80 notify\n%"}, "thresholds"),
            ({"emails": "nobody"}, "emails"),
            ({"webhook_secret": "x"}, "webhook_secret"),
            ({"webhook_url": "https://a.test", "webhook_secret": ""}, "webhook_secret"),
            ({"limit_usd": "much"}, "limit_usd"),
            ({"provider": "tensordok"}, "provider"),
        ],
    )
    def test_say_what_is_wrong_beside_the_field(
        self, staff: Client, wrong: dict[str, str], field: str
    ) -> None:
        assert field in errors_of(staff.post(f"{BUDGETS}add/", typed(**wrong)))
        assert not Budget.objects.exists()

    @pytest.mark.parametrize(
        ("wrong", "field"),
        [
            ({"limit_usd": "0"}, "limit_usd"),
            ({"period": "custom"}, "starts_on"),
            ({"provider": "libvirt", "user": "1"}, "__all__"),
            ({"webhook_url": "http://a.test"}, "webhook_url"),
            ({"thresholds": "80 notify\n80 block"}, "thresholds"),
        ],
    )
    def test_show_what_the_service_refuses_beside_what_was_typed(
        self, world: World, staff: Client, wrong: dict[str, str], field: str
    ) -> None:
        wrong = {name: str(world.alice.pk) if name == "user" else value for name, value in wrong.items()}
        answer = staff.post(f"{BUDGETS}add/", typed(name="Half an hour of typing", **wrong))
        assert set(errors_of(answer)) == {field}
        assert "Half an hour of typing" in answer.content.decode()
        assert not Budget.objects.exists()

    def test_stay_as_they_are_when_a_change_is_refused(self, staff: Client) -> None:
        budget = rows.create(by=policy("test"), now=NOON, name="June", limit_usd=Decimal(5)).budget
        answer = staff.post(f"{BUDGETS}{budget.pk}/change/", typed(name="July", limit_usd="-1"))
        assert errors_of(answer)["limit_usd"] == ["More than 0."]
        assert Budget.objects.get().name == "June"

    def test_keep_days_of_before_their_length_had_an_end(self, staff: Client) -> None:
        days = {"starts_on": date(2026, 1, 1), "ends_on": date(2026, 12, 31)}
        budget = rows.create(
            by=policy("test"), now=NOON, name="Two years", limit_usd=Decimal(5), period="custom", **days
        ).budget
        Budget.objects.update(ends_on=date(2027, 12, 31))
        path = f"{BUDGETS}{budget.pk}/change/"
        kept = {"period": "custom", "starts_on": "2026-01-01", "ends_on": "2027-12-31", "webhook_secret": ""}
        answer = staff.post(path, typed(**kept, limit_usd="7"))
        assert answer.status_code == 302, errors_of(answer)
        budget.refresh_from_db()
        assert (budget.limit_usd, budget.ends_on) == (7, date(2027, 12, 31))
        longer = staff.post(path, typed(**{**kept, "ends_on": "2028-01-01"}))
        assert errors_of(longer)["ends_on"] == ["At most 366 days."]

    def test_are_looked_at_by_who_may_not_change_them(self, staff: Client) -> None:
        staff.post(f"{BUDGETS}add/", typed(webhook_url="https://a.test"))
        looker = UserFactory(is_staff=True)
        looker.user_permissions.set(Permission.objects.filter(codename="view_budget"))
        staff.force_login(looker)
        page = staff.get(f"{BUDGETS}{Budget.objects.get().pk}/change/").content.decode()
        assert [text for text in ("80 notify", "https://a.test", "Never shown.") if text not in page] == []

    def test_say_within_which_department_they_count(self, world: World, staff: Client) -> None:
        hers = {"name": "Hers", "limit_usd": Decimal(5), "target": Target(user=world.alice)}
        budget = rows.create(by=Principal(user=world.mona), now=timezone.now(), **hers).budget
        assert "user alice@gamer.test in Arcade" in staff.get(BUDGETS).content.decode()
        path = f"{BUDGETS}{budget.pk}/change/"
        assert "Only in a department" in staff.get(path).content.decode()
        assert staff.post(path, typed(name="Less", webhook_secret="")).status_code == 302
        budget.refresh_from_db()
        assert (budget.name, budget.within) == ("Less", world.arcade)
        whole = rows.create(by=policy("test"), now=timezone.now(), **hers).budget
        for page in ("add/", f"{whole.pk}/change/"):
            assert "Only in a department" not in staff.get(f"{BUDGETS}{page}").content.decode()

    def test_are_changed_and_deleted(self, staff: Client) -> None:
        budget = rows.create(by=policy("test"), now=NOON, name="June", limit_usd=Decimal(5)).budget
        assert "webhook_url" in errors_of(staff.post(f"{BUDGETS}{budget.pk}/change/", typed()))
        changes = typed(limit_usd="7", thresholds="90 stop", webhook_secret="")
        answer = staff.post(f"{BUDGETS}{budget.pk}/change/", changes)
        assert answer.status_code == 302, errors_of(answer)
        budget.refresh_from_db()
        assert budget.limit_usd == 7
        assert [(one.percent, one.stops_vms, one.notifies) for one in budget.thresholds.all()] == [
            (90, True, False)
        ]
        assert staff.post(f"{BUDGETS}{budget.pk}/delete/", {"post": "yes"}).status_code == 302
        assert not Budget.objects.exists()
        assert Event.objects.filter(resource="billing", action="delete").exists()

    def test_are_listed_with_what_is_spent_in_a_fixed_number_of_statements(
        self, world: World, staff: Client
    ) -> None:
        def counted() -> int:
            with CaptureQueriesContext(connection) as asked:
                assert "0.00 (0 %)" in staff.get(BUDGETS).content.decode()
            return len(asked)

        rows.create(by=policy("test"), now=timezone.now(), name="all", limit_usd=Decimal(5))
        few = counted()
        for person in (world.alice, world.bob, world.charlie):
            rows.create(
                by=policy("test"),
                now=timezone.now(),
                name="x",
                limit_usd=Decimal(5),
                target=Target(user=person),
            )
        assert counted() == few

    def test_are_not_said_to_be_spent_before_they_are(self, world: World) -> None:
        budget = rows.create(by=policy("test"), now=NOON, name="all", limit_usd=Decimal(5)).budget
        listed = BudgetAdmin(Budget, admin.site)
        vars(budget)["now"] = (NOON.date(), NOON.date(), Decimal("4.99"))
        assert (listed.spent(budget), listed.state(budget)) == ("4.99 (99 %)", "warning")


class TestWhatProvidersSay:
    def test_is_imported_from_a_file_and_refused_line_by_line(self, staff: Client) -> None:
        path = "/admin/billing/providerinvoice/add/"
        bad = SimpleUploadedFile("june.csv", b"day,machine_id,amount\n2026-06-01,m1,much\n")
        answer = staff.post(path, {"provider": "tensordock", "file": bad})
        assert "line 2" in str(errors_of(answer)["file"])
        bad.seek(0)
        assert "provider" in errors_of(staff.post(path, {"provider": "tensordok", "file": bad}))
        good = SimpleUploadedFile("june.csv", b"day,machine_id,amount\n2026-06-01,m1,1.5\n")
        assert staff.post(path, {"provider": "tensordock", "file": good}).status_code == 302
        assert InvoiceLine.objects.get().amount_usd == Decimal("1.5")

    def test_is_told_line_by_line_and_leads_to_them(self, staff: Client) -> None:
        path = "/admin/billing/providerinvoice/"

        def sent(*lines: str) -> Any:
            text = "\n".join(["day,machine_id,amount,line_id", *lines])
            file = SimpleUploadedFile("june.csv", text.encode())
            return staff.post(f"{path}add/", {"provider": "tensordock", "file": file}, follow=True)

        assert "1 lines imported, 0 known already." in sent("2026-06-01,m1,1,a").content.decode()
        again = sent("2026-06-01,m1,1,a", "2026-06-02,m2,1,b").content.decode()
        assert "1 lines imported, 1 known already." in again
        assert errors_of(sent("2026-06-01,m1,7,a"))["file"] == ["line a differs from the one imported before"]
        newest = ProviderInvoice.objects.latest("id")
        link = f"/admin/billing/invoiceline/?invoice__id__exact={newest.pk}"
        assert link in again
        assert link in staff.get(f"{path}{newest.pk}/change/").content.decode()
        lines = staff.get(link).context["cl"].queryset
        assert [line.machine_id for line in lines] == ["m2"]

    def test_has_a_mark_below_which_staff_are_told(self, staff: Client) -> None:
        ProviderBalance.objects.create(provider_account=1, provider="memory", name="memory", balance_usd=5)
        answer = staff.post("/admin/billing/providerbalance/1/change/", {"low_below_usd": "3"})
        assert answer.status_code == 302
        assert ProviderBalance.objects.get().low_below_usd == 3

    @pytest.mark.parametrize(
        "page", ["budgetcrossing", "providerbalance", "fleetdifference", "providerinvoice", "invoiceline"]
    )
    def test_is_on_a_page(self, world: World, staff: Client, page: str) -> None:
        budget = rows.create(by=policy("test"), now=NOON, name="June", limit_usd=Decimal(5)).budget
        days = {"period_start": date(2026, 6, 1), "period_end": date(2026, 6, 30)}
        BudgetCrossing.objects.create(
            budget=budget, percent=80, spent_usd=4, limit_usd=5, crossed_at=NOON, **days
        )
        ProviderBalance.objects.create(
            provider_account=1, provider="memory", name="memory", balance_usd=5, low_since=NOON
        )
        FleetDifference.objects.create(
            day=date(2026, 6, 1), provider_account=1, provider="memory", name="memory", looked_at=NOON, their_machines=2,
            our_machines=1, our_usd_per_hour=1, unknown=["m-1"],
        )  # fmt: skip
        answer = staff.get(f"/admin/billing/{page}/")
        assert answer.status_code == 200

    def test_is_written_in_dollars_and_names_and_not_as_its_columns_have_it(
        self, world: World, staff: Client
    ) -> None:
        budget = rows.create(by=policy("test"), now=NOON, name="June", limit_usd=Decimal("51.25")).budget
        crossing = BudgetCrossing.objects.create(
            budget=budget, percent=80, spent_usd=Decimal("41.5"), limit_usd=Decimal("51.25"), crossed_at=NOON,
            period_start=date(2026, 6, 1), period_end=date(2026, 6, 30),
        )  # fmt: skip
        balance = ProviderBalance.objects.create(
            provider_account=1, provider="memory", name="memory", balance_usd=Decimal("5.5"), usd_per_hour=Decimal("0.25"),
        )  # fmt: skip
        difference = FleetDifference.objects.create(
            day=date(2026, 6, 1), provider_account=1, provider="memory", name="memory", looked_at=NOON, their_machines=2,
            our_machines=1, their_usd_per_hour=Decimal("1.75"), our_usd_per_hour=Decimal("0.75"), unknown=["m-1", "m-2"],
        )  # fmt: skip
        invoice = ProviderInvoice.objects.create(
            provider="memory", file_name="june.csv", imported_at=NOON, actor="x", digest="y"
        )
        line = InvoiceLine.objects.create(
            invoice=invoice, provider="memory", day=date(2026, 6, 1), machine_id="m-1", line_key="a",
            amount_usd=Decimal("1.5"),
        )  # fmt: skip
        told = (
            (budget, ["$51.25"], []),
            (crossing, ["$41.50", "$51.25"], []),
            (balance, ["$5.50", "$0.25"], ["$20.00"]),
            (difference, ["$1.75", "$0.75"], ["m-1, m-2"]),
            (line, ["$1.50"], []),
        )
        looker = UserFactory(is_staff=True)
        names = [f"view_{row._meta.model_name}" for row, *_ in told]
        looker.user_permissions.set(Permission.objects.filter(codename__in=names))
        staff.force_login(looker)
        for row, amounts, others in told:
            listed = f"/admin/billing/{row._meta.model_name}/"
            for path, texts in ((listed, amounts), (f"{listed}{row.pk}/change/", amounts + others)):
                shown = staff.get(path).content.decode()
                assert [text for text in texts if text not in shown] == [], path
                assert re.findall(r"\d+\.\d*0000\b|\[&quot;", shown) == [], path

    @pytest.mark.parametrize(
        ("page", "name"), [("budget", "limit"), ("providerbalance", "balance"), ("providerbalance", "spend")]
    )
    def test_is_sorted_by_its_amounts(self, staff: Client, page: str, name: str) -> None:
        listed = staff.get(f"/admin/billing/{page}/").context["cl"]
        assert listed.get_ordering_field(name) is not None

    def test_goes_out_as_messages_that_staff_can_look_up(self, staff: Client) -> None:
        deliveries.post([Post("k", "email", "alice@gamer.test", "x.y", "Hello alice", "Text")], now=NOON)
        assert b"Hello alice" in staff.get("/admin/events/delivery/").content
