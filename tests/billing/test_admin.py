"""Staff's pages of money."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from billing.models import (
    CreditAccount,
    Entry,
    Grant,
    Leg,
    Margin,
    Rate,
    RateFactor,
    Subject,
    UsageRecord,
    Verification,
)
from billing.services import accounts
from events.models import Event
from tests.billing.metered import PLAYS, D, Till
from tests.factories import UserFactory
from tests.world import World, client_for

pytestmark = pytest.mark.django_db
HOME = "/admin/billing/"


@pytest.fixture
def till(world: World) -> Till:
    now = timezone.now()
    till = Till(world.alice, now)
    till.follow("attempt:1", PLAYS, now - timedelta(minutes=90), started_at=now - timedelta(minutes=90))
    till.follow("attempt:1", None, now)
    return till


def text(client: Client, path: str) -> str:
    answer = client.get(f"{HOME}{path}")
    assert answer.status_code == 200, answer.content[:500]
    return answer.content.decode()


class TestPages:
    def test_lead_from_a_figure_to_its_interval_and_back(self, till: Till, sam: Client) -> None:
        entry, record = Entry.objects.get(kind="usage"), UsageRecord.objects.first()
        account = text(sam, f"creditaccount/{till.account.pk}/change/")
        assert f"/admin/billing/entry/{entry.pk}/change/" in account
        assert f"/admin/billing/usagerecord/{record.pk}/change/" in text(sam, f"entry/{entry.pk}/change/")
        page = text(sam, f"usagerecord/{record.pk}/change/")
        assert f"/admin/billing/entry/{entry.pk}/change/" in page
        assert f"/admin/billing/subject/{record.subject_id}/change/" in page

    @pytest.mark.parametrize(
        "name",
        [
            "creditaccount",
            "entry",
            "leg",
            "usagerecord",
            "subject",
            "rate",
            "ratefactor",
            "margin",
            "verification",
        ],
    )
    def test_open_for_staff_with_a_row_each(self, till: Till, sam: Client, name: str) -> None:
        Verification.objects.create(at=timezone.now())
        assert "result_list" in text(sam, f"{name}/")

    def test_show_what_an_account_has(self, till: Till, sam: Client) -> None:
        page = text(sam, "creditaccount/")
        assert "\N{MINUS SIGN}" not in page
        assert "$2.66" in page  # 5 - 1.5 × 1.56
        assert text(sam, f"leg/?account__id__exact={till.account.pk}")

    def test_narrow_usage_by_what_others_lead_to_it_with(self, till: Till, sam: Client) -> None:
        record = UsageRecord.objects.select_related("subject", "centre").earliest("id")
        asked = {
            "day__gte": record.day, "subject__id__exact": record.subject_id, "subject__vm__exact": uuid4(),
            "centre__user__exact": record.centre.user_id, "centre__project__isnull": "True", "centre__region__exact": "",
        }  # fmt: skip
        for lookup, value in asked.items():
            answer = sam.get(f"{HOME}usagerecord/", {lookup: value})
            assert answer.status_code == 200, (lookup, answer.status_code)

    @pytest.mark.parametrize(
        "lookup",
        ["centre__user__password__startswith", "centre__payer__user__email__exact", "subject__centre__user__handle__gt"],
    )  # fmt: skip
    def test_answer_nothing_about_whom_usage_is_of(self, till: Till, sam: Client, lookup: str) -> None:
        assert sam.get(f"{HOME}usagerecord/", {lookup: "a"}).status_code == 400

    @pytest.mark.parametrize(("model", "name"), [(Entry, "entry"), (Leg, "leg"), (Subject, "subject")])
    def test_change_nothing(self, till: Till, sam: Client, model: Any, name: str) -> None:
        assert sam.post(f"{HOME}{name}/{model.objects.first().pk}/delete/").status_code == 403
        assert sam.get(f"{HOME}{name}/add/").status_code == 403


class TestCredit:
    def form(self, **changes: Any) -> dict[str, Any]:
        return {"amount": "10", "reason": "Compensation", "days": "", "token": "t1", **changes}

    def test_is_given_once_however_often_the_form_is_sent(self, till: Till, sam: Client) -> None:
        page = f"{HOME}creditaccount/{till.account.pk}/give/"
        assert sam.get(page).status_code == 200
        for _ in range(2):
            assert sam.post(page, self.form(days="30")).status_code == 302
        assert till.balance == D("12.66")
        grant = Grant.objects.get(amount_usd=10)
        assert grant.expires_at.date() == (timezone.now() + timedelta(days=30)).date()
        assert Event.objects.get(action="credit_given").actor == "user:sam@gamer.test"

    def test_that_cannot_be_taken_is_said_beside_the_amount(self, till: Till, sam: Client) -> None:
        answer = sam.post(f"{HOME}creditaccount/{till.account.pk}/give/", self.form(amount="-100"))
        assert "at most 2.66 can be taken" in answer.content.decode()
        assert till.balance == D("2.66")

    def test_opens_the_account_of_somebody_named(self, world: World, sam: Client) -> None:
        page = f"{HOME}creditaccount/give-to/"
        assert sam.post(page, self.form(user_id="nobody")).status_code == 200
        assert sam.post(page, self.form(department=world.arcade.pk)).status_code == 302
        assert CreditAccount.objects.get(department=world.arcade).balance_usd == 10

    def test_may_be_no_longer_demanded(self, world: World, sam: Client) -> None:
        account = accounts.account_of(world.arcade, timezone.now())
        page = f"{HOME}creditaccount/{account.pk}/"
        plans = (
            ("postpaid", True, "whatever the balance is"),
            ("prepaid", False, "A launch needs credit again."),
        )
        for plan, is_postpaid, means in plans:
            assert means in text(sam, f"creditaccount/{account.pk}/{plan}/")
            sam.post(f"{page}{plan}/")
            account.refresh_from_db()
            assert account.is_postpaid is is_postpaid

    @pytest.mark.parametrize("is_postpaid", [True, False])
    def test_is_demanded_only_where_it_is_not_and_says_so_else(
        self, world: World, sam: Client, is_postpaid: bool
    ) -> None:
        account = accounts.account_of(world.arcade, timezone.now())
        CreditAccount.objects.filter(pk=account.pk).update(is_postpaid=is_postpaid)
        there, idle = ("prepaid", "postpaid") if is_postpaid else ("postpaid", "prepaid")
        shown = text(sam, f"creditaccount/{account.pk}/change/")
        assert f"/{account.pk}/{there}/" in shown
        assert f"/{account.pk}/{idle}/" not in shown
        told = sam.post(f"{HOME}creditaccount/{account.pk}/{idle}/", follow=True)
        assert "nothing to do, it was so already" in told.content.decode()
        assert not Event.objects.filter(action="update").exists()

    def test_is_not_offered_for_accounts_of_the_house(self, till: Till, sam: Client) -> None:
        account = CreditAccount.objects.exclude(code="").first()
        assert account is not None
        shown = text(sam, f"creditaccount/{account.pk}/change/")
        for name in ("give", "postpaid", "prepaid"):
            path = f"{HOME}creditaccount/{account.pk}/{name}/"
            assert path not in shown
            assert sam.post(path, self.form()).status_code == 403

    @pytest.mark.parametrize("name", ["give", "postpaid", "prepaid"])
    def test_of_an_account_that_is_not_there_says_so(self, sam: Client, name: str) -> None:
        for odd in ("0", "abc"):
            answer = sam.get(f"{HOME}creditaccount/{odd}/{name}/", follow=True)
            assert "doesn’t exist" in answer.content.decode()

    def test_is_given_by_those_only_who_may(self, till: Till) -> None:
        client = client_for(UserFactory(is_staff=True))
        page = f"{HOME}creditaccount/{till.account.pk}/give/"
        assert client.post(page, self.form()).status_code == 403
        assert till.balance == D("2.66")


class TestRates:
    def form(self, starts_at: Any, **changes: Any) -> dict[str, Any]:
        when = {"starts_at_0": f"{starts_at:%Y-%m-%d}", "starts_at_1": f"{starts_at:%H:%M:%S}"}
        return {"provider": "tensordock", "preset": "premium", "usd_per_hour": "1.5", **when, **changes}

    def test_are_added_for_the_time_to_come(self, till: Till, sam: Client) -> None:
        answer = sam.post(f"{HOME}rate/add/", self.form(timezone.now() + timedelta(days=1)))
        assert answer.status_code == 302, answer.content[:2000]
        row = Rate.objects.latest("id")
        assert "to come" in text(sam, "rate/?provider=tensordock")
        assert Event.objects.latest("id").resource_id == f"rate-{row.pk}"
        sam.post(f"{HOME}rate/{row.pk}/delete/", {"post": "yes"})
        assert not Rate.objects.filter(pk=row.pk).exists()

    def test_are_told_whether_they_are_in_force_from_one_reading_of_the_card(
        self, till: Till, sam: Client, django_assert_max_num_queries: Any
    ) -> None:
        assert Rate.objects.count() > 10
        with django_assert_max_num_queries(15):
            assert "in force" in text(sam, "rate/")

    @pytest.mark.parametrize("page", ["rate", "ratefactor"])
    def test_are_of_a_provider_there_is(self, till: Till, sam: Client, page: str) -> None:
        form = self.form(timezone.now(), provider="tensordok", console="switch", factor="1.2")
        answer = sam.post(f"{HOME}{page}/add/", form)
        assert "provider" in answer.context["adminform"].form.errors
        form = self.form(timezone.now(), provider="cloudypad_gcp", console="switch", factor="1.2")
        assert sam.post(f"{HOME}{page}/add/", form).status_code == 302

    def test_are_looked_at_without_the_digits_that_say_nothing(self, till: Till, sam: Client) -> None:
        rate = Rate.objects.filter(provider="tensordock", preset="premium").get()
        factor = RateFactor.objects.filter(provider="tensordock", console="switch").get()
        for path, shown in (
            (f"rate/{rate.pk}", "$1.20"), (f"ratefactor/{factor.pk}", "× 1.3"), (f"margin/{Margin.objects.get().pk}", "0 %"),
        ):  # fmt: skip
            page = text(sam, f"{path}/change/")
            assert shown in page, path
            assert "0000" not in page, path

    def test_change_nothing_that_was_sold(self, till: Till, sam: Client) -> None:
        answer = sam.post(f"{HOME}rate/add/", self.form(timezone.now() - timedelta(days=1)))
        assert "In the past" in answer.content.decode()
        begun = Rate.objects.first()
        assert sam.post(f"{HOME}rate/{begun.pk}/delete/", {"post": "yes"}).status_code == 403

    def test_begin_when_they_are_saved_however_long_the_form_was_typed(self, till: Till, sam: Client) -> None:
        """What was quoted meanwhile is charged as it was quoted."""
        opened = timezone.now()
        typed = opened - timedelta(minutes=2)
        when = {"starts_at_0": f"{typed:%Y-%m-%d}", "starts_at_1": f"{typed:%H:%M:%S}"}
        assert sam.post(f"{HOME}margin/add/", {"share": "0.15", **when}).status_code == 302
        assert Margin.objects.latest("id").starts_at >= opened
        assert Event.objects.latest("id").details["starts_at"] == str(Margin.objects.latest("id").starts_at)

    def test_come_with_a_margin_of_their_own(self, till: Till, sam: Client) -> None:
        soon = timezone.now() + timedelta(minutes=1)
        when = {"starts_at_0": f"{soon:%Y-%m-%d}", "starts_at_1": f"{soon:%H:%M:%S}"}
        assert sam.post(f"{HOME}margin/add/", {"share": "0.15", **when}).status_code == 302
        assert Margin.objects.first().share == D("0.15")
        assert "15 %" in text(sam, "margin/")
