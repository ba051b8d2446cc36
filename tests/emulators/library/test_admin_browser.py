"""A game is really uploaded in a real browser, by the page's own script, and a scan is watched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from emulators import services
from emulators.admin import library as pages
from emulators.models import Game, GameUpload, LibraryScan
from emulators.services import scanning, uploads
from tests import world as worlds
from tests.browsing import window
from tests.emulators.conftest import NOW
from tests.waiting import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def page(live_server, browser, monkeypatch, settings, tmp_path: Path) -> Iterator[Page]:
    monkeypatch.setattr(pages, "PIECE", 1000)
    settings.GAMES_URL, settings.GAMES_UPLOAD_DIR = f"file://{tmp_path}/games", str(tmp_path / "uploads")
    worlds.build()
    services.seed(NOW)
    with window(browser, live_server.url) as page:
        yield page


def choose(page: Page, name: str) -> None:
    page.goto("/admin/emulators/gameupload/add/")
    fill(page, name)


def fill(page: Page, name: str) -> None:
    page.select_option("[name=console]", "nes")
    page.set_input_files("#file", {"name": name, "mimeType": "application/octet-stream", "buffer": CONTENT})
    page.click("button:has-text('Upload')")


class TestUpload:
    def test_sends_a_file_in_pieces_and_again_what_got_lost(self, page, tmp_path: Path):
        lost: list[str] = []

        def lose(route: Route) -> None:
            """The third piece arrives and its answer is lost; the fifth never arrives."""
            lost.append(route.request.url)
            if len(lost) == 3:
                route.fetch()
                route.abort()
            elif len(lost) == 5:
                route.abort()
            else:
                route.continue_()

        page.route("**/piece/**", lose)
        choose(page, "Castle (USA).nes")
        page.wait_for_url("**/change/")
        upload = GameUpload.objects.get()
        assert (upload.state, upload.received) == ("waiting", len(CONTENT))
        assert len(lost) > len(CONTENT) // 1000
        uploads.move(upload_id=upload.pk, now=timezone.now())
        page.get_by_text("The game").wait_for()  # the page has looked again by itself
        assert (tmp_path / "games/nes/Castle (USA).nes").read_bytes() == CONTENT
        assert Game.objects.filter(game_id="castle").exists()

    def test_is_well_when_the_answer_to_the_last_piece_gets_lost(self, page):
        lost: list[str] = []

        def lose(route: Route) -> None:
            lost.append(route.request.url)
            if len(lost) == 1:
                route.fetch()
                route.abort()
            else:
                route.continue_()

        page.route(f"**/piece/?offset={len(CONTENT) // 1000 * 1000}", lose)
        choose(page, "Castle (USA).nes")
        page.wait_for_url("**/change/")
        assert (len(lost), GameUpload.objects.get().state) == (2, "waiting")

    def test_of_somebody_who_is_signed_out_meanwhile_says_so(self, page, settings):
        def sign_out(route: Route) -> None:
            page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
            route.abort()

        page.route("**/piece/?offset=1000", sign_out, times=1)
        choose(page, "Castle (USA).nes")
        page.get_by_text("You are signed out").wait_for()
        assert GameUpload.objects.get().received == 1000

    def test_with_a_form_from_before_a_login_in_another_tab_says_to_load_it_again(self, page, settings):
        page.goto("/admin/emulators/gameupload/add/")
        page.context.clear_cookies(name=settings.CSRF_COOKIE_NAME)
        page.context.add_cookies([{"name": settings.CSRF_COOKIE_NAME, "value": "a" * 32, "url": page.url}])
        fill(page, "Castle (USA).nes")
        page.get_by_text("Load this page again and send the file once more (403).").wait_for()
        assert not GameUpload.objects.exists()

    @pytest.mark.parametrize(
        ("status", "kind", "body"),
        [(503, "text/html", "<h1>Later</h1>"), (500, "application/json", '{"message": "no"}')],
    )
    def test_that_is_answered_by_somebody_else_says_so(self, page, status: int, kind: str, body: str):
        def answer(route: Route) -> None:
            if route.request.method == "POST":
                route.fulfill(status=status, content_type=kind, body=body)
            else:
                route.continue_()

        page.route("**/gameupload/add/", answer)
        choose(page, "Castle (USA).nes")
        page.get_by_text(f"send the file once more ({status}).").wait_for()

    def test_says_beside_the_field_what_is_wrong(self, page):
        choose(page, "Castle.zip")
        page.locator("[data-field=file] [data-error]").get_by_text("is no game file").wait_for()
        assert not GameUpload.objects.exists()


class TestScan:
    def test_is_watched_to_its_end(self, page, tmp_path: Path):
        (tmp_path / "games/nes").mkdir(parents=True)
        (tmp_path / "games/nes/Castle.nes").write_bytes(b"x")
        page.goto("/admin/emulators/libraryscan/")
        page.click("button:has-text('Scan the library')")
        page.get_by_text("waiting").first.wait_for()
        scanning.carry_out(scan_id=LibraryScan.objects.get().pk, now=timezone.now())
        page.get_by_text("New games").wait_for()
        eventually(lambda: page.locator("#live[hx-get]").count() == 0)
