"""A real browser (Debian's Chromium, as its build without a window system), and a window of it on the test's server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from django.db import connections

from tests.world import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium-headless-shell")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@dataclass(frozen=True)
class Chromium:
    """A browser that many tests have after one another: to begin it costs more than most of them do in it."""

    browser: Browser
    loop: asyncio.AbstractEventLoop

    @contextmanager
    def lent(self) -> Iterator[Browser]:
        """Without a window; what is opened meanwhile ends, with all that was remembered in it.

        Playwright keeps its event loop running in this thread, and Django takes queries beside one for asynchronous
        ones. So the loop is shown while somebody has the browser only.
        """
        asyncio._set_running_loop(self.loop)
        try:
            yield self.browser
        finally:
            for context in self.browser.contexts:
                context.close()
            # What the test asked went over a connection of its own: Django tells threads with an event loop apart.
            connections.close_all()
            asyncio._set_running_loop(None)


@contextmanager
def started() -> Iterator[Chromium]:
    """Chromium and Playwright's driver, until they are needed no more."""
    # Here and not above: it is much to load, and a run without these tests needs none of it.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        yield Chromium(browser, loop)
        asyncio._set_running_loop(loop)
        browser.close()


@contextmanager
def window(browser: Browser, url: str, *, height: int = 1200) -> Iterator[Page]:
    """A page that has opened nothing yet. At the end nothing in it may have failed."""
    page = browser.new_context(viewport={"width": 1280, "height": height}, base_url=url).new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    page.context.close()
    assert faults == []


def log_in(page: Page) -> None:
    """Gives sam's address and password."""
    page.goto("/admin/")
    page.fill("[name=username]", "sam@gamer.test")
    page.fill("[name=password]", PASSWORD)
    page.click("[type=submit]")
