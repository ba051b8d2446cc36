"""Staff's pages in a real browser (Debian's Chromium). `conftest.py` leaves this file out without one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from monitoring import services as monitoring
from monitoring.measures import Reading
from tests import world as worlds
from tests.browsing import window
from tests.vms.control_plane import ControlPlane, prepare
from tests.waiting import eventually
from tests.world import Clock
from vms.lifecycle import Desired
from vms.models import VM, SetupStep

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture
def plane(transactional_db) -> ControlPlane:
    return prepare(Clock(timezone.now()))


@pytest.fixture
def vm(plane) -> VM:
    return plane.until(plane.launch(owner=worlds.build().alice), "running")


@pytest.fixture
def page(live_server, vm, browser) -> Iterator[Page]:
    with window(browser, live_server.url) as page:
        yield page


class TestFleet:
    def test_leads_to_a_vm_and_its_end_which_the_page_follows(self, page, plane, vm):
        page.goto("/admin/vms/vm/")
        page.get_by_role("link", name=str(vm)).click()
        page.get_by_role("heading", name="What happened").wait_for()
        page.get_by_role("link", name="Terminate").click()
        page.get_by_text("The game ends and the machine is deleted at the provider.").wait_for()
        assert VM.objects.get().desired == Desired.RUNNING
        page.get_by_role("button", name="Yes, terminate").click()
        page.get_by_text("termination asked").first.wait_for()
        page.locator("#live").get_by_text("terminating", exact=True).wait_for()
        plane.until(vm, "terminated")
        page.locator("#live").get_by_text("Deleted, proven gone").wait_for()
        assert page.get_by_role("link", name="Terminate").count() == 0
        assert page.locator("#live").get_attribute("hx-trigger") is None

    def test_asks_for_many_at_once(self, page, vm):
        page.goto("/admin/vms/vm/")
        page.locator("input.action-select").first.check()
        page.locator("select[name=action]").select_option("stop")
        page.get_by_role("button", name="Run").click()
        page.get_by_role("button", name="Yes, stop").click()
        page.get_by_text("stop asked").wait_for()
        assert VM.objects.get().desired == Desired.STOPPED

    def test_moves_a_vm_to_what_was_shown(self, page, plane, vm):
        page.goto(f"/admin/vms/vm/{vm.pk}/change/")
        page.get_by_role("link", name="Move").click()
        page.locator("#picks").get_by_text("To Manassas").wait_for()
        page.locator("input[name=region]").fill("Netherlands")
        page.get_by_role("button", name="Yes, move").click()  # nobody has seen that yet
        page.locator("#picks").get_by_text("To Eygelshoven").wait_for()
        assert VM.objects.get().moves_from_id is None
        page.get_by_role("button", name="Yes, move").click()
        page.get_by_text("move asked").first.wait_for()
        plane.clock.now = timezone.now()  # when it was asked
        plane.turn()
        plane.until(vm, "running")
        page.reload()
        page.locator("#live").get_by_text("Moved; the machine it left is deleted").wait_for()


class TestPage:
    def test_keeps_what_was_unfolded_and_the_focus_and_notices_the_end_of_a_login(self, page, plane, vm):
        step = SetupStep.objects.create(
            attempt=vm.attempt, position=1, name="x", title="A step", state="done", log_tail="deep in the log",
            updated_at=timezone.now(),
        )  # fmt: skip
        VM.objects.filter(pk=vm.pk).update(desired=Desired.GONE)
        page.goto(f"/admin/vms/vm/{vm.pk}/change/")
        page.get_by_text("Log", exact=True).click()
        SetupStep.objects.filter(pk=step.pk).update(title="Another name")
        page.get_by_text("Another name").wait_for()
        page.get_by_text("deep in the log").wait_for()
        page.get_by_role("link", name="Costs", exact=True).focus()
        SetupStep.objects.filter(pk=step.pk).update(title="A third name")
        page.get_by_text("A third name").wait_for()
        assert page.evaluate("document.activeElement.textContent").endswith("Costs")
        Session.objects.all().delete()
        page.wait_for_url("**/admin/login/**")

    def test_stays_and_asks_again_while_the_server_is_away(self, page, vm):
        VM.objects.filter(pk=vm.pk).update(desired=Desired.GONE)
        page.goto(f"/admin/vms/vm/{vm.pk}/change/")
        with page.expect_response(lambda answer: answer.status == 502):
            page.route("**/change/", lambda route: route.fulfill(status=502, body="What a proxy says."))
        page.get_by_role("heading", name="What happened").wait_for()
        VM.objects.filter(pk=vm.pk).update(name="Seen when it is back")
        page.unroute("**/change/")
        page.locator("#live").get_by_text("Seen when it is back").first.wait_for()

    def test_shows_that_its_vm_is_gone_and_asks_no_more(self, page, vm):
        VM.objects.filter(pk=vm.pk).update(desired=Desired.GONE)
        page.goto(f"/admin/vms/vm/{vm.pk}/change/")
        page.route("**/change/", lambda route: route.fulfill(status=404, body="<h1>Not here</h1>"))
        page.get_by_role("heading", name="Not here").wait_for()


def told(vm: VM, now: datetime, **values: float) -> None:
    monitoring.record(subject=vm.pk, samples=[Reading(now, values)], now=now)


class TestCharts:
    def test_say_in_words_that_nothing_was_measured_and_draw_what_is_by_themselves(self, page, vm):
        VM.objects.filter(pk=vm.pk).update(desired=Desired.GONE)  # under way, so that the page looks often
        page.goto(f"/admin/vms/vm/{vm.pk}/change/")
        page.get_by_text("Nothing was measured in this time.").wait_for()
        assert page.locator("canvas:visible").count() == 0
        now = timezone.now()
        for number in range(3):
            told(vm, now - timedelta(seconds=30 * number), cpu_percent=41.5, disk_used_percent=12)
        page.get_by_label("Processor over time").wait_for()
        page.locator("[data-chart=cpu]").get_by_text("41.5 %").wait_for()
        page.get_by_label("Disk over time").wait_for()
        assert not page.get_by_label("Graphics over time").is_visible()
        assert not page.get_by_text("Nothing was measured in this time.").is_visible()

    def test_show_another_time_and_keep_it(self, page, vm):
        told(vm, timezone.now(), cpu_percent=7, gpu_percent=55.5)
        VM.objects.filter(pk=vm.pk).update(desired=Desired.GONE)
        page.goto(f"/admin/vms/vm/{vm.pk}/change/")
        page.locator("[data-chart=gpu]").get_by_text("55.5 %").wait_for()
        with page.expect_response(lambda answer: "/metrics?window=86400" in answer.url):
            page.get_by_role("button", name="Day", exact=True).click()
        # The page looks again, and so do the charts, at the same time as before. An answer may still be that to a question from before.
        with page.expect_request(lambda asked: "/metrics?window=" in asked.url) as again:
            told(vm, timezone.now() - timedelta(seconds=30), cpu_percent=7)
        assert again.value.url.endswith("window=86400")
        assert page.get_by_role("button", name="Day", exact=True).get_attribute("aria-pressed") == "true"
        page.locator("[data-chart=gpu]").get_by_text("55.5 %").wait_for()


class TestPreview:
    def test_suggests_cities_and_answers(self, page, plane):
        page.goto("/admin/vms/vm/preview/")
        page.locator("[name=console]").select_option("switch")
        page.locator("[name=city]").press_sequentially("Dall")
        eventually(lambda: page.locator('#places option[value^="Dallas, Texas"]').count())
        page.fill("[name=city]", "Dallas, Texas")
        page.get_by_role("button", name="Show").click()
        page.get_by_text("Player in Dallas, Texas, United States.").wait_for()
        page.locator("#options tbody tr").first.wait_for()
        page.locator("summary", has_text="has no GPU to give").click()
        page.locator("details[open]").get_by_text("no GPU", exact=False).first.wait_for()
