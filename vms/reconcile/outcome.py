"""What a step is given and what it may say. A step touches no database: it returns one of these, and `apply.py` writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from emulators.profile import Profile
from emulators.services.saves import SaveContent
from vms.lifecycle import Desired, Phase
from vms.models import VM, Attempt, GameSession
from vms.providers.base import (
    BadCredentials,
    Machine,
    Provider,
    ProviderError,
    QuotaExceeded,
    Suspendable,
    Unavailable,
)
from vms.setup import PendingSave, StepReport, StoredSave


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One `list()` of an account. `taken_at` is when the call began: nothing older than it may be concluded from absence."""

    account_id: int
    taken_at: datetime
    by_tag: Mapping[str, Machine]
    by_id: Mapping[str, Machine]

    @classmethod
    def of(cls, account_id: int, taken_at: datetime, machines: Sequence[Machine]) -> Snapshot:
        by_tag = {machine.tag: machine for machine in machines if machine.tag}
        return cls(account_id, taken_at, by_tag, {machine.machine_id: machine for machine in machines})

    def find(self, attempt: Attempt) -> Machine | None:
        return self.by_id.get(attempt.machine_id) or self.by_tag.get(attempt.tag)


@dataclass(slots=True)
class Subject:
    """A claimed VM with all a step may need. `held` are its attempts that may still own a machine, the current one included."""

    vm: VM
    attempt: Attempt | None
    held: Sequence[Attempt]
    sessions: Sequence[GameSession]
    snapshot: Snapshot | None = None
    may_send: bool = False
    contacted: bool = False  # setup got in before, on this attempt
    profile: Profile | None = None  # of the game to launch
    save: SaveContent | None = None  # what its slot has now
    slots: Mapping[UUID, UUID] = field(default_factory=dict)  # of the VM's sessions that have one
    # By slot, digest and base, None for the current one of whatever base.
    stored: Mapping[tuple[str, str, int | None], StoredSave] = field(default_factory=dict)
    report: Callable[[StepReport], None] = lambda _: None

    @property
    def machine(self) -> Machine | None:
        if self.snapshot is None or self.attempt is None:
            return None
        return self.snapshot.find(self.attempt)

    @property
    def origin(self) -> Attempt | None:
        """The machine this VM leaves by a move."""
        return next((one for one in self.held if one.pk == self.vm.moves_from_id), None)

    @property
    def is_restart(self) -> bool:
        """Whether its machine was ready before: such a one is never replaced silently."""
        return self.vm.ready_at is not None and not self.vm.is_moving

    @property
    def to_end(self) -> list[Attempt]:
        """The sent attempts a deletion is about: those at the current machine's account first, then one account at a time.

        Machines that are not current are the sweep's as well; the current one has nobody but its VM.
        """
        sent = [attempt for attempt in self.held if attempt.sent_at]
        current = next((one for one in sent if one.pk == self.vm.attempt_id), None)
        first = current or (sent[0] if sent else None)
        return [one for one in sent if first is not None and one.account_id == first.account_id]


@dataclass(frozen=True, slots=True)
class SessionChange:
    """A game session's next state, as the machine told it. `base` is the number of the save's version that it was given."""

    session_id: Any
    status: str
    error_text: str = ""
    base: int | None = None


@dataclass(frozen=True, slots=True)
class TakenSave:
    """A version of a slot's saves that was fetched from the machine, looked at and not yet written down."""

    slot_id: UUID
    session_id: UUID
    save: PendingSave
    archive: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Note:
    """An event to record with the outcome."""

    action: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AccountNote:
    """How the provider account did: `error` empty means it answered. `pause_s` pauses it and tells the operator.

    An error `of_one_machine` is kept, and does not count against the account: other machines are none the worse for it.
    """

    error: str = ""
    pause_s: int = 0
    of_one_machine: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Column changes to be written in one transaction, whatever the verdict. `cools` puts the offer aside, with the reason.

    `played` are seconds by session, in all; `refusals` counts what the machine said and was not believed.
    """

    vm: Mapping[str, Any] = field(default_factory=dict)
    attempt: Mapping[str, Any] = field(default_factory=dict)
    others: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    sessions: Sequence[SessionChange] = ()
    notes: Sequence[Note] = ()
    saves: Sequence[TakenSave] = ()
    played: Mapping[UUID, float] = field(default_factory=dict)
    refusals: int = 0
    account: AccountNote | None = None
    cools: str = ""

    @property
    def is_plain(self) -> bool:
        return not (
            self.vm
            or self.attempt
            or self.others
            or self.sessions
            or self.notes
            or self.saves
            or self.played
            or self.refusals
            or self.account
            or self.cools
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance(Outcome):
    """The VM enters another phase."""

    phase: Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait(Outcome):
    """Nothing moved: look again in so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail(Outcome):
    """The VM is given up: `error` is a short code, `text` a sentence for people. It goes to DELETING."""

    error: str
    text: str


