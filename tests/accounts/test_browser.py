"""Staff's second factor in a real browser (Debian's Chromium). `conftest.py` leaves this file out without one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone
from django_otp.oath import TOTP

from accounts.models.credentials import Authenticator
from tests import world as worlds
from tests.browsing import window
from tests.world import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture
def page(live_server, browser) -> Iterator[Page]:
    """A window before the login."""
    worlds.build()
    with window(browser, live_server.url, signed_in=False) as page:
        yield page


# How much of the drawing is dark: a QR code is about half.
DARK = """async image => {
    await image.decode();
    const side = 200, canvas = new OffscreenCanvas(side, side).getContext("2d");
    canvas.fillStyle = "white";
    canvas.fillRect(0, 0, side, side);
    canvas.drawImage(image, 0, 0, side, side);
    const pixels = canvas.getImageData(0, 0, side, side).data;
    return pixels.filter((value, index) => index % 4 === 0 && value < 128).length / side / side;
}"""


def log_in(page: Page) -> None:
    """Gives sam's address and password."""
    page.goto("/admin/")
    page.fill("[name=username]", "sam@gamer.test")
    page.fill("[name=password]", PASSWORD)
    page.click("[type=submit]")


def shown_code() -> str:
    """What the authenticator shows; a code that was taken is not taken again, so none was."""
    Authenticator.objects.update(last_step=-1)
    shown = TOTP(Authenticator.objects.get().key, step=30, digits=6)
    shown.time = timezone.now().timestamp()
    return f"{shown.token():06d}"


class TestSecondFactor:
    def test_is_set_up_asked_for_recovered_from_and_removed(self, page: Page) -> None:
        log_in(page)
        page.wait_for_url("**/admin/")
        page.goto("/admin/accounts/user/account/")
        page.fill("[name=password]", PASSWORD)
        page.get_by_role("button", name="Set up").click()
        assert page.locator("#qr").evaluate(DARK) > 0.2
        page.fill("[name=code]", shown_code())
        page.get_by_role("button", name="Turn it on").click()
        page.get_by_role("heading", name="Your recovery codes").wait_for()
        page.wait_for_load_state()
        codes = page.locator("#codes li").all_inner_texts()
        assert len(codes) == 10
        page.get_by_role("link", name="I have kept them").click()
        page.get_by_text("10 recovery codes left").wait_for()

        page.context.clear_cookies()
        log_in(page)
        page.get_by_text("asks for a one-time code").wait_for()
        assert page.locator("[name=password]").count() == 0
        page.fill("[name=otp]", shown_code())
        page.click("[type=submit]")
        page.wait_for_url("**/admin/")

        page.context.clear_cookies()
        log_in(page)
        page.fill("[name=otp]", codes[0])
        page.click("[type=submit]")
        page.wait_for_url("**/admin/")
        page.goto("/admin/accounts/user/account/")
        page.get_by_text("9 recovery codes left").wait_for()
        page.fill("[name=password]", PASSWORD)
        page.get_by_role("button", name="Ask for no code any more").click()
        page.get_by_text("Your login asks for no code any more.").wait_for()

        page.context.clear_cookies()
        log_in(page)
        page.wait_for_url("**/admin/")
