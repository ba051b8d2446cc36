"""Simulated time: monotonic, and movable forward so that tests never sleep."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger(__name__)

Callback = Callable[[float], Coroutine[Any, Any, None] | None]


@dataclass(order=True)
class Timer:
    """One thing that happens at a moment of the simulated clock."""

    due: float
    order: int
    callback: Callback = field(compare=False)
    is_cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        self.is_cancelled = True


class Clock:
    """Runs callbacks in the order they fall due, each told the moment it was due at.

    A callback may return a coroutine for work that takes real time (booting a guest); that runs on beside the
    clock, and `advance` waits for it.
    """

    def __init__(self) -> None:
        self._offset = 0.0
        self._started_at = time.time() - time.monotonic()
        self._timers: list[Timer] = []
        self._order = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()

    def now(self) -> float:
        """Simulated seconds on a monotonic scale."""
        return time.monotonic() + self._offset

    def as_unix_time(self, moment: float) -> float:
        return self._started_at + moment

    def at(self, due: float, callback: Callback) -> Timer:
        timer = Timer(due, next(self._order), callback)
        heapq.heappush(self._timers, timer)
        self._wake.set()
        return timer

    async def sleep(self, seconds: float) -> None:
        """Waits on the simulated clock, so that `advance` ends the wait."""
        if seconds <= 0:
            return
        done = asyncio.Event()
        timer = self.at(self.now() + seconds, lambda _due: done.set())
        try:
            await done.wait()
        finally:
            timer.cancel()

    def run_due(self) -> None:
        """Runs what is due now; work that takes time is started, not awaited."""
        while self._timers and self._timers[0].due <= self.now():
            timer = heapq.heappop(self._timers)
            if timer.is_cancelled:
                continue
            work = timer.callback(timer.due)
            if work is not None:
                self.start(work)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("work of the sandbox failed", exc_info=error)

    async def advance(self, seconds: float, *, patience_s: float = 30.0) -> None:
        """Moves the clock and returns when everything that thereby fell due has happened.

        Real work still running after `patience_s` real seconds is left to run.
        """
        self._offset += seconds
        give_up_at = time.monotonic() + patience_s
        while True:
            self.run_due()
            left = give_up_at - time.monotonic()
            if not self._tasks or left <= 0:
                return
            await asyncio.wait(set(self._tasks), timeout=left)

    async def run(self) -> None:
        """The loop that lets time pass by itself; runs until cancelled."""
        while True:
            self.run_due()
            self._wake.clear()
            left = max(0.0, self._timers[0].due - self.now()) if self._timers else None
            try:
                await asyncio.wait_for(self._wake.wait(), left)
            except TimeoutError:
                continue
