"""One game's keeper: a process of its own between the agent and the game, which outlives the agent.

It starts the game, ends it when asked, and writes down how it ended. All it shares with the agent is the session's folder:

    session.json  the order, written by the agent          lock   held as long as the keeper lives
    game.json     {pid, start_time} once the game runs      end    made by the agent to ask for the end
    exit.json     {exit_code, reason} once all is over      log    what the game says

The lock tells a living keeper from a dead one without trusting process numbers, and makes a second start of the same order harmless.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from .files import is_locked, read_json, read_tail, read_text, take_lock, write_json

TICK_S = 0.1
LOG_TAIL = 2048
MAX_LOG = 1024 * 1024
PASSED_ON = ("PATH", "HOME", "LANG", "USER", "GAMER_AGENT_ROOT", "LD_LIBRARY_PATH")


def spawn(folder: Path, grace_s: float) -> subprocess.Popen[bytes]:
    """Start a keeper for the order in `folder`. Raises OSError."""
    program = [sys.executable, "-IS", os.path.abspath(sys.argv[0]), "keep"]
    log = os.open(str(folder / "log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            [*program, "--folder", str(folder), "--grace", str(grace_s)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)


def is_kept(folder: Path) -> bool:
    """Whether a keeper lives there."""
    return is_locked(folder / "lock")


def log_tail(folder: Path) -> str:
    """What the game said last, at most 2 kB."""
    return (read_tail(folder / "log.before", LOG_TAIL) + read_tail(folder / "log", LOG_TAIL))[-LOG_TAIL:]


def end_orphan(folder: Path) -> None:
    """Kill a game whose keeper was killed; nothing else, whoever has its number now."""
    game = read_json(folder / "game.json") or {}
    pid, started = game.get("pid"), game.get("start_time")
    if isinstance(pid, int) and started is not None and start_time(pid) == started:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def start_time(pid: int) -> int | None:
    """When the process started, in ticks after boot: field 22 of /proc/<pid>/stat (proc(5)). None when it cannot be read."""
    # The name in brackets may hold anything; the fields after the last bracket start at number 3.
    fields = read_text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return int(fields[19]) if len(fields) > 19 else None


def keep(folder: Path, grace_s: float) -> int:
    """Run the order in `folder` from start to end. The exit status: 0 kept, 1 somebody else keeps or has kept it."""
    if take_lock(folder / "lock") is None:
        return 1
    if (folder / "game.json").exists() or (folder / "exit.json").exists():
        return 1
    asked = threading.Event()
    # At the machine's shutdown everybody is sent SIGTERM: the game is to save then, too.
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    order = read_json(folder / "session.json") or {}
    try:
        game = _start(folder, order)
    except (OSError, ValueError, KeyError) as error:
        write_json(folder / "exit.json", {"exit_code": None, "reason": f"cannot be started: {error}"})
        return 0
    _attend(game, folder, grace_s, asked)
    # The rest of the game's session goes with it; until it is waited for, its number is nobody else's.
    _signal(game, signal.SIGKILL)
    write_json(folder / "exit.json", _outcome(game.wait()))
    return 0


def _start(folder: Path, order: dict[str, Any]) -> subprocess.Popen[bytes]:
    """The game, written down: once this keeper is dead, nobody could end one that is not."""
    game = _spawned(folder, order)
    try:
        write_json(folder / "game.json", {"pid": game.pid, "start_time": start_time(game.pid)})
    except OSError:
        _signal(game, signal.SIGKILL)
        game.wait()
        raise
    return game


def _spawned(folder: Path, order: dict[str, Any]) -> subprocess.Popen[bytes]:
    env = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    env.update(order["env"])
    program = shutil.which(order["argv"][0], path=env.get("PATH"))
    if program is None:
        raise FileNotFoundError(f"{order['argv'][0]} is not installed")
    log = os.open(str(folder / "log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            [program, *order["argv"][1:]],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)


def _attend(game: subprocess.Popen[bytes], folder: Path, grace_s: float, asked: threading.Event) -> None:
    kill_at: float | None = None
    while not _is_over(game):
        if kill_at is None and (asked.is_set() or (folder / "end").exists()):
            kill_at = time.monotonic() + grace_s
            _signal(game, signal.SIGTERM)
        elif kill_at is not None and time.monotonic() >= kill_at:
            _signal(game, signal.SIGKILL)
        _trim_log(folder)
        time.sleep(TICK_S)


def _is_over(game: subprocess.Popen[bytes]) -> bool:
    return os.waitid(os.P_PID, game.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _signal(game: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(game.pid, number)


def _outcome(status: int) -> dict[str, Any]:
    if status >= 0:
        return {"exit_code": status, "reason": "" if status == 0 else f"exit status {status}"}
    return {"exit_code": None, "reason": f"killed by signal {-status}"}


def _trim_log(folder: Path) -> None:
    """Without room for what is kept of it, say, the log is shortened all the same: a keeper that dies of it takes its game along."""
    log = folder / "log"
    with contextlib.suppress(OSError):
        if log.stat().st_size > MAX_LOG:
            tail = read_tail(log, LOG_TAIL)
            os.truncate(str(log), 0)
            (folder / "log.before").write_bytes(tail.encode())
