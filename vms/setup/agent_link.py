"""Speaks with the agent on a machine, through an open shell.

The agent's own `call` command is run over exec, a JSON request on its stdin. That needs nothing but exec, python3 and (for other logins
than root) sudo, which setup needs anyway. Forwarding the unix socket was left: paramiko cannot open direct-streamlocal channels, sshd may
forbid them, and a login that is not root could not open the socket.
"""

from __future__ import annotations

import json
from typing import Any

from vms.setup import heard
from vms.setup.orders import AgentState, PendingSave, SessionState
from vms.setup.site import ALONE, CONFIG, PROGRAM, ROOT
from vms.setup.ssh import CommandFailed, Shell, SshError

MAX_ANSWER = 256 * 1024
MAX_NAME, MAX_REASON = 200, 500
# What heartbeats may say at most, too.
MAX_PLAYED_S = 31 * 86_400
NOT_THERE = 404
STATES = ("queued", "launched", "ended", "failed")


class AgentError(SshError):
    """The agent was not reached, or did not do as asked."""


class AgentSilent(AgentError):
    """The agent does not answer, or not sensibly. Next move: again, later; set up again if it stays so."""


class AgentRefused(AgentError):
    """The agent will never take this request. `status` is its HTTP status, `why` its words alone: what a player may read."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"the agent answered {status}: {message}")
        self.status, self.why = status, message


class NoSuchSession(AgentRefused):
    """The machine does not know the session: it was never launched there, or ended long ago."""


def ask(
    shell: Shell, method: str, path: str, body: object = None, *, wait_s: float = 0, timeout_s: float = 20
) -> dict[str, Any]:
    """The agent's answer. An agent that is only starting is waited for up to `wait_s`.

    Raises AgentSilent, AgentRefused, NoSuchSession, and what `Shell.run` raises.
    """
    request = json.dumps({"method": method, "path": path, "body": body}).encode()
    # The machine's own shell finds the paths: to survey it first would take as long as the question.
    found = f'python3 {ALONE} "${ROOT}{PROGRAM}" call --config "${ROOT}{CONFIG}" --wait {wait_s:g}'
    try:
        result = shell.run(
            ["sh", "-c", f"exec {found}"],
            stdin=request,
            max_output=MAX_ANSWER,
            timeout_s=timeout_s,
            as_root=True,
            check=True,
        )
    except CommandFailed as error:
        raise AgentSilent(f"the agent does not answer: {error.stderr_tail.strip()[-200:]}") from error
    try:
        answer = heard.read(result.stdout)
        status, value = heard.whole(answer["status"]), dict(answer["body"])
    except (ValueError, TypeError, KeyError) as error:
        raise AgentSilent("the agent answers what cannot be read") from error
    why = str(value.get("error", ""))[:MAX_REASON]
    if status == NOT_THERE:
        raise NoSuchSession(status, why)
    if status >= 500:
        raise AgentSilent(f"the agent answered {status}: {why}")
    if status >= 400:
        raise AgentRefused(status, why)
    return value


def state(shell: Shell, *, wait_s: float = 0) -> AgentState:
    """What the agent says of itself and its sessions. Raises as `ask` does."""
    value = ask(shell, "GET", "/state", wait_s=wait_s)
    try:
        heartbeat, activity = value.get("last_heartbeat"), dict(value.get("activity") or {})
        return AgentState(
            version=heard.text(value["version"], MAX_NAME),
            vm_id=heard.text(value["vm_id"], MAX_NAME),
            boot_id=heard.text(value["boot_id"], MAX_NAME),
            uptime_s=heard.number(value["uptime_s"]),
            is_registered=bool(value["is_registered"]),
            last_heartbeat_ok=bool(heartbeat["ok"]) if heartbeat else None,
            sessions=tuple(session(each) for each in value["sessions"]),
            is_playing=_told(activity.get("is_playing")),
            idle_s=_seconds(activity.get("idle_s")),
            # An agent of before there were saves has none.
            saves=tuple(_pending(each) for slot in value.get("saves", ()) for each in slot["pending"]),
            save_errors=tuple(str(slot["error"])[:200] for slot in value.get("saves", ()) if slot["error"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise AgentSilent("the agent answers what cannot be read") from error


def session(value: dict[str, Any]) -> SessionState:
    """A session as the agent shows it. Raises AgentSilent when a part is missing, or not what it should be."""
    try:
        if value["state"] not in STATES:
            raise ValueError("no state of a session")
        return SessionState(
            session_id=heard.text(value["session_id"], MAX_NAME),
            game_id=heard.text(value["game_id"], MAX_ANSWER),
            state=value["state"],
            exit_code=value["exit_code"],
            launched_at=value["launched_at"],
            ended_at=value["ended_at"],
            # For people, who read no more of it.
            reason=heard.text(value["reason"], MAX_ANSWER)[:MAX_REASON],
            log_tail=heard.text(value["log_tail"], MAX_ANSWER),
            played_s=heard.number(value.get("played_s", 0), MAX_PLAYED_S),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise AgentSilent("the agent answers what cannot be read") from error


def _pending(value: dict[str, Any]) -> PendingSave:
    return PendingSave(
        slot=heard.text(value["slot"], MAX_NAME),
        session_id=heard.text(value["session_id"], MAX_NAME),
        base=heard.whole(value["base"]),
        digest=heard.text(value["digest"], MAX_NAME),
        size=heard.whole(value["size"]),
        played_s=heard.number(value["played_s"], MAX_PLAYED_S),
    )


def _told(value: object) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise ValueError("neither yes nor no")
    return value


def _seconds(value: object) -> float | None:
    return None if value is None else heard.number(value, MAX_PLAYED_S)
