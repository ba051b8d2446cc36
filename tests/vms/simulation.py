"""A seeded life of the control plane: launches, whims, every fault of the memory cloud, and death at every marked point.

`run` ends by healing the cloud, wishing every VM gone and settling; the report says what is left. One seed, one story.
"""

from __future__ import annotations

import contextlib
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from django.db.models import Count

from accounts.principal import policy
from billing.models import Meter
from billing.services import hours, proof
from events.models import Event
from gamer.crash import Died, dying_at
from gamer.errors import GamerError
from tests.vms.control_plane import prepare
from tests.world import Clock
from vms import moves, provider_accounts, services
from vms.lifecycle import LIVE, Desired, status_of
from vms.models import TERMINAL_PHASES, VM, Attempt, ProviderAccount, Stray
from vms.providers.memory import Fault, MemoryCloud

VMS = Path(services.__file__).parent.parent
CRASH_POINTS = sorted(
    {
        name
        for path in [*VMS.rglob("*.py")]
        for name in re.findall(r'crash_point\("([a-z_.]+)"\)', path.read_text())
    }
)

# How likely each misfortune is per call (of the verbs it strikes), and its particulars.
MISFORTUNES: tuple[tuple[Fault, float, dict[str, float]], ...] = (
    (Fault.NO_CAPACITY, 0.05, {}),
    (Fault.REJECTED, 0.02, {}),
    (Fault.QUOTA_EXCEEDED, 0.002, {}),
    (Fault.BAD_CREDENTIALS, 0.001, {}),
    (Fault.UNAVAILABLE, 0.03, {"retry_after": 2}),
    (Fault.INCOMPLETE_LIST, 0.05, {}),
    (Fault.LOST_MADE, 0.03, {}),
    (Fault.LOST_UNMADE, 0.03, {}),
    (Fault.LOST_LATE, 0.03, {"seconds": 90}),
    (Fault.HIDDEN, 0.03, {"lists": 2}),
    (Fault.NEVER_RUNS, 0.01, {}),
    (Fault.NEVER_IP, 0.01, {}),
    (Fault.STOPS, 0.03, {"seconds": 40}),
    (Fault.VANISHES, 0.03, {"seconds": 60}),
    (Fault.SLOW_DELETE, 0.1, {"seconds": 45}),
    (Fault.LOST_DELETE, 0.05, {}),
)
# How long a machine can stay unseen that nobody wants any more: it lands late, is left out of its lists, and there is one each minute.
UNSEEN_S = 90 + 60 * (2 + 2)
DEATH = 0.4
HOURS = 0.05  # a pass over the full hours
WHIMS = 16  # at most so many in one moment, each one of these
ACTS = (
    *((services.destroy,),) * 5,
    *((services.stop,),) * 3,
    (services.start,),
    (services.look_now,),
    (partial(moves.move, to=moves.Destination()),),
    (services.destroy, services.destroy),
    (services.stop, services.start),
)
RESUME = 0.1  # an operator lets a paused account buy again
ACCOUNTS = 3


@dataclass
class Report:
    """What a life came to. All down to `meters_left` must be 0 or empty."""

    leaked: int = 0
    doubled: int = 0
    living_behind_a_terminal_row: int = 0
    unproven: int = 0
    broken_laws: list[str] = field(default_factory=list)  # of money
    unended: int = 0
    meters_left: int = 0
    asked: int = 0
    launches: int = 0  # accepted: a VM was made
    deaths: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    reached_ready: int = 0
    moved: int = 0
    attempts: int = 0


