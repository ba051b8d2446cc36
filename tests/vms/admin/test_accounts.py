"""The pages of provider accounts, their offers and strays."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from events.models import Event
from gamer.queue.wake import Listener
from tests.bad_inputs import ODD_TEXTS
from vms.channels import RECONCILER
from vms.models import VM, Offer, ProviderAccount, Stray

ACCOUNTS = "/admin/vms/provideraccount/"
CANARY = "canary-5ecret-t0ken"


@pytest.fixture
def account(world) -> ProviderAccount:
    return ProviderAccount.objects.create(
        name="dock",
        kind="tensordock",
        base_url="https://dock.test/api/v2",
        credentials={"token": CANARY},
        next_refresh_at=timezone.now() + timedelta(hours=1),
        last_answered_at=timezone.now(),
        offers_refreshed_at=timezone.now(),
    )


def page_of(account: ProviderAccount) -> str:
    return f"{ACCOUNTS}{account.pk}/change/"


def posted(**changes) -> dict[str, object]:
    form = {
        "name": "dock",
        "base_url": "https://dock.test/api/v2",
        "calls_per_minute": 90,
        "max_machines": "",
        "max_usd_per_hour": "",
        "secret": "",
    }
    return {**form, **changes}


def messages(answer) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def last_event(account: ProviderAccount) -> Event:
    return Event.objects.about("provider_accounts", account.pk).latest("id")


class TestList:
    @pytest.mark.parametrize(
        ("columns", "words"),
        [
            ({}, "answering"),
            ({"is_paused": True}, "paused by staff"),
            (
                {"failures_in_a_row": 4, "last_error": "Unavailable: 500"},
                "failed 4 times in a row: Unavailable: 500",
            ),
            ({"last_answered_at": None, "offers_refreshed_at": None}, "not asked yet"),
        ],
    )
    def test_says_how_an_account_is_doing(self, account, sam, columns, words):
        ProviderAccount.objects.update(**columns)
        assert words in sam.get(ACCOUNTS).content.decode()

    def test_says_why_and_until_when_it_is_paused(self, account, sam):
        until = timezone.now() + timedelta(minutes=5)
        ProviderAccount.objects.update(paused_until=until, paused_why="BadCredentials: no")
        page = sam.get(ACCOUNTS).content.decode()
        assert "BadCredentials: no. Tried again in 4 min" in page

    def test_counts_what_is_held_against_the_caps(self, plane, world, sam):
        ProviderAccount.objects.update(max_machines=7, max_usd_per_hour=Decimal(9))
        vm = plane.until(plane.launch(owner=world.alice), "running")
        page = sam.get(ACCOUNTS).content.decode()
        assert "1 of 7" in page
        assert f"${vm.attempt.usd_per_hour:.3f}/h of $9.000/h" in page

    def test_asks_as_much_for_many_as_for_one(self, account, sam):
        sam.get(ACCOUNTS)
        with CaptureQueriesContext(connection) as few:
            sam.get(ACCOUNTS)
        for number in range(9):
            ProviderAccount.objects.create(name=f"n{number}", kind="tensordock")
        with CaptureQueriesContext(connection) as many:
            sam.get(ACCOUNTS)
        assert len(many) == len(few)
        assert not any('"credentials"' in one["sql"] for one in many)


class TestForm:
    def test_adds_an_account_and_tells_of_it(self, world, sam):
        answer = sam.post(
            f"{ACCOUNTS}add/", posted(kind="tensordock", secret=CANARY, max_machines=3), follow=True
        )
        made = ProviderAccount.objects.get()
        assert (made.name, made.kind, made.max_machines) == ("dock", "tensordock", 3)
        assert dict(made.credentials) == {"token": CANARY}
        event = last_event(made)
        assert (event.action, event.actor) == ("create", f"user:{world.sam.handle}")
        assert CANARY not in str(event.details)
        assert CANARY not in answer.content.decode()

    def test_keeps_the_token_when_none_is_given(self, account, sam):
        assert sam.post(page_of(account), posted(calls_per_minute=50)).status_code == 302
        account.refresh_from_db()
        assert (dict(account.credentials), account.calls_per_minute) == ({"token": CANARY}, 50)
        assert last_event(account).details == {"name": "dock", "calls_per_minute": [90, 50]}

    def test_replaces_the_token_and_tries_it_at_once(self, account, sam):
        until = timezone.now() + timedelta(hours=1)
        ProviderAccount.objects.update(
            paused_until=until, paused_why="BadCredentials: no", failures_in_a_row=3
        )
        with Listener(RECONCILER):
            assert sam.post(page_of(account), posted(secret="another-one")).status_code == 302
        account.refresh_from_db()
        assert dict(account.credentials) == {"token": "another-one"}
        assert (account.paused_until, account.failures_in_a_row) == (None, 0)
        assert account.next_refresh_at <= timezone.now()
        assert last_event(account).details == {"name": "dock", "secret": "replaced"}

    def test_untouched_changes_nothing(self, account, sam):
        before = ProviderAccount.objects.values().get()
        sam.post(page_of(account), posted())
        after = ProviderAccount.objects.values().get()
        assert after == before
        assert not Event.objects.filter(resource="provider_accounts").exists()

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"base_url": "dock.test"}, "Write a whole address"),
            ({"base_url": "https://me:pass@dock.test/"}, "An address carries no password"),
            ({"base_url": "https://dock.test/?a=1"}, "the base URL must be plain"),
            ({"calls_per_minute": 101}, "The vendor allows 100 calls a minute."),
            ({"calls_per_minute": 0}, "greater than or equal to 1"),
            ({"max_usd_per_hour": "-1"}, "greater than or equal to 0"),
            ({"max_machines": "many"}, "Enter a whole number."),
        ],
    )
    def test_says_what_is_wrong(self, account, sam, changes, words):
        answer = sam.post(page_of(account), posted(**changes))
        assert answer.status_code == 200
        assert words in answer.content.decode()
        assert CANARY not in answer.content.decode()

    def test_keeps_the_name_by_which_seed_finds_it(self, account, sam):
        assert sam.post(page_of(account), posted(name="mine", max_machines=3)).status_code == 302
        account.refresh_from_db()
        assert (account.name, account.max_machines) == ("dock", 3)
        assert 'name="name"' not in sam.get(page_of(account)).content.decode()

    def test_sends_the_token_to_no_new_address(self, account, sam):
        """Who may edit an account may not read its secret, nor have it told to a host of theirs."""
        elsewhere = posted(base_url="https://evil.test/api/v2")
        assert "give it again" in sam.post(page_of(account), elsewhere).content.decode()
        account.refresh_from_db()
        assert account.base_url == "https://dock.test/api/v2"
        assert sam.post(page_of(account), {**elsewhere, "secret": "another"}).status_code == 302

    def test_wants_a_token_for_a_new_account(self, world, sam):
        page = sam.post(f"{ACCOUNTS}add/", posted(kind="tensordock")).content.decode()
        assert (
            "This field is required."
            in sam.post(f"{ACCOUNTS}add/", posted(kind="tensordock", name="")).content.decode()
        )
        assert "Without an API token the vendor answers nothing." in page
        assert 'value="memory"' not in page

    @pytest.mark.parametrize(
        "name", ["name", "base_url", "calls_per_minute", "max_machines", "max_usd_per_hour", "secret"]
    )
    def test_answers_every_odd_value(self, account, staff, name):
        keeper = staff("view_provideraccount", "change_provideraccount")
        for odd in ODD_TEXTS:
            assert keeper.post(page_of(account), posted(**{name: odd[:500]})).status_code < 500, odd

    def test_never_deletes(self, account, sam):
        assert sam.post(f"{ACCOUNTS}{account.pk}/delete/", {"post": "yes"}).status_code == 403


class TestActs:
    @pytest.mark.parametrize(
        ("name", "columns", "action", "is_paused"),
        [
            ("pause", {}, "suspend", True),
            ("resume", {"is_paused": True}, "resume", False),
            ("refresh", {}, "refresh_asked", False),
        ],
    )
    def test_ask_first_and_then_do_it(self, account, world, sam, name, columns, action, is_paused):
        ProviderAccount.objects.update(**columns)
        url = f"{ACCOUNTS}{account.pk}/{name}/"
        assert sam.get(url).status_code == 200
        assert not Event.objects.exists()
        assert len(messages(sam.post(url, follow=True))) == 1
        account.refresh_from_db()
        assert account.is_paused is is_paused
        assert (last_event(account).action, last_event(account).actor) == (action, f"user:{world.sam.handle}")

    def test_resume_ends_a_pause_of_our_own(self, account, sam):
        until = timezone.now() + timedelta(hours=1)
        ProviderAccount.objects.update(
            paused_until=until, paused_why="BadCredentials: no", failures_in_a_row=9
        )
        sam.post(f"{ACCOUNTS}{account.pk}/resume/")
        account.refresh_from_db()
        assert account.may_buy(timezone.now())
        assert last_event(account).details == {"name": "dock", "was": "BadCredentials: no"}

    @pytest.mark.parametrize(
        ("columns", "offered"),
        [
            ({}, {"pause"}),
            ({"is_paused": True}, {"resume"}),
            ({"paused_until": timezone.now() + timedelta(days=1), "paused_why": "no"}, {"pause", "resume"}),
        ],
    )
    def test_are_offered_where_they_change_something_and_say_so_else(self, account, sam, columns, offered):
        ProviderAccount.objects.update(**columns)
        shown = sam.get(page_of(account)).content.decode()
        assert set(re.findall(rf"{account.pk}/(pause|resume)/", shown)) == offered
        for name in {"pause", "resume"} - offered:
            told = messages(sam.post(f"{ACCOUNTS}{account.pk}/{name}/", follow=True))
            assert told == ["dock: nothing to do, it was so already."]

    def test_pause_what_we_have_paused_for_some_minutes(self, account, sam):
        ProviderAccount.objects.update(paused_until=timezone.now() + timedelta(minutes=10), paused_why="no")
        assert messages(sam.post(f"{ACCOUNTS}{account.pk}/pause/", follow=True)) == ["dock: paused."]
        account.refresh_from_db()
        assert account.is_paused

    def test_from_the_list_say_what_was_so_already(self, account, sam):
        other = ProviderAccount.objects.create(name="other", kind="tensordock", is_paused=True)
        chosen = {"action": "pause", "_selected_action": [account.pk, other.pk]}
        told = messages(sam.post(ACCOUNTS, {**chosen, "confirmed": "yes"}, follow=True))
        assert told == ["dock: paused.", "other: nothing to do, it was so already."]

    def test_from_the_list_ask_before_they_pause(self, account, sam):
        asked = sam.post(ACCOUNTS, {"action": "pause", "_selected_action": [account.pk]})
        assert "No new machines are made here." in asked.content.decode()
        assert list(asked.context["chosen"]) == [account]
        account.refresh_from_db()
        assert not account.is_paused

    def test_need_the_permission(self, account, staff):
        viewer = staff("view_provideraccount")
        for name in ("pause", "resume", "refresh"):
            assert viewer.post(f"{ACCOUNTS}{account.pk}/{name}/").status_code == 403
        viewer.post(page_of(account), posted(name="mine"))
        viewer.post(ACCOUNTS, {"action": "pause", "confirmed": "yes", "_selected_action": [account.pk]})
        account.refresh_from_db()
        assert (account.name, account.is_paused) == ("dock", False)
        assert 'name="secret"' not in viewer.get(page_of(account)).content.decode()


class TestSecrets:
    def test_are_on_no_page(self, plane, world, sam):
        """Every list and every page of this app, with a token and keys in the rows."""
        vm = plane.until(plane.launch(owner=world.alice), "running")
        ProviderAccount.objects.update(credentials={"token": CANARY})
        VM.objects.update(ssh_private_key=CANARY, host_private_key=CANARY, agent_bootstrap=CANARY)
        Stray.objects.create(
            account=vm.attempt.account,
            machine_id="m",
            tag="t",
            reason="unknown",
            first_seen_at=timezone.now(),
        )
        urls = ["/admin/", "/admin/vms/", "/admin/vms/vm/preview/?console=switch"]
        for model, page in admin.site._registry.items():
            if model._meta.app_label in ("vms", "events"):
                base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
                row = model._default_manager.order_by("-pk").first()
                urls += [base, *([f"{base}{row.pk}/change/"] if row and page.has_view_permission else [])]
        assert len(urls) >= 15
        for url in urls:
            answer = sam.get(url)
            assert answer.status_code == 200, url
            assert CANARY not in answer.content.decode(), url


class TestStock:
    def test_lists_offers_with_place_price_and_why_they_cool(self, plane, sam):
        plane.settle(seconds=3)
        offer = Offer.objects.first()
        until = timezone.now() + timedelta(minutes=58)
        Offer.objects.filter(pk=offer.pk).update(cools_until=until, cools_why="NoCapacity: sold out")
        page = sam.get("/admin/vms/offer/", {"q": offer.city[:3]}).content.decode()
        assert offer.location_name in page
        assert "NoCapacity: sold out (again in 5" in page
        assert sam.get(f"/admin/vms/offer/?account__id__exact={offer.account_id}").status_code == 200
        Offer.objects.filter(pk=offer.pk).update(usd_per_gb_disk="0.00005", usd_per_gb_ram=0)
        page = sam.get(f"/admin/vms/offer/{offer.pk}/change/").content.decode()
        told = re.sub(r"<[^>]+>|\s+", " ", page)
        assert re.search(r"A GB of RAM +0\.00 +A GB of disk +0\.00005 ", told), told
        assert sam.get("/admin/vms/offer/add/").status_code == 403

    def test_parts_strays_that_are_there_from_those_that_are_gone(self, account, sam):
        now = timezone.now()
        here = {"account": account, "tag": "here", "reason": "unknown", "first_seen_at": now}
        Stray.objects.create(**here, machine_id="m-1", usd_per_hour=Decimal("0.5"))
        Stray.objects.create(**{**here, "tag": "away"}, machine_id="m-2", gone_at=now)
        page = sam.get("/admin/vms/stray/", {"state": "here"}).content.decode()
        assert "m-1" in page
        assert "$0.500/h" in page
        assert "m-2" not in page
