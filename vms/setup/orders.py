"""What setup is told, and what it answers: plain values, no behaviour."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vms.setup.library import Library
from vms.setup.ssh import Address

Report = Literal["running", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Target:
    """One machine to make ready, and all we know to prove ourselves to each other.

    `private_key`: OpenSSH PEM text. `host_public_key`: the pinned line `ssh-ed25519 AAAA…`. `agent_token`: the secret made for this VM;
    the agent registers with it at `public_url`, and asks it of whoever uses its local API. No `public_url`: the agent calls nobody.
    `tag` is the machine's own name, by which a driver may keep something of it on our side. `is_configured`: the machine arrives with
    Wolf on it. `images`, `cores` and `programs` are what the console's emulators need there (`emulators.recipes`).
    """

    vm_id: str
    address: Address
    private_key: str = field(repr=False)
    host_public_key: str
    agent_token: str = field(repr=False)
    public_url: str = ""
    tag: str = ""
    has_gpu: bool = False
    is_configured: bool = False
    images: tuple[str, ...] = ()
    cores: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    library: Library | None = None
    cloudypad: Cloudypad | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must be in no log."""
        return (self.agent_token, self.private_key, *(self.library.secrets if self.library else ()))


@dataclass(frozen=True, slots=True)
class Cloudypad:
    """CloudyPad's command line and a private folder for what it keeps about machines, here on our side."""

    command: str
    home: str

    @property
    def argv(self) -> list[str]:
        return shlex.split(self.command)


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
class Progress:
    """How far a driver is. `idle`: nothing works on it (not begun, or killed). `done`: nothing is left to do.

    `failed`: `step` is required and has failed as often as it is tried; `reason` is for operators. `left_out` are optional steps that
    failed. `version` is for the next look.
    """

    state: Literal["idle", "running", "done", "failed"]
    steps: tuple[StepReport, ...] = ()
    step: str = ""
    reason: str = ""
    left_out: tuple[StepReport, ...] = ()
    version: str = ""


@dataclass(frozen=True, slots=True)
class SessionState:
    """A session as the machine sees it. `state` is queued, launched, ended or failed; times are ISO-8601 UTC.

    `played_s` is how long its game has run in all. `exit_code` is None while it runs and for a game that was killed.
    `reason` says in words why it is over.
    """

    session_id: str
    game_id: str
    state: Literal["queued", "launched", "ended", "failed"]
    exit_code: int | None = None
    launched_at: str | None = None
    ended_at: str | None = None
    reason: str = ""
    log_tail: str = ""
    played_s: float = field(default=0.0, compare=False)  # grows by itself


@dataclass(frozen=True, slots=True)
class SaveOrder:
    """The slot a game's saves belong to: `folder` on the machine, and the stored version it begins with (number, digest; 0 for none).

    `clock` is what time it is in the game, seconds since 1970; the machine writes it to `clock_file` in libfaketime's words.
    """

    slot: str
    folder: str
    base: int
    digest: str
    clock: int | None = None
    clock_file: str = ""


@dataclass(frozen=True, slots=True)
class SessionOrder:
    """A game to launch: `app` is what Wolf shall offer, a JSON-able object as `agent/offering.py` reads it; without one `argv` is run.

    `argv` empty means the machine's placeholder game. `save_id` "" means a fresh start.

    The game finds session, game, console and save in its environment as GAMER_SESSION_ID, GAMER_GAME_ID, GAMER_CONSOLE, GAMER_SAVE_ID.
    """

    session_id: str
    game_id: str
    console: str
    save_id: str = ""
    argv: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    app: Mapping[str, Any] | None = None
    save: SaveOrder | None = None


@dataclass(frozen=True, slots=True)
class PendingSave:
    """A version of a slot's saves that the machine has not been told to be stored. `base` is the number it came from."""

    slot: str
    session_id: str
    base: int
    digest: str
    size: int
    played_s: float


@dataclass(frozen=True, slots=True)
class StoredSave:
    """Where a version went with us: its number in the slot, and whether it is the slot's newest."""

    number: int
    is_current: bool


@dataclass(frozen=True, slots=True)
class Collected:
    """What one look brought: `fetched` are pending versions with their archives, `left` how many more wait.

    `refused` are versions that were not believed, with the reason, `unpacked` why folders could not be packed.
    """

    agent: AgentState
    fetched: tuple[tuple[PendingSave, bytes], ...] = ()
    left: int = 0
    refused: tuple[tuple[PendingSave, str], ...] = ()
    unpacked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentState:
    """What the agent says of itself. `last_heartbeat_ok` is None when it has sent none (yet, or by order).

    `is_playing` None means that it cannot be told; `idle_s` is how long nobody has played, None unless that is proven.
    """

    version: str
    vm_id: str
    boot_id: str
    uptime_s: float
    is_registered: bool
    last_heartbeat_ok: bool | None
    sessions: tuple[SessionState, ...] = ()
    is_playing: bool | None = None
    idle_s: float | None = None
    saves: tuple[PendingSave, ...] = ()
    save_errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ready:
    """The machine is a console: games can be launched. `left_out` are the optional steps that failed."""

    agent: AgentState
    left_out: tuple[StepReport, ...] = ()
    has_library: bool = False


@dataclass(frozen=True, slots=True)
class NotYet:
    """Nothing is wrong for good. Call again in `retry_s` seconds; the caller's deadline decides how often.

    `step` is where it is, "" before any.
    """

    reason: str
    retry_s: float
    step: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """Calling again would end the same way. `step` is "connect" when another machine answers."""

    step: str
    reason: str
