"""What setup is told, and what it answers: plain values, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from vms.setup.ssh import Address

Report = Literal["running", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Target:
    """One machine to make ready, and all we know to prove ourselves to each other.

    `private_key`: OpenSSH PEM text. `host_public_key`: the pinned line `ssh-ed25519 AAAA…`. `agent_token`: the secret made for this VM;
    the agent registers with it at `public_url`, and asks it of whoever uses its local API. No `public_url`: the agent calls nobody.
    """

    vm_id: str
    address: Address
    private_key: str = field(repr=False)
    host_public_key: str
    agent_token: str = field(repr=False)
    public_url: str = ""


@dataclass(frozen=True, slots=True)
class StepReport:
    """How a step is doing. `seconds` is None while it runs, and for one found finished by an earlier look.

    `log_tail` is for operators: at most 2 kB, without the target's secrets.
    """

    name: str
    title: str
    state: Report
    seconds: float | None = None
    log_tail: str = ""


@dataclass(frozen=True, slots=True)
class SessionState:
    """A session as the machine sees it. `state` is queued, launched, ended or failed; times are ISO-8601 UTC.

    `exit_code` is None while it runs and for a game that was killed. `reason` says in words why it is over.
    """

    session_id: str
    game_id: str
    state: Literal["queued", "launched", "ended", "failed"]
    exit_code: int | None = None
    launched_at: str | None = None
    ended_at: str | None = None
    reason: str = ""
    log_tail: str = ""


@dataclass(frozen=True, slots=True)
class SessionOrder:
    """A game to launch. `argv` empty means the machine's placeholder game. `save_id` "" means a fresh start.

    The game finds session, game, console and save in its environment as GAMER_SESSION_ID, GAMER_GAME_ID, GAMER_CONSOLE, GAMER_SAVE_ID.
    """

    session_id: str
    game_id: str
    console: str
    save_id: str = ""
    argv: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AgentState:
    """What the agent says of itself. `last_heartbeat_ok` is None when it has sent none (yet, or by order)."""

    version: str
    vm_id: str
    boot_id: str
    uptime_s: float
    is_registered: bool
    last_heartbeat_ok: bool | None
    sessions: tuple[SessionState, ...] = ()


@dataclass(frozen=True, slots=True)
class Ready:
    """The machine is a console: games can be launched."""

    agent: AgentState


@dataclass(frozen=True, slots=True)
class NotYet:
    """Nothing is wrong for good. Call again in `retry_s` seconds; the caller's deadline decides how often."""

    reason: str
    retry_s: float


@dataclass(frozen=True, slots=True)
class Failed:
    """Calling again would end the same way. `step` is "connect" when another machine answers."""

    step: str
    reason: str
