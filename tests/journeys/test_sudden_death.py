"""kill -9 of reconciler and worker at any moment, with real processes on the real sandbox: every VM arrives, none is doubled."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from django.utils import timezone

from accounts.principal import policy
from emulators.services import seed
from sandbox.testing import SandboxServer
from tests.journeys.conftest import TOKEN
from tests.journeys.processes import Processes
from tests.vms.control_plane import DALLAS, story
from tests.waiting import eventually
from vms import installation, services
from vms.models import VM, Attempt, ProviderAccount
from vms.services import Order

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(240)]


@pytest.fixture
def cloud(sandbox_cloud: SandboxServer) -> Iterator[SandboxServer]:
    sandbox_cloud.control.reset()
    sandbox_cloud.control.settings(rate_limit=False, speed="instant")
    yield sandbox_cloud
    sandbox_cloud.control.reset()


@pytest.fixture
def processes(cloud: SandboxServer) -> Iterator[Processes]:
    now = timezone.now()
    seed(now=now)
    installation.row()
    ProviderAccount.objects.create(
        name="sandbox",
        kind="tensordock",
        base_url=cloud.base_url,
        credentials={"token": TOKEN},
        calls_per_minute=100_000,
    )
    found = Processes()
    yield found
    found.close()


def launch(count: int) -> list[VM]:
    order = Order(console="switch", game_id="mario-odyssey", **DALLAS)
    return [
        services.launch_game(by=policy("test"), owner=None, order=order, now=timezone.now()).vm
        for _ in range(count)
    ]


def are(vms: list[VM], status: str) -> bool:
    for vm in vms:
        vm.refresh_from_db()
    return all(vm.status == status for vm in vms)


def end(vms: list[VM], cloud: SandboxServer) -> None:
    for vm in vms:
        services.destroy(vm=vm, by=policy("test"), now=timezone.now())
    eventually(lambda: are(vms, "terminated"), timeout_s=90, every_s=0.2)
    assert cloud.control.alive() == []


class TestKill:
    def test_of_anybody_at_any_moment_costs_time_and_nothing_else(
        self, cloud: SandboxServer, processes: Processes
    ) -> None:
        chance = random.Random(7)
        processes.start("reconciler")
        processes.start("worker")
        vms = launch(4)
        for _ in range(5):
            # A random moment: so many looks at the rows, some of them while an order is on its way.
            for _ in range(chance.randint(1, 12)):
                eventually(lambda: VM.objects.exists(), every_s=0.1)
                eventually(lambda: bool(cloud.control.requests()), every_s=0.1)
            victim = chance.choice(("reconciler", "worker"))
            processes.kill(victim)
            processes.start(victim)
        eventually(lambda: are(vms, "running"), timeout_s=120, every_s=0.3)
        tags = [machine["name"] for machine in cloud.control.alive()]
        assert sorted(tags) == sorted(vm.attempt.tag for vm in vms), [story(vm) for vm in vms]
        end(vms, cloud)
        assert not Attempt.objects.held().exists()

    @pytest.mark.parametrize(
        ("name", "point"),
        [
            ("worker", "create.after_call"),
            ("worker", "setup.after"),
            ("reconciler", "choose.inside"),
            ("reconciler", "hint.before"),
        ],
    )
    def test_at_a_marked_point_is_made_good_by_the_next_process(
        self, cloud: SandboxServer, processes: Processes, name: str, point: str
    ) -> None:
        other = "worker" if name == "reconciler" else "reconciler"
        processes.start(name, GAMER_DIE_AT=point)
        processes.start(other)
        vms = launch(1)
        eventually(lambda: processes.has_died(name), timeout_s=60)
        processes.kill(name)
        processes.start(name)
        eventually(lambda: are(vms, "running"), timeout_s=90, every_s=0.2)
        assert [machine["name"] for machine in cloud.control.alive()] == [vms[0].attempt.tag], story(vms[0])
        end(vms, cloud)
