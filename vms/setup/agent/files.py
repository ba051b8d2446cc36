"""Small files: replaced whole, read bounded, reached by sockets however deep they lie."""

from __future__ import annotations

import contextlib
import json
import os

# Every question over SSH loads this anew, and these three take as long as all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    AnyPath = str | Path

MAX_JSON = 1024 * 1024
MAX_SOCKET_NAME = 100


class BadConfig(Exception):
    """The configuration is missing or says something impossible."""


def make_private(folder: Path) -> None:
    """The folder and its parents; the folder itself is for its owner only."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)


def write_json(path: Path, value: object) -> None:
    """Replace the file in one step, mode 0600. What was there before survives a death at any point."""
    part = path.with_name(path.name + ".part")
    descriptor = os.open(str(part), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(str(part), str(path))


def read_json(path: AnyPath) -> dict[str, Any] | None:
    """The object in the file; None when there is none, or not a readable one."""
    try:
        with open(path) as file:
            value = json.loads(file.read(MAX_JSON))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def take_lock(path: Path) -> int | None:
    """The lock's descriptor, ours until this process ends; None when another process has it."""
    lock = os.open(str(path), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.lockf(lock, os.F_TLOCK, 0)
    except (PermissionError, BlockingIOError):
        os.close(lock)
        return None
    return lock


def is_locked(path: AnyPath) -> bool:
    """Whether another process holds the lock."""
    try:
        lock = os.open(str(path), os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        os.lockf(lock, os.F_TEST, 0)
    except (PermissionError, BlockingIOError):
        return True
    finally:
        os.close(lock)
    return False


def read_text(path: AnyPath, limit: int = 4096) -> str:
    """The first `limit` characters, stripped; "" when the file is not there."""
    try:
        with open(path, errors="replace") as file:
            return file.read(limit).strip()
    except OSError:
        return ""


def boot_id() -> str:
    """Differs after each boot of the machine (random(4))."""
    return read_text("/proc/sys/kernel/random/boot_id") or "unknown"


def read_tail(path: AnyPath, limit: int) -> str:
    """The last `limit` bytes as text; "" when the file is not there."""
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - limit))
            return file.read(limit).decode(errors="replace")
    except OSError:
        return ""


@contextlib.contextmanager
def short_name(path: AnyPath) -> Iterator[str]:
    """A name for `path` that fits the 107 bytes of a unix socket's address (unix(7)), good inside the block."""
    if len(os.fsencode(path)) < MAX_SOCKET_NAME:
        yield str(path)
        return
    parent, name = os.path.split(path)
    folder = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{name}"
    finally:
        os.close(folder)
