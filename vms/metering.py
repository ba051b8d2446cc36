"""When a machine costs, and whom: what the reconciler writes of attempts and strays, told to billing in the same transaction.

Provider cost runs from the order that made a machine until it is proven gone, stopped time included; the player is charged
while their VM is READY or STOPPING. A VM whose old machine is not proven gone costs twice, and is charged once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from django.db import connection, transaction

from billing.models import CostCentre, CreditAccount
from billing.models.usage import UsageKind
from billing.services import accounts, holds, metering, prices
from billing.services.metering import Dimensions, Machine, State
from vms.lifecycle import Desired, Phase
from vms.models import VM, Attempt, ProviderAccount, Stray
from vms.reconcile.outcome import Outcome, Subject

CHARGED = (Phase.READY, Phase.STOPPING)
# Phases that end what a launch put aside.
RELEASED = (Phase.STOPPED, Phase.DELETING)
TELLING = frozenset({"machine_id", "gone_at", "closed_at", "stopped_usd_per_hour"})


def note(
    subject: Subject, attempts: Sequence[Attempt], source: Phase, outcome: Outcome, now: datetime
) -> None:
    """Tells what an outcome changed; call inside the transaction that writes it. Most change nothing, and cost nothing here.

    The rows are as they are after the outcome; `attempts` includes those it closed.
    """
    vm = subject.vm
    is_moved = vm.phase != source
    is_another = is_moved and _state(source) != _state(Phase(vm.phase))
    for attempt in attempts:
        changed = {*outcome.others.get(attempt.pk, ())}
        if attempt is subject.attempt:
            changed |= {*outcome.attempt}
        is_told = not TELLING.isdisjoint(changed)
        is_current = attempt.pk in (vm.attempt_id, vm.moves_from_id)
        if attempt.machine_id and (is_told or (is_another and is_current)):
            follow(vm, attempt, now)
    if is_moved and vm.phase in RELEASED:
        holds.release(vm.pk)
    elif vm.phase == Phase.STOPPED and outcome.vm.get("desired") == Desired.STOPPED:
        holds.release(vm.pk)  # the start was refused
    elif source is Phase.REQUESTED and vm.phase == Phase.READY and vm.attempt is not None:
        # Back from a move that came to nothing: what is put aside follows the machine it is on again.
        holds.adjust(vm=vm.pk, usd_per_hour=vm.attempt.charge_usd_per_hour, now=now)


def follow(vm: VM, attempt: Attempt, now: datetime) -> None:
    """Has the meter of an attempt's machine run as its rows say."""
    metering.follow(
        key=key_of(attempt),
        state=state_of(vm, attempt),
        now=now,
        describe=partial(_machine, vm, attempt, now),
    )


def key_of(attempt: Attempt) -> str:
    return f"attempt:{attempt.pk}"


def state_of(vm: VM, attempt: Attempt) -> State | None:
    """How its machine is; None once it is proven gone."""
    if attempt.gone_at is not None:
        return None
    if attempt.pk != vm.attempt_id or attempt.closed_at is not None:
        return State(None)
    return replace(_state(Phase(vm.phase)), stopped_usd_per_hour=attempt.stopped_usd_per_hour)


def _state(phase: Phase) -> State:
    if phase is Phase.STOPPED:
        return State(UsageKind.STOPPED)
    # While it is deleted it is what it was: a stopped machine does not run again for that.
    return State(None if phase is Phase.DELETING else UsageKind.RUNNING, is_charged=phase in CHARGED)


def _machine(vm: VM, attempt: Attempt, now: datetime) -> Machine:
    account = attempt.account
    # Whoever orders read the row before, and its machine is nobody's yet that `regroup` could move: whose it is, the row says now.
    vm.refresh_from_db(fields=["project", "department"])
    # What was quoted and shown, by the margin of then, whatever has changed since: a vendor's price, staff's of a machine type.
    price = prices.quoted(attempt.created_at, attempt.usd_per_hour)
    dimensions = Dimensions(
        payer_id=payer_of(vm, now).pk,
        provider=account.kind,
        provider_account=account.pk,
        region=attempt.region,
        console=vm.console_id,
        preset=attempt.preset,
        user_id=vm.owner_id,
        project_id=vm.project_id,
        department_id=vm.department_id,
    )
    return Machine(dimensions, price, attempt.sent_at or attempt.created_at, vm.pk)


