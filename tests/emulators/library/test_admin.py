"""Staff's pages of the library, as a browser without scripts would use them; pieces are sent as the page's script sends them."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from emulators.admin.library import PIECE
from emulators.models import Game, GameUpload, LibraryScan
from emulators.services import uploads
from tests.emulators.library.conftest import Shelf, scanned
from tests.factories import UserFactory
from tests.world import client_for

SCANS = "/admin/emulators/libraryscan/"
FILES = "/admin/emulators/libraryfile/"
UPLOADS = "/admin/emulators/gameupload/"


@pytest.fixture
def client(world, shelf: Shelf) -> Client:
    return client_for(world.sam)


def text_of(client: Client, path: str, **query: str) -> str:
    answer = client.get(path, query)
    assert answer.status_code == 200
    return answer.content.decode()


class TestScans:
    def test_are_asked_for_by_a_button_that_leads_to_the_scan(self, client):
        assert "Scan the library" in text_of(client, SCANS)
        answer = client.post(SCANS, {"scan": ""})
        scan = LibraryScan.objects.get()
        assert answer["Location"] == f"{SCANS}{scan.pk}/change/"
        page = text_of(client, answer["Location"])
        assert "waiting" in page.lower()
        assert 'hx-select="#live"' in page  # it looks again by itself
        again = client.post(SCANS, {"scan": ""}, follow=True)
        assert "under way already" in again.content.decode()
        assert LibraryScan.objects.count() == 1

    def test_tell_what_they_found_and_where_the_rest_is(self, client, shelf: Shelf):
        shelf.put("nes/Castle.nes", "nes/Gone.nes", "nes/read me.txt")
        scanned()
        shelf.remove("nes/Gone.nes")
        scan = scanned()
        page = text_of(client, f"{SCANS}{scan.pk}/change/")
        assert "nes/read me.txt" in page
        assert "not a game file of its console" in page
        assert "nes/Gone.nes" in page
        assert f"{FILES}?finding__exact=unknown_extension&amp;missing=no" in page
        assert 'hx-select="#live"' not in page

    def test_are_not_offered_without_a_library(self, client, settings):
        settings.GAMES_URL = ""
        assert "GAMES_URL" in text_of(client, SCANS)
        answer = client.post(SCANS, {"scan": ""}, follow=True)
        assert "There is no library" in answer.content.decode()
        assert not LibraryScan.objects.exists()

    def test_may_be_looked_at_by_whoever_may_not_ask(self, client):
        looker = UserFactory(is_staff=True)
        looker.user_permissions.add(Permission.objects.get(codename="view_libraryscan"))
        client.force_login(looker)
        assert "Scan the library" not in text_of(client, SCANS)
        assert client.post(SCANS, {"scan": ""}).status_code == 403


class TestFiles:
    @pytest.fixture(autouse=True)
    def _scanned(self, client, shelf: Shelf):
        shelf.put("nes/Castle.nes", "nes/Gone.nes", "nes/read me.txt", "snes/Quest.sfc")
        scanned()
        shelf.remove("nes/Gone.nes")
        scanned()

    @pytest.mark.parametrize(
        ("query", "seen", "unseen"),
        [
            ({"q": "nes/Ca"}, "nes/Castle.nes", "snes/Quest.sfc"),
            ({"q": "nes/read m"}, "nes/read me.txt", "nes/Castle.nes"),
            ({"missing": "yes"}, "nes/Gone.nes", "nes/Castle.nes"),
            ({"missing": "no"}, "nes/Castle.nes", "nes/Gone.nes"),
            ({"finding__exact": "unknown_extension"}, "nes/read me.txt", "nes/Castle.nes"),
            ({"console__slug__exact": "snes"}, "snes/Quest.sfc", "nes/Castle.nes"),
        ],
    )
    def test_are_found_by_path_and_by_what_they_are(self, client, query, seen, unseen):
        page = text_of(client, FILES, **query)
        assert seen in page
        assert unseen not in page

    @pytest.mark.parametrize(
        ("file", "seen", "unseen"),
        [("there", "Castle", "Gone"), ("missing", "Gone", "Castle"), ("none", "Sky Pirates", "Gone")],
    )
    def test_narrow_the_list_of_games(self, client, file, seen, unseen):
        page = text_of(client, "/admin/emulators/game/", file=file)
        assert f">{seen}<" in page
        assert f">{unseen}<" not in page


class TestDeletingGames:
    """The next scan makes a game of every file that is no game's, so whoever deletes one is told."""

    COMES_BACK = "the next scan makes a game of it anew"

    @pytest.fixture
    def games(self, shelf: Shelf) -> dict[str, Game]:
        """One whose file is there, one whose file is gone."""
        shelf.put("nes/Castle.nes", "nes/Gone.nes")
        scanned()
        shelf.remove("nes/Gone.nes")
        scanned()
        return {game.title: game for game in Game.objects.filter(title__in=["Castle", "Gone"])}

    @pytest.mark.parametrize(("title", "comes_back"), [("Castle", True), ("Gone", False)])
    def test_tells_of_one(self, client, games, title, comes_back):
        page = text_of(client, f"/admin/emulators/game/{games[title].pk}/delete/")
        assert "Are you sure" in page
        assert (self.COMES_BACK in page) == comes_back

    def test_tells_of_each_of_several(self, client, games):
        asked = {"action": "delete_selected", "_selected_action": [game.pk for game in games.values()]}
        page = client.post("/admin/emulators/game/", asked).content.decode()
        assert "Are you sure" in page
        assert page.count(self.COMES_BACK) == 1
        assert "The file of Castle," in page

    def test_is_as_the_page_says(self, client, games, shelf: Shelf):
        for game in games.values():
            client.post(f"/admin/emulators/game/{game.pk}/delete/", {"post": "yes"})
        assert not Game.objects.filter(title__in=games).exists()
        scanned()
        assert Game.objects.get(title__in=games).title == "Castle"


