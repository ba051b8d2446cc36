"""Machines nobody wants: found in a list, deleted within a budget, proven gone, kept on record.

Only machines of *our* installation are touched. One whose tag is known but not its VM's current attempt is deleted on sight; one no
row knows waits out a grace period, and after the database moved or was restored waits for an operator (`find_orphans --fix`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction

from events.services import Happening, record
from gamer import prepared
from gamer.context import present
from gamer.crash import crash_point
from vms import installation, metering
from vms.lifecycle import TERMINAL, Phase
from vms.models import VM, Attempt, ProviderAccount, Stray
from vms.providers.base import Machine, NotFound, Provider, ProviderError, installation_of
from vms.reconcile import claims
from vms.reconcile.apply import ACTOR
from vms.reconcile.loading import SECRETS
from vms.reconcile.outcome import Snapshot, is_proven_absent

log = logging.getLogger(__name__)

EVERY = timedelta(seconds=60)
SOON = timedelta(seconds=5)
AGAIN = timedelta(seconds=15)
GRACE = timedelta(minutes=10)
RESEND = timedelta(seconds=30)
LEAST_BUDGET = 5
# What a meter does not read of a VM, and costs a decryption or a long value.
VM_HEAVY = [f"vm__{name}" for name in (*SECRETS, "machine_raw")]


@dataclass(slots=True)
class Sweep:
    """What one sweep means to do, and then what came of it. `doubts` are machine ids no list shows any more, `postponed` how many
    deletes the account's pace has no calls for.
    """

    account: ProviderAccount
    unwanted: Sequence[str] = ()
    doubts: Sequence[str] = ()
    postponed: int = 0
    ordered: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    error: str = ""


def due(now: datetime) -> set[int]:
    """Takes the accounts whose turn to be swept has come, machines waiting there or not; each goes to one process."""
    return {pk for (pk,) in prepared.rows(DUE, [now + EVERY, now])}


DUE = "UPDATE vms_provideraccount SET next_sweep_at = %s WHERE next_sweep_at <= %s RETURNING id"


def postpone(account: ProviderAccount, now: datetime) -> None:
    """The list failed: the sweep comes back soon."""
    ProviderAccount.objects.filter(pk=account.pk, next_sweep_at__gt=now + AGAIN).update(
        next_sweep_at=now + AGAIN
    )


def plan(account: ProviderAccount, snapshot: Snapshot, now: datetime, *, at_once: bool = False) -> Sweep:
    """Compares the list with the rows, and says what to delete and whom to ask after. `at_once` is an operator's word."""
    ours = {
        m.machine_id: m
        for m in snapshot.by_id.values()
        if installation_of(m.tag) == installation.identifier()
    }
    with transaction.atomic():
        _record_strays(account, ours, now)
        _doubt_attempts(account, snapshot, now)
    unwanted = _to_delete(account, ours, now, at_once)
    doubts = list(_gone_from_list(account, snapshot))
    allowed = claims.take_calls(account.pk, len(unwanted) + len(doubts), now)
    affordable = unwanted[:allowed]
    postponed = len(unwanted) - len(affordable)
    return Sweep(account, affordable, doubts[: allowed - len(affordable)], postponed)


def carry_out(sweep: Sweep, provider: Provider) -> Sweep:
    """Orders the deletes and asks after the vanished. Runs in a thread: touches no database."""
    for machine_id in (*sweep.unwanted, *sweep.doubts):
        try:
            if machine_id in sweep.unwanted:
                provider.delete(machine_id)
                crash_point("sweep.after_call")
                sweep.ordered.append(machine_id)
            elif _is_unknown(provider, machine_id):
                sweep.gone.append(machine_id)
        except ProviderError as error:
            # One machine the vendor cannot delete must not shield those behind it.
            sweep.error = f"{type(error).__name__}: {error}"
    return sweep


def failed(sweep: Sweep, text: str) -> Sweep:
    """The sweep as far as it came."""
    sweep.error = text
    return sweep


def write(sweep: Sweep, now: datetime) -> None:
    """Keeps what was done. Sweeps again soon while something is not proven gone yet."""
    strays = Stray.objects.filter(account=sweep.account)
    with transaction.atomic():
        fresh = list(strays.filter(machine_id__in=sweep.ordered, ordered_at=None))
        strays.filter(machine_id__in=sweep.ordered).update(ordered_at=now)
        strays.filter(machine_id__in=sweep.gone, gone_at=None).update(gone_at=now)
        held = Attempt.objects.held().filter(account=sweep.account)
        over = held.filter(machine_id__in=sweep.gone, closed_at__isnull=False)
        ended = list(over.select_related("vm", "account").defer(*VM_HEAVY))
        over.update(gone_at=now)
        for attempt in ended:
            attempt.gone_at = now
            metering.follow(attempt.vm, attempt, now)
        metering.follow_strays(sweep.account, strays.filter(machine_id__in=sweep.gone), now)
        record(*(_happening(stray, "stray_deleted", now) for stray in fresh))
        if (
            strays.filter(gone_at=None, ordered_at__isnull=False).exists()
            or held.filter(closed_at__isnull=False).exists()
        ):
            ProviderAccount.objects.filter(pk=sweep.account.pk).update(next_sweep_at=now + SOON)
    for stray in fresh:
        log.warning(
            "stray machine deleted account=%s tag=%s reason=%s", sweep.account.name, stray.tag, stray.reason
        )


def _is_unknown(provider: Provider, machine_id: str) -> bool:
    try:
        provider.get(machine_id)
    except NotFound:
        return True
    return False


