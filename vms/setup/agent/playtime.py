"""How long each session's game has run, and the clock that such a game sees.

A game that Wolf offers runs while somebody is connected to it; one that is a process of ours, while the process does. The sum is kept in
the session's folder: what a death of the agent loses of it is counted on by the next one, as long as the machine stayed up.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .files import boot_id, read_json, write_json
from .session import LAUNCHED, Session

if TYPE_CHECKING:
    from .activity import Activity
    from .games import Games

TICK_S, WRITE_S = 1.0, 5.0


class Playtime:
    """`root` is where the machine's paths start. Ticked by one thread, asked from any."""

    def __init__(self, sessions: Path, root: Path) -> None:
        self._sessions = sessions
        self._root = root
        self._known: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def total_s(self, session_id: str) -> float:
        with self._lock:
            return round(float(self._of(session_id)["played_s"]), 1)

    def tick(self, session_id: str, is_running: bool | None) -> bool:
        """Count the time since the last tick if the game ran then, and note whether it runs; None, it cannot be told, is as before.

        Whether it has just ceased to run.
        """
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        with self._lock:
            known = self._of(session_id)
            # What ran before the machine was started anew does not run any more.
            was_running = known["is_running"] = known["is_running"] and known["boot_id"] == boot_id()
            if was_running:
                known["played_s"] += max(0.0, now - known["at"])
            known.update(at=now, boot_id=boot_id())
            if is_running is not None:
                known["is_running"] = is_running
            has_moved = known["is_running"] != was_running
            if has_moved or (was_running and now - known["written_at"] >= WRITE_S):
                self._write(session_id, known, now)
            return bool(has_moved and was_running)

    def forget(self, session_id: str) -> None:
        with self._lock:
            self._known.pop(session_id, None)

    def set_clock(self, save: dict[str, Any], session_id: str) -> None:
        """What time a game sees that starts from here on: the slot's clock at the launch, and what was played since.

        libfaketime reads the file when the game starts, and counts on from there (its README, "start at" dates).
        """
        if save["clock"] is None:
            return
        moment = time.gmtime(save["clock"] + int(self.total_s(session_id)))
        place = Path(str(self._root) + save["clock_file"])
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(f"{place.name}.{os.getpid()}.part")
        part.write_text(time.strftime("@%Y-%m-%d %H:%M:%S\n", moment))
        part.chmod(0o644)
        os.replace(str(part), str(place))

    def watch(self, games: Games, activity: Activity, stop: threading.Event) -> None:
        """Follow whatever game runs until `stop`."""
        before: Session | None = None
        while not stop.wait(TICK_S):
            session = games.active
            if before is not None and (session is None or session.session_id != before.session_id):
                self.tick(before.session_id, False)
            before = session
            if session is None:
                continue
            runs = session.state == LAUNCHED if session.app is None else activity.view()["is_playing"]
            if self.tick(session.session_id, runs) and session.save is not None:
                # No room: a game that is opened again begins where the one before did.
                with contextlib.suppress(OSError):
                    self.set_clock(session.save, session.session_id)

    def _of(self, session_id: str) -> dict[str, Any]:
        known = self._known.get(session_id)
        if known is None:
            fresh = {"played_s": 0.0, "is_running": False, "at": 0.0, "boot_id": "", "written_at": 0.0}
            known = self._known[session_id] = {**fresh, **(read_json(self._file(session_id)) or {})}
        return known

    def _write(self, session_id: str, known: dict[str, Any], now: float) -> None:
        known["written_at"] = now
        # No folder yet, or no room: the next time.
        with contextlib.suppress(OSError):
            write_json(self._file(session_id), known)

    def _file(self, session_id: str) -> Path:
        return self._sessions / session_id / "played.json"