def begun(client: Client, **changes: object):
    said = {"console": "nes", "filename": "Castle (USA).nes", "size": 10, "title": "", "game_id": ""}
    return client.post(f"{UPLOADS}add/", {**said, **changes})


def piece(client: Client, url: str, offset: object, content: bytes):
    return client.post(f"{url}?offset={offset}", content, content_type="application/octet-stream")


class TestUploads:
    def test_go_from_the_form_to_the_library(self, client, shelf: Shelf):
        assert "At most 64" in text_of(client, f"{UPLOADS}add/")
        links = begun(client).json()
        assert piece(client, links["piece"], 0, b"abcdef").json()["received"] == 6
        assert piece(client, links["piece"], 6, b"ghij").json() == {"received": 10, "state": "waiting"}
        assert "Cancel" in text_of(client, links["change"])
        uploads.move(upload_id=GameUpload.objects.get().pk, now=timezone.now())
        page = text_of(client, links["change"])
        assert "The game" in page
        assert 'hx-select="#live"' not in page
        assert Game.objects.get(console="nes", game_id="castle").file == "nes/Castle (USA).nes"
        assert "nes/Castle (USA).nes" in text_of(client, UPLOADS)

    def test_are_sent_in_pieces_that_the_servers_let_pass(self, client, settings):
        assert PIECE < settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        links = begun(client, size=PIECE).json()
        assert piece(client, links["piece"], 0, b"x" * PIECE).json()["state"] == "waiting"

    @pytest.mark.parametrize(
        ("changes", "field", "words"),
        [
            ({"filename": "Castle.zip"}, "file", "is no game file"),
            ({"console": "atari"}, "console", "Select a valid choice"),
            ({"size": "many"}, "size", "whole number"),
            ({"size": -1}, "size", "greater than"),
            ({"game_id": "two words"}, "game_id", "letters, digits"),
            ({"filename": ""}, "filename", "required"),
        ],
    )
    def test_that_make_no_sense_are_told_by_field(self, client, changes, field, words):
        answer = begun(client, **changes)
        assert answer.status_code == 400
        assert words in answer.json()["errors"][field][0]

    def test_hear_where_the_next_piece_begins(self, client):
        links = begun(client).json()
        piece(client, links["piece"], 0, b"abcd")
        answer = piece(client, links["piece"], 8, b"ij")
        assert (answer.status_code, answer.json()["received"]) == (409, 4)

    @pytest.mark.parametrize("offset", ["", "-1", "1.5", "x", "9" * 30, "²"])
    def test_of_nonsense_are_refused(self, client, offset):
        links = begun(client).json()
        assert piece(client, links["piece"], offset, b"abcd").status_code == 400

    def test_of_nobody_are_not_there(self, client):
        answer = piece(client, f"{UPLOADS}00000000-0000-0000-0000-000000000001/piece/", 0, b"x")
        assert answer.status_code == 404

    def test_are_cancelled_and_moved_again(self, client, shelf: Shelf):
        links = begun(client).json()
        upload = GameUpload.objects.get()
        client.post(f"{UPLOADS}{upload.pk}/act/", {"act": "cancel"})
        assert "Cancelled by user:" in text_of(client, links["change"])
        piece(client, (links := begun(client).json())["piece"], 0, b"abcdefghij")
        upload = GameUpload.objects.get(state="waiting")
        (shelf.root / "nes").write_bytes(b"in the way")
        uploads.move(upload_id=upload.pk, now=timezone.now())
        assert "Try again" in text_of(client, links["change"])
        shelf.remove("nes")
        client.post(f"{UPLOADS}{upload.pk}/act/", {"act": "retry"})
        upload.refresh_from_db()
        assert upload.state == "waiting"
        answer = client.post(f"{UPLOADS}{upload.pk}/act/", {"act": "retry"}, follow=True)
        assert "Only one that failed" in answer.content.decode()

    def test_are_for_those_who_may(self, client):
        links = begun(client).json()
        looker = UserFactory(is_staff=True)
        looker.user_permissions.add(Permission.objects.get(codename="view_gameupload"))
        client.force_login(looker)
        assert "Cancel" not in text_of(client, links["change"])
        for answer in (
            client.get(f"{UPLOADS}add/"),
            begun(client),
            piece(client, links["piece"], 0, b"x"),
            client.post(links["change"].replace("change", "act"), {"act": "cancel"}),
        ):
            assert answer.status_code == 403
        assert GameUpload.objects.get().received == 0
