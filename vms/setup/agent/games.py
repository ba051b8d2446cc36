"""The sessions of this machine: at most one game runs, each order is launched at most once, all survive the agent.

Each session has a folder: `session.json` is written by the agent before and after every move, `pid` and `exit` by the game's shim.
A restarted agent reads them back and finds the game running, ended, or not begun; it never has to guess.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from . import process
from .files import make_private, read_json, read_tail, read_text, write_json
from .session import ACTIVE, ENDED, FAILED, LAUNCHED, QUEUED, Session, from_order, from_stored

KEPT_SESSIONS = 20
TICK_S = 0.1
LOG_TAIL = 2048
MAX_LOG = 1024 * 1024
# How long after SIGKILL a game may still be there (a process in the kernel's hands cannot be ended at once).
KILL_S = 4.0
PASSED_ON = ("PATH", "HOME", "LANG", "USER", "GAMER_AGENT_ROOT")


class StillRunning(Exception):
    """The game before does not end, not even when killed."""


def boot_id() -> str:
    """Differs after each boot of the machine (random(4))."""
    return read_text(Path("/proc/sys/kernel/random/boot_id"))


class Games:
    """All methods may be called from any thread. `wake` is called after every move of a session."""

    def __init__(self, folder: Path, *, grace_s: float, default_argv: tuple[str, ...]) -> None:
        make_private(folder)
        self._folder = folder
        self._grace_s = grace_s
        self._default_argv = list(default_argv)
        self._boot_id = boot_id()
        self._changed = threading.Condition()
        self._sessions: dict[str, Session] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._kill_at: dict[str, float] = {}
        self.wake = threading.Event()
        self._recover()

    def launch(self, order: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """The session's view, and whether it is new. A known session is left as it is; a running other one is ended first.

        Takes up to the grace time and `KILL_S`. Raises BadOrder, StillRunning.
        """
        session = from_order(order, self._default_argv, self._boot_id)
        deadline = time.monotonic() + self._grace_s + KILL_S
        with self._changed:
            while True:
                known = self._sessions.get(session.session_id)
                if known is not None:
                    return self._view(known), False
                running = self._active()
                if running is None:
                    break
                self._ask_to_end(running)
                if not self._changed.wait(deadline - time.monotonic()):
                    raise StillRunning(running.session_id)
            self._sessions[session.session_id] = session
            self._start(session)
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
            return [session.view("") for session in self._sessions.values()]

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
                self._save(session)

    def watch(self, stop: threading.Event) -> None:
        """Look after the running game until `stop`. Leaves it running."""
        while not stop.wait(TICK_S):
            with self._changed:
                session = self._active()
                if session is not None:
                    self._look_after(session)

    def _active(self) -> Session | None:
        return next((each for each in self._sessions.values() if each.state in ACTIVE), None)

    def _place(self, session: Session) -> Path:
        return self._folder / session.session_id

    def _view(self, session: Session) -> dict[str, Any]:
        place = self._place(session)
        log = read_tail(place / "log.before", LOG_TAIL) + read_tail(place / "log", LOG_TAIL)
        return session.view(log[-LOG_TAIL:])

    def _save(self, session: Session) -> None:
        write_json(self._place(session) / "session.json", session.stored())

    def _moved(self, session: Session) -> None:
        self._save(session)
        self._changed.notify_all()
        self.wake.set()

    def _recover(self) -> None:
        stored = [read_json(path) for path in self._folder.glob("*/session.json")]
        sessions = [
            session for each in stored if each is not None for session in [from_stored(each)] if session
        ]
        with self._changed:
            for session in sorted(sessions, key=lambda each: each.launched_at or each.ended_at or "~"):
                self._sessions[session.session_id] = session
                if session.state not in ACTIVE:
                    continue
                if session.boot_id != self._boot_id:
                    self._finish(session, None, "the machine was restarted")
                elif session.state == QUEUED and not self._adopt(session):
                    self._start(session)

    def _adopt(self, session: Session) -> bool:
        pid = process.started_pid(self._place(session))
        if pid is None or pid == session.pid:
            return False
        stat = process.stat_of(pid)
        session.pid, session.start_time = pid, stat.start_time if stat else 0
        if session.state == QUEUED:
            session.move(LAUNCHED)
        self._moved(session)
        return True

    def _start(self, session: Session) -> None:
        place = self._place(session)
        make_private(place)
        # The order is on disk before the game runs: an agent that dies here finds it, and the shim makes a second start harmless.
        self._save(session)
        env = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        env.update(session.env)
        program = shutil.which(session.argv[0], path=env.get("PATH"))
        if program is None:
            self._finish(session, None, f"{session.argv[0]} is not installed")
            return
        try:
            child = process.start(place, [program, *session.argv[1:]], env)
        except (OSError, ValueError) as error:
            self._finish(session, None, f"cannot be started: {error}")
            return
        stat = process.stat_of(child.pid)
        self._children[session.session_id] = child
        session.pid, session.start_time = child.pid, stat.start_time if stat else 0
        session.move(LAUNCHED)
        self._moved(session)

    def _ask_to_end(self, session: Session) -> None:
        if session.session_id in self._kill_at:
            return
        self._kill_at[session.session_id] = time.monotonic() + self._grace_s
        session.is_ending = True
        self._save(session)
        process.signal_all(process.members(session.pid, session.start_time), signal.SIGTERM)

    def _look_after(self, session: Session) -> None:
        place = self._place(session)
        child = self._children.get(session.session_id)
        status = child.poll() if child is not None else None
        if process.exit_code(place) is None and process.is_alive(session.pid, session.start_time):
            if session.is_ending:
                self._press(session)
            self._trim_log(place)
            return
        code = process.exit_code(place)
        if code is None and status == process.ALREADY_STARTED and self._adopt(session):
            return
        self._finish(session, code, "" if code == 0 else "killed" if code is None else f"exit status {code}")

    def _press(self, session: Session) -> None:
        # The wish to end may come from the agent before this one: it then gets its grace anew.
        kill_at = self._kill_at.setdefault(session.session_id, time.monotonic() + self._grace_s)
        if time.monotonic() >= kill_at:
            process.signal_all(process.members(session.pid, session.start_time), signal.SIGKILL)

    def _finish(self, session: Session, code: int | None, reason: str) -> None:
        process.signal_all(self._leftovers(session), signal.SIGKILL)
        self._children.pop(session.session_id, None)
        self._kill_at.pop(session.session_id, None)
        session.exit_code = code
        session.reason = "ended on request" if session.is_ending else reason
        session.move(ENDED if session.is_ending or code == 0 else FAILED)
        self._moved(session)
        self._prune()

    def _leftovers(self, session: Session) -> list[int]:
        if not session.pid or session.boot_id != self._boot_id:
            return []
        return process.members(session.pid, session.start_time)

    def _trim_log(self, place: Path) -> None:
        log = place / "log"
        if log.exists() and log.stat().st_size > MAX_LOG:
            (place / "log.before").write_text(read_tail(log, LOG_TAIL))
            os.truncate(str(log), 0)

    def _prune(self) -> None:
        finished = [each for each in self._sessions.values() if each.state not in ACTIVE]
        for session in finished[:-KEPT_SESSIONS]:
            del self._sessions[session.session_id]
            shutil.rmtree(str(self._place(session)), ignore_errors=True)
