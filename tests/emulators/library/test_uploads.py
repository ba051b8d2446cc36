"""A file from staff into the library, piece by piece, with deaths in between."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ

from emulators.models import Game, GameUpload, LibraryFile
from emulators.services import library, scanning, upkeep, uploads
from emulators.services.leases import LEASE, MOST_TRIES
from events.models import Event
from gamer.crash import Died, dying_at
from gamer.errors import Conflict, InvalidState, NotFound, Unavailable, ValidationError
from gamer.queue.enqueue import waiting
from tests.emulators.library.conftest import BY, Shelf, scanned

State = GameUpload.State
CONTENT = b"abcdefghij"


def begun(filename: str = "Castle (USA).nes", **changes) -> GameUpload:
    wanted = {"console": "nes", "size": len(CONTENT), "by": BY, "now": timezone.now(), **changes}
    return uploads.begin(filename=filename, **wanted)


def sent(upload: GameUpload, content: bytes = CONTENT, piece: int = 4) -> GameUpload:
    for start in range(0, len(content), piece):
        upload = uploads.receive(
            upload_id=upload.pk, offset=start, piece=content[start : start + piece], now=timezone.now()
        )
    return upload


def moved(upload: GameUpload) -> GameUpload:
    assert uploads.move(upload_id=upload.pk, now=timezone.now())
    upload.refresh_from_db()
    return upload


class TestUpload:
    def test_ends_in_the_library_with_its_game(self, shelf: Shelf):
        upload = sent(begun())
        assert (upload.state, upload.received) == (State.WAITING, len(CONTENT))
        assert waiting(uploads.TASK) == 1
        upload = moved(upload)
        assert (upload.state, upload.moved, upload.error_text) == (State.DONE, len(CONTENT), "")
        assert (shelf.root / "nes/Castle (USA).nes").read_bytes() == CONTENT
        game = Game.objects.with_availability().get(console="nes", game_id="castle")
        assert (game.title, game.file, game.is_available) == ("Castle", "nes/Castle (USA).nes", True)
        assert not uploads.staged(upload).exists()
        assert Event.objects.get(action="uploaded").actor == BY.label

    def test_gives_a_known_game_its_file_and_leaves_its_title(self, shelf: Shelf, now):
        library.save_game(
            game=Game(console_id="nes", game_id="castle", title="My Castle", min_cpu=4), by=BY, now=now
        )
        moved(sent(begun(title="Another")))
        game = Game.objects.get(console="nes", game_id="castle")
        assert (game.title, game.min_cpu, game.file) == ("My Castle", 4, "nes/Castle (USA).nes")

    def test_takes_the_title_and_id_that_are_given(self, shelf: Shelf):
        moved(sent(begun(title="The Castle", game_id="my-castle")))
        assert Game.objects.get(console="nes", game_id="my-castle").title == "The Castle"

    def test_is_what_the_next_scan_finds(self, shelf: Shelf):
        moved(sent(begun()))
        scan = scanned()
        assert (scan.made, scan.linked, scan.vanished, scan.missing) == (0, 0, 0, 0)

    def test_that_arrives_while_a_scan_has_passed_it_is_not_taken_for_gone(self, shelf: Shelf):
        shelf.put("nes/Other.nes")
        scan, _ = scanning.ask(by=BY, now=timezone.now())

        def arrives(folder: str, files: int) -> None:
            moved(sent(begun()))

        scanning.carry_out(scan_id=scan.pk, now=timezone.now(), tell=arrives)
        scan.refresh_from_db()
        assert (scan.state, scan.missing) == ("done", 0)
        assert LibraryFile.objects.get(path="nes/Castle (USA).nes").missing_since is None

    def test_repairs_a_game_whose_file_was_gone(self, shelf: Shelf):
        shelf.put("nes/Castle (USA).nes", "nes/Other.nes")
        scanned()
        shelf.remove("nes/Castle (USA).nes")
        assert scanned().missing == 1
        moved(sent(begun()))
        assert not Game.objects.available(False).exists()


class TestBegin:
    @pytest.mark.parametrize(
        ("filename", "changes", "field", "words"),
        [
            (
                "Castle.zip",
                {},
                "file",
                "is no game file of Nintendo Entertainment System; those are .nes, .unf",
            ),
            ("Castle", {}, "file", "is no game file"),
            ("Castle.nes", {"size": 0}, "file", "empty"),
            ("Castle.nes", {"size": 2**40}, "file", "GAMES_UPLOAD_MAX_GB"),
            ("Castle.nes", {"console": "atari"}, "console", "not configured"),
            ("Castle.nes", {"game_id": "two words"}, "game_id", "letters, digits"),
            ("Castle.nes", {"title": "x" * 201}, "title", "200"),
        ],
    )
    def test_refuses_in_words(self, shelf: Shelf, filename, changes, field, words):
        with pytest.raises(ValidationError) as caught:
            begun(filename, **changes)
        assert words in caught.value.details[field][0]
        assert not GameUpload.objects.exists()

    @pytest.mark.parametrize(
        ("filename", "stored"),
        [
            ("../../etc/Castle.nes", "Castle.nes"),
            ("C:\\games\\Castle.NES", "Castle.nes"),
            (".hidden.nes", "hidden.nes"),
            ("a\x00b\nc.nes", "a b c.nes"),
            ("ポケモン.nes", "ポケモン.nes"),
            (f"{'x' * 500}.nes", f"{'x' * 196}.nes"),
            (f"{'ポ' * 200}.nes", f"{'ポ' * 65}.nes"),
            ("$(rm -rf).nes", "$(rm -rf).nes"),
        ],
    )
    def test_stores_a_name_that_stays_in_its_folder(self, shelf: Shelf, filename, stored):
        upload = begun(filename)
        assert upload.file == f"nes/{stored}"
        assert len(stored.encode()) <= uploads.MAX_NAME_BYTES

    def test_refuses_what_the_library_has_unless_it_is_to_be_replaced(self, shelf: Shelf):
        shelf.put("nes/Castle (USA).nes", content=b"old")
        scanned()
        with pytest.raises(ValidationError, match="The library has nes/Castle"):
            begun()
        moved(sent(begun(replaces=True)))
        assert (shelf.root / "nes/Castle (USA).nes").read_bytes() == CONTENT

    def test_refuses_to_give_a_game_another_file_unless_it_is_to_be_replaced(self, shelf: Shelf):
        shelf.put("nes/Castle (USA).nes")
        scanned()
        with pytest.raises(ValidationError, match="has the file nes/Castle"):
            begun("Castle (Europe).nes")
        moved(sent(begun("Castle (Europe).nes", replaces=True)))
        assert Game.objects.get(console="nes", game_id="castle").file == "nes/Castle (Europe).nes"

    def test_of_the_same_file_twice_at_once_is_a_conflict(self, shelf: Shelf):
        begun()
        with pytest.raises(Conflict, match="already"):
            begun()

    def test_refuses_more_than_the_disk_has(self, shelf: Shelf, settings):
        settings.GAMES_UPLOAD_MAX_BYTES = 2**62
        with pytest.raises(ValidationError, match="no room"):
            begun(size=2**61)

    def test_without_a_folder_for_what_is_received_says_so(self, shelf: Shelf, settings, tmp_path: Path):
        (tmp_path / "file").touch()
        settings.GAMES_UPLOAD_DIR = str(tmp_path / "file" / "uploads")
        with pytest.raises(Unavailable, match="GAMES_UPLOAD_DIR"):
            begun()

    def test_without_a_library_is_refused(self, shelf: Shelf, settings):
        settings.GAMES_URL = ""
        with pytest.raises(InvalidState, match="GAMES_URL"):
            begun()


class TestReceive:
    def test_the_same_piece_again_changes_nothing(self, shelf: Shelf):
        upload = begun()
        for _ in range(2):
            upload = uploads.receive(upload_id=upload.pk, offset=0, piece=b"abcd", now=timezone.now())
        assert upload.received == 4

    @pytest.mark.parametrize("state", [State.WAITING, State.MOVING, State.DONE])
    def test_the_last_piece_again_changes_nothing_whatever_became_of_it(self, shelf: Shelf, state):
        upload = sent(begun())
        if state == State.MOVING:
            with dying_at("upload.moved"), pytest.raises(Died):
                uploads.move(upload_id=upload.pk, now=timezone.now())
        elif state == State.DONE:
            moved(upload)
        again = uploads.receive(upload_id=upload.pk, offset=8, piece=b"ij", now=timezone.now())
        assert (again.state, again.received) == (state, len(CONTENT))

    def test_a_piece_that_comes_too_early_hears_where_it_is(self, shelf: Shelf):
        upload = begun()
        with pytest.raises(Conflict, match="0 bytes are there"):
            uploads.receive(upload_id=upload.pk, offset=4, piece=b"efgh", now=timezone.now())

    def test_more_than_was_announced_is_refused(self, shelf: Shelf):
        upload = begun()
        with pytest.raises(ValidationError, match="piece"):
            uploads.receive(upload_id=upload.pk, offset=0, piece=CONTENT + b"x", now=timezone.now())

    def test_after_a_death_between_file_and_row_is_sent_again(self, shelf: Shelf):
        upload = begun()
        with dying_at("upload.piece_written"), pytest.raises(Died):
            sent(upload)
        assert moved(sent(upload)).state == State.DONE
        assert (shelf.root / upload.file).read_bytes() == CONTENT

    def test_of_nothing_that_is_known_is_not_found(self, shelf: Shelf):
        with pytest.raises(NotFound):
            uploads.receive(
                upload_id="00000000-0000-0000-0000-000000000001", offset=0, piece=b"x", now=timezone.now()
            )

    def test_on_a_host_with_another_folder_is_said(self, shelf: Shelf):
        upload = begun()
        uploads.receive(upload_id=upload.pk, offset=0, piece=b"abcd", now=timezone.now())
        uploads.staged(upload).unlink()
        with pytest.raises(Unavailable, match="GAMES_UPLOAD_DIR"):
            uploads.receive(upload_id=upload.pk, offset=4, piece=b"efgh", now=timezone.now())

    def test_where_only_a_part_of_a_piece_has_room_says_so_and_takes_it_again(self, shelf: Shelf):
        upload = begun()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (6, hard))
        try:
            with pytest.raises(Unavailable, match="GAMES_UPLOAD_DIR"):
                sent(upload, piece=len(CONTENT))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        upload.refresh_from_db()
        assert (upload.received, uploads.staged(upload).stat().st_size) == (0, 6)
        assert moved(sent(upload)).state == State.DONE
        assert (shelf.root / upload.file).read_bytes() == CONTENT

    def test_when_it_is_over_is_refused(self, shelf: Shelf):
        upload = moved(sent(begun()))
        with pytest.raises(InvalidState):
            uploads.receive(upload_id=upload.pk, offset=0, piece=b"abcd", now=timezone.now())

    def test_keeps_what_it_received_to_itself(self, shelf: Shelf):
        upload = begun()
        uploads.receive(upload_id=upload.pk, offset=0, piece=b"abcd", now=timezone.now())
        assert uploads.staged(upload).stat().st_mode & 0o777 == 0o600


class TestMove:
    def test_that_died_after_the_file_was_there_ends_well(self, shelf: Shelf):
        upload = sent(begun())
        with dying_at("upload.moved"), pytest.raises(Died):
            uploads.move(upload_id=upload.pk, now=timezone.now())
        now = timezone.now()
        assert not uploads.move(upload_id=upload.pk, now=now)
        assert uploads.move(upload_id=upload.pk, now=now + 2 * LEASE)
        upload.refresh_from_db()
        assert upload.state == State.DONE

    def test_never_overwrites_what_somebody_else_put_there_meanwhile(self, shelf: Shelf):
        upload = sent(begun())
        shelf.put(upload.file, content=b"somebody else's")
        upload = moved(upload)
        assert (upload.state, (shelf.root / upload.file).read_bytes()) == (State.FAILED, b"somebody else's")
        assert "already" in upload.error_text

    def test_into_a_library_that_cannot_be_written_fails_in_words_and_can_be_tried_again(self, shelf: Shelf):
        upload = sent(begun())
        (shelf.root / "nes").write_bytes(b"a file in the folder's place")
        upload = moved(upload)
        assert upload.state == State.FAILED
        assert "The library refuses" in upload.error_text
        shelf.remove("nes")
        uploads.retry(upload=upload, by=BY, now=timezone.now())
        assert moved(upload).state == State.DONE
        actions = Event.objects.about("emulators", "game:nes/castle").order_by("id")
        assert list(actions.values_list("action", flat=True)) == [
            "upload_asked", "upload_failed", "upload_asked", "uploaded",
        ]  # fmt: skip

    def test_leaves_nothing_half_written_behind(self, shelf: Shelf):
        """It dies before the copy gets its name: no scan sees it, and the next try gives it whole."""
        upload = sent(begun())
        with dying_at("shelf.part_written"), pytest.raises(Died):
            uploads.move(upload_id=upload.pk, now=timezone.now())
        assert not (shelf.root / upload.file).exists()
        assert scanned().files == 0
        uploads.move(upload_id=upload.pk, now=timezone.now() + 2 * LEASE)
        assert [path.name for path in (shelf.root / "nes").iterdir()] == ["Castle (USA).nes"]

    def test_on_a_host_that_has_not_received_it_says_so(self, shelf: Shelf):
        upload = sent(begun())
        uploads.discard(upload)
        assert "GAMES_UPLOAD_DIR" in moved(upload).error_text

    def test_waits_while_as_many_are_moved_as_may_be_and_comes_next(self, shelf: Shelf):
        first, second, third, fourth = (sent(begun(f"Castle {number}.nes")) for number in range(4))
        for upload in (first, second):
            with dying_at("upload.moved"), pytest.raises(Died):
                uploads.move(upload_id=upload.pk, now=timezone.now())
        now = timezone.now()
        assert not uploads.move(upload_id=third.pk, now=now)
        third.refresh_from_db()
        assert (third.state, third.tries) == (State.WAITING, 0)
        GameUpload.objects.filter(pk=first.pk).update(lease_token=None)  # it rests, and holds no worker
        before = waiting(uploads.TASK)
        assert uploads.move(upload_id=fourth.pk, now=now)
        handed = OrmQ.objects.order_by("id").last()
        assert (waiting(uploads.TASK), handed.task["args"]) == (before + 1, (str(third.pk),))

    def test_of_what_is_not_whole_fails_in_words(self, shelf: Shelf):
        upload = sent(begun())
        uploads.staged(upload).write_bytes(CONTENT[:-1])
        upload = moved(upload)
        assert (upload.state, (shelf.root / upload.file).exists()) == (State.FAILED, False)
        assert "9 of 10 bytes" in upload.error_text


class TestCancel:
    def test_ends_it_and_forgets_what_came(self, shelf: Shelf):
        upload = begun()
        uploads.receive(upload_id=upload.pk, offset=0, piece=b"abcd", now=timezone.now())
        uploads.cancel(upload=upload, by=BY, now=timezone.now())
        upload.refresh_from_db()
        assert (upload.state, uploads.staged(upload).exists()) == (State.FAILED, False)
        assert not uploads.move(upload_id=upload.pk, now=timezone.now())
        with pytest.raises(InvalidState):
            uploads.cancel(upload=upload, by=BY, now=timezone.now())
        with pytest.raises(InvalidState, match="Upload it again"):
            uploads.retry(upload=upload, by=BY, now=timezone.now())


class TestUpkeep:
    def test_hands_out_what_nobody_works_on(self, shelf: Shelf):
        sent(begun())
        scanning.ask(by=BY, now=timezone.now())
        before = waiting(uploads.TASK), waiting(scanning.TASK)
        upkeep.look_after(timezone.now())
        assert (waiting(uploads.TASK), waiting(scanning.TASK)) == (before[0] + 1, before[1])

    def test_gives_up_what_died_too_often(self, shelf: Shelf):
        upload = sent(begun())
        scan, _ = scanning.ask(by=BY, now=timezone.now())
        GameUpload.objects.update(tries=MOST_TRIES)
        type(scan).objects.update(tries=MOST_TRIES)
        upkeep.look_after(timezone.now())
        upload.refresh_from_db()
        scan.refresh_from_db()
        assert (upload.state, scan.state) == (State.FAILED, "failed")

    def test_ends_what_its_sender_abandoned_and_clears_the_folder(self, shelf: Shelf, settings):
        upload = begun()
        uploads.receive(upload_id=upload.pk, offset=0, piece=b"abcd", now=timezone.now())
        stray = Path(settings.GAMES_UPLOAD_DIR) / "stranger.part"
        stray.write_bytes(b"x")
        upkeep.look_after(timezone.now())
        assert uploads.staged(upload).exists()
        assert not stray.exists()
        later = timezone.now() + 2 * upkeep.ABANDONED
        upkeep.look_after(later)
        upload.refresh_from_db()
        assert upload.state == State.FAILED
        upkeep.look_after(later + 2 * upkeep.ABANDONED)
        assert not uploads.staged(upload).exists()

    def test_leaves_alone_what_begins_while_it_looks(self, shelf: Shelf):
        begun("Other.nes")  # so that there is a folder
        late: list[GameUpload] = []

        def begins(execute, sql, *rest):
            """Once the database has said which uploads need their files."""
            found = execute(sql, *rest)
            if not late and '"ended_at" >=' in sql:
                late.append(begun())
                uploads.receive(upload_id=late[0].pk, offset=0, piece=b"abcd", now=timezone.now())
            return found

        with connection.execute_wrapper(begins):
            upkeep.look_after(timezone.now())
        assert uploads.staged(late[0]).exists()

    def test_forgets_what_is_long_over(self, shelf: Shelf):
        moved(sent(begun()))
        scanned()
        upkeep.look_after(timezone.now() + 2 * upkeep.KEPT)
        assert not GameUpload.objects.exists()
        assert LibraryFile.objects.get().missing_since is None

    def test_scans_every_night_where_there_is_a_library(self, shelf: Shelf, settings):
        upkeep.scan_nightly(timezone.now())
        assert waiting(scanning.TASK) == 1
        upkeep.scan_nightly(timezone.now())
        assert waiting(scanning.TASK) == 1
        settings.GAMES_URL = ""
        upkeep.scan_nightly(timezone.now())
