"""Runs named programs side by side: prefixes their lines, starts them again on any exit, and leaves none behind.

One thread does it all, so that forking is safe. Each program leads a process group of its own, is told by the kernel when
we are killed, and is ended in the reverse order of its start.
"""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, TextIO

PR_SET_PDEATHSIG = 1
TURN_S = 0.25
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.2, 5.0
SOUND_AFTER_S = 10.0  # a program that lived so long starts with the shortest backoff again
GRACE_S = 10.0


class Interrupted(Exception):
    """A signal asked us to end while we waited for something."""


@dataclass(frozen=True)
class Program:
    """What to run. `launch` replaces the plain start of `argv` and returns the running process."""

    name: str
    argv: Sequence[str | Path] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    launch: Callable[[], subprocess.Popen[bytes]] | None = None
    ended_by: signal.Signals = signal.SIGTERM


@dataclass
class _Lines:
    """A pipe's unfinished line."""

    name: str
    rest: bytes = b""


@dataclass
class _Run:
    """A program under way, or waiting for its next start."""

    program: Program
    process: subprocess.Popen[bytes]
    started_at: float
    backoff_s: float = FIRST_BACKOFF_S
    restart_at: float | None = None


def die_with(parent: int, by: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn`: the child gets the signal when its parent, process `parent`, ends in whatever way. Linux only."""
    libc = ctypes.CDLL(None)

    def arrange() -> None:
        libc.prctl(PR_SET_PDEATHSIG, by)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return arrange


class Supervisor:
    """A context manager: what it started ends with it. SIGTERM and SIGINT set `is_stopping`; a second one hurries."""

    def __init__(self, *, cwd: Path, output: TextIO = sys.stdout, grace_s: float = GRACE_S) -> None:
        self.cwd = cwd
        self.output = output
        self.grace_s = grace_s
        self.is_stopping = False
        self._is_hurried = False
        self._runs: list[_Run] = []
        self._selector = selectors.DefaultSelector()
        self._kept: dict[int, object] = {}

    def __enter__(self) -> Supervisor:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._kept[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._selector.close()
        for number, handler in self._kept.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._is_hurried = self.is_stopping
        self.is_stopping = True

    def say(self, text: str, name: str = "gamer") -> None:
        for line in text.splitlines() or [""]:
            self.output.write(f"{name:<10} | {line}\n")
        self.output.flush()

    def show(self, text: str) -> None:
        """Text to copy from, without a prefix."""
        self.output.write(text)
        self.output.flush()

    def start(self, program: Program) -> None:
        """Starts a program and keeps it running."""
        self._runs.append(_Run(program, self._launch(program), time.monotonic()))

    def once(self, name: str, argv: Sequence[str | Path], environment: Mapping[str, str]) -> None:
        """Runs a program to its end. Raises CalledProcessError, or Interrupted when a signal came."""
        process = self._launch(Program(name, argv, environment))
        try:
            while not _has_ended(process):
                self.turn()
                if self.is_stopping:
                    raise Interrupted
        finally:
            self._end([_Run(Program(name), process, 0.0)])
        if process.returncode != 0:
            raise subprocess.CalledProcessError(process.returncode, [str(part) for part in argv])

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Keeps everything running until the condition holds. Raises Interrupted when a signal came first."""
        while not condition():
            if self.is_stopping:
                raise Interrupted
            self.turn()

    def turn(self) -> None:
        """Passes on what the programs wrote, and starts again those that ended. Takes at most TURN_S when nothing happens."""
        for key, _ in self._selector.select(TURN_S):
            self._pass_on(key.fileobj, key.data)  # type: ignore[arg-type]
        if self.is_stopping:
            return
        for run in self._runs:
            self._revive(run, time.monotonic())

    def _revive(self, run: _Run, now: float) -> None:
        if run.restart_at is None:
            if _has_ended(run.process):
                self._bury(run, now)
        elif now >= run.restart_at:
            try:
                run.process, run.started_at, run.restart_at = self._launch(run.program), now, None
            except (OSError, RuntimeError) as error:
                self.say(f"did not start: {error}", run.program.name)
                self._put_off(run, now)

    def _bury(self, run: _Run, now: float) -> None:
        _kill_group(run.process)  # what it left behind would run beside its successor
        status = run.process.wait()
        self._drain(run.process)
        if now - run.started_at > SOUND_AFTER_S:
            run.backoff_s = FIRST_BACKOFF_S
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        self.say(f"{how}; starting it again in {run.backoff_s:g} s", run.program.name)
        self._put_off(run, now)

    @staticmethod
    def _put_off(run: _Run, now: float) -> None:
        run.restart_at = now + run.backoff_s
        run.backoff_s = min(LONGEST_BACKOFF_S, run.backoff_s * 2)

    def _launch(self, program: Program) -> subprocess.Popen[bytes]:
        if program.launch is not None:
            return program.launch()
        process = subprocess.Popen(
            program.argv,
            cwd=self.cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **program.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with(os.getpid(), signal.SIGKILL),
        )
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self._selector.register(process.stdout, selectors.EVENT_READ, _Lines(program.name))
        return process

    def _pass_on(self, pipe: IO[bytes], state: _Lines) -> bool:
        """Writes whole lines; whether there may be more. The rest of a line waits for its end."""
        try:
            read = os.read(pipe.fileno(), 65536)
        except BlockingIOError:
            return False
        *lines, state.rest = (state.rest + read).split(b"\n")
        if not read:
            self._selector.unregister(pipe)
            pipe.close()
            lines += [state.rest] if state.rest else []
        for line in lines:
            self.say(line.decode(errors="replace"), state.name)
        return bool(read)

    def _drain(self, process: subprocess.Popen[bytes]) -> None:
        """The last words of an ended program. Somebody it left elsewhere may still hold the pipe, so the end is not awaited."""
        pipe = process.stdout
        if pipe is None or pipe.closed:
            return
        state = self._selector.get_key(pipe).data
        while self._pass_on(pipe, state):
            pass
        if not pipe.closed:
            self._selector.unregister(pipe)
            pipe.close()

    def stop(self) -> None:
        """Ends all programs, the last started first."""
        self.is_stopping = True
        while self._runs:
            self.end(self._runs[-1].program.name)

    def end(self, *names: str) -> None:
        """Ends some of the programs for good, all at the same time."""
        ending = [run for run in self._runs if run.program.name in names]
        self._runs = [run for run in self._runs if run not in ending]
        self._end(ending)

    def _end(self, ending: Sequence[_Run]) -> None:
        """Asks, waits for the grace period, then kills the whole groups."""
        for run in ending:
            if not _has_ended(run.process):
                run.process.send_signal(run.program.ended_by)
        deadline = time.monotonic() + self.grace_s
        while not all(_has_ended(run.process) for run in ending):
            if time.monotonic() > deadline or self._is_hurried:
                break
            self.turn()
        for run in ending:
            _kill_group(run.process)
            run.process.wait()
            self._drain(run.process)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it ended, without taking its status: as long as nobody does, its process group's number is not reused."""
    if process.returncode is not None:
        return True
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
