"""What is read of VMs for people: rows somebody may see, with the columns that are shown and no more.

A VM's row also holds keys, and an account's its credentials; opening those for a list would cost more than the list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, TypedDict, TypeVar, Unpack, cast
from uuid import UUID

from django.db.models import (
    Count,
    Q,
    QuerySet,
    Sum,
)

from accounts.principal import Principal
from emulators.models import EmulatorConfig
from events.models import Event
from gamer.errors import NotFound
from vms.lifecycle import Status, status_of
from vms.models import VM, Attempt, GameSession, ProviderAccount, SetupStep, VMQuerySet
from vms.reconcile.liveness import cost_so_far

SHOWN = (
    "id", "name", "desired", "phase", "phase_since", "console_id", "wanted_provider", "wanted_preset",
    "created_at", "updated_at", "ip_address", "ssh_port", "auto_stop_timeout", "gaming_environment_ready",
    "cloudypad_configured", "games_mounted", "last_activity", "last_moonlight_connection", "session_ends_at",
    "error", "error_text", "latitude", "longitude", "owner__handle", "project_id",
    "attempt__preset", "attempt__region", "attempt__location_name", "attempt__distance_km", "attempt__charge_usd_per_hour",
    "attempt__machine_id", "attempt__account__kind",
)  # fmt: skip
LIGHT = ("desired", "phase", "phase_since", "ip_address", "last_activity", "gaming_environment_ready")
# What no act and no answer needs, and costs a decryption or a long value each.
HEAVY = (
    "ssh_private_key",
    "host_private_key",
    "agent_bootstrap",
    "machine_raw",
    "attempt__offer",
    "attempt__account__credentials",
)

Row = TypeVar("Row")


class VmFilters(TypedDict, total=False):
    """What a list of VMs can be narrowed by. `user_id` is an owner's handle."""

    user_id: str
    status: Status
    console_type: str
    provider: str
    project_id: int
    created_after: datetime
    created_before: datetime


_NARROW: dict[str, Callable[..., Q]] = {
    "user_id": lambda handle: Q(owner__handle=handle),
    "console_type": lambda slug: Q(console=slug),
    "provider": lambda kind: Q(attempt__account__in=_accounts(kind)) | Q(attempt=None, wanted_provider=kind),
    "project_id": lambda pk: Q(project=pk),
    "created_after": lambda moment: Q(created_at__gt=moment),
    "created_before": lambda moment: Q(created_at__lt=moment),
}


def visible_vms(principal: Principal, **filters: Unpack[VmFilters]) -> VMQuerySet:
    """The VMs somebody may see, without the relations and columns that `shown` adds; without an order."""
    return _narrowed(VM.objects.all(), principal, filters)


def _narrowed(rows: VMQuerySet, principal: Principal, filters: VmFilters) -> VMQuerySet:
    rows = rows.visible_to(principal)
    for name, narrow in _NARROW.items():
        if name in filters:
            rows = rows.filter(narrow(filters[name]))  # type: ignore[literal-required]
    return rows.with_status(filters["status"]) if "status" in filters else rows


def shown_vms(principal: Principal, **filters: Unpack[VmFilters]) -> VMQuerySet:
    """The same VMs as `shown`."""
    return _narrowed(shown(for_staff=principal.is_staff), principal, filters)


@cache
def shown(*, for_staff: bool) -> VMQuerySet:
    """All that the API says of VMs, as named rows in one statement, to be narrowed like any other selection.

    Fifty instances with their relations cost twice that; and it is made once, because naming thirty columns to Django takes as
    long as finding the rows.
    """
    return cast(
        VMQuerySet, VM.objects.values_list(*SHOWN, *(("machine_raw",) if for_staff else ()), named=True)
    )


def usual_presets() -> dict[str, str]:
    """What every configured console is launched with unless told otherwise."""
    return dict(EmulatorConfig.objects.order_by().values_list("console", "default_preset"))


