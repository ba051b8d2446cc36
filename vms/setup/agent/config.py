"""What the control plane wrote down for this machine at setup."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from .files import BadConfig, read_json


class Config(NamedTuple):
    """`agent_token` proves the control plane to this agent, and this agent to `public_url` when it registers.

    `root` is where the machine's paths start. A machine that has had no word from us for `dead_man_s` powers itself off; 0 never.
    What fails is tried again after `backoff_s` at the latest.
    A game's file that the library does not show within `library_s` makes the game fail.
    Saves are packed `save_quiet_s` after the last change, at most once in `save_interval_s` while the game runs.
    Without `public_url` the agent speaks to nobody; it is still asked through the socket.
    """

    vm_id: str
    agent_token: str
    state_dir: Path
    socket_path: Path
    public_url: str = ""
    session_command: tuple[str, ...] = ()
    heartbeat_s: float = 15.0
    backoff_s: float = 120.0
    grace_s: float = 8.0
    root: Path = Path("/")
    wolf_sockets: tuple[Path, ...] = ()
    dead_man_s: float = 0.0
    library_s: float = 30.0
    save_quiet_s: float = 2.0
    save_interval_s: float = 30.0
    path: Path = Path()

    def __repr__(self) -> str:
        """Without the token."""
        return f"Config({self.path}, vm_id={self.vm_id!r})"


def load(path: Path) -> Config:
    """The configuration in the JSON file. Raises BadConfig."""
    stored = read_json(path)
    if stored is None:
        raise BadConfig(f"{path} holds no configuration")
    try:
        return Config(
            vm_id=str(stored["vm_id"]),
            agent_token=str(stored["agent_token"]),
            state_dir=Path(stored["state_dir"]),
            socket_path=Path(stored["socket_path"]),
            public_url=str(stored.get("public_url", "")).rstrip("/"),
            session_command=tuple(str(word) for word in stored.get("session_command", ())),
            heartbeat_s=float(stored.get("heartbeat_s", 15)),
            backoff_s=float(stored.get("backoff_s", 120)),
            grace_s=float(stored.get("grace_s", 8)),
            root=Path(stored.get("root") or "/"),
            wolf_sockets=tuple(Path(each) for each in stored.get("wolf_sockets", ())),
            dead_man_s=float(stored.get("dead_man_s", 0)),
            library_s=float(stored.get("library_s", 30)),
            save_quiet_s=float(stored.get("save_quiet_s", 2)),
            save_interval_s=float(stored.get("save_interval_s", 30)),
            path=path,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadConfig(f"{path}: {error!r}") from error
