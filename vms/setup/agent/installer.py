"""Makes the machine a console, step by step, and can be killed at any moment. `progress.py` tells how far it is.

All is in one folder, which only root reads:

    plan.json     {digest, pauses_s, steps: [{name, title, digest, is_required, files, commands, timeout_s}]}, written by the control plane
    lock          held as long as an installer lives
    <step>.json   {digest, state, tries, seconds, error, boot_id}     <step>.log   what its commands say

A step writes its files and runs its commands, all harmless to repeat. One that is done under the same digest is passed over;
one that fails is tried again after each of the pauses, an optional one after the first two. A required step that goes on failing
ends the work there, another is left until the machine is started anew: what it needed was away then, and need not be for ever.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from .files import make_private, read_json, take_lock, write_json
from .progress import DONE, FAILED, RUNNING, pauses_of, state_of

MAX_LOG = 1024 * 1024
PASSED_ON = ("PATH", "HOME", "LANG", "USER", "GAMER_AGENT_ROOT", "LD_LIBRARY_PATH")
# For apt: it must ask nobody, and not be asked about services to restart.
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "a"}


class StepFailed(Exception):
    """A command ended badly. The text names it."""


def install(folder: Path) -> int:
    """Carry out the plan. The exit status: 0 nothing is left to do or may be done, 1 somebody else is at it or there is no plan."""
    make_private(folder)
    if take_lock(folder / "lock") is None:
        return 1
    plan = read_json(folder / "plan.json")
    if plan is None:
        return 1
    for step in plan["steps"]:
        state = state_of(folder, step)
        if state["state"] == DONE:
            continue
        pauses_s = pauses_of(plan, step)
        is_over = state["state"] == FAILED and state["tries"] > len(pauses_s)
        if (is_over or not _carry_out(folder, step, pauses_s, state)) and step["is_required"]:
            return 0
    return 0


def _carry_out(folder: Path, step: dict[str, Any], pauses_s: list[float], state: dict[str, Any]) -> bool:
    while True:
        began = time.monotonic()
        write_json(folder / f"{step['name']}.json", {**state, "state": RUNNING, "seconds": None})
        try:
            _write_files(step)
            _run_commands(folder / f"{step['name']}.log", step)
            state = {**state, "state": DONE, "error": ""}
        except (OSError, StepFailed) as error:
            state = {**state, "state": FAILED, "tries": state["tries"] + 1, "error": str(error)[:500]}
        state["seconds"] = round(time.monotonic() - began, 3)
        write_json(folder / f"{step['name']}.json", state)
        if state["state"] == DONE:
            return True
        if state["tries"] > len(pauses_s):
            return False
        time.sleep(pauses_s[state["tries"] - 1])


def _write_files(step: dict[str, Any]) -> None:
    for file in step["files"]:
        path, mode = Path(file["path"]), int(file["mode"], 8)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        # Its mode from the first byte on: it may hold a secret.
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
        with os.fdopen(os.open(str(part), os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as opened:
            opened.write(base64.b64decode(file["content"]))
            opened.flush()
            os.fsync(opened.fileno())
        os.chmod(str(part), mode)
        os.replace(str(part), str(path))


def _run_commands(log_path: Path, step: dict[str, Any]) -> None:
    deadline = time.monotonic() + step["timeout_s"]
    if log_path.exists() and log_path.stat().st_size > MAX_LOG:
        log_path.unlink()
    for argv in step["commands"]:
        with log_path.open("ab") as log:
            os.chmod(str(log_path), 0o600)
            log.write(f"+ {' '.join(argv)[:500]}\n".encode(errors="replace"))
            log.flush()
            _run(argv, log.fileno(), deadline)


def _run(argv: list[str], log: int, deadline: float) -> None:
    environ = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    program = shutil.which(argv[0])
    if program is None:
        raise StepFailed(f"{argv[0]} is not installed")
    process = subprocess.Popen(
        [program, *argv[1:]],
        env={**environ, **QUIET},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        status = process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise StepFailed(f"{argv[0]} took too long") from None
    if status != 0:
        how = f"ended with status {status}" if status > 0 else f"was killed by signal {-status}"
        raise StepFailed(f"{argv[0]} {how}")
