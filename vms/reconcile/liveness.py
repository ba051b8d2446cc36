"""How long a phase may last. The only judge of DEADLINES, and the one who shouts about deletes that never confirm.

Time in which nobody came to look or to act does not count: `claims.claim` moves `phase_since` by it.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings

from gamer.context import about
from vms.lifecycle import CREATING_DEADLINES_BY_KIND, DEADLINES, Desired, Phase
from vms.models import VM, Attempt
from vms.reconcile.outcome import (
    UNSEEN_LOOKS,
    UNSEEN_S,
    Fail,
    Note,
    Outcome,
    Subject,
    Wait,
    next_offer,
    unstarted,
)

log = logging.getLogger(__name__)

SHOUT_AFTER = timedelta(minutes=10)
SHOUT_AGAIN = timedelta(hours=1)

OVERDUE_TEXTS = {
    Phase.CREATING: "The provider did not make the machine in time.",
    Phase.BOOTING: "The machine did not start in time.",
    Phase.SETTING_UP: "The machine could not be made a console in time.",
    Phase.STOPPING: "The machine did not stop in time.",
}
UNSENT_TEXT = "The order could not be sent in time."

# Phases whose machine is given up for the next offer when they last too long.
REPLACED = (Phase.CREATING, Phase.BOOTING, Phase.SETTING_UP)


def deadline_of(vm: VM, attempt: Attempt | None) -> datetime | None:
    """When the present phase is overdue; None for phases that may last. A provider's time begins with the order."""
    phase, since = Phase(vm.phase), vm.phase_since
    seconds = DEADLINES.get(phase)
    if phase is Phase.CREATING and attempt is not None:
        seconds = CREATING_DEADLINES_BY_KIND.get(attempt.account.kind.partition("_")[0], seconds)
        since = max(since, attempt.sent_at or since)
    return None if seconds is None else since + timedelta(seconds=seconds)


def deletes_at(vm: VM) -> datetime | None:
    """When a stopped VM is deleted; None when it is not stopped, or kept for ever."""
    if vm.phase != Phase.STOPPED or not settings.STOPPED_KEEP_HOURS:
        return None
    return vm.phase_since + timedelta(hours=settings.STOPPED_KEEP_HOURS)


def check(subject: Subject, now: datetime) -> Outcome | None:
    """The outcome of being late, or None when the phase may go on."""
    vm = subject.vm
    ends_at = deletes_at(vm)
    if ends_at is not None and now >= ends_at and vm.desired == Desired.STOPPED:
        reason = Note("stopped_too_long", {"hours": settings.STOPPED_KEEP_HOURS})
        return Wait(seconds=0, vm={"desired": Desired.GONE}, notes=(reason,))
    if (
        vm.phase == Phase.READY
        and vm.desired == Desired.RUNNING
        and vm.session_ends_at
        and now >= vm.session_ends_at
    ):
        over = Note("session_over", {"hours": vm.max_session_hours})
        return Wait(seconds=0, vm={"desired": Desired.GONE}, notes=(over,))
    if _is_unanswered(subject, now):
        why = "the order's outcome stayed unknown, and the provider answers nothing since"
        return next_offer(subject, now, "OutcomeUnknown", why)
    deadline = deadline_of(vm, subject.attempt)
    if deadline is None or now < deadline or vm.desired == Desired.GONE:
        return None
    if vm.phase == Phase.REQUESTED:
        return Fail(error="no_capacity", text=vm.error_text or "No provider could host this console in time.")
    if vm.phase == Phase.CREATING and subject.attempt is not None and subject.attempt.sent_at is None:
        # The account's pace, or its adapter that cannot be opened: the offer and the provider are not to blame.
        return next_offer(subject, now, "NotSent", UNSENT_TEXT, nothing_made=True)
    text = OVERDUE_TEXTS[Phase(vm.phase)]
    if vm.phase == Phase.SETTING_UP and vm.error_text:
        text = f"{text} {vm.error_text}"
    if vm.phase in REPLACED and not subject.is_restart and subject.attempt is not None:
        return next_offer(subject, now, "Overdue", text, cools=text)
    if vm.phase in (Phase.BOOTING, Phase.SETTING_UP) and subject.is_restart:
        # What was played is on its disk, which is not deleted for a start that does not happen.
        return unstarted(subject, Phase.STOPPING, text)
    return Fail(error=f"{vm.phase}_overdue", text=text)


def _is_unanswered(subject: Subject, now: datetime) -> bool:
    """Whether an order was sent whose outcome nobody knows, to a provider that cannot be asked: then its absence is never proven.

    The next offer is taken without that proof. The attempt is held until there is one, and its machine deleted on sight.
    """
    vm, attempt = subject.vm, subject.attempt
    if vm.phase != Phase.CREATING or attempt is None or attempt.sent_at is None or attempt.machine_id:
        return False
    account = attempt.account
    failed_at = account.last_error_at if account.failures_in_a_row >= UNSEEN_LOOKS else None
    is_late = (now - attempt.sent_at).total_seconds() >= UNSEEN_S and vm.desired != Desired.GONE
    return is_late and failed_at is not None and failed_at > attempt.sent_at


def cost_so_far(attempt: Attempt, until: datetime) -> Decimal:
    """What a machine has cost since it was ordered, USD."""
    since = attempt.answered_at or attempt.sent_at or until
    hours = Decimal(str(max(0.0, ((attempt.gone_at or until) - since).total_seconds()))) / 3600
    return Decimal(hours * attempt.usd_per_hour).quantize(Decimal("0.000001"))


def shouted(subject: Subject, outcome: Outcome, now: datetime) -> Outcome:
    """A delete that does not confirm is retried for ever; once an hour its outcome says aloud what it has cost."""
    vm = subject.vm
    if (
        vm.phase != Phase.DELETING
        or now - vm.phase_since < SHOUT_AFTER
        or (vm.alarmed_at and now - vm.alarmed_at < SHOUT_AGAIN)
    ):
        return outcome
    cost = sum((cost_so_far(attempt, now) for attempt in subject.held if attempt.sent_at), Decimal(0))
    minutes = int((now - vm.phase_since).total_seconds() // 60)
    with about(vm=str(vm.pk)):
        log.error("delete unproven vm=%s minutes=%s cost_usd=%s", vm.pk, minutes, cost)
    # Owners read the event; what providers ask is staff's: in the log, and on the pages of the admin.
    note = Note("delete_unproven", {"minutes": minutes})
    return replace(outcome, notes=(*outcome.notes, note), vm={**outcome.vm, "alarmed_at": now})
