"""The dead-man switch: a machine whose control plane is gone for good ends by itself, but never under a player's hands."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable

from .activity import Activity

LOOK_S = 10.0
# Where it can't be told whether somebody plays, so many times the patience; no session is longer.
UNKNOWN_TIMES = 16
POWER_OFF = ("shutdown", "-h", "now")


class DeadMan:
    """`heard` is called for every word from us: a heartbeat that was taken, a request that came with the token."""

    def __init__(
        self, patience_s: float, activity: Activity, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._patience_s = patience_s
        self._activity = activity
        self._clock = clock
        self._heard_at = clock()

    def heard(self) -> None:
        self._heard_at = self._clock()

    @property
    def is_due(self) -> bool:
        """Whether the machine has been alone for too long, and nobody plays on it."""
        silence_s = self._clock() - self._heard_at
        if silence_s < self._patience_s:
            return False
        is_playing = self._activity.view()["is_playing"]
        if is_playing is None:
            return silence_s >= self._patience_s * UNKNOWN_TIMES
        return not is_playing

    def watch(self, stop: threading.Event) -> None:
        while not stop.wait(min(LOOK_S, self._patience_s / 4)):
            if self.is_due:
                sys.stderr.write("no word from the control plane, and nobody plays: powering off\n")
                subprocess.run(
                    POWER_OFF, check=False
                )  # a real machine ends here; one that refuses is asked again
