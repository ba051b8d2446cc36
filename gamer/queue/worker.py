"""A worker cluster that would rather die than hang. `manage.py qworker` runs it; a supervisor starts it again on any exit.

django-q2's processes share queues whose locks die with whoever holds them: a killed idle worker freezes the cluster, a
killed monitor never acknowledges again, a killed main process leaves orphans (django-q2 issue 23; measured in
`docs/decisions/0002`). So the death of any of them by a signal ends all of them, at once. Their tasks run again when `retry`
seconds have passed, and what they were about is found earlier by whoever polls the rows.

main (watchdog) -> sentinel (guards, keeps schedules) -> pusher (claims), monitor (acknowledges), workers
"""

from __future__ import annotations

import ctypes
import logging
import multiprocessing.connection
import os
import signal
import time
import uuid
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from multiprocessing.synchronize import Event
from types import FrameType
from typing import Any, NoReturn

from django.db import DatabaseError, connections
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.cluster import Sentinel, get_mp_context
from django_q.cluster import worker as run_worker
from django_q.conf import Conf

from gamer import heap
from gamer.queue import schedules, wake
from gamer.queue.broker import backlog, channel_of
from gamer.queue.pulse import Pulse, Watchdog

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
FALLEN = 70  # EX_SOFTWARE: a cluster that ended by itself
SCHEDULES_EVERY_S = 10
WATCH_EVERY_S = 5
LAST_WORDS_S = 2  # a worker that timed out hands in its result and leaves by itself
STOP_MARGIN_S = 30


def live_with(parent: int, name: str) -> None:
    """Ties this process's life to its parent's, also when that is killed, and names it for `ps`. Linux only."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(PR_SET_NAME, name.encode())
    if os.getppid() != parent:  # it died before we asked
        os._exit(FALLEN)


def _run_child(parent: int, target: Callable[..., None], *args: Any) -> None:
    live_with(parent, f"q-{target.__name__}")
    target(*args)


class FailFast(Sentinel):  # type: ignore[misc]  # django-q2 is untyped
    """django-q2's guard of a cluster, with another answer to sudden death. Runs in a process of its own."""

    def __init__(self, parent: int, stop_event: Event, start_event: Event, pulse: Pulse) -> None:
        live_with(parent, "q-sentinel")
        self.pulse = pulse
        broker = get_broker()
        broker.pulse = pulse
        super().__init__(stop_event, start_event, uuid.uuid4(), broker=broker)

    def spawn_process(self, target: Callable[..., None], *args: Any) -> ForkProcess:
        process: ForkProcess = get_mp_context().Process(
            target=_run_child,
            args=(os.getpid(), target, *args),
            name=f"{target.__name__}-{uuid.uuid4().hex[:8]}",
            daemon=True,
        )
        if target is run_worker:
            process.timer = args[2]  # type: ignore[attr-defined]
            self.pool.append(process)
        process.start()
        return process

    def guard(self) -> None:
        self.start_event.set()
        logger.info("queue worker ready: %d workers on %s", self.pool_size, self.queue_name())
        looked_at = time.monotonic()
        schedules_at = looked_at
        while not self.stop_event.is_set():
            children = [*self.pool, self.monitor, self.pusher]
            multiprocessing.connection.wait([child.sentinel for child in children], Conf.GUARD_CYCLE)
            now = time.monotonic()
            idle = self._look_at_workers(now - looked_at)
            for other in (self.monitor, self.pusher):
                self._look_at(other)
            self.pulse.beat(idle_workers=idle)
            looked_at = now
            if now >= schedules_at:
                schedules_at = now + SCHEDULES_EVERY_S
                schedules.run_due(timezone.now())
        self.stop()

    def _look_at_workers(self, elapsed_s: float) -> int:
        """Replaces workers that left or overran their time; how many of the rest are idle."""
        idle = 0
        for process in list(self.pool):
            if not self._look_at(process):
                continue
            lock = process.timer.get_lock()
            if not lock.acquire(timeout=STOP_MARGIN_S):
                self.fall("a worker holds its lock and does not move")
            left_s = process.timer.value
            if left_s > 0:
                process.timer.value = left_s = max(0.0, left_s - elapsed_s)
            lock.release()
            if left_s == 0:
                process.join(LAST_WORDS_S)
                self.reincarnate(process)
            elif left_s == -1:
                idle += 1
        return idle

    def _look_at(self, process: ForkProcess) -> bool:
        """Whether a process lives. One that left by itself is replaced, one that was killed takes the cluster along."""
        if process.is_alive():
            return True
        if process.exitcode is not None and process.exitcode < 0:
            self.fall(f"{process.name} was killed by signal {-process.exitcode}")
        self.reincarnate(process)
        return False

    def fall(self, reason: str) -> NoReturn:
        logger.critical("%s; this cluster ends, so that a supervisor can start a sound one", reason)
        for process in [*self.pool, self.monitor, self.pusher]:
            process.kill()
        # Only the parent we were born to: after its death the number may belong to anybody.
        if os.getppid() == self.parent_pid:
            os.kill(self.parent_pid, signal.SIGKILL)
        os._exit(FALLEN)

    def stop(self) -> None:
        self.event_out.set()
        wake.ring(channel_of(self.broker.list_key))  # the pusher sees the event when it wakes
        super().stop()


def run(*, stuck_after_s: float) -> int:
    """Runs a cluster until SIGTERM or SIGINT, which let claimed tasks end; returns the exit status."""
    stopping = False

    def stop(_signum: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    connections.close_all()  # a connection shared over a fork is broken for both
    heap.settle()
    pulse = Pulse()
    context = get_mp_context()
    stop_event, start_event = context.Event(), context.Event()
    sentinel = context.Process(
        target=FailFast, args=(os.getpid(), stop_event, start_event, pulse), name="sentinel"
    )
    sentinel.start()
    watchdog = Watchdog(stuck_after_s)
    watch_every_s = min(WATCH_EVERY_S, stuck_after_s / 2)
    look_at = time.monotonic() + watch_every_s
    while not stopping:
        if multiprocessing.connection.wait([sentinel.sentinel], timeout=Conf.GUARD_CYCLE):
            return FALLEN
        if time.monotonic() < look_at:
            continue
        look_at = time.monotonic() + watch_every_s
        if reason := _verdict(watchdog, pulse):
            logger.critical("%s; this cluster ends, so that a supervisor can start a sound one", reason)
            sentinel.kill()
            return FALLEN
    stop_event.set()
    sentinel.join(Conf.TIMEOUT + STOP_MARGIN_S)
    sentinel.kill()
    return 0


def _verdict(watchdog: Watchdog, pulse: Pulse) -> str | None:
    try:
        connections[Conf.ORM].close_if_unusable_or_obsolete()
        age_s = backlog().oldest_due_s
    except DatabaseError:
        age_s = 0.0  # no database, no due rows to judge by
    return watchdog.look(
        now=time.monotonic(),
        beat_at=pulse.beat_at,
        idle_workers=pulse.idle_workers,
        claims=pulse.claims,
        queue_age_s=age_s,
    )
