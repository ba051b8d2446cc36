"""A window of a real browser (Debian's Chromium, as its build without a window system) on the test's server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from django.db import connections

from tests.world import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = Path("/usr/bin/chromium-headless-shell")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@contextmanager
def window(url: str, *, height: int = 1200) -> Iterator[Page]:
    """A page that has opened nothing yet. At the end nothing in it may have failed.

    Playwright keeps an event loop in this thread, so Django takes our own queries for asynchronous ones: set
    DJANGO_ALLOW_ASYNC_UNSAFE before.
    """
    # Here and not above: it is much to load, and only a few workers open a window.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = browser.new_context(viewport={"width": 1280, "height": height}, base_url=url).new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        yield page
        browser.close()
        # What the test asked went over a connection of its own: Django tells threads with an event loop apart.
        connections.close_all()
        assert faults == []


def log_in(page: Page) -> None:
    """Gives sam's address and password."""
    page.goto("/admin/")
    page.fill("[name=username]", "sam@gamer.test")
    page.fill("[name=password]", PASSWORD)
    page.click("[type=submit]")