def unstarted(subject: Subject, phase: Phase, reason: str) -> Advance:
    """A machine that was started and does not run stays, and the VM says why: it is never replaced silently.

    A move that was asked meanwhile begins from there.
    """
    wish = {} if subject.vm.is_asked_to_move else {"desired": Desired.STOPPED}
    return Advance(phase=phase, vm=wish, notes=(Note("start_refused", {"reason": reason[:300]}),))


# A broken provider is asked again at this pace, slower the longer it fails.
RETRY_S = (1, 2, 4, 8, 15)
PAUSE_S = 600


def retry_in(failures: int) -> int:
    return RETRY_S[min(failures, len(RETRY_S) - 1)]


def note_of(error: ProviderError) -> AccountNote:
    """What a provider's error means for its account."""
    text = f"{type(error).__name__}: {error}"[:300]
    return AccountNote(
        error=text, pause_s=PAUSE_S if isinstance(error, BadCredentials | QuotaExceeded) else 0
    )


def later(error: ProviderError, subject: Subject) -> Wait:
    """The same step again, when the provider may have recovered."""
    failures = subject.attempt.account.failures_in_a_row if subject.attempt else 0
    wanted = error.retry_after if isinstance(error, Unavailable) and error.retry_after else retry_in(failures)
    return Wait(seconds=min(max(wanted, 0.5), 60), account=note_of(error))


# What is known of a machine from its agent.
AGENT: Mapping[str, Any] = {
    "agent_token_digest": "",
    "agent_seen_at": None,
    "agent_boot_id": "",
    "agent_sequence": 0,
    "agent_sent_at": None,
    "watched_at": None,
    "idle_since": None,
    "idle_seen_at": None,
}
NOT_CURRENT: Mapping[str, Any] = {
    "attempt": None,
    "machine_raw": {},
    "missing_since": None,
    "missing_looks": 0,
}
# What the row forgets when its machine is given up.
NO_MACHINE: Mapping[str, Any] = {
    **NOT_CURRENT, **AGENT, "ip_address": "", "ssh_port": 22, "ssh_user": "", "games_mounted": False,
}  # fmt: skip


def next_offer(
    subject: Subject, now: datetime, error_class: str, text: str, *, nothing_made: bool = False, **more: Any
) -> Advance:
    """Gives this attempt up and places the VM anew. A machine it may have is no longer current, and so deleted on sight."""
    assert subject.attempt is not None
    closed: dict[str, Any] = {"closed_at": now, "error_class": error_class[:30], "error_text": text[:500]}
    if nothing_made:
        closed["gone_at"] = now
    details = {
        "offer": subject.attempt.offer_id,
        "location": subject.attempt.location_name,
        "reason": text[:300],
    }
    return Advance(
        phase=Phase.REQUESTED,
        # Of a VM that moves, the row still tells of the machine it may come back to.
        vm=NOT_CURRENT if subject.vm.is_moving else NO_MACHINE,
        attempt=closed,
        notes=(Note("attempt_failed", {**details, "error": error_class}),),
        **more,
    )


def price_at_rest(provider: Provider, machine: Machine, attempt: Attempt) -> dict[str, Any]:
    """What the machine costs while stopped, as a column of its attempt, where the provider can stop machines at all."""
    if not isinstance(provider, Suspendable):
        return {}
    price = attempt.usd_per_hour if machine.usd_per_hour is None else machine.usd_per_hour
    return {"stopped_usd_per_hour": provider.stopped_usd_per_hour(replace(machine, usd_per_hour=price))}


# Absence must be seen so often, over so long, before it counts.
UNSEEN_LOOKS = 3
UNSEEN_S = 30


def is_proven_absent(since: datetime | None, looks: int, now: datetime) -> bool:
    """Whether a machine that no list shows may be called missing: never on the word of one list."""
    return since is not None and looks >= UNSEEN_LOOKS and (now - since).total_seconds() >= UNSEEN_S
