"""Costs in a real browser (Debian's Chromium): chosen, narrowed, followed down, taken along; on a phone, and in the dark."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from billing.periods import last_days
from billing.reports import report
from billing.reports.spending import STAFF
from tests import world as worlds
from tests.billing.usage import of, used
from tests.browsing import window
from tests.world import World

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

COSTS = "/admin/billing/usageday/"
UTC = ZoneInfo("UTC")
# How many different colours a canvas shows: one when nothing is drawn on it.
COLOURS = """canvas => {
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  return new Set(new Uint32Array(pixels.buffer).filter(pixel => pixel >>> 24 === 255)).size;
}"""
OVERFLOW = "document.documentElement.scrollWidth - window.innerWidth"


def ago(days: int, hour: int = 10) -> datetime:
    return datetime.combine(timezone.now().date() - timedelta(days=days), time(hour), UTC)


@pytest.fixture
def people(transactional_db: None) -> World:
    """Alice's and Bob's last days."""
    world = worlds.build()
    for days in (1, 2, 5):
        used(of(world.alice), ago(days), ago(days, 18), cost="1.234567", charge="1.41975205")
    used(
        of(world.bob, provider="cloudypad_gcp", region="europe-west4", console="snes"),
        ago(3),
        ago(3, 13),
        cost="0.0777777",
    )
    used(of(world.bob, provider="a-provider-with-a-long-name-ok", region="x" * 90), ago(12), ago(12, 12))
    return world


@pytest.fixture
def opened(live_server, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens windows."""
    with ExitStack() as windows:
        yield lambda **looks: windows.enter_context(window(browser, live_server.url, **looks))


def total(page: Page, column: str) -> Decimal:
    """The exact figure of the table's last line, once the page is there as a whole."""
    page.wait_for_load_state()
    heads = [text.rstrip(" ▲▼") for text in page.locator("#costs thead th").all_inner_texts()]
    cell = page.locator("#costs tfoot tr > *").nth(heads.index(column))
    return Decimal((cell.get_attribute("title") or "").removeprefix("$"))


def taken(page: Page, name: str) -> Path:
    with page.expect_download() as waiting:
        page.get_by_role("link", name=name, exact=True).click()
    return Path(waiting.value.path())


def sheet(path: Path) -> list[list[str]]:
    with zipfile.ZipFile(path) as book:
        root = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
    rows = root.iter("{http://schemas.openxmlformats.org/spreadsheetml/2006/main}row")
    return [["".join(cell.itertext()) for cell in row] for row in rows]


class TestCosts:
    def test_are_chosen_narrowed_and_followed_down_to_the_ledger(self, opened, people):
        page = opened()
        page.goto("/admin/")
        page.locator(f'a[href="{COSTS}"]').first.click()
        page.wait_for_url(f"**{COSTS}")
        page.locator("[name=range]").select_option("7days")
        page.wait_for_url("**range=7days**")
        page.locator("[name=by]").select_option("user")
        page.wait_for_url("**by=user**")
        assert page.locator("#costs tbody th").all_inner_texts() == ["alice@gamer.test", "bob@gamer.test"]
        page.locator(".c-filters > summary").click()
        page.locator("[name=user]").press_sequentially("ali")
        suggestion = f"alice@gamer.test #{people.alice.pk}"
        page.locator(f'#user-suggestions option[value="{suggestion}"]').wait_for(state="attached")
        page.fill("[name=user]", suggestion)
        page.locator("[name=user]").press("Enter")
        page.locator(".c-chip").wait_for()
        assert total(page, "Cost") == Decimal("29.629608")
        assert page.locator("#costs tbody th").all_inner_texts() == ["alice@gamer.test"]
        page.get_by_role("link", name="alice@gamer.test", exact=True).click()
        page.get_by_role("link", name="tensordock", exact=True).click()
        page.wait_for_url("**by=region**")
        page.get_by_role("link", name="The intervals behind us").click()
        page.wait_for_url("**/usagerecord/**")
        assert page.locator("#result_list tbody tr").count() == 24
        page.locator("#result_list tbody tr a").first.click()
        page.get_by_role("link", name="entry ").click()
        page.wait_for_url("**/billing/entry/**")

    def test_are_taken_along_to_the_last_digit(self, opened, people):
        page = opened()
        page.goto(f"{COSTS}?by=user&then=console")
        exact = {name: total(page, name) for name in ("Cost", "Charge", "Margin")}
        found = report(period=last_days(30, timezone.now(), UTC), sight=STAFF, now=timezone.now()).totals
        assert exact == {"Cost": found.cost_usd, "Charge": found.charge_usd, "Margin": found.margin_usd}
        rows = list(csv.DictReader(io.StringIO(taken(page, "CSV").read_text())))
        assert [
            sum(Decimal(row[column]) for row in rows[:-1])
            for column in ("cost_usd", "charge_usd", "margin_usd")
        ] == [*exact.values()]
        every = list(csv.DictReader(io.StringIO(taken(page, "Intervals CSV").read_text())))
        assert [sum(Decimal(row[column]) for row in every) for column in ("cost_usd", "charge_usd")] == [
            exact["Cost"],
            exact["Charge"],
        ]
        for name, has_total in (("XLSX", True), ("Intervals XLSX", False)):
            head, *lines = sheet(taken(page, name))
            lines = lines[:-1] if has_total else lines
            cost = sum(Decimal(line[head.index("cost_usd")]) for line in lines)
            assert cost == exact["Cost"]

    def test_are_sorted_by_a_click_and_go_back_and_forth(self, opened, people):
        page = opened()
        page.goto(f"{COSTS}?by=user")
        first = page.locator("#costs tbody th").first
        assert first.inner_text() == "alice@gamer.test"
        page.get_by_role("link", name="Charge", exact=True).click()
        page.locator("th[aria-sort=descending]", has_text="Charge").wait_for()
        page.get_by_role("link", name="Charge ▼").click()
        page.locator("th[aria-sort=ascending]", has_text="Charge").wait_for()
        assert first.inner_text() == "bob@gamer.test"
        page.go_back()
        assert first.inner_text() == "alice@gamer.test"
        page.locator("[name=measure]").select_option("hours")
        page.wait_for_url("**measure=hours**")

    def test_ask_for_days_of_ones_own_and_say_what_is_wrong(self, opened, people):
        page = opened()
        page.goto(COSTS)
        assert not page.locator("[name=start]").is_visible()
        page.locator("[name=range]").select_option("custom")
        page.fill("[name=start]", str(ago(2).date()))
        page.fill("[name=end]", str(ago(3).date()))
        page.get_by_role("button", name="Show").click()
        page.get_by_text("This is before the first day.").wait_for()
        page.fill("[name=end]", str(ago(2).date()))
        page.get_by_role("button", name="Show").click()
        page.locator("#costs").wait_for()
        assert total(page, "Cost") == Decimal("9.876536")


