"""`manage.py scan_library`, as somebody runs it."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from emulators.models import Game, LibraryScan
from emulators.services import scanning, upkeep
from emulators.services.leases import LEASE
from gamer.queue.enqueue import waiting
from tests.emulators.library.conftest import BY, Shelf, scanned


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Dying(Terminal):
    """The terminal is gone in the middle of a scan."""

    def write(self, text: str) -> int:
        raise RuntimeError("died")


def run(*arguments: str, err: io.StringIO | None = None) -> str:
    out = io.StringIO()
    call_command("scan_library", *arguments, stdout=out, stderr=err or io.StringIO())
    return out.getvalue()


class TestCommand:
    def test_scans_and_sums_up(self, shelf: Shelf):
        shelf.put("nes/Castle.nes", "nes/readme.txt", "movies/film.nes")
        said = run("--findings")
        assert "3 files: 1 new games, 0 games given a file, 0 games without their file." in said
        assert "unknown_extension\tnes/readme.txt" in said
        assert "unknown_folder\tmovies/" in said
        assert Game.objects.filter(game_id="castle").exists()

    def test_lists_what_is_missing(self, shelf: Shelf):
        shelf.put("nes/Castle.nes", "nes/Other.nes")
        scanned()
        shelf.remove("nes/Castle.nes")
        assert "missing\tnes/Castle.nes" in run("--findings")

    def test_shows_progress_on_a_terminal_and_nowhere_else(self, shelf: Shelf):
        shelf.put("nes/Castle.nes")
        terminal, file = Terminal(), io.StringIO()
        run(err=terminal)
        run(err=file)
        assert "1 files" in terminal.getvalue()
        assert file.getvalue() == ""

    def test_takes_up_a_scan_that_waits(self, shelf: Shelf):
        shelf.put("nes/Castle.nes")
        scanning.ask(by=BY, now=timezone.now())
        run()
        assert LibraryScan.objects.get().state == "done"

    def test_does_its_scan_itself_and_has_no_worker_race_for_it(self, shelf: Shelf):
        run()
        assert LibraryScan.objects.get().state == "done"
        assert waiting(scanning.TASK) == 0

    def test_that_died_at_once_is_made_up_for_by_a_worker(self, shelf: Shelf):
        with pytest.raises(RuntimeError, match="died"):
            run(err=Dying())
        upkeep.look_after(timezone.now() + 2 * LEASE)
        assert waiting(scanning.TASK) == 1

    def test_leaves_one_that_is_under_way_to_whoever_does_it(self, shelf: Shelf):
        scan, _ = scanning.ask(by=BY, now=timezone.now())
        LibraryScan.objects.update(lease_until=timezone.now() + LEASE, state="listing")
        with pytest.raises(CommandError, match=f"Another process is at scan {scan.pk}"):
            run()

    def test_fails_in_words(self, shelf: Shelf, settings):
        settings.GAMES_URL = "s4://x"
        with pytest.raises(CommandError, match="cannot be used"):
            run()
        settings.GAMES_URL = ""
        with pytest.raises(CommandError, match="GAMES_URL"):
            run()
