"""The installer on a machine, through an open shell: given a plan, started, read."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from redaction.masks import mask
from vms.setup import bundle, heard
from vms.setup.orders import Progress, Report, StepReport
from vms.setup.plan import Step, written
from vms.setup.site import ALONE, Site, Unfit
from vms.setup.ssh import CommandFailed, SshError

OLDEST_PYTHON = (3, 8)
FOLDER = "/var/lib/gamer/setup"
LOG_TAIL = 2048
MAX_ANSWER = 256 * 1024
FINDS_NOTHING = 2  # the status of a Python without its file, and of a program without the command
BEGIN_S = 20.0
# All in one round trip: each costs as much as what it does. Files are replaced whole, as `Shell.put` does.
_BEGIN = """import base64, json, os, subprocess, sys
told = json.load(sys.stdin)
os.umask(0o022)
for path in told["folders"]:
    os.makedirs(path, exist_ok=True)
os.chmod(told["folders"][-1], 0o700)
for path, content, mode in told["files"]:
    part = "%s.%d.part" % (path, os.getpid())
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(base64.b64decode(content))
        file.flush()
        os.fsync(file.fileno())
    os.chmod(part, mode)
    os.replace(part, path)
for argv in told["commands"]:
    if subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=sys.stderr).returncode:
        sys.exit(" ".join(argv) + " failed")
"""
FOLDERS = ("/opt/gamer", "/etc/gamer", "/etc/systemd/system", FOLDER)


class Garbled(SshError):
    """The installer's answer cannot be read. Next move: again, later."""


def begin(site: Site, steps: Sequence[Step]) -> None:
    """Have the installer carry out these steps. Raises Unfit, and what `Shell.run` raises."""
    if site.version < OLDEST_PYTHON:
        version = ".".join(str(part) for part in site.version)
        raise Unfit(f"python3 is {version}; the agent needs 3.8 or later")
    _, plan = written(steps)
    unit = bundle.setup_unit(site.python, site.agent_program, site.path(FOLDER))
    files = [
        (site.agent_program, bundle.archive(), 0o644),
        (site.path(f"{FOLDER}/plan.json"), plan, 0o600),
        (site.path(f"/etc/systemd/system/{bundle.SETUP_UNIT}"), unit, 0o644),
    ]
    told = {
        "folders": [site.path(path) for path in FOLDERS],
        "files": [(path, base64.b64encode(content).decode(), mode) for path, content, mode in files],
        "commands": [["systemctl", "daemon-reload"], ["systemctl", "restart", bundle.SETUP_UNIT]],
    }
    argv = [site.python, ALONE, "-c", _BEGIN]
    site.shell.run(argv, stdin=json.dumps(told).encode(), timeout_s=BEGIN_S, as_root=True, check=True)


def look(
    site: Site, steps: Sequence[Step], secrets: Sequence[str], *, seen: str = "", wait_s: float = 0
) -> Progress:
    """How far these steps are; other steps that the machine was given count as not begun. Raises what `Shell.run` raises, Garbled."""
    argv = [site.python, ALONE, site.agent_program, "progress", "--folder", site.path(FOLDER)]
    argv += ["--seen", seen, "--wait", f"{wait_s:g}"]
    try:
        result = site.shell.run(argv, max_output=MAX_ANSWER, timeout_s=wait_s + 10, as_root=True, check=True)
        value = heard.read(result.stdout)
        return _progress(value, steps, secrets)
    except CommandFailed as error:
        # No program there, or one of another age: to begin writes it.
        if error.exit_status == FINDS_NOTHING:
            return Progress("idle")
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise Garbled("the installer answers what cannot be read") from error


def _progress(value: dict[str, Any], steps: Sequence[Step], secrets: Sequence[str]) -> Progress:
    if value["digest"] != written(steps)[0]:
        return Progress("idle")
    # Each becomes a row, and the machine is a player's: without this it could have rows written without end.
    if [one["name"] for one in value["steps"]] != [step.name for step in steps]:
        raise ValueError("other steps than those of the plan")
    rows = [(one, _report(one, secrets)) for one in value["steps"]]
    told = tuple(report for one, report in rows if one["state"] != "waiting")
    version = str(value["version"])
    left_out = tuple(report for one, report in rows if one["is_over"] and one["state"] == "failed")
    stuck = next(
        (one for one, _ in rows if one["is_over"] and one["state"] == "failed" and one["is_required"]), None
    )
    if stuck is not None:
        reason = mask(f"{stuck['error']}: {str(stuck['log_tail']).strip()[-300:]}", secrets)
        return Progress("failed", told, str(stuck["name"]), reason, version=version)
    if all(one["is_over"] for one, _ in rows):
        return Progress("done", told, left_out=left_out, version=version)
    current = next((report.name for one, report in rows if not one["is_over"]), "")
    return Progress("running" if value["is_running"] else "idle", told, current, version=version)


def _report(one: dict[str, Any], secrets: Sequence[str]) -> StepReport:
    # One that waits to be tried again is failed, and says so; a killed one is running until it is taken up again.
    states: dict[str, Report] = {"done": "done", "failed": "failed"}
    state = states.get(str(one["state"]), "running")
    seconds = heard.number(one["seconds"]) if one["seconds"] is not None else None
    log = f"{one['log_tail']}\n{one['error']}" if one["error"] else str(one["log_tail"])
    return StepReport(str(one["name"]), str(one["title"]), state, seconds, mask(log, secrets)[-LOG_TAIL:])
