"""The way out: registers at `PUBLIC_URL`, sends heartbeats and session events, and is silent where nobody listens.

What is still to be told is kept with the sessions, so the backlog is as bounded as they are; so is what was measured while nobody listened.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from .activity import Activity
from .backlog import Backlog
from .config import Config
from .files import boot_id, read_json, write_json
from .games import Games
from .metrics import Meter
from .saves import Saves
from .server import REFUSED_FOR_GOOD, TOKEN_REFUSED, Failed, Pace, jitter, post
from .session import utc_now

TOKEN = re.compile(r"[!-~]{1,4096}")
MOST_UNPACKED = 50


class Uplink:
    """Run by one thread. `heard` is told of every heartbeat that is taken.

    `last_heartbeat` is for the local API: {at, ok, detail}, None before the first try.
    """

    def __init__(
        self, config: Config, games: Games, saves: Saves, activity: Activity, heard: Callable[[], None]
    ) -> None:
        self._config = config
        self._games = games
        self._saves = saves
        self._activity = activity
        self._heard = heard
        self._meter = Meter(config.state_dir)
        self._backlog = Backlog(config.state_dir / "samples.json")
        self._store = config.state_dir / "uplink.json"
        # Apart, so that an event the server chokes on does not silence the heartbeats.
        self._link = Pace(config.heartbeat_s, config.backoff_s)
        self._events = Pace(config.heartbeat_s, config.backoff_s)
        self._sequence = 0
        self._told_playing: bool | None = None
        self._token = self._remembered()
        self.last_heartbeat: dict[str, Any] | None = None

    @property
    def is_registered(self) -> bool:
        return bool(self._token)

    def run(self, stop: threading.Event) -> None:
        """Speak until `stop`. A session's or a player's move wakes it, but never cuts short the wait after a failure."""
        while not stop.is_set():
            self._games.wake.clear()
            is_playing = self._activity.view()["is_playing"]
            if self._link.is_due or (self._link.is_well and is_playing != self._told_playing):
                self._keep_link()
            if self._token and self._events.is_due:
                self._report_all()
            due_at = self._link.due_at
            if self._token and self._games.unreported():
                due_at = min(due_at, self._events.due_at)
            self._games.wake.wait(max(0.0, due_at - time.monotonic()))

    def _keep_link(self) -> None:
        now, measured = utc_now(), self._meter.read()
        try:
            if not self._token:
                self._register()
            self._beat(now, measured)
        except Failed as error:
            self.last_heartbeat = {"at": utc_now(), "ok": False, "detail": str(error)}
            self._backlog.add(now, measured)
            self.forget_if_refused(error)
            self._link.failed()
        else:
            self.last_heartbeat = {"at": utc_now(), "ok": True, "detail": ""}
            # A little early or late, so that machines started together do not stay in step.
            self._link.succeeded(self._config.heartbeat_s * jitter(0.9, 1.1))

    def _report_all(self) -> None:
        """One event of each session; the caller comes back while there are more."""
        try:
            for session_id, event in self._games.unreported():
                self._report(session_id, event)
        except Failed as error:
            self.forget_if_refused(error)
            self._events.failed()
        else:
            self._events.succeeded()

    @property
    def token(self) -> str:
        """Empty before it is registered."""
        return self._token

    def forget_if_refused(self, error: Failed) -> None:
        """A token that is good no more is asked for anew, at once."""
        if error.status == TOKEN_REFUSED and self._token:
            self._token = ""
            self._link.due_at = 0.0
            self._games.wake.set()

    def _register(self) -> None:
        body = {"vm_id": self._config.vm_id, "bootstrap_token": self._config.agent_token}
        token = post(self._url("/agent/register"), body).get("token")
        if not isinstance(token, str) or not TOKEN.fullmatch(token):
            raise Failed("registered without a usable token")
        self._token = token
        # No room: the next agent asks for another.
        with contextlib.suppress(OSError):
            write_json(self._store, {"token": token, "issued_for": self._issued_for()})

    def _report(self, session_id: str, event: dict[str, Any]) -> None:
        try:
            post(self._url(f"/agent/sessions/{session_id}/events"), event, self._token)
        except Failed as error:
            if error.status not in REFUSED_FOR_GOOD:
                raise
        self._games.mark_reported(session_id)

    def _beat(self, now: str, measured: dict[str, float]) -> None:
        # Milliseconds since boot rise within one boot across restarts of the agent, with nothing to remember.
        activity = self._activity.view()
        self._told_playing = activity["is_playing"]
        self._sequence = max(self._sequence + 1, int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000))
        told = ("session_id", "state", "played_s")
        body: dict[str, Any] = {
            "boot_id": boot_id(),
            "sequence": self._sequence,
            "sent_at": now,
            "sessions": [{name: each[name] for name in told} for each in self._games.all()],
            "metrics": measured,
            "activity": activity,
        }
        unpacked = self._saves.unpacked()[-MOST_UNPACKED:]
        if unpacked:
            body["unpacked"] = unpacked
        earlier = self._backlog.samples()
        if earlier:
            body["earlier"] = earlier
        post(self._url("/agent/heartbeat"), body, self._token)
        self._backlog.clear()
        self._heard()

    def _url(self, path: str) -> str:
        return self._config.public_url + path

    def _issued_for(self) -> str:
        identity = "\n".join([self._config.public_url, self._config.vm_id, self._config.agent_token])
        return hashlib.sha256(identity.encode()).hexdigest()

    def _remembered(self) -> str:
        stored = read_json(self._store) or {}
        token = stored.get("token")
        return token if isinstance(token, str) and stored.get("issued_for") == self._issued_for() else ""
