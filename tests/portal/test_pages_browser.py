"""Pages in a usual window and a narrow one, in a real browser (Debian's Chromium). `conftest.py` leaves this file out without one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from django_q.models import Schedule

from billing.models import Entry
from billing.services.accounts import account_of
from locations.models import GeocodedPlace
from tests.browsing import window
from tests.vms.control_plane import ControlPlane
from tests.world import NOON, World
from vms.models import Offer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

OVERFLOW = "document.documentElement.scrollWidth - window.innerWidth"
# Values that reach out of their cell, into the next one's name.
OUTSIDE = """() => [...document.querySelectorAll('.field-line .readonly')].filter(each => {
  const text = document.createRange();
  text.selectNodeContents(each);
  return text.getBoundingClientRect().right > each.closest('.field-line').getBoundingClientRect().right - 4;
}).map(each => each.innerText)"""
FRAMES = """() => [...document.querySelectorAll('#schedule_form :is(input:not([type=hidden], [type=submit]), select, textarea)')]
  .filter(each => each.offsetWidth).map(each => getComputedStyle(each).borderTopWidth)"""


@pytest.fixture
def page(world: World, browser: Browser, live_server) -> Iterator[Page]:
    with window(browser, live_server.url) as page:
        yield page


class TestWindow:
    def test_holds_what_is_long_and_has_no_blank(self, page, world):
        account_of(world.charlie, NOON)
        place = GeocodedPlace.objects.create(
            key="k", city="Eygelshoven", country="Netherlands", asked_at=NOON, look_at=NOON, error="https://" + "a" * 190
        )  # fmt: skip
        entry = Entry.objects.latest("pk")
        for path in (f"locations/geocodedplace/{place.pk}", f"billing/entry/{entry.pk}"):
            for width in (1280, 390):
                page.set_viewport_size({"width": width, "height": 1000})
                page.goto(f"/admin/{path}/change/")
                assert page.evaluate(OVERFLOW) <= 0, (path, width)

    def test_shows_a_department_with_its_name_and_all_its_buttons(self, page, world):
        page.goto(f"/admin/accounts/department/{world.arcade.pk}/change/")
        assert page.evaluate(OVERFLOW) <= 0
        assert page.locator("h1 a", has_text="Arcade").bounding_box()["width"] > 40
        page.locator("#header-inner li", has_text="People").click()
        page.get_by_role("link", name="Send an invitation").click()
        page.wait_for_url("**/invite/")

    def test_shows_where_a_schedule_is_typed(self, page):
        schedule = Schedule.objects.create(func="events.tasks.deliver", name="deliver messages")
        page.set_viewport_size({"width": 390, "height": 1000})
        page.goto(f"/admin/django_q/schedule/{schedule.pk}/change/")
        assert page.evaluate(OVERFLOW) <= 0
        assert set(page.evaluate(FRAMES)) == {"1px"}


class TestOffer:
    def test_has_room_for_each_price_in_one_line(self, plane: ControlPlane, page):
        offer = Offer.objects.latest("pk")
        Offer.objects.update(gpu_model="geforcertx4090-pcie-24gb", usd_per_gpu="0.123456789")
        page.goto(f"/admin/vms/offer/{offer.pk}/change/")
        prices = page.locator(".readonly", has_text="0.123456789")
        assert prices.count() == 1
        assert prices.bounding_box()["height"] < 30
        assert page.evaluate(OUTSIDE) == []
