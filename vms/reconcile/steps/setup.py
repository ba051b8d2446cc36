"""SETTING_UP: make the machine a console over SSH, one bounded look at a time."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings

from gamer.crash import crash_point
from vms import setup
from vms.lifecycle import Phase
from vms.models import VM
from vms.providers.base import Provider
from vms.reconcile.outcome import Advance, Fail, Outcome, Subject, Wait, next_offer

# A machine that never lets us in is not worth the whole deadline: another offer may be ready sooner.
FIRST_CONTACT = timedelta(minutes=3)
CONNECT_AGAIN_S = 5


def target_of(vm: VM) -> setup.Target:
    """The machine as setup knows it. Reveals the VM's keys: for acting steps only."""
    return setup.Target(
        vm_id=str(vm.pk),
        address=setup.Address(vm.ip_address, vm.ssh_port, vm.ssh_user or "root"),
        private_key=vm.ssh_private_key.reveal(),
        host_public_key=vm.host_public_key,
        agent_token=vm.agent_bootstrap.reveal(),
        public_url=settings.PUBLIC_URL,
    )


def run(subject: Subject, provider: Provider, now: datetime) -> Outcome:
    vm = subject.vm
    if not provider.has_shell:
        return _ready(vm, now)
    if not provider.pins_host_key and vm.host_private_key.reveal():
        return _learn(subject, now)
    crash_point("setup.before")
    verdict = setup.set_up(target_of(vm), subject.report)
    crash_point("setup.after")
    match verdict:
        case setup.Ready():
            return _ready(vm, now)
        case setup.NotYet(reason, retry_s):
            if subject.contacted or vm.ready_at is not None or now - vm.phase_since < FIRST_CONTACT:
                return Wait(seconds=retry_s)
            return next_offer(
                subject, now, "NoContact", f"the machine cannot be set up: {reason}", cools=reason[:300]
            )
        case setup.Failed("connect") if now - vm.phase_since < FIRST_CONTACT:
            # cloud-init makes host keys of its own before our runcmd puts the delivered one back. Never accepted, only waited out.
            return Wait(seconds=CONNECT_AGAIN_S)
        case setup.Failed(step, reason):
            text = f"Setup failed at {step}: {reason}"
            if vm.ready_at is not None:
                return Fail(error="setup_failed", text=text)
            return next_offer(subject, now, "SetupFailed", text, cools=text[:300])


def _learn(subject: Subject, now: datetime) -> Outcome:
    """Trust at first use, for clouds whose tool lets us place no host key: from here on the VM is held to this one."""
    vm = subject.vm
    try:
        line = setup.learn_host_key(setup.Address(vm.ip_address, vm.ssh_port, vm.ssh_user or "root"))
    except setup.HostKeyMismatch as error:
        return next_offer(
            subject, now, "SetupFailed", f"the machine cannot be set up: {error}", cools=str(error)[:300]
        )
    except setup.SshError as error:
        if now - vm.phase_since < FIRST_CONTACT:
            return Wait(seconds=CONNECT_AGAIN_S)
        return next_offer(
            subject, now, "NoContact", f"the machine cannot be set up: {error}", cools=str(error)[:300]
        )
    return Wait(seconds=0, vm={"host_public_key": line, "host_private_key": ""})


def _ready(vm: VM, now: datetime) -> Advance:
    """`ready_at` is the first time: a machine that comes back from a stop was ready before."""
    known = {"gaming_environment_ready": True, "last_activity": now, "ready_at": vm.ready_at or now}
    if vm.session_ends_at is None or vm.session_ends_at <= now:
        known["session_ends_at"] = now + timedelta(hours=vm.max_session_hours)
    return Advance(phase=Phase.READY, vm=known)
