"""What the tests' workers run. Each leaves a line, so that a test can count executions."""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path


def note(book: str, line: str) -> None:
    with Path(book).open("a") as file:  # O_APPEND: short lines of several processes do not mix
        file.write(f"{line}\n")


def hold(book: str, line: str, gate: str) -> None:
    """Notes the start, waits until nobody holds the gate, notes the end."""
    note(book, f"{line} {os.getpid()} begins")
    with Path(gate).open("r") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
    note(book, f"{line} ends")


def die(book: str) -> None:
    """Kills its own worker, as running out of memory would."""
    note(book, "dies")
    os.kill(os.getpid(), signal.SIGKILL)


def overrun(book: str, gate: str) -> None:
    """Waits at the gate deaf to the alarm of its timeout, as code that never returns to Python would."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    hold(book, "deaf", gate)