def _record_strays(account: ProviderAccount, ours: Mapping[str, Machine], now: datetime) -> None:
    """One row for each machine that is not the current attempt of a live VM; the attempt learns its machine."""
    tags = {machine.tag for machine in ours.values()}
    known = {one.tag: one for one in Attempt.objects.filter(tag__in=tags).select_related("vm")}
    rows = []
    for machine in ours.values():
        tag, attempt = machine.tag, known.get(machine.tag)
        if attempt is not None and _is_wanted(attempt, machine):
            continue
        reason = Stray.Reason.UNKNOWN if attempt is None else Stray.Reason.SUPERSEDED
        rows.append(
            Stray(
                account=account, machine_id=machine.machine_id, tag=tag, reason=reason,
                usd_per_hour=machine.usd_per_hour, first_seen_at=now,
            )
        )  # fmt: skip
        if attempt is None or _is_current(attempt):
            continue
        if attempt.machine_id != machine.machine_id or attempt.gone_at is not None:
            # A slow order that landed after its attempt was closed: the row holds it until it is proven gone. The VM's row first, as
            # whoever moves it to another project does, who else would miss this machine.
            attempt.vm = (
                VM.objects.select_for_update(no_key=True).defer(*SECRETS, "machine_raw").get(pk=attempt.vm_id)
            )
            attempt.machine_id, attempt.gone_at = machine.machine_id, None
            attempt.save(update_fields=["machine_id", "gone_at"])
            metering.follow(attempt.vm, attempt, now)
    if rows:
        Stray.objects.bulk_create(rows, ignore_conflicts=True)
        # Back from the dead: a machine we called gone and a list shows again.
        Stray.objects.filter(account=account, machine_id__in=[row.machine_id for row in rows]).exclude(
            gone_at=None
        ).update(gone_at=None, ordered_at=None)
        names = [row.machine_id for row in rows]
        metering.follow_strays(account, Stray.objects.filter(account=account, machine_id__in=names), now)


def _is_wanted(attempt: Attempt, machine: Machine) -> bool:
    """Whether its VM still counts on this machine. A second one of the same name is nobody's."""
    return _is_current(attempt) and attempt.machine_id in ("", machine.machine_id)


def _is_current(attempt: Attempt) -> bool:
    """Whether its VM lives by this attempt, or may come back to it. A VM that is being deleted orders its own deletes."""
    vm = attempt.vm
    is_kept = attempt.pk in (vm.attempt_id, vm.moves_from_id)
    return attempt.closed_at is None and is_kept and Phase(vm.phase) not in TERMINAL


def _doubt_attempts(account: ProviderAccount, snapshot: Snapshot, now: datetime) -> None:
    """Closed attempts whose machine was never seen: absent for long enough, nothing can be left of them."""
    nameless = Attempt.objects.held().filter(
        account=account, closed_at__isnull=False, sent_at__lt=snapshot.taken_at, machine_id=""
    )
    for attempt in nameless:
        if attempt.tag in snapshot.by_tag:
            continue
        since, looks = attempt.unseen_since or now, attempt.unseen_looks + 1
        gone_at = now if is_proven_absent(since, looks, now) else None
        Attempt.objects.filter(pk=attempt.pk).update(unseen_since=since, unseen_looks=looks, gone_at=gone_at)
    Attempt.objects.held().filter(account=account, closed_at__isnull=False, sent_at=None).update(gone_at=now)


def _to_delete(
    account: ProviderAccount, ours: Mapping[str, Machine], now: datetime, at_once: bool
) -> list[str]:
    """Strays in this list whose time has come, within the budget."""
    present = Stray.objects.filter(account=account, machine_id__in=list(ours), gone_at=None).order_by(
        "first_seen_at"
    )
    waiting = [one for one in present if one.ordered_at is None or now - one.ordered_at >= RESEND]
    superseded = [one.machine_id for one in waiting if one.reason == Stray.Reason.SUPERSEDED]
    unknown = [one for one in waiting if one.reason == Stray.Reason.UNKNOWN]
    if at_once:
        return superseded + [one.machine_id for one in unknown]
    if not installation.row().is_sweep_confirmed:
        return superseded
    ripe = [one.machine_id for one in unknown if now - one.first_seen_at >= GRACE]
    budget = max(LEAST_BUDGET, len(ours) // 10)
    if len(ripe) > budget:
        log.error(
            "more unknown machines than the budget account=%s found=%s budget=%s",
            account.name,
            len(ripe),
            budget,
        )
    return superseded + ripe[:budget]


def _gone_from_list(account: ProviderAccount, snapshot: Snapshot) -> Iterable[str]:
    """Machines we have yet to prove gone and this list does not show."""
    strays = Stray.objects.filter(account=account, gone_at=None).values_list("machine_id", flat=True)
    attempts = Attempt.objects.held().filter(
        account=account, closed_at__isnull=False, answered_at__lt=snapshot.taken_at
    )
    named = attempts.exclude(machine_id="").values_list("machine_id", flat=True)
    return sorted({*strays, *named} - set(snapshot.by_id))


def _happening(stray: Stray, action: str, now: datetime) -> Happening:
    details = {
        "tag": stray.tag,
        "machine_id": stray.machine_id,
        "reason": stray.reason,
        "account": stray.account_id,
    }
    return Happening(
        at=now,
        actor=present().actor or ACTOR,
        action=action,
        resource="strays",
        resource_id=str(stray.pk),
        details=details,
    )
