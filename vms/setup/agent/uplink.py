"""The way out: registers at `PUBLIC_URL`, sends heartbeats and session events, and is silent where nobody listens.

Nothing the other side answers can stop it: an answer is bounded, anything but a 2xx is a failure, failures are retried ever more rarely.
What is still to be told is kept with the sessions, so the backlog is as bounded as they are.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import re
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

from .activity import Activity
from .config import Config
from .files import read_json, write_json
from .games import Games, boot_id
from .metrics import Meter
from .session import utc_now

MAX_ANSWER = 64 * 1024
TIMEOUT_S = 10.0
MAX_BACKOFF_S = 120.0
TOKEN = re.compile(r"[!-~]{1,4096}")
# Refusals that will be the same next time: the event is dropped. The other 4xx are about us or the moment, not about the event.
REFUSED_FOR_GOOD = (400, 403, 404, 409, 410, 413, 422)
TOKEN_REFUSED = 401


class Failed(Exception):
    """The server did not take it. `status` 0 means that it gave no proper answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


def post(url: str, body: dict[str, Any], token: str = "") -> dict[str, Any]:
    """The object the server answers with 2xx ({} when it answers anything else there). Raises Failed.

    Redirects are not followed: they would carry the token to whoever they name.
    """
    headers = {"Content-Type": "application/json", "Accept": "application/json", "Connection": "close"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    connection: http.client.HTTPConnection | None = None
    try:
        parts = urllib.parse.urlsplit(url)
        connection = _connection(parts)
        connection.request("POST", parts.path, json.dumps(body).encode(), headers)
        response = connection.getresponse()
        text = response.read(MAX_ANSWER)
        if not 200 <= response.status < 300:
            raise Failed(f"answered {response.status}", response.status)
        answer = json.loads(text or b"{}")
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        raise Failed(f"{type(error).__name__}: {str(error)[:200]}") from error
    finally:
        if connection is not None:
            connection.close()
    return answer if isinstance(answer, dict) else {}


def _connection(parts: urllib.parse.SplitResult) -> http.client.HTTPConnection:
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("PUBLIC_URL is not an http or https address")
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=TIMEOUT_S, context=context)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S)


class Pace:
    """When something may be tried next: at once, or after a failure ever later, each machine at its own moment."""

    def __init__(self, first_s: float) -> None:
        self._first_s = first_s
        self._failures = 0
        self.due_at = 0.0

    @property
    def is_well(self) -> bool:
        return self._failures == 0

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self.due_at

    def succeeded(self, next_s: float = 0.0) -> None:
        self._failures = 0
        self.due_at = time.monotonic() + next_s

    def failed(self) -> None:
        ceiling = min(MAX_BACKOFF_S, self._first_s * 2.0 ** min(self._failures, 10))
        self._failures += 1
        self.due_at = time.monotonic() + ceiling * _jitter(0.5, 1.0)


def _jitter(low: float, high: float) -> float:
    return random.uniform(low, high)  # noqa: S311 - spreads load, guards nothing


class Uplink:
    """Run by one thread. `heard` is told of every heartbeat that is taken.

    `last_heartbeat` is for the local API: {at, ok, detail}, None before the first try.
    """

    def __init__(
        self, config: Config, games: Games, activity: Activity, heard: Callable[[], None] = lambda: None
    ) -> None:
        self._config = config
        self._games = games
        self._activity = activity
        self._heard = heard
        self._meter = Meter(config.state_dir)
        self._store = config.state_dir / "uplink.json"
        # Apart, so that an event the server chokes on does not silence the heartbeats.
        self._link = Pace(config.heartbeat_s)
        self._events = Pace(config.heartbeat_s)
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
        try:
            if not self._token:
                self._register()
            self._beat()
        except Failed as error:
            self.last_heartbeat = {"at": utc_now(), "ok": False, "detail": str(error)}
            self._forget_if_refused(error)
            self._link.failed()
        else:
            self.last_heartbeat = {"at": utc_now(), "ok": True, "detail": ""}
            # A little early or late, so that machines started together do not stay in step.
            self._link.succeeded(self._config.heartbeat_s * _jitter(0.9, 1.1))

    def _report_all(self) -> None:
        """One event of each session; the caller comes back while there are more."""
        try:
            for session_id, event in self._games.unreported():
                self._report(session_id, event)
        except Failed as error:
            self._forget_if_refused(error)
            self._events.failed()
        else:
            self._events.succeeded()

    def _forget_if_refused(self, error: Failed) -> None:
        if error.status == TOKEN_REFUSED and self._token:
            self._token = ""
            self._link.due_at = 0.0

    def _register(self) -> None:
        body = {"vm_id": self._config.vm_id, "bootstrap_token": self._config.agent_token}
        token = post(self._url("/agent/register"), body).get("token")
        if not isinstance(token, str) or not TOKEN.fullmatch(token):
            raise Failed("registered without a usable token")
        self._token = token
        write_json(self._store, {"token": token, "issued_for": self._issued_for()})

    def _report(self, session_id: str, event: dict[str, Any]) -> None:
        try:
            post(self._url(f"/agent/sessions/{session_id}/events"), event, self._token)
        except Failed as error:
            if error.status not in REFUSED_FOR_GOOD:
                raise
        self._games.mark_reported(session_id)

    def _beat(self) -> None:
        # Milliseconds since boot rise within one boot across restarts of the agent, with nothing to remember.
        activity = self._activity.view()
        self._told_playing = activity["is_playing"]
        self._sequence = max(self._sequence + 1, int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000))
        body = {
            "boot_id": boot_id(),
            "sequence": self._sequence,
            "sent_at": utc_now(),
            "sessions": [
                {"session_id": each["session_id"], "state": each["state"]} for each in self._games.all()
            ],
            "metrics": self._meter.read(),
            "activity": activity,
        }
        post(self._url("/agent/heartbeat"), body, self._token)
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
