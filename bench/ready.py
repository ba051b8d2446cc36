"""From the provider's "running" to ours: a machine whose steps have nothing to wait for is a console within two seconds and SSH.

The sandbox's instant machines run when their order is answered, so our own look is part of it. SSH is what a connection and as many
commands cost that do nothing, measured on the same machine in the same run.
"""

from __future__ import annotations

import statistics
import time
from datetime import datetime

from bench import plane
from bench.harness import claim
from events.models import Event
from sandbox.testing import SandboxServer
from vms.models import VM, ProviderAccount, SetupStep
from vms.reconcile.outcome import Subject
from vms.reconcile.steps.setup import target_of
from vms.setup import connect

MACHINES = 5
PROMISED_S = 2.0


def main() -> None:
    plane.prepare()
    ProviderAccount.objects.filter(kind="memory").update(is_paused=True)
    with SandboxServer(token="bench", speed="instant") as server:
        server.control.settings(rate_limit=False)
        ProviderAccount.objects.create(
            name="sandbox",
            kind="tensordock",
            base_url=server.base_url,
            credentials={"token": "bench"},
            calls_per_minute=plane.CALLS,
        )
        control = plane.Plane()
        while not ProviderAccount.objects.get(name="sandbox").offers_refreshed_at:
            control.turn()
        taken, ssh, steps = [], [], []
        for _ in range(MACHINES):
            (vm,) = plane.launch(1)
            control.until_ready([vm], limit_s=60)
            vm.refresh_from_db()
            taken.append((at(vm, "power_on") - at(vm, "machine_ordered")).total_seconds())
            steps.append(sum(step.seconds or 0 for step in SetupStep.objects.filter(attempt=vm.attempt)))
            ssh.append(ssh_seconds(vm))
        control.close()
    ours, theirs = statistics.median(taken), statistics.median(ssh)
    claim(
        f"provider's running to ours, median of {MACHINES} machines",
        f"{ours:.2f} s, of it {statistics.median(steps):.2f} s in steps",
        against=f"at most {PROMISED_S:g} s + SSH, {theirs:.2f} s",
        holds=ours <= PROMISED_S + theirs,
    )


def at(vm: VM, action: str) -> datetime:
    found: datetime = Event.objects.about("vms", vm.pk).filter(action=action).latest("id").at
    return found


def ssh_seconds(vm: VM) -> float:
    """A connection and the commands of a setup at its least: survey, look, four files and folders, two of systemctl, look, the agent."""
    target = target_of(Subject(vm, vm.attempt, [], []))
    began = time.perf_counter()
    with connect(target.address, target.private_key, target.host_public_key) as shell:
        for _ in range(10):
            shell.run(["python3", "-c", "pass"], check=True)
    return time.perf_counter() - began