def find_shown(principal: Principal, vm_id: UUID | str) -> Any:
    """One VM as `shown`. Raises NotFound for somebody else's."""
    return _found(shown_vms(principal).filter(pk=vm_id).first(), "VM")


def find_vm(principal: Principal, vm_id: str) -> VM:
    """One VM to act on, with its owner and machine. Raises NotFound for somebody else's."""
    rows = visible_vms(principal).select_related("owner", "attempt__account").defer(*HEAVY)
    return _found(rows.filter(pk=vm_id).first(), "VM")


def find_light(principal: Principal, vm_id: str) -> VM:
    """One VM with what its status needs. Raises NotFound for somebody else's."""
    return _found(visible_vms(principal).only(*LIGHT).filter(pk=vm_id).first(), "VM")


def find_session(principal: Principal, session_id: str) -> GameSession:
    """One game session with its VM. Raises NotFound for one on somebody else's VM."""
    rows = GameSession.objects.select_related("vm").defer(
        "vm__ssh_private_key", "vm__host_private_key", "vm__agent_bootstrap", "vm__machine_raw"
    )
    visible = rows.filter(vm__in=VM.objects.visible_to(principal))
    return _found(visible.filter(pk=session_id).first(), "session")


def events_of(vm: VM, *, after: int = 0) -> QuerySet[Event]:
    """The VM's timeline, oldest first, behind the event with that id. Why that passes over none: `reconcile.apply.happening`."""
    rows: QuerySet[Event] = Event.objects.about("vms", vm.pk).after(after).order_by("id")
    return rows


def attempts_of(vm: VM) -> QuerySet[Attempt]:
    """Every order ever tried for the VM, the first one first."""
    rows = Attempt.objects.filter(vm=vm).select_related("account").order_by("number")
    return rows.defer("account__credentials")


def steps_of(vm: VM) -> QuerySet[SetupStep]:
    """How the current machine is being made a console, in order."""
    return SetupStep.objects.filter(attempt=vm.attempt_id).order_by("position")


def sessions_of(vm: VM) -> QuerySet[GameSession]:
    """The VM's games, the newest first."""
    return GameSession.objects.filter(vm=vm).order_by("-queued_at")


def costs_of(vm_ids: Iterable[UUID], now: datetime) -> dict[UUID, Decimal]:
    """What the machines of each of these VMs have cost the provider's account so far, USD; one query."""
    rows = Attempt.objects.filter(vm__in=list(vm_ids)).exclude(machine_id="", gone_at__isnull=False)
    costs: dict[UUID, Decimal] = {}
    for attempt in rows.only("vm_id", "sent_at", "answered_at", "gone_at", "usd_per_hour"):
        costs[attempt.vm_id] = costs.get(attempt.vm_id, Decimal(0)) + cost_so_far(attempt, now)
    return costs


def by_status(vms: VMQuerySet) -> dict[Status, int]:
    """How many VMs of a selection have each status; those that none has are left out. One query."""
    counts: dict[Status, int] = {}
    for row in vms.order_by().values("desired", "phase").annotate(count=Count("pk")):
        status = status_of(row["desired"], row["phase"])
        counts[status] = counts.get(status, 0) + row["count"]
    return counts


@dataclass(frozen=True, slots=True)
class Load:
    """What an account's caps count: machines held or ordered, and what they cost an hour."""

    machines: int = 0
    usd_per_hour: Decimal = Decimal(0)


def loads() -> dict[int, Load]:
    """The load of every account that has one, by the account's key; one query."""
    rows = (
        Attempt.objects.held()
        .values("account_id")
        .order_by("account_id")
        .annotate(machines=Count("pk"), usd=Sum("usd_per_hour"))
    )
    return {row["account_id"]: Load(row["machines"], row["usd"]) for row in rows}


def _accounts(kind: str) -> list[int]:
    """Asked apart, because the planner then knows how many VMs to expect."""
    return list(ProviderAccount.objects.order_by().filter(kind=kind).values_list("pk", flat=True))


def _found(row: Row | None, noun: str) -> Row:
    if row is None:
        raise NotFound(f"There is no such {noun}.")
    return row
