"""SETTING_UP: make the machine a console over SSH, one bounded look at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from emulators.recipes import needs_of
from gamer.crash import crash_point
from vms import setup, streaming
from vms.lifecycle import Phase
from vms.models import VM
from vms.providers.base import MachineState, NotFound, Provider, ProviderError
from vms.reconcile.outcome import Advance, Fail, Note, Outcome, Subject, Wait, next_offer, unstarted

# A machine that never lets us in is not worth the whole deadline: another offer may be ready sooner.
FIRST_CONTACT = timedelta(minutes=3)
CONNECT_AGAIN_S = 5
# A machine that was started may refuse us for so long; then its provider is asked whether it still runs.
STARTING = timedelta(seconds=30)
REACH_AGAIN_S = 2
REACH = ("reach", "Moonlight reaches it")
WITHOUT = "could not be set up. The machine does without it; the next start of the machine tries again."


def target_of(subject: Subject) -> setup.Target:
    """The machine as setup knows it. Reveals the VM's keys: for acting steps only."""
    vm, needs = subject.vm, needs_of(subject.vm.console_id)
    learned = subject.attempt.host_public_key if subject.attempt is not None else ""
    return setup.Target(
        vm_id=str(vm.pk),
        address=setup.Address(vm.ip_address, vm.ssh_port, vm.ssh_user or "root"),
        private_key=vm.ssh_private_key.reveal(),
        host_public_key=learned or vm.host_public_key,
        agent_token=vm.agent_bootstrap.reveal(),
        public_url=settings.PUBLIC_URL,
        tag=subject.attempt.tag if subject.attempt is not None else "",
        has_gpu=subject.attempt is not None and subject.attempt.gpus > 0,
        images=needs.images,
        cores=needs.cores,
        programs=needs.programs,
        library=setup.parse_library(settings.GAMES_URL, google_credentials=settings.GAMES_GOOGLE_CREDENTIALS),
        cloudypad=(
            setup.Cloudypad(settings.CLOUDYPAD_BIN, settings.CLOUDYPAD_HOME)
            if settings.CLOUDYPAD_BIN
            else None
        ),
    )


def run(subject: Subject, provider: Provider, now: datetime) -> Outcome:
    vm = subject.vm
    if not provider.has_shell:
        return _ready(vm, now)
    assert subject.attempt is not None
    if not provider.pins_host_key and not subject.attempt.host_public_key:
        return _learn(subject, now)
    crash_point("setup.before")
    target = replace(target_of(subject), is_configured=not provider.needs_setup)
    verdict = setup.set_up(target, subject.report)
    crash_point("setup.after")
    match verdict:
        case setup.Ready():
            return _reached(subject, verdict, now)
        case setup.NotYet(reason, retry_s, step):
            is_known = subject.contacted or vm.ready_at is not None
            if is_known and not step and retry_s and now - vm.phase_since >= STARTING:
                return _unreached(subject, provider, now)
            if is_known or now - vm.phase_since < FIRST_CONTACT:
                return Wait(seconds=retry_s, vm=_at(vm, step))
            return next_offer(
                subject, now, "NoContact", f"the machine cannot be set up: {reason}", cools=reason[:300]
            )
        case setup.Failed("connect") if now - vm.phase_since < FIRST_CONTACT:
            # cloud-init makes host keys of its own before our runcmd puts the delivered one back. Never accepted, only waited out.
            return Wait(seconds=CONNECT_AGAIN_S)
        case setup.Failed(step, reason):
            text = f"Setup failed at {step}: {reason}"
            if subject.is_restart:
                return unstarted(subject, Phase.STOPPING, text)
            return next_offer(subject, now, "SetupFailed", text, cools=text[:300])


def _unreached(subject: Subject, provider: Provider, now: datetime) -> Outcome:
    """One that had let us in and does no more: a machine that stopped or vanished is not worth the whole deadline."""
    assert subject.attempt is not None
    again = Wait(seconds=CONNECT_AGAIN_S)
    try:
        machine = provider.get(subject.attempt.machine_id)
    except NotFound:
        if subject.is_restart:  # a start never makes another machine silently
            return Fail(error="machine_lost", text="The machine vanished at the provider.")
        text = "the machine vanished while it was set up"
        return next_offer(subject, now, "Lost", text, cools="its machine vanished")
    except ProviderError:
        return again
    if machine.state is not MachineState.STOPPED:
        return again
    text = "the machine stopped by itself while it was set up"
    if subject.is_restart:
        return unstarted(subject, Phase.STOPPED, text)
    return next_offer(subject, now, "StoppedByItself", text, cools="its machine stopped by itself")


def _learn(subject: Subject, now: datetime) -> Outcome:
    """Trust at first use, for clouds whose tool lets us place no host key: from here on this machine is held to it."""
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
    return Wait(seconds=0, attempt={"host_public_key": line})


def _at(vm: VM, step: str) -> dict[str, str]:
    """Remembers where it is, for the day its deadline comes."""
    text = f"It was at the step {step}." if step else vm.error_text
    return {"error_text": text} if text != vm.error_text else {}


def _reached(subject: Subject, made: setup.Ready, now: datetime) -> Outcome:
    """Ready means playable: Wolf answers where Moonlight will ask."""
    name, title = REACH
    why = streaming.unreachable_because(subject.vm.ip_address)
    subject.report(setup.StepReport(name, title, "failed" if why else "done", log_tail=why))
    if why:
        return Wait(seconds=REACH_AGAIN_S, vm=_at(subject.vm, name))
    advance = _ready(subject.vm, now)
    left_out = tuple(
        Note("setup_warning", {"step": step.name, "text": f"{step.title} {WITHOUT}"})
        for step in made.left_out
    )
    return replace(advance, vm={**advance.vm, "games_mounted": made.has_library}, notes=left_out)


def _ready(vm: VM, now: datetime) -> Advance:
    """`ready_at` is the first time: a machine that comes back from a stop was ready before."""
    known: dict[str, Any] = {
        "gaming_environment_ready": True,
        "last_activity": now,
        "ready_at": vm.ready_at or now,
    }
    known |= {"error_text": "", "idle_since": None, "idle_seen_at": None, "idle_warned_at": None}
    if vm.session_ends_at is None or vm.session_ends_at <= now:
        known["session_ends_at"] = now + timedelta(hours=vm.max_session_hours)
    return Advance(phase=Phase.READY, vm=known)
