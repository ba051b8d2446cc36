"""CREATING: the order is sent at most once; whoever does not know its outcome looks for the tag."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from gamer.crash import crash_point
from vms.lifecycle import Phase
from vms.models import Attempt
from vms.providers.base import (
    BadCredentials,
    Machine,
    MachineSpec,
    MachineState,
    NoCapacity,
    Offer,
    OutcomeUnknown,
    Place,
    Provider,
    ProviderError,
    QuotaExceeded,
    Rejected,
    Unavailable,
)
from vms.reconcile.outcome import (
    AccountNote,
    Advance,
    Outcome,
    Subject,
    Wait,
    is_proven_absent,
    next_offer,
    note_of,
    price_at_rest,
)
from vms.streaming import TCP_PORTS, UDP_PORTS

PRICES = (
    "usd_per_hour",
    "usd_per_gpu",
    "usd_per_vcpu",
    "usd_per_gb_ram",
    "usd_per_gb_disk",
    "usd_per_dedicated_ip",
)
BOOT_LOOK_S = 2
SLOW_LOOK_S = 20


def offer_of(attempt: Attempt) -> Offer:
    """The offer as it was bought, from the attempt's own copy."""
    kept = dict(attempt.offer)
    place = Place(**kept.pop("place"))
    return Offer(
        **{**kept, **{name: Decimal(kept[name]) for name in PRICES}}, offer_id=attempt.offer_id, place=place
    )


def spec_of(subject: Subject) -> MachineSpec:
    vm, attempt = subject.vm, subject.attempt
    assert attempt is not None
    return MachineSpec(
        offer=offer_of(attempt),
        gpus=attempt.gpus,
        vcpus=attempt.vcpus,
        ram_gb=attempt.ram_gb,
        disk_gb=attempt.disk_gb,
        ssh_public_key=vm.ssh_public_key,
        ssh_host_key=vm.host_private_key.reveal(),
        ssh_host_public_key=vm.host_public_key,
        ssh_private_key=vm.ssh_private_key.reveal(),
        tcp_ports=TCP_PORTS,
        udp_ports=UDP_PORTS,
    )


def run(subject: Subject, provider: Provider, now: datetime) -> Outcome:
    """Sends the order. Runs only for the one caller whose `sent_at` was written (`may_send`)."""
    assert subject.attempt is not None
    if not subject.may_send:
        return Wait(seconds=0)
    spec = spec_of(subject)
    if not provider.has_shell:
        # No agent of ours gets in there. Elsewhere idleness is ours to judge: a tool that powers off takes the saves with it.
        spec = replace(spec, idle_stop_s=subject.vm.auto_stop_timeout)
    crash_point("create.before_call")
    try:
        machine = provider.create(spec, subject.attempt.tag)
    except OutcomeUnknown as error:
        return Wait(seconds=1, account=note_of(error))
    except NoCapacity as error:
        return next_offer(
            subject,
            now,
            "NoCapacity",
            str(error),
            nothing_made=True,
            cools=str(error)[:300],
            account=AccountNote(),
        )
    except Rejected as error:
        return next_offer(
            subject,
            now,
            "Rejected",
            str(error),
            nothing_made=True,
            cools=str(error)[:300],
            account=AccountNote(),
        )
    except (BadCredentials, QuotaExceeded, Unavailable) as error:
        return next_offer(
            subject, now, type(error).__name__, str(error), nothing_made=True, account=note_of(error)
        )
    crash_point("create.after_call")
    if provider.makes_slowly:
        # It is waited for here: the deadline of CREATING is the kind's own, and a refusal still finds the next offer.
        known = {"machine_id": machine.machine_id}
        seen = {"machine_raw": dict(machine.raw)}
        return Wait(seconds=SLOW_LOOK_S, attempt=known, vm=seen, account=AccountNote())
    return _arrived(machine, provider, subject.attempt, account=AccountNote())


def _arrived(
    machine: Machine, provider: Provider, attempt: Attempt, account: AccountNote | None = None
) -> Advance:
    return Advance(
        phase=Phase.BOOTING,
        vm={"machine_raw": dict(machine.raw), "missing_since": None, "missing_looks": 0},
        attempt={"machine_id": machine.machine_id, **price_at_rest(provider, machine, attempt)},
        account=account,
    )


def _found(subject: Subject, machine: Machine, provider: Provider, now: datetime) -> Outcome:
    if machine.failure is not None:
        return gone_wrong(subject, machine.failure, now)
    if provider.makes_slowly and machine.state is MachineState.PENDING:
        return Wait(
            seconds=SLOW_LOOK_S, attempt=_new_id(subject, machine), vm={"machine_raw": dict(machine.raw)}
        )
    assert subject.attempt is not None
    return _arrived(machine, provider, subject.attempt)


def _new_id(subject: Subject, machine: Machine) -> dict[str, str]:
    """Written once: the moment it is written is when the machine began to cost."""
    assert subject.attempt is not None
    return {} if subject.attempt.machine_id else {"machine_id": machine.machine_id}


def gone_wrong(subject: Subject, failure: ProviderError, now: datetime) -> Outcome:
    """An order that was taken and failed later: on to the next offer; what is left of this one is deleted on sight."""
    text, is_ours = str(failure), isinstance(failure, BadCredentials | QuotaExceeded | Unavailable)
    return next_offer(
        subject,
        now,
        type(failure).__name__,
        text,
        cools="" if is_ours else text[:300],
        account=note_of(failure) if is_ours else AccountNote(),
    )


def find(subject: Subject, provider: Provider, now: datetime) -> Outcome:
    """The order was sent and nobody knows what came of it: its tag in the list decides, its absence only after a while."""
    attempt = subject.attempt
    assert attempt is not None
    assert attempt.sent_at is not None
    if subject.snapshot is None or subject.snapshot.taken_at <= attempt.sent_at:
        return Wait(seconds=1)
    machine = subject.machine
    if machine is not None:
        return _found(subject, machine, provider, now)
    since = attempt.unseen_since or now
    looks = attempt.unseen_looks + 1
    if is_proven_absent(since, looks, now):
        return next_offer(
            subject,
            now,
            "OutcomeUnknown",
            "the order's outcome stayed unknown and no list shows the machine",
            nothing_made=True,
        )
    return Wait(seconds=10 if looks > 1 else 5, attempt={"unseen_since": since, "unseen_looks": looks})
