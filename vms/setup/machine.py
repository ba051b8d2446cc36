"""What the reconciler does with a machine: set it up, launch a game on it, ask, end it. Each call connects, acts and leaves."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from typing import Any

from vms.setup import agent_link, saving
from vms.setup.agent_link import AgentRefused, AgentSilent, NoSuchSession
from vms.setup.drivers import Driver, choose, cloudypad
from vms.setup.orders import (
    Cloudypad,
    Collected,
    Failed,
    NotYet,
    PendingSave,
    Progress,
    Ready,
    SessionOrder,
    SessionState,
    StepReport,
    StoredSave,
    Target,
)
from vms.setup.site import Site, Unfit, survey
from vms.setup.ssh import AuthFailed, HostKeyMismatch, Shell, SshError, TimedOut, Unreachable, connect

LOOK_S = 10.0
CONNECT_S = 5.0
SOON_S = 1.0
KNOCK_S = 1.0
LATER_S = 5.0
# How long one look waits for news: people see what setup said after this at the latest.
NEWS_S = 2.0
IDLE_S = 0.1
# How long the machine itself waits for an agent that is only starting.
AGENT_START_S = 5.0
# The agent's answer to an order whose save is not on its machine, and how long one may take that has to unpack it.
SAVE_MISSING = 409
LAUNCH_S = 60.0
VERIFY = ("verify", "The agent answers")

Reporter = Callable[[StepReport], None]


def set_up(target: Target, report: Reporter) -> Ready | NotYet | Failed:
    """Bring the machine as far as one look allows (about 20 s); call until Ready or Failed. Safe to repeat at any time.

    `report` hears of every step, also of those found finished. Raises nothing for what a machine may do; ValueError for unreadable keys.
    """
    began = time.monotonic()
    while True:
        try:
            with _open(target) as shell:
                site = survey(shell)
                return _advance(choose(site, target), site, target, report, began + LOOK_S)
        except (HostKeyMismatch, Unfit) as error:
            return Failed("connect", str(error))
        except (AuthFailed, TimedOut) as error:
            return NotYet(str(error), LATER_S)
        except Unreachable as error:
            # A machine that boots refuses at once; to knock again costs less than another look.
            if time.monotonic() >= began + KNOCK_S:
                return NotYet(str(error), SOON_S)
            time.sleep(IDLE_S)
        except SshError as error:
            return NotYet(str(error), SOON_S)


def _advance(
    driver: Driver, site: Site, target: Target, report: Reporter, deadline: float
) -> Ready | NotYet | Failed:
    """Begin when nobody works on it, then follow what is done until it is over or the time of this look is up."""
    told: dict[str, StepReport] = {}
    progress = driver.look(site, target)
    if progress.state == "idle":
        driver.begin(site, target)
    while True:
        _tell(progress, told, report)
        if progress.state == "failed":
            return Failed(progress.step, progress.reason)
        if progress.state == "done":
            return _verify(site, target, progress, report)
        left = deadline - time.monotonic()
        if left <= 0:
            return NotYet(f"{progress.step or 'setup'} is under way", 0, progress.step)
        if progress.state == "idle":
            # Just begun, or killed and about to be started again by the machine; it is begun anew by the next look only.
            time.sleep(min(IDLE_S, left))
        # What is only beginning is news a moment later.
        progress = driver.look(site, target, seen=progress.version or "none", wait_s=min(NEWS_S, left))


def _tell(progress: Progress, told: dict[str, StepReport], report: Reporter) -> None:
    for step in progress.steps:
        if told.get(step.name) != step:
            told[step.name] = step
            report(step)


def _verify(site: Site, target: Target, progress: Progress, report: Reporter) -> Ready | Failed:
    name, title = VERIFY
    began = time.monotonic()
    report(StepReport(name, title, "running"))
    try:
        state = agent_link.state(site.shell, wait_s=AGENT_START_S)
    except SshError as error:
        report(StepReport(name, title, "failed", round(time.monotonic() - began, 3), str(error)))
        raise
    if state.vm_id != target.vm_id:
        report(StepReport(name, title, "failed", log_tail="the agent belongs to another VM"))
        return Failed(name, "the agent belongs to another VM")
    log = f"agent {state.version}, up {state.uptime_s:.0f} s"
    report(StepReport(name, title, "done", round(time.monotonic() - began, 3), log))
    has_library = target.library is not None and all(one.name != "library" for one in progress.left_out)
    return Ready(state, progress.left_out, has_library)


def pairing(target: Target) -> dict[str, Any]:
    """`pending` [{request_id, client_ip}], the newest first, and `clients`, ids of the paired ones. Raises as `launch_game` does."""
    with _open(target) as shell:
        return agent_link.ask(shell, "GET", "/pairing")


def pair(target: Target, pin: str, request_id: str = "") -> dict[str, Any]:
    """Gives Wolf the PIN; `is_paired` says whether Moonlight is among its clients then. Raises as `launch_game` does."""
    with _open(target) as shell:
        return agent_link.ask(shell, "POST", "/pairing", {"pin": pin, "request_id": request_id})


def launch_game(target: Target, order: SessionOrder, bring: Callable[[], bytes] = bytes) -> SessionState:
    """Launch the game, once: a session the machine knows is left as it is, a running other one is ended first.

    `bring` is asked for the archive of the save it begins with, if the machine has not got it; what it raises flies on.

    May take 15 s while the other one ends. Raises SshError: Unreachable, TimedOut, AuthFailed and AgentSilent may be tried again
    (the same order launches nothing twice), HostKeyMismatch and AgentRefused not.
    """
    env = {
        **order.env,
        "GAMER_SESSION_ID": order.session_id,
        "GAMER_GAME_ID": order.game_id,
        "GAMER_CONSOLE": order.console,
        "GAMER_SAVE_ID": order.save_id,
    }
    body: dict[str, Any] = {
        "session_id": order.session_id,
        "game_id": order.game_id,
        "argv": list(order.argv),
        "env": env,
    }
    if order.app is not None:
        body["app"] = dict(order.app)
    if order.save is not None:
        body["save"] = asdict(order.save)
    with _open(target) as shell:
        try:
            launched = agent_link.ask(shell, "POST", "/sessions", body)
        except AgentRefused as error:
            if error.status != SAVE_MISSING or order.save is None:
                raise
            saving.deliver(shell, order.save.digest, bring())
            launched = agent_link.ask(shell, "POST", "/sessions", body, timeout_s=LAUNCH_S)
        return agent_link.session(launched)


def end_session(target: Target, session_id: str) -> SessionState:
    """End the game, and wait for it (at most 15 s). Ending an unknown or ended session succeeds. Raises as `launch_game` does."""
    with _open(target) as shell:
        try:
            return agent_link.session(agent_link.ask(shell, "DELETE", f"/sessions/{session_id}"))
        except NoSuchSession:
            return SessionState(session_id, "", "ended", reason="not known to the machine")


def collect_saves(
    target: Target,
    stored: Mapping[tuple[str, str, int | None], StoredSave],
    refuse: Callable[[PendingSave, bytes | None], str],
    *,
    ending: Sequence[str] = (),
    is_last: bool = False,
) -> Collected:
    """What the agent says now, and the saves that wait there; see `saving.collect`. Ends the sessions named in `ending` first.

    `is_last`: what the games wrote to the end is packed before. May take half a minute. Raises as `launch_game` does.
    A machine that cannot end a game or pack gives what it packed all the same, and raises once that is all stored.
    """
    unpacked: SshError | None = None
    with _open(target) as shell:
        for session_id in ending:
            try:
                agent_link.ask(shell, "DELETE", f"/sessions/{session_id}", timeout_s=saving.END_S)
            except NoSuchSession:
                pass
            except (AgentSilent, TimedOut) as error:
                unpacked = error
        if is_last:
            try:
                agent_link.ask(shell, "POST", "/saves/flush", {}, timeout_s=saving.FLUSH_S)
            except NoSuchSession:
                pass  # an agent that knows no saves
            except (AgentSilent, TimedOut) as error:
                unpacked = error
        collected = saving.collect(shell, stored, refuse)
    if unpacked is None:
        return collected
    if not (collected.fetched or collected.left or collected.refused):
        raise unpacked
    return replace(collected, unpacked=(*collected.unpacked, str(unpacked)))


def kept(by: Cloudypad) -> set[str]:
    """The tags of the machines that CloudyPad keeps something of, here on our side."""
    return cloudypad.kept(by)


def forget(tag: str, by: Cloudypad) -> None:
    """Remove what CloudyPad keeps of a machine that is gone, its key among it; nothing there is no error."""
    cloudypad.forget(tag, by)


def _open(target: Target) -> AbstractContextManager[Shell]:
    return connect(target.address, target.private_key, target.host_public_key, timeout_s=CONNECT_S)
