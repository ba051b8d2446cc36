"""What the contract's suite needs of one implementer beyond the seam: the vendor's own books, its clock and its faults."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import Enum, auto
from pathlib import Path

from gamer.env import ROOT
from tests.waiting import eventually
from vms.providers.base import Machine, Provider

LATE_S = 60
LISTS_WITHOUT = 2
RETRY_AFTER_S = 7


class Trouble(Enum):
    """What a harness can make go wrong. Once, unless said otherwise."""

    NO_CAPACITY = auto()  # create
    QUOTA_EXCEEDED = auto()  # create
    REJECTED = auto()  # create
    BAD_CREDENTIALS = auto()  # every verb, until healed
    UNAVAILABLE = auto()  # every verb, until healed; the vendor says to come back after RETRY_AFTER_S
    BROKEN = auto()  # every verb, until healed; the vendor answers nonsense
    LOST_MADE = auto()  # create: no answer, the machine is there
    LOST_UNMADE = auto()  # create: no answer, no machine
    LOST_LATE = auto()  # create: no answer, the machine comes LATE_S later
    HIDDEN = auto()  # the next machine is missing from LISTS_WITHOUT lists
    INCOMPLETE_LIST = auto()  # list, until healed
    NEVER_RUNS = auto()  # the next machine
    NEVER_IP = auto()  # the next machine
    DELETE_FAILS = auto()  # delete, until healed
    LOST_DELETE = auto()  # delete: done, but no answer
    SLOW_DELETE = auto()  # delete: done LATE_S later
    START_REFUSED = auto()  # start: the capacity is gone


class Harness(ABC):
    """One account at a vendor (or its stand-in), the vendor's own books, and a hand on its clock and its faults."""

    # What the account is opened with; must never be seen anywhere.
    secret: str

    @abstractmethod
    def open(self) -> Provider:
        """A new adapter to the account."""

    @abstractmethod
    def trouble(self, trouble: Trouble) -> None: ...

    @abstractmethod
    def heal(self) -> None: ...

    @abstractmethod
    def advance(self, seconds: float = 1) -> None:
        """Vendor's time passes; 1 s is enough for a boot, a stop and a delete."""

    @abstractmethod
    def alive(self) -> list[str]:
        """The names of all machines the vendor would bill, by its own books."""

    @abstractmethod
    def plant(self, name: str) -> None:
        """A machine that somebody else ordered by other means."""

    @abstractmethod
    def stop_by_itself(self, machine_id: str) -> None: ...

    @abstractmethod
    def vanish(self, machine_id: str) -> None: ...

    @property
    @abstractmethod
    def words(self) -> Mapping[str, str]:
        """What `caller.py` opens the same account by, in another process."""

    @abstractmethod
    def hold(self, verb: str, moment: str) -> None:
        """The next call of a verb is not answered until time passes. `asked`: nothing is done before; `done`: it is done at once."""

    @abstractmethod
    def is_held(self, verb: str, caller: int) -> bool:
        """Whether that call is in the middle now. `caller` is the process that makes it."""

    def die_in(self, verb: str, machine_id: str, moment: str) -> None:
        """Another process of ours calls a verb, and is killed in the middle of it."""
        self.hold(verb, moment)
        words = json.dumps({**self.words, "verb": verb, "machine_id": machine_id})
        argv = [sys.executable, "-m", "tests.vms.providers.caller", words]
        with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL) as caller:
            eventually(lambda: self.is_held(verb, caller.pid), timeout_s=60)
            assert caller.poll() is None, f"{verb} was over before it could be killed"
            caller.kill()


def parents() -> dict[int, int]:
    """Every process with its parent."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    return found


def by_tag(provider: Provider) -> dict[str, Machine]:
    return {machine.tag: machine for machine in provider.list() if machine.tag}


def listed_in_time(provider: Provider, wanted: str, lists: int) -> Machine:
    """The machine with that tag, which must come within so many lists."""
    return next(found[wanted] for _ in range(lists) if wanted in (found := by_tag(provider)))
