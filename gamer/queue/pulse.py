"""What the processes of one worker cluster let their watchdog see, in shared memory without locks: the dead hold locks."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass, field


class Pulse:
    """Written by the sentinel (`beat`) and the pusher (`claimed`), read by the main process. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._beat_at = multiprocessing.RawValue("d", time.monotonic())
        self._idle_workers = multiprocessing.RawValue("i", 0)
        self._claims = multiprocessing.RawValue("Q", 0)

    def beat(self, *, idle_workers: int) -> None:
        self._beat_at.value = time.monotonic()
        self._idle_workers.value = idle_workers

    def claimed(self) -> None:
        self._claims.value += 1

    @property
    def beat_at(self) -> float:
        return float(self._beat_at.value)

    @property
    def idle_workers(self) -> int:
        return int(self._idle_workers.value)

    @property
    def claims(self) -> int:
        return int(self._claims.value)


@dataclass
class Watchdog:
    """Tells a hung cluster from a busy one.

    Hung is: no sign of the sentinel for `stuck_after_s`, or a row due for so long while, all that time, nothing was
    claimed and some worker had nothing to do. Workers that are all busy are no fault: their timeout ends them.
    """

    stuck_after_s: float
    _claims: int = field(default=-1, init=False)
    _idle_since: float | None = field(default=None, init=False)

    def look(
        self, *, now: float, beat_at: float, idle_workers: int, claims: int, queue_age_s: float
    ) -> str | None:
        """Why the cluster is stuck, or None."""
        if now - beat_at > self.stuck_after_s:
            return f"the sentinel has been silent for {now - beat_at:.0f} s"
        if idle_workers == 0 or claims != self._claims:
            self._claims, self._idle_since = claims, None
            return None
        if self._idle_since is None:
            self._idle_since = now
        if queue_age_s > self.stuck_after_s and now - self._idle_since > self.stuck_after_s:
            return f"a task has been due for {queue_age_s:.0f} s and idle workers do not take it"
        return None
