"""A real browser (Debian's Chromium, as its build without a window system), and a window of it on the test's server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from django.conf import settings
from django.db import connections
from django.test import Client

from accounts.models import User

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
def window(
    browser: Browser,
    url: str,
    *,
    signed_in: bool = True,
    width: int = 1280,
    height: int = 1200,
    scheme: Literal["light", "dark"] = "light",
) -> Iterator[Page]:
    """A page that has opened nothing yet, with sam of the staff signed in. At the end nothing in it may have failed or asked a stranger.

    His session is given and not got by the form, which would be two more pages for each test.
    """
    context = browser.new_context(
        viewport={"width": width, "height": height}, base_url=url, color_scheme=scheme
    )
    if signed_in:
        client = Client()
        client.force_login(User.objects.get(email="sam@gamer.test"))
        session = client.cookies[settings.SESSION_COOKIE_NAME]
        context.add_cookies([{"name": session.key, "value": session.value, "url": url}])
    page, faults = context.new_page(), list[str]()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "request", lambda asked: None if asked.url.startswith((url, "data:")) else faults.append(asked.url)
    )
    yield page
    context.close()
    assert faults == []
