"""A control plane on the real clock, for benchmarks: memory accounts without latency, rows by the thousand."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from django.utils import timezone

from accounts.principal import policy
from billing.models import Meter, Subject
from billing.services import accounts, days, metering, prices
from billing.services.metering import Dimensions
from emulators.models import Console, EmulatorConfig, ProviderPreference
from emulators.services import seed
from vms import installation, services
from vms.lifecycle import Desired, Phase
from vms.models import VM, Attempt, ProviderAccount
from vms.providers import memory
from vms.providers.base import MachineState, make_tag
from vms.providers.memory import STOCK, MemoryCloud
from vms.reconcile import claims
from vms.reconcile.acting import Actor
from vms.reconcile.loop import Reconciler
from vms.services import Order

CALLS = 10_000_000


def prepare() -> ProviderAccount:
    """Seeded consoles and one memory account whose vendor answers at once."""
    seed(timezone.now())
    ProviderPreference.objects.bulk_create(
        ProviderPreference(config=config, provider="memory", priority=99)
        for config in EmulatorConfig.objects.all()
    )
    installation.row()
    return account("default")


def account(cloud: str) -> ProviderAccount:
    return ProviderAccount.objects.create(
        name=cloud, kind="memory", credentials={"cloud": cloud}, calls_per_minute=CALLS, call_tokens=CALLS
    )


class Plane:
    """Reconciler and worker taking turns in this process; the queue's ring is not needed then."""

    def __init__(self, threads: int = 8) -> None:
        self.reconciler = Reconciler(threads=threads, ring=lambda tasks: None)
        self.actor = Actor(threads=32)

    def turn(self) -> int:
        return self.reconciler.turn().applied + self.actor.run_batch(limit=32)

    def until_ready(self, vms: Sequence[VM], limit_s: float = 120) -> float:
        """Turns until all play; the seconds it took."""
        started = time.perf_counter()
        ids = [vm.pk for vm in vms]
        while time.perf_counter() - started < limit_s:
            self.turn()
            if VM.objects.filter(pk__in=ids, phase=Phase.READY, sessions__status="launched").count() == len(
                ids
            ):
                return time.perf_counter() - started
        raise TimeoutError(f"not all of {len(ids)} ready after {limit_s} s")

    def close(self) -> None:
        self.reconciler.close()
        self.actor.close()


def launch(count: int, console: str = "switch") -> list[VM]:
    order = Order(console=console, game_id="mario-odyssey", latitude=32.7767, longitude=-96.797)
    return [
        services.launch_game(by=policy("bench"), owner=None, order=order, now=timezone.now()).vm
        for _ in range(count)
    ]


def waiting_vms(
    where: ProviderAccount, count: int, phase: Phase, cloud: MemoryCloud | None = None
) -> list[VM]:
    """VMs of one phase with an attempt each, due now; their machines run in `cloud` when it is given."""
    now = timezone.now()
    console = Console.objects.get(pk="switch")
    since = now - timedelta(minutes=1)
    vms = VM.objects.bulk_create(
        VM(
            console=console,
            desired=Desired.RUNNING,
            phase=phase,
            phase_since=since,
            next_look_at=since,
            ready_at=since,
        )
        for _ in range(count)
    )
    is_sent = phase is not Phase.CREATING
    offer = STOCK[0]
    attempts = Attempt.objects.bulk_create(
        Attempt(
            vm=vm, number=1, tag=make_tag(installation.identifier(), vm.code, 1), account=where, offer_id=offer.offer_id,
            offer=kept(), preset="premium", gpus=1, vcpus=8, ram_gb=16, disk_gb=200, usd_per_hour="0.5", created_at=since,
            sent_at=since if is_sent else None, answered_at=since if is_sent else None,
        )
        for vm in vms
    )  # fmt: skip
    for vm, attempt in zip(vms, attempts, strict=True):
        vm.attempt = attempt
        if cloud is not None:
            attempt.machine_id = cloud.plant(attempt.tag, state=MachineState.RUNNING).machine_id
    Attempt.objects.bulk_update(attempts, ["machine_id"], batch_size=1000)
    VM.objects.bulk_update(vms, ["attempt"], batch_size=1000)
    return vms


def put_aside() -> None:
    """No row is due for some minutes: longer ahead the loop would take it for the work of a clock that ran ahead."""
    VM.objects.update(next_look_at=timezone.now() + claims.FAR / 2)


def metered(vms: Sequence[VM], is_charged: bool) -> None:
    """Meters that run for the machines of these VMs since they were ordered, and one hold for each VM."""
    now, attempt = timezone.now(), vms[0].attempt
    assert attempt is not None
    price = prices.quoted(now, Decimal("0.5"))
    payer = accounts.unowned()
    centre = metering.centre_of(
        Dimensions(payer.pk, attempt.account.kind, "switch", attempt.preset, attempt.account_id)
    )
    known = {
        "centre": centre, "cost_usd_per_hour": price.cost_usd_per_hour, "charge_usd_per_hour": price.charge_usd_per_hour,
    }  # fmt: skip
    subjects = Subject.objects.bulk_create(
        Subject(
            **known, key=f"attempt:{vm.attempt_id}", vm=vm.pk, price_source=price.source, margin_id=price.margin_id,
            stopped_usd_per_hour=price.cost_usd_per_hour, started_at=vm.phase_since,
        )
        for vm in vms
    )  # fmt: skip
    days.rebuild(now)
    Meter.objects.bulk_create(
        Meter(**known, subject=one, kind="running", origin=one.started_at, since=one.started_at, is_charged=is_charged)
        for one in subjects
    )  # fmt: skip


def kept() -> dict[str, object]:
    """An offer as an attempt keeps it."""
    from vms import offers
    from vms.reconcile.choosing import _copy

    row = offers._row(ProviderAccount(pk=1), STOCK[0], {}, {}, timezone.now())
    return _copy(row)


def shared_cloud(name: str = "default") -> MemoryCloud:
    return memory.cloud(name)
