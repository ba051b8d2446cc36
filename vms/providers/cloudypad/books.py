"""An account's home on disk: the tool's own folder, and beside it our page for every machine, with its queue of orders.

Standard library only: the `runner` is started for every order. A page is replaced as a whole, under its lock; a machine's orders are
carried out one after the other by whoever holds its run lock, in whatever process. The kernel gives a lock back when its last holder
dies, and the tool itself holds it too: there is no stale lock to clear, and no second run beside one whose runner was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# The tool reports to its makers unless this says otherwise (its variable for that has no effect), and crashes without the version.
CONFIG = """version: "1"
analytics:
  promptedPersonalDataCollectionApproval: true
  posthog:
    distinctId: "-"
    collectionMethod: none
"""
# How often an order is begun that is cut off each time.
MOST_TRIES = 3


@dataclass(slots=True)
class Order:
    """One call of the tool that changes something. `is_quiet`: it only finishes what the machine did by itself, or serves the next."""

    verb: str
    argv: list[str]
    limit_s: float
    is_quiet: bool = False
    tries: int = 0
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(slots=True)
class Run:
    """The last order that was begun. `exit_code` is None while it runs, below 0 for a signal. Times are POSIX seconds."""

    order_id: str
    verb: str
    began_at: float
    ended_at: float | None = None
    exit_code: int | None = None
    is_overdue: bool = False


@dataclass(slots=True)
class Page:
    """`machine`: what was ordered, as the adapter wants to find it again. The head of the queue is under way, or next."""

    machine: dict[str, Any] = field(default_factory=dict)
    queue: list[Order] = field(default_factory=list)
    run: Run | None = None

    @property
    def head(self) -> Order | None:
        return self.queue[0] if self.queue else None

    def is_cut_off(self) -> bool:
        """Whether the head was begun; with nobody at it, it was cut off in the middle."""
        return self.head is not None and self.head.tries > 0

    def drop(self, order_id: str) -> None:
        self.queue = [order for order in self.queue if order.id != order_id]


class Book:
    """One machine's folder. `page()` may be read by anybody at any time; changes go through `changing()`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self.log = folder / "run.log"

    def page(self) -> Page | None:
        try:
            known = json.loads((self.folder / "page.json").read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None
        run = Run(**known["run"]) if known["run"] else None
        return Page(known["machine"], [Order(**order) for order in known["queue"]], run)

    @contextlib.contextmanager
    def changing(self) -> Iterator[Page]:
        """The page under its lock (a new one where there is none); written back unless the block raises."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(self.folder / "page.lock"):
            page = self.page() or Page()
            yield page
            draft = self.folder / f"page.{uuid.uuid4().hex}"
            draft.write_text(json.dumps(asdict(page)))
            draft.replace(self.folder / "page.json")

    def take(self) -> int | None:
        """The run lock as an open file; None while somebody carries out an order of this machine."""
        try:
            handle = os.open(self.folder / "run.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        return handle

    def forget(self) -> None:
        """The machine is gone: so is its page. Holders of its locks keep what they have."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Home:
    """The folder of one account: `instances/` and `config.yml` are the tool's, `gamer/` is ours."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Says that this folder is the account's home, and not a new one in its place.
        self.marker = folder / "gamer" / "home"

    def is_made(self) -> bool:
        """Whether this is a home already; also one from before homes were marked."""
        known = self.marker, self.folder / "gamer" / "names.json"
        return any(path.exists() for path in known) or any(self.book(name).page() for name in self.books())

    def open(self) -> None:
        """Makes the folders, closed to others (the tool keeps private keys in files that anybody may read)."""
        for folder in (self.folder, self.folder / "gamer" / "machines", self.folder / "gamer" / "secrets"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        config = self.folder / "config.yml"
        if not config.exists():
            self.write(config, CONFIG)
        if not self.marker.exists():
            self.write(self.marker, "")

    def book(self, name: str) -> Book:
        return Book(self.folder / "gamer" / "machines" / name)

    def books(self) -> list[str]:
        folder = self.folder / "gamer" / "machines"
        return sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []

    def state_path(self, name: str) -> Path:
        """Where the tool keeps what it knows of a machine."""
        return self.folder / "instances" / name

    def state_text(self, name: str) -> str:
        """The tool's state file as it is now; "" when there is none. It is written in place: a reader may see half of it."""
        try:
            return (self.state_path(name) / "state.yml").read_text(errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return ""

    def lift_locks(self, name: str) -> None:
        """Takes away what a run that was cut off left on the machine's stacks. For the holder of its run lock: nobody else is at work.

        The tool's own flag for it does nothing at a `destroy` (src/core/manager.ts of 0.45.1). Pulumi keeps its locks in a folder of JSON
        files, `organization/<project>/<stack>/` (pkg/backend/diy/lock.go), and the tool's stacks carry the machine's name.
        """
        for lock in (self.folder / "pulumi-backend" / ".pulumi" / "locks").glob(f"**/{name}/*.json"):
            if not _is_at_work(lock):
                lock.unlink(missing_ok=True)

    def keep_secret(self, name: str, content: str) -> Path:
        """A secret that the tool wants as a file."""
        path = self.folder / "gamer" / "secrets" / name
        if not path.exists() or path.read_text() != content:
            self.write(path, content)
        return path

    def write(self, path: Path, content: str) -> None:
        """Whole or not at all, and for us alone."""
        draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(content)
        draft.replace(path)

    def slot(self, kind: str, most: int) -> int | None:
        """One of `most` places for calls of a kind, as an open file to be closed after; None while all are taken."""
        folder = self.folder / "gamer" / "slots"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(most):
            handle = os.open(folder / f"{kind}-{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                continue
            return handle
        return None


def _is_at_work(lock: Path) -> bool:
    """Whether the Pulumi that made a lock lives on here: it may outlive a tool that is killed, and holds no lock of ours."""
    try:
        maker = json.loads(lock.read_text())
        program = Path(f"/proc/{maker['pid']}/comm").read_text()
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return maker.get("hostname") == socket.gethostname() and "pulumi" in program


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
