"""Sends pending saves to `PUBLIC_URL`, in a thread of its own: a large one on a slow line must not silence the heartbeats.

This is only the quick way. What does not arrive, or is refused on it, stays here until it is fetched through SSH.
"""

from __future__ import annotations

import threading
import time
import urllib.parse

from .config import Config
from .saves import Saves
from .server import REFUSED_FOR_GOOD, Failed, Pace, put
from .shelf import Version
from .uplink import Uplink

IDLE_S = 60.0
CONFLICT = 409


class Pusher:
    """Run by one thread."""

    def __init__(self, config: Config, saves: Saves, uplink: Uplink) -> None:
        self._config = config
        self._saves = saves
        self._uplink = uplink
        self._pace = Pace(config.heartbeat_s, config.backoff_s)

    def run(self, stop: threading.Event) -> None:
        """Push until `stop`: at once when a save waits, ever more rarely while it fails."""
        while not stop.is_set():
            self._saves.wake.clear()
            if self._uplink.token and self._pace.is_due:
                self._push_all()
            # Without a token yet, or after a failure, nobody wakes us when the time has come.
            is_waiting = any(not one.is_refused for one in self._saves.pending())
            due_s = max(self._config.heartbeat_s, self._pace.due_at - time.monotonic())
            if self._pace.is_well:
                self._saves.wake.wait(due_s if is_waiting else IDLE_S)
            else:
                stop.wait(due_s)

    def _push_all(self) -> None:
        trouble: Failed | None = None
        for version in self._saves.pending():
            try:
                if not version.is_refused:
                    self._push(version)
            except Failed as error:
                trouble = error
                # Where there is no room for one, there may be for another.
                if error.status != CONFLICT:
                    break
            except OSError as error:
                # It cannot be read here, or was taken and that cannot be written down: on a full disk, say. Told again, it is taken once.
                trouble = Failed(f"{type(error).__name__}: {error}")
        if trouble is None:
            self._pace.succeeded()
        else:
            self._uplink.forget_if_refused(trouble)
            self._pace.failed()

    def _push(self, version: Version) -> None:
        path = self._saves.path_of(version.slot, version.digest)
        if path is None:
            return
        told = {name: getattr(version, name) for name in ("session_id", "base", "digest")}
        told["played_s"] = int(version.played_s)
        url = f"{self._config.public_url}/agent/saves?{urllib.parse.urlencode(told)}"
        try:
            answer = put(url, path, "application/gzip", self._uplink.token)
        except FileNotFoundError:
            return  # a newer one has just replaced it
        except Failed as error:
            # No room for it (409) is not for good: the player may make some.
            if error.status in REFUSED_FOR_GOOD and error.status != CONFLICT:
                self._saves.refused(version.slot, version.digest, is_final=False)
                return
            raise
        number, is_current = answer.get("number"), answer.get("is_current") is True
        if type(number) is not int or number < 1:
            raise Failed("took a save and does not say as what")
        self._saves.stored(version.slot, version.digest, number, is_current=is_current)
