"""Staff's pages in a real browser (Debian's Chromium): rows are really dragged. `conftest.py` leaves this file out without one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from emulators import services
from emulators.models import GpuClass, ProviderPreference
from tests import world as worlds
from tests.browsing import window
from tests.emulators.conftest import NOW
from tests.waiting import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


@pytest.fixture
def page(live_server, browser) -> Iterator[Page]:
    """A window that shows a whole page, with sam of the staff signed in."""
    worlds.build()
    services.seed(NOW)
    with window(browser, live_server.url, height=2000) as page:
        yield page


def drag_to_top(page: Page, row: Locator, rows: str) -> None:
    """By its handle onto the first of the rows, back and forth as a hand does until the page has moved it there."""
    dragged = row.element_handle()
    row.locator("[x-sort\\:handle]").hover()
    top = page.locator(rows).first.bounding_box()
    assert top is not None
    page.mouse.down()

    def is_on_top() -> bool:
        page.mouse.move(top["x"] + 30, top["y"] + top["height"] / 2, steps=8)
        page.mouse.move(top["x"] + 30, top["y"] + 4, steps=4)
        return page.evaluate("([row, css]) => document.querySelector(css) === row", [dragged, rows])

    eventually(is_on_top)
    page.mouse.up()


def errors_of(page: Page) -> list[str]:
    return page.locator(".errornote, .errorlist").all_inner_texts()


# Of the rows that are shown, what does not fit beside its arrow, as the browser would draw it.
CUT = """() => [...document.querySelectorAll('tbody.form-group.original select')].filter(each => {
  const style = getComputedStyle(each), pen = new OffscreenCanvas(1, 1).getContext('2d');
  pen.font = style.font;
  const room = each.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  return pen.measureText(each.selectedOptions[0].text).width > room;
}).map(each => `${each.name}: ${each.selectedOptions[0].text}`)"""


class TestConsolePage:
    def test_has_room_for_what_is_chosen(self, page):
        page.goto("/admin/emulators/emulatorconfig/switch/change/")
        assert page.locator("tbody.form-group.original select").count() > 6
        assert page.evaluate(CUT) == []

    def test_saves_the_order_of_dragged_rows(self, page):
        page.goto("/admin/emulators/emulatorconfig/switch/change/")
        rows = "tbody.form-group.original"
        drag_to_top(page, page.locator(rows).last, rows)
        page.click("[name=_continue]")
        page.wait_for_load_state("networkidle")
        assert errors_of(page) == []
        stored = ProviderPreference.objects.filter(config="switch").order_by("priority")
        assert list(stored.values_list("priority", "provider"))[:3] == [
            (1, "libvirt"),
            (2, "tensordock"),
            (3, "cloudypad_gcp"),
        ]

    def test_keeps_the_order_when_a_new_row_is_added_below(self, page):
        ProviderPreference.objects.filter(config="switch", provider="libvirt").delete()
        page.goto("/admin/emulators/emulatorconfig/switch/change/")
        page.get_by_text("Add another Provider").click()
        page.locator("[name=preferences-6-provider]").select_option("libvirt")
        page.click("[name=_continue]")
        page.wait_for_load_state("networkidle")
        assert errors_of(page) == []
        stored = ProviderPreference.objects.filter(config="switch").order_by("priority")
        assert list(stored.values_list("provider", flat=True))[-2:] == ["cloudypad_paperspace", "libvirt"]


class TestGpuPage:
    def test_saves_the_order_of_dragged_rows(self, page):
        page.goto("/admin/emulators/gpuclass/")
        rows = "#result_list tbody"
        drag_to_top(page, page.locator(rows).last, rows)
        page.click("[name=_save]")
        page.get_by_text("The order is saved, from weak to strong.").wait_for()
        names = GpuClass.objects.order_by("rank").values_list("name", flat=True)
        assert list(names)[:2] == ["RTX 5090", "Compute only"]