def payer_of(vm: VM, now: datetime) -> CreditAccount:
    """Whose account pays for a VM now."""
    return accounts.payer_of(user=vm.owner, project=vm.project, department=vm.department, now=now)


@transaction.atomic
def regroup(*, vm: VM, now: datetime) -> CreditAccount:
    """Has a VM's machines and its hold count where it belongs from now on, and to whom pays now; returns whose account that is.

    For a VM that moved to another project, or whose project or department may have got an account.
    """
    payer = payer_of(vm, now)

    def there(centre: CostCentre) -> Dimensions:
        kept = {name: getattr(centre, name) for name in Dimensions.__slots__}
        return Dimensions(
            **{**kept, "payer_id": payer.pk, "project_id": vm.project_id, "department_id": vm.department_id}
        )

    metering.move(vm=vm.pk, dimensions=there, now=now)
    holds.move(vm=vm.pk, account=payer, now=now)
    return payer


def follow_strays(account: ProviderAccount, strays: Iterable[Stray], now: datetime) -> None:
    """Meters the machines that are no attempt's: their cost is ours, and nobody's to pay."""
    rows = list(strays)
    named = {stray.machine_id for stray in rows}
    known = Attempt.objects.filter(account=account, machine_id__in=named).values_list("machine_id", flat=True)
    for stray in (one for one in rows if one.machine_id not in set(known)):
        metering.follow(
            key=f"stray:{stray.pk}",
            state=State(UsageKind.RUNNING) if stray.gone_at is None else None,
            now=now,
            describe=partial(_stray, account, stray),
        )


def _stray(account: ProviderAccount, stray: Stray) -> Machine:
    # Without a price of its own there is nothing to look one up by.
    price = prices.quoted(stray.first_seen_at, stray.usd_per_hour)
    dimensions = Dimensions(
        payer_id=accounts.unowned().pk,
        provider=account.kind,
        provider_account=account.pk,
        console="",
        preset="",
    )
    return Machine(dimensions, price, stray.first_seen_at)


# Machines whose meter is not as their rows say: none since before they were metered, or the wrong charge; and one too many. By
# what is there: of what was there before, there is more each day.
DRIFTED = """
SELECT attempt.id
  FROM vms_attempt attempt
  JOIN vms_vm vm ON vm.id = attempt.vm_id
  LEFT JOIN billing_subject subject ON subject.key = 'attempt:' || attempt.id
  LEFT JOIN billing_meter meter ON meter.subject_id = subject.id
 WHERE attempt.machine_id <> '' AND attempt.gone_at IS NULL AND (meter.subject_id IS NULL OR meter.is_charged <> (
       attempt.closed_at IS NULL AND attempt.id = vm.attempt_id AND vm.phase = ANY(%s)))
 UNION ALL
SELECT attempt.id
  FROM billing_meter meter
  JOIN billing_subject subject ON subject.id = meter.subject_id
  JOIN vms_attempt attempt ON attempt.id = CASE WHEN subject.key ~ '^attempt:[0-9]+$' THEN split_part(subject.key, ':', 2)::bigint END
 WHERE attempt.machine_id <> '' AND attempt.gone_at IS NOT NULL
"""


def repair(now: datetime) -> int:
    """Puts right the meters that differ from the rows; returns how many. For machines from before they were metered, and for
    whoever changes rows by hand."""
    with connection.cursor() as cursor:
        cursor.execute(DRIFTED, [list(CHARGED)])
        drifted = [row[0] for row in cursor.fetchall()]
    for attempt_id in drifted:
        with transaction.atomic():
            vm_id = Attempt.objects.values_list("vm_id", flat=True).get(pk=attempt_id)
            vm = VM.objects.select_for_update(no_key=True, of=("self",)).get(pk=vm_id)
            follow(vm, Attempt.objects.select_related("account").get(pk=attempt_id), now)
    return len(drifted)
