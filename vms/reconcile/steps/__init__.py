"""The steps and which one is next. A step is a function (subject, provider, now) -> Outcome that touches no database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from vms.lifecycle import Desired, Phase
from vms.models import VM, Attempt, GameSession
from vms.providers.base import Provider
from vms.reconcile.outcome import Advance, Outcome, Subject
from vms.reconcile.steps import boot, create, delete, move, part, play, ready, rest, setup, stop, watch

Run = Callable[[Subject, Provider, datetime], Outcome]
Settle = Callable[[Subject, datetime], Outcome]

# An order (stop, delete) that shows no effect is sent again after this long.
RESEND = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Step:
    """One of three kinds: `settle` needs nobody else, `look` needs the account's list, `act` changes something outside."""

    name: str
    settle: Settle | None = None
    look: Run | None = None
    act: Run | None = None
    calls: int = 0  # provider calls it makes itself, for the account's pace

    @property
    def is_acting(self) -> bool:
        return self.act is not None


CHOOSE = Step("choose")  # neither: `choosing.py` does it, because it needs the offers' rows
LEAVE = Step("leave", settle=lambda _subject, _now: Advance(phase=Phase.DELETING))
DEPART = Step("depart", settle=move.depart)
HALT = Step("halt", settle=lambda _subject, _now: Advance(phase=Phase.STOPPING))
CREATE = Step("create", act=create.run, calls=1)
FIND = Step("find", look=create.find)
BOOT = Step("boot", look=boot.run)
SETUP = Step("setup", act=setup.run)
READY = Step("ready", look=ready.run)
PLAY = Step("play", act=play.run)
WATCH = Step("watch", act=watch.run)
PART = Step("part", act=part.run)
GIVE_UP = Step("give_up", settle=part.give_up)
STOP = Step("stop", act=stop.run, calls=1)
STOP_WAIT = Step("stop_wait", look=stop.wait)
START = Step("start", act=rest.start, calls=1)
REST = Step("rest", look=rest.run)
DELETE = Step("delete", act=delete.run, calls=1)
CONFIRM = Step("confirm", look=delete.confirm, calls=1)
CLOSE = Step("close", settle=delete.close)


def decide(
    vm: VM, attempt: Attempt | None, held: Sequence[Attempt], sessions: Sequence[GameSession], now: datetime
) -> Step:
    """The one step this VM is at. Pure: the same row always gives the same answer."""
    phase = Phase(vm.phase)
    if phase is Phase.DELETING:
        return _ending(vm, held, now)
    if phase is Phase.READY and _leaves_its_machine(vm):
        if part.is_due(vm, attempt, now):
            return PART
        if part.is_given_up(vm, now):
            return GIVE_UP
    if vm.desired == Desired.GONE:
        return LEAVE
    sent = vm.action_sent_at is not None and now - vm.action_sent_at < RESEND
    match phase:
        case Phase.REQUESTED:
            return CHOOSE
        case Phase.CREATING:
            return CREATE if attempt is not None and attempt.sent_at is None else FIND
        case Phase.BOOTING:
            return BOOT
        case Phase.SETTING_UP:
            return SETUP
        case Phase.READY:
            if vm.desired == Desired.STOPPED:
                return HALT
            if vm.is_asked_to_move:
                return DEPART
            # A machine that did not take a game is looked at before it is asked again: it may be gone.
            may_ask = vm.action_sent_at is None
            if may_ask and any(play.is_wanted(session) for session in sessions):
                return PLAY
            return WATCH if may_ask and watch.is_due(vm, attempt, sessions, now) else READY
        case Phase.STOPPING:
            return STOP_WAIT if sent else STOP
        case Phase.STOPPED:
            if vm.is_asked_to_move:
                return DEPART
            return START if vm.desired == Desired.RUNNING else REST
    raise AssertionError(f"a terminal VM is never due: {vm.phase}")


def _leaves_its_machine(vm: VM) -> bool:
    """Whether what happens on the machine must be brought to a good end first: games, and what they have to save."""
    return vm.desired != Desired.RUNNING or vm.is_asked_to_move


def _ending(vm: VM, held: Sequence[Attempt], now: datetime) -> Step:
    if not any(attempt.sent_at for attempt in held):
        return CLOSE
    sent = vm.action_sent_at is not None and now - vm.action_sent_at < RESEND
    return DELETE if not sent and any(attempt.machine_id for attempt in held) else CONFIRM
