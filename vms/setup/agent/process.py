"""One game as a process: started at most once, recognised after a restart of the agent, ended with all it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import NamedTuple

from .files import read_text

# A small shell stands between the agent and the game, as the leader of the game's own session: it outlives the agent and writes
# down how the game ended. The pid file is made exclusively, so a second start of the same order ends here, with status 75.
SHIM = """dir=$1; shift
set -C
echo "$$" 2>/dev/null >"$dir/pid" || exit 75
set +C
trap : TERM INT HUP
"$@"
echo "$?" >"$dir/exit.part" && mv "$dir/exit.part" "$dir/exit"
"""
ALREADY_STARTED = 75


class Stat(NamedTuple):
    """Of /proc/<pid>/stat (proc(5)): is it running, its session, and when it started (clock ticks after boot)."""

    is_running: bool
    session: int
    start_time: int


def stat_of(pid: int) -> Stat | None:
    """None when there is no such process."""
    text = read_text(Path(f"/proc/{pid}/stat"))
    # The name in brackets may hold anything; the fields after the last bracket start at number 3.
    fields = text.rpartition(")")[2].split()
    if len(fields) < 20:
        return None
    return Stat(fields[0] not in "ZX", int(fields[3]), int(fields[19]))


def is_alive(pid: int, start_time: int) -> bool:
    """Whether this very process runs, not another that was given its number."""
    stat = stat_of(pid)
    return stat is not None and stat.is_running and stat.start_time == start_time


def members(leader: int, start_time: int) -> list[int]:
    """The running processes of the session `leader` opened, also after the leader's end."""
    found = stat_of(leader)
    if found is not None and found.start_time != start_time:
        return []
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    stats = [(pid, stat_of(pid)) for pid in pids]
    return [pid for pid, stat in stats if stat and stat.is_running and stat.session == leader]


def signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def start(folder: Path, argv: list[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start the shim, which starts `argv`. `pid`, `exit` and `log` appear in `folder`. Raises OSError, ValueError."""
    log = os.open(str(folder / "log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            ["sh", "-c", SHIM, "game", str(folder), *argv],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)


def started_pid(folder: Path) -> int | None:
    """The process that was started for this folder, by whichever agent; None when none was."""
    text = read_text(folder / "pid")
    return int(text) if text.isdigit() else None


def exit_code(folder: Path) -> int | None:
    """How the game ended; None while it runs, and when it was killed together with its shim."""
    text = read_text(folder / "exit")
    return int(text) if text.isdigit() else None
