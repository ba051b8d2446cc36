"""What the contract's suite needs of one implementer beyond the seam: the vendor's own books, its clock and its faults."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum, auto

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


def by_tag(provider: Provider) -> dict[str, Machine]:
    return {machine.tag: machine for machine in provider.list() if machine.tag}


def listed_in_time(provider: Provider, wanted: str, lists: int) -> Machine:
    """The machine with that tag, which must come within so many lists."""
    return next(found[wanted] for _ in range(lists) if wanted in (found := by_tag(provider)))