class TestLooks:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("width", [1280, 390])
    def test_fit_and_draw_in_light_and_dark(self, opened, people, width, scheme):
        page = opened(width=width, scheme=scheme)
        for path, charts in (
            ("/admin/", 1),
            (COSTS, 2),
            (f"{COSTS}?by=region&measure=margin", 2),
            (f"{COSTS}?by=day", 1),
        ):
            page.goto(path)
            page.wait_for_load_state("load")
            canvases = page.locator("canvas").all()
            assert len(canvases) == charts
            assert [canvas.evaluate(COLOURS) > 3 for canvas in canvases] == [True] * charts, path
            assert page.evaluate(OVERFLOW) <= 0, path

    def test_follow_when_light_turns_dark(self, opened, people):
        page = opened()
        page.goto(COSTS)
        grid = "() => window.Chart.getChart(document.querySelector('canvas')).options.scales.y.ticks.color"
        light = page.evaluate(grid)
        for _ in ("from the system's to light", "from light to dark"):
            page.keyboard.press("Control+e")
        page.wait_for_function(f"light => ({grid})() !== light", arg=light)
        assert page.locator("canvas").first.evaluate(COLOURS) > 3

    def test_label_the_smallest_sums_apart(self, transactional_db, opened):
        used(of(worlds.build().alice), ago(1), ago(1, 11), cost="0.0016", charge="0.0016")
        page = opened()
        page.goto(COSTS)
        axis = "window.Chart.getChart(document.querySelector('canvas')).scales.y"
        labels = page.evaluate(f"{axis}.ticks.map(tick => tick.label)")
        assert len(labels) == len(set(labels)) > 2, labels

    def test_tell_of_a_loss_too_small_to_see_without_a_sign(self, transactional_db, opened):
        used(of(worlds.build().alice), ago(1), ago(1, 11), cost="0.0016", charge="0.0006")
        page = opened()
        page.goto(f"{COSTS}?measure=margin")
        told = """() => {
          const chart = window.Chart.getChart(document.querySelector('canvas'));
          const index = chart.data.datasets[0].data.findIndex(value => value < 0);
          chart.tooltip.setActiveElements([{ datasetIndex: 0, index }], { x: 0, y: 0 });
          chart.update();
          return chart.tooltip.body[0].lines[0];
        }"""
        assert page.evaluate(told).endswith(": $0.00")

    def test_help_on_an_empty_page(self, opened, people):
        page = opened(width=390)
        page.goto(f"{COSTS}?range=today")
        page.get_by_text("Nothing was used").wait_for()
        page.get_by_role("link", name="Show the last days with use").click()
        page.locator("#costs").wait_for()
