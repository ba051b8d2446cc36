"""The library compared with the games: a real directory, real rows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from emulators.models import EmulatorConfig, Game, LibraryFile, LibraryScan
from emulators.services import library, scanning
from emulators.services.leases import LEASE, MOST_TRIES
from events.models import Event
from gamer.crash import Died, dying_at
from gamer.errors import InvalidState
from gamer.queue.enqueue import waiting
from tests.at_once import at_once
from tests.emulators.library.conftest import BY, Shelf, scanned

State = LibraryScan.State


def game(console: str = "nes", game_id: str = "castle") -> Game:
    return Game.objects.get(console=console, game_id=game_id)


def findings() -> dict[str, str]:
    return dict(
        LibraryFile.objects.filter(missing_since=None).exclude(finding="").values_list("path", "finding")
    )


class TestScan:
    def test_makes_a_game_of_every_file_that_has_none(self, shelf: Shelf):
        shelf.put("nes/Castle (USA) (Rev 1).nes", "snes/deep/er/Legend of Z, The.sfc", content=b"12345")
        scan = scanned()
        assert (scan.state, scan.files, scan.size, scan.made) == (State.DONE, 2, 10, 2)
        assert (game().title, game().file) == ("Castle", "nes/Castle (USA) (Rev 1).nes")
        assert game("snes", "the-legend-of-z").title == "The Legend of Z"
        assert LibraryFile.objects.get(path=game().file).size == 5

    def test_gives_a_game_that_has_none_its_file_and_keeps_what_staff_wrote(self, shelf: Shelf, now):
        library.save_game(
            game=Game(console_id="nes", game_id="castle", title="My Own Castle", min_cpu=4), by=BY, now=now
        )
        shelf.put("nes/Castle.nes")
        scan = scanned()
        assert (scan.made, scan.linked) == (0, 1)
        assert (game().title, game().min_cpu, game().file) == ("My Own Castle", 4, "nes/Castle.nes")

    def test_changes_nothing_when_nothing_has_changed(self, shelf: Shelf):
        shelf.put("nes/Castle.nes", "nes/Castle (Japan).nes", "wii/a.txt")
        first = scanned()
        before = list(Game.objects.order_by("pk").values()), findings()
        scan = scanned()
        assert (scan.made, scan.linked, scan.vanished, scan.missing) == (0, 0, 0, 0)
        assert (list(Game.objects.order_by("pk").values()), findings()) == before
        assert scan.findings == first.findings == {"duplicate": 1, "unknown_extension": 1}

    def test_knows_what_is_gone_and_what_is_back(self, shelf: Shelf):
        shelf.put("nes/Castle.nes", "nes/Other.nes")
        scanned()
        shelf.remove("nes/Castle.nes")
        scan = scanned()
        assert (scan.vanished, scan.missing) == (1, 1)
        since = LibraryFile.objects.get(path="nes/Castle.nes").missing_since
        assert since is not None
        scanned()
        assert LibraryFile.objects.get(path="nes/Castle.nes").missing_since == since
        shelf.put("nes/Castle.nes")
        assert scanned().missing == 0
        assert LibraryFile.objects.get(path="nes/Castle.nes").missing_since is None

    def test_knows_a_file_that_staff_wrote_and_that_never_was_there(self, shelf: Shelf, now):
        library.save_game(
            game=Game(console_id="nes", game_id="ghost", title="Ghost", file="nes/Ghost.nes"), by=BY, now=now
        )
        shelf.put("nes/Castle.nes")
        assert scanned().missing == 1
        assert LibraryFile.objects.get(path="nes/Ghost.nes").missing_since is not None

    def test_follows_a_file_that_was_renamed(self, shelf: Shelf):
        shelf.put("nes/Castle (U).nes", "nes/Other.nes")
        scanned()
        shelf.remove("nes/Castle (U).nes")
        shelf.put("nes/sub/Castle (USA).unf")
        scan = scanned()
        assert (scan.made, scan.linked, scan.missing) == (0, 1, 0)
        assert game().file == "nes/sub/Castle (USA).unf"
        assert not LibraryFile.objects.filter(path="nes/Castle (U).nes").exists()

    def test_leaves_a_file_that_staff_chose_even_when_it_is_gone(self, shelf: Shelf, now):
        shelf.put("nes/Castle.nes")
        library.save_game(
            game=Game(console_id="nes", game_id="castle", title="Castle", file="nes/chosen.nes"),
            by=BY,
            now=now,
        )
        scan = scanned()
        assert (scan.linked, scan.missing) == (0, 1)
        assert game().file == "nes/chosen.nes"
        assert findings() == {"nes/Castle.nes": "duplicate"}

    def test_leaves_a_file_to_the_game_that_has_it_whatever_its_id_or_console(self, shelf: Shelf, now):
        library.save_game(
            game=Game(console_id="gbc", game_id="own-name", title="Own", file="gb/Tower.gb"), by=BY, now=now
        )
        shelf.put("gb/Tower.gb")
        assert scanned().made == 0
        assert findings() == {}

    def test_takes_the_best_of_several_versions_and_tells_the_others(self, shelf: Shelf):
        shelf.put("nes/Castle (Japan).nes", "nes/Castle (USA).nes", "nes/Castle (USA) (Beta).nes")
        assert scanned().made == 1
        assert game().file == "nes/Castle (USA).nes"
        assert set(findings()) == {"nes/Castle (Japan).nes", "nes/Castle (USA) (Beta).nes"}
        shelf.put("nes/Castle (World).nes")
        scanned()
        assert game().file == "nes/Castle (USA).nes"  # what is played is not changed for a better one

    def test_takes_one_title_on_two_consoles_for_two_games(self, shelf: Shelf):
        shelf.put("nes/Castle.nes", "snes/Castle.sfc")
        assert scanned().made == 2

    @pytest.mark.parametrize(
        ("path", "why"),
        [
            ("movies/", "unknown_folder"),
            ("loose.nes", "unknown_folder"),
            ("nes/readme.txt", "unknown_extension"),
            ("nes/noextension", "unknown_extension"),
            ("gamecube/Game.cue", "several_files"),
            ("gamecube/Game (Track 1).bin", "several_files"),
            ("wii/Game.m3u", "several_files"),
            ("nes/back\\slash.nes", "unsafe_name"),
            ("nes/line\nbreak.nes", "unsafe_name"),
            (f"nes/{'x' * 200}/{'y' * 150}.nes", "unsafe_name"),
        ],
    )
    def test_tells_what_is_no_games(self, shelf: Shelf, path, why):
        shelf.put(f"{path}file.nes" if path.endswith("/") else path)
        scan = scanned()
        assert findings() == {path: why}
        assert (scan.made, scan.findings) == (0, {why: 1})

    def test_tells_an_empty_file_and_a_name_that_is_no_text(self, shelf: Shelf):
        shelf.put("nes/nothing.nes", content=b"")
        shelf.put("nes/br\udcffoken.nes")
        scanned()
        assert findings() == {"nes/nothing.nes": "empty", "nes/br\\udcffoken.nes": "unsafe_name"}

    def test_tells_names_at_the_top_that_are_no_text(self, shelf: Shelf, monkeypatch):
        monkeypatch.setattr(scanning, "BATCH", 1)  # so that the row of the scan has each folder's name
        shelf.put("l\udcffose.nes", "f\udcfflder/a.nes")
        told: list[str] = []
        scan, _ = scanning.ask(by=BY, now=timezone.now())
        scanning.carry_out(
            scan_id=scan.pk, now=timezone.now(), tell=lambda folder, files: told.append(folder)
        )
        assert findings() == dict.fromkeys(("l\\udcffose.nes", "f\\udcfflder/"), "unknown_folder")
        assert "f\\udcfflder" in told

    def test_takes_folders_and_extensions_in_any_case(self, shelf: Shelf):
        shelf.put("NES/CASTLE.NES")
        assert scanned().made == 1
        assert Game.objects.get(file="NES/CASTLE.NES").console_id == "nes"

    def test_passes_over_what_is_hidden_and_the_emulators_own_programs(self, shelf: Shelf):
        shelf.put("nes/.Castle.nes.part", ".trash/x.nes", "emulators/ryubing.AppImage", "nes/._Castle.nes")
        shelf.put("system/disksys.rom", "system/ryujinx/prod.keys")
        assert scanned().files == 0
        assert not LibraryFile.objects.exists()

    def test_follows_what_staff_configured_since(self, shelf: Shelf):
        shelf.put("nes/Castle.zip")
        assert scanned().made == 0
        EmulatorConfig.objects.filter(console="nes").update(supported_file_extensions=[".nes", ".zip"])
        assert scanned().made == 1

    def test_leaves_one_event_of_the_whole_and_one_of_each_game(self, shelf: Shelf):
        shelf.put("nes/Castle.nes")
        scan = scanned()
        told = Event.objects.get(action="library_scanned")
        assert (told.actor, told.details["made"], told.details["scan"]) == ("policy:library", 1, scan.pk)
        row = Event.timeline.get(resource_id="game:nes/castle", action="row_created")
        assert row.actor == "policy:library"

    def test_asks_the_database_a_bounded_number_of_times(self, shelf: Shelf, django_assert_max_num_queries):
        shelf.put(*(f"nes/Game {n}.nes" for n in range(300)))
        scan, _ = scanning.ask(by=BY, now=timezone.now())
        with django_assert_max_num_queries(35):
            scanning.carry_out(scan_id=scan.pk, now=timezone.now())
        assert Game.objects.filter(console="nes", title__startswith="Game").count() == 300


class TestEmptyLibrary:
    def test_of_a_new_installation_is_fine(self, shelf: Shelf):
        assert scanned().state == State.DONE

    def test_that_was_not_empty_changes_nothing(self, shelf: Shelf):
        shelf.put("nes/Castle.nes")
        scanned()
        shelf.remove("nes/Castle.nes")
        scan = scanned()
        assert scan.state == State.FAILED
        assert "empty and was not before" in scan.error_text
        assert LibraryFile.objects.get().missing_since is None


class TestAsking:
    def test_twice_is_one_scan(self, shelf: Shelf):
        first, is_new = scanning.ask(by=BY, now=timezone.now())
        second, is_second_new = scanning.ask(by=BY, now=timezone.now())
        assert (is_new, is_second_new, first.pk) == (True, False, second.pk)
        assert waiting(scanning.TASK) == 1

    def test_of_two_the_database_allows_one(self, shelf: Shelf):
        scanning.ask(by=BY, now=timezone.now())
        with pytest.raises(IntegrityError, match="library_scan_alone"), transaction.atomic():
            LibraryScan.objects.create(asked_by="x", asked_at=timezone.now())

    def test_without_a_library_is_refused_in_words(self, shipped, settings):
        settings.GAMES_URL = ""
        with pytest.raises(InvalidState, match="GAMES_URL"):
            scanning.ask(by=BY, now=timezone.now())

    def test_of_an_address_nobody_can_use_fails_in_words_without_its_secret(self, shelf: Shelf, settings):
        settings.GAMES_URL = "s4://key:canary@host/bucket"
        scan = scanned()
        assert scan.state == State.FAILED
        assert "canary" not in scan.error_text
        assert "cannot be used" in scan.error_text


class TestDeath:
    def test_in_the_middle_is_taken_up_from_the_start(self, shelf: Shelf):
        shelf.put("nes/Castle.nes")
        scan, _ = scanning.ask(by=BY, now=timezone.now())
        with dying_at("scan.listed"), pytest.raises(Died):
            scanning.carry_out(scan_id=scan.pk, now=timezone.now())
        assert not Game.objects.filter(file="nes/Castle.nes").exists()
        now = timezone.now()
        assert not scanning.carry_out(scan_id=scan.pk, now=now)  # the dead one's lease still holds
        assert scanning.carry_out(scan_id=scan.pk, now=now + 2 * LEASE)
        scan.refresh_from_db()
        assert (scan.state, scan.made, scan.files) == (State.DONE, 1, 1)

    def test_loses_to_whoever_took_over(self, shelf: Shelf):
        """Slow, not dead: its lease is gone when it comes to sort."""
        shelf.put("nes/Castle.nes")
        scan, _ = scanning.ask(by=BY, now=timezone.now())

        def takes_over(folder: str, files: int) -> None:
            LibraryScan.objects.update(lease_token="00000000-0000-0000-0000-000000000001")

        assert not scanning.carry_out(scan_id=scan.pk, now=timezone.now(), tell=takes_over)
        assert not Game.objects.filter(file="nes/Castle.nes").exists()

    def test_is_told_as_failed_after_the_last_try(self, shelf: Shelf):
        scan, _ = scanning.ask(by=BY, now=timezone.now())
        LibraryScan.objects.update(tries=MOST_TRIES)
        scanning.give_up(scan=scan, now=timezone.now())
        scan.refresh_from_db()
        assert scan.state == State.FAILED
        assert Event.objects.get(action="library_scan_failed").details["error"] == scan.error_text

    def test_once_over_is_not_done_again(self, shelf: Shelf):
        scan = scanned()
        assert not scanning.carry_out(scan_id=scan.pk, now=timezone.now() + timedelta(days=1))


class TestStatements:
    def test_use_the_indexes_of_paths(self, shelf: Shelf):
        shelf.put(*(f"nes/Game {n}.nes" for n in range(500)))
        scanned()
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE emulators_game, emulators_libraryfile")
            cursor.execute("EXPLAIN SELECT 1 FROM emulators_libraryfile WHERE path = 'nes/Game 7.nes'")
            assert "Index" in str(cursor.fetchall())


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    """Real connections: the laws of the database, not the order of the code."""

    def test_two_who_ask_have_one_scan(self, transactional_db, tmp_path, settings):
        settings.GAMES_URL = f"file://{tmp_path}/games"
        asks = [lambda: scanning.ask(by=BY, now=timezone.now())] * 4
        found = at_once(*asks)
        assert len({scan.pk for scan, _ in found}) == 1
        assert sum(is_new for _, is_new in found) == 1
        assert waiting(scanning.TASK) == 1

    def test_two_who_do_it_do_it_once(self, transactional_db, tmp_path, settings):
        settings.GAMES_URL = f"file://{tmp_path}/games"
        scan, _ = scanning.ask(by=BY, now=timezone.now())
        done = at_once(*[lambda: scanning.carry_out(scan_id=scan.pk, now=timezone.now())] * 3)
        assert sorted(done) == [False, False, True]
        assert Event.objects.filter(action="library_scanned").count() == 1
