"""What can be made to go wrong in a `MemoryCloud`, and when."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from vms.providers import base

VERBS = frozenset({"offers", "create", "get", "list", "delete", "stop", "start", "balance"})


class Fault(StrEnum):
    """One kind of misfortune. In brackets: the verbs it strikes unless told otherwise."""

    # The verb raises, nothing happens.
    NO_CAPACITY = "no_capacity"  # [create, start]
    REJECTED = "rejected"  # [create]
    QUOTA_EXCEEDED = "quota_exceeded"  # [create]
    BAD_CREDENTIALS = "bad_credentials"  # [all]
    UNAVAILABLE = "unavailable"  # [all] carries `retry_after`
    INCOMPLETE_LIST = "incomplete_list"  # [list]
    # create raises OutcomeUnknown, and the machine ...
    LOST_MADE = "lost_made"  # is there
    LOST_UNMADE = "lost_unmade"  # was never made
    LOST_LATE = "lost_late"  # lands `seconds` later
    # create works, or is lost by another fault, and the machine ...
    HIDDEN = "hidden"  # is missing from the next `lists` lists
    NEVER_RUNS = "never_runs"  # stays PENDING
    NEVER_IP = "never_ip"  # runs without an address
    STOPS = "stops"  # stops by itself after `seconds`
    VANISHES = "vanishes"  # is gone after `seconds`
    # delete ...
    SLOW_DELETE = "slow_delete"  # is accepted, and done `seconds` later
    LOST_DELETE = "lost_delete"  # is done, but raises Unavailable

    @property
    def verbs(self) -> frozenset[str]:
        """The verbs it strikes unless told otherwise."""
        if self in {Fault.BAD_CREDENTIALS, Fault.UNAVAILABLE}:
            return VERBS
        if self is Fault.NO_CAPACITY:
            return frozenset({"create", "start"})
        if self is Fault.INCOMPLETE_LIST:
            return frozenset({"list"})
        return frozenset({"delete" if self in {Fault.SLOW_DELETE, Fault.LOST_DELETE} else "create"})

    @property
    def loses_answer(self) -> bool:
        """Whether create ends in OutcomeUnknown."""
        return self in {Fault.LOST_MADE, Fault.LOST_UNMADE, Fault.LOST_LATE}


@dataclass(slots=True, eq=False)
class Switch:
    """One fault that is switched on. `hits` counts how often it struck."""

    fault: Fault
    verbs: frozenset[str]
    times: int | None
    until: float | None
    offer_id: str
    tag: str
    probability: float
    seconds: float
    lists: int
    retry_after: float | None
    hits: int = 0

    def is_spent(self, now: float) -> bool:
        """Whether it can strike no more."""
        return (self.times is not None and self.hits >= self.times) or (
            self.until is not None and now >= self.until
        )

    def fires(self, verb: str, offer_id: str, tag: str, now: float, chance: random.Random) -> bool:
        """Whether it strikes this call; counts it if so."""
        if verb not in self.verbs or self.is_spent(now):
            return False
        if (self.offer_id and self.offer_id != offer_id) or not tag.startswith(self.tag):
            return False
        if self.probability < 1 and chance.random() >= self.probability:
            return False
        self.hits += 1
        return True

    def error(self, verb: str) -> base.ProviderError | None:
        """What the verb raises at once; None for a fault that lets it go on."""
        match self.fault:
            case Fault.NO_CAPACITY:
                return base.NoCapacity(f"{verb}: no available nodes found")
            case Fault.REJECTED:
                return base.Rejected(f"{verb}: the order is not valid")
            case Fault.QUOTA_EXCEEDED:
                return base.QuotaExceeded(f"{verb}: the balance is too low")
            case Fault.BAD_CREDENTIALS:
                return base.BadCredentials(f"{verb}: the token is refused")
            case Fault.UNAVAILABLE:
                return base.Unavailable(f"{verb}: try later", retry_after=self.retry_after)
            case Fault.INCOMPLETE_LIST:
                return base.Unavailable(f"{verb}: the answer broke off")
            case _:
                return None
