"""The sessions of this machine: at most one game runs, each order is launched at most once, all survive the agent.

Each session has a folder, described in `keeper.py`. A restarted agent reads the folders and finds each game running, over, or not
begun; it never has to guess, and there is nothing to adopt but a folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import keeper
from .files import make_private, read_json, write_json
from .playtime import Playtime
from .saves import SaveMissing, Saves
from .session import ACTIVE, ENDED, FAILED, LAUNCHED, QUEUED, Session, from_order, from_stored

KEPT_SESSIONS = 20
# How often the active session's folder is looked at: while it starts or ends, while it plays, and the clock when there is none.
MOVING_S, PLAYING_S, IDLE_S = 0.02, 0.2, 1.0
START_S = 5.0
# How long after SIGKILL a game may still be there (a process in the kernel's hands cannot be ended at once).
KILL_S = 4.0


class StillRunning(Exception):
    """The game before does not end, not even when killed."""


class Games:
    """All methods may be called from any thread. `wake` is set after every move of a session, and `moved` called."""

    def __init__(
        self,
        folder: Path,
        *,
        grace_s: float,
        default_argv: tuple[str, ...],
        saves: Saves,
        playtime: Playtime,
        moved: Callable[[], None],
        config_path: Path | None = None,
    ) -> None:
        make_private(folder)
        self._saves = saves
        self._playtime = playtime
        self._moved = moved
        self._config_path = config_path
        self._folder = folder
        self._grace_s = grace_s
        self._default_argv = list(default_argv)
        self._changed = threading.Condition()
        self._sessions: dict[str, Session] = {}
        self._keepers: dict[str, subprocess.Popen[bytes]] = {}
        self.wake = threading.Event()
        self._recover()

    def launch(self, order: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """The session's view, and whether it is new. A known session is left as it is; a running other one is ended first.

        Takes up to the grace time and some seconds. A game that is slow to start is still `queued` then.
        Raises BadOrder, StillRunning, SaveMissing, OSError where the order cannot be written down.
        """
        session = from_order(order, self._default_argv)
        deadline = time.monotonic() + self._grace_s + KILL_S
        with self._changed:
            while True:
                known = self._sessions.get(session.session_id)
                if known is not None:
                    return self._view(known), False
                # Before anything is ended for it: the game that runs goes on while the save is brought.
                if session.save is not None and self._saves.lacks(session.save):
                    raise SaveMissing(session.save["digest"])
                running = self._active()
                if running is None:
                    break
                self._ask_to_end(running)
                if not self._changed.wait(deadline - time.monotonic()):
                    raise StillRunning(running.session_id)
            self._start(session)
            self._changed.wait_for(lambda: session.state != QUEUED, START_S)
            return self._view(session), True

    def end(self, session_id: str) -> dict[str, Any] | None:
        """End the game and wait for it. None when there is no such session. Raises StillRunning."""
        deadline = time.monotonic() + self._grace_s + KILL_S
        with self._changed:
            session = self._sessions.get(session_id)
            if session is None:
                return None
            while session.state in ACTIVE:
                self._ask_to_end(session)
                if not self._changed.wait(deadline - time.monotonic()):
                    raise StillRunning(session_id)
            return self._view(session)

    def get(self, session_id: str) -> dict[str, Any] | None:
        with self._changed:
            session = self._sessions.get(session_id)
            return None if session is None else self._view(session)

    def all(self) -> list[dict[str, Any]]:
        """Views of all sessions still kept, oldest first, without their logs."""
        with self._changed:
            return [self._view(session, with_log=False) for session in self._sessions.values()]

    def unreported(self) -> list[tuple[str, dict[str, Any]]]:
        """The oldest event of each session that the server has not taken yet."""
        with self._changed:
            return [
                (session.session_id, session.events[session.reported])
                for session in self._sessions.values()
                if session.reported < len(session.events)
            ]

    def mark_reported(self, session_id: str) -> None:
        """The server has taken (or for good refused) the oldest event of this session."""
        with self._changed:
            session = self._sessions.get(session_id)
            if session is not None and session.reported < len(session.events):
                session.reported += 1
                self._note(session)

    @property
    def active(self) -> Session | None:
        """The session whose game runs, or is about to."""
        with self._changed:
            return self._active()

    def watch(self, stop: threading.Event) -> None:
        """Look after the running game until `stop`. Leaves it running."""
        while not stop.is_set():
            with self._changed:
                session = self._active()
                if session is not None:
                    self._look_after(session)
                self._changed.wait(self._patience())

    def _patience(self) -> float:
        session = self._active()
        if session is None:
            return IDLE_S
        return MOVING_S if session.state == QUEUED or self._is_ending(session) else PLAYING_S

    def _active(self) -> Session | None:
        return next((each for each in self._sessions.values() if each.state in ACTIVE), None)

    def _place(self, session: Session) -> Path:
        return self._folder / session.session_id

    def _view(self, session: Session, *, with_log: bool = True) -> dict[str, Any]:
        log = keeper.log_tail(self._place(session)) if with_log else ""
        return {**session.view(log), "played_s": self._playtime.total_s(session.session_id)}

    def _save(self, session: Session) -> None:
        write_json(self._place(session) / "session.json", session.stored())

    def _note(self, session: Session) -> None:
        """What cannot be written, on a full disk say, is remembered: an agent that dies finds it out again, and tells it again."""
        try:
            self._save(session)
        except OSError as error:
            sys.stderr.write(f"sessions: {session.session_id}: {error}\n")

    def _move(self, session: Session, state: str) -> None:
        session.move(state)
        self._note(session)
        self._changed.notify_all()
        self.wake.set()
        self._moved()

    def _recover(self) -> None:
        stored = [read_json(path) for path in self._folder.glob("*/session.json")]
        sessions = [
            session for each in stored if each is not None for session in [from_stored(each)] if session
        ]
        with self._changed:
            for session in sorted(sessions, key=lambda each: each.ordered_at):
                self._sessions[session.session_id] = session
                if session.state == QUEUED and not keeper.is_kept(self._place(session)):
                    self._spawn(session)

    def _start(self, session: Session) -> None:
        if session.save is not None:
            self._saves.put_in_place(session.save, session.session_id)
            self._playtime.set_clock(session.save, session.session_id)
        make_private(self._place(session))
        if session.app is not None:
            session.argv = self._offering(session)
        # On disk before anything runs: an agent that dies here finds the order, and the keeper's lock makes a second start harmless.
        self._save(session)
        self._sessions[session.session_id] = session
        self._spawn(session)

    def _offering(self, session: Session) -> list[str]:
        """The command that has Wolf offer the session's app; see `offering.py`."""
        program = [sys.executable, "-IS", os.path.abspath(sys.argv[0]), "offer"]
        return [*program, "--config", str(self._config_path), "--folder", str(self._place(session))]

    def _spawn(self, session: Session) -> None:
        try:
            self._keepers[session.session_id] = keeper.spawn(self._place(session), self._grace_s)
        except OSError as error:
            self._finish(session, None, f"cannot be started: {error}")
        self._changed.notify_all()

    def _ask_to_end(self, session: Session) -> None:
        if not self._is_ending(session):
            (self._place(session) / "end").touch()
            self._changed.notify_all()

    def _is_ending(self, session: Session) -> bool:
        return (self._place(session) / "end").exists()

    def _look_after(self, session: Session) -> None:
        place = self._place(session)
        child = self._keepers.get(session.session_id)
        # In this order: a keeper found dead has written all it ever will.
        is_starting = child is not None and child.poll() is None
        is_kept = is_starting or keeper.is_kept(place)
        outcome = read_json(place / "exit.json")
        is_there = (place / ("game.json" if session.app is None else "offered.json")).exists()
        if session.state == QUEUED and is_there:
            self._move(session, LAUNCHED)
        if outcome is not None:
            self._finish(session, outcome.get("exit_code"), str(outcome.get("reason", "")))
        elif not is_kept:
            keeper.end_orphan(place)
            self._finish(session, None, "killed")

    def _finish(self, session: Session, exit_code: int | None, reason: str) -> None:
        self._keepers.pop(session.session_id, None)
        is_asked = self._is_ending(session)
        session.exit_code = exit_code
        if session.app is not None and exit_code:
            # Its own words, not the status it left with.
            reason = keeper.log_tail(self._place(session)).strip().rpartition("\n")[2][-300:] or reason
        session.reason = "ended on request" if is_asked else reason
        self._move(session, ENDED if is_asked or exit_code == 0 else FAILED)
        self._prune()

    def _prune(self) -> None:
        finished = [each for each in self._sessions.values() if each.state not in ACTIVE]
        for session in finished[:-KEPT_SESSIONS]:
            del self._sessions[session.session_id]
            self._playtime.forget(session.session_id)
            shutil.rmtree(str(self._place(session)), ignore_errors=True)