class Simulation:
    def __init__(self, seed: int, clock: Clock) -> None:
        self.chance = random.Random(seed)
        self.clock = clock
        self.plane = prepare(clock)
        for number in range(1, ACCOUNTS):
            self.plane.add_account(f"memory-{number}", MemoryCloud(boot_s=5, seed=seed + number))
        self.report = Report()
        self._afflict()

    def _afflict(self) -> None:
        for cloud in self.plane.clouds.values():
            for fault, probability, particulars in MISFORTUNES:
                cloud.switch_on(fault, times=None, probability=probability, **particulars)

    def live(self, launches: int, *, at_once: int) -> Report:
        """So many accepted launches, at most `at_once` VMs alive at a time; then the end, and the count."""
        for name in CRASH_POINTS:
            self.report.deaths[name] = 0
        while self.report.launches < launches:
            self._live_a_moment(launches, at_once)
        self._end()
        return self._count()

    def _live_a_moment(self, launches: int, at_once: int) -> None:
        room = min(at_once - VM.objects.live().count(), launches - self.report.launches, 50)
        for _ in range(self.chance.randint(0, max(room, 0))):
            self._launch()
        self._have_a_whim()
        self._operate()
        if self.chance.random() < DEATH:
            self._die()
        self.plane.turn(self.chance.choice((0.5, 1, 2, 5)))
        if self.chance.random() < HOURS:
            hours.close_hours(self.clock(), batch=20)

    def _launch(self) -> None:
        console = self.chance.choice(("nes", "3ds", "switch"))
        self.report.asked += 1
        with contextlib.suppress(GamerError):  # refused in words, before anything was written
            self.plane.launch(console=console)
            self.report.launches += 1

    def _have_a_whim(self) -> None:
        """Some players change their minds, whatever their VM is doing, and some ask twice."""
        wanted = VM.objects.live().exclude(desired=Desired.GONE).order_by("created_at", "id")
        ids = list(wanted.values_list("pk", flat=True))
        chosen = self.chance.sample(ids, min(len(ids), self.chance.randint(0, WHIMS)))
        for vm in VM.objects.filter(pk__in=chosen).select_related("attempt__account"):
            for act in self.chance.choice(ACTS):
                with contextlib.suppress(GamerError):
                    act(vm=vm, by=policy("whim"), now=self.clock())

    def _operate(self) -> None:
        """Staff put right at the vendor what paused an account, sooner or later, and resume it."""
        for account in ProviderAccount.objects.order_by("pk"):
            if not account.may_buy(self.clock()) and self.chance.random() < RESUME:
                provider_accounts.resume(account=account, by=policy("operator"), now=self.clock())

    def _die(self) -> None:
        """A process dies somewhere in the next turns, and others take over without its memory."""
        name = self.chance.choice(CRASH_POINTS)
        try:
            with dying_at(name):
                for _ in range(3):
                    self.plane.turn(1)
        except Died:
            self.report.deaths[name] += 1
            self.plane.__post_init__()

    def _end(self) -> None:
        for cloud in self.plane.clouds.values():
            cloud.heal()
        for vm in VM.objects.filter(phase__in=LIVE):
            services.destroy(vm=vm, by=policy("end"), now=self.clock())
        for _ in range(2000):
            self.plane.turn(2)
            is_settled = not VM.objects.live().exists() and not Attempt.objects.held().exists()
            if is_settled and not Stray.objects.filter(gone_at=None).exists():
                break
        self.plane.settle(seconds=UNSEEN_S, step=5)

    def _count(self) -> Report:
        report = self.report
        alive = [record for cloud in self.plane.clouds.values() for record in cloud.alive()]
        tags = {record.tag for record in alive}
        report.leaked = len(alive)
        report.doubled = sum(max(0, cloud.max_made_per_tag - 1) for cloud in self.plane.clouds.values())
        report.living_behind_a_terminal_row = Attempt.objects.filter(
            tag__in=tags, vm__phase__in=TERMINAL_PHASES
        ).count()
        report.unproven = Attempt.objects.held().count()
        report.broken_laws = [one.law for one in proof.verify() if not one.holds]
        report.meters_left = Meter.objects.count()
        for row in VM.objects.values("desired", "phase").annotate(vms=Count("pk")).order_by():
            report.statuses[status_of(row["desired"], row["phase"])] += row["vms"]
        report.unended = VM.objects.exclude(phase__in=TERMINAL_PHASES).count()
        report.reached_ready = VM.objects.exclude(ready_at=None).count()
        report.moved = Event.objects.filter(action="moved").count()
        report.attempts = Attempt.objects.count()
        return report


def run(seed: int, launches: int, *, at_once: int = 150) -> Report:
    return Simulation(seed, Clock()).live(launches, at_once=at_once)
