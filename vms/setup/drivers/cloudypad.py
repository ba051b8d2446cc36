"""`cloudypad create ssh`: CloudyPad's own program, run on our side, makes the machine a console; the rest is put around it as everywhere.

Facts of version 0.45.1: the machine must answer SSH on port 22 (the port cannot be set), run a plain Ubuntu 22.04 or 24.04 and
have an NVIDIA GPU without a driver; a create takes twelve minutes and more, reboots the machine, and exits with 0 also when it
has created nothing. So it runs detached with a log and a null stdin, its own lock tells whether it lives, and only its `get`
proves what it did.

Its folder is on this host: workers on several hosts need it shared. It is one machine's, by the tag of its order: what came of another
machine of the same VM says nothing of this one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from redaction.masks import legible, mask
from vms.providers.base import NotFound
from vms.providers.cloudypad.answers import Unreadable, failure_in, state_in
from vms.providers.cloudypad.names import name_of, tag_of
from vms.setup import installing
from vms.setup.agent.files import is_locked, read_json, read_tail
from vms.setup.drivers import wolf
from vms.setup.drivers.base import Driver
from vms.setup.orders import Cloudypad, Progress, Report, StepReport, Target
from vms.setup.plan import Step
from vms.setup.site import Site
from vms.setup.ssh import SshError

SYSTEMS = ("ubuntu 22.04", "ubuntu 24.04")
SSH_PORT = 22
CREATE_S = 1500
GET_S = 60.0
# How often a create that runs is looked at while news of it is waited for.
TICK_S = 0.25
LOG_TAIL = 2048
# Of a create each step is told. Of a `get` errors alone: warnings would stand before its JSON.
STEPS, ERRORS = "3", "5"
TITLE = "CloudyPad"
_SILENT: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
# Opts out of its analytics: the environment's switch does not work, and every command waits 20 s for a network it may not have.
CONFIG = """version: "1"
analytics:
  promptedPersonalDataCollectionApproval: true
  posthog:
    distinctId: none
    collectionMethod: none
"""
# Runs one command under a lock, in a process of its own, and writes down how it ended; whoever looks next needs nothing else.
# It returns once the lock is taken.
_RUN = """import json, os, subprocess, sys
home, timeout_s, argv = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
taken, tell = os.pipe()
if os.fork():
    os.close(tell)
    os.read(taken, 1)
    sys.exit(0)
os.setsid()
os.umask(0o077)
lock = os.open(os.path.join(home, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
try:
    os.lockf(lock, os.F_TLOCK, 0)
except OSError:
    sys.exit(0)
os.close(tell)
with open(os.path.join(home, "log"), "ab") as log:
    try:
        status = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=timeout_s).returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        log.write(str(error).encode())
        status = -1
with open(os.path.join(home, "exit.part"), "w") as file:
    json.dump({"status": status}, file)
os.replace(os.path.join(home, "exit.part"), os.path.join(home, "exit.json"))
"""


class CloudypadDriver(Driver):
    name: ClassVar[str] = "cloudypad"

    def __init__(self, cloudypad: Cloudypad) -> None:
        self._cloudypad = cloudypad

    @staticmethod
    def suits(site: Site, target: Target) -> bool:
        """Whether CloudyPad can work on this machine. One that it has begun with has a driver by now, and goes on."""
        assert target.cloudypad is not None
        if target.address.port != SSH_PORT or site.system not in SYSTEMS or not target.has_gpu:
            return False
        return not site.has_driver or _home(target).exists()

    def look(self, site: Site, target: Target, *, seen: str = "", wait_s: float = 0) -> Progress:
        deadline = time.monotonic() + wait_s
        while True:
            # Asked first: what is said meanwhile is news for the next look.
            version = _version(target)
            state, report = self._created(target)
            left = deadline - time.monotonic()
            # Whoever calls relies on the wait; without it a create costs a whole core for its twelve minutes.
            if state != "running" or version != seen or left <= 0:
                break
            time.sleep(min(TICK_S, left))
        if state != "done":
            return Progress(state, (report,), self.name, report.log_tail[-300:], version=version)
        after = installing.look(site, _around(site, target), target.secrets, seen=seen, wait_s=max(0.0, left))
        return Progress(
            after.state, (report, *after.steps), after.step, after.reason, after.left_out, after.version
        )

    def begin(self, site: Site, target: Target) -> None:
        state, _ = self._created(target)
        if state == "done":
            installing.begin(site, _around(site, target))
        elif state == "idle":
            self._create(target)

    def _created(self, target: Target) -> tuple[Any, StepReport]:
        """idle, running, done or failed, and what is told of it."""
        home = _home(target)
        is_running = is_locked(home / "lock")
        log = mask(legible(read_tail(home / "log", LOG_TAIL)), target.secrets)
        ended = read_json(home / "exit.json")
        if is_running or ended is None:
            return ("running" if is_running else "idle"), _told("running", log)
        return (
            ("done", _told("done", log)) if self._is_configured(target) else ("failed", _told("failed", log))
        )

    def _is_configured(self, target: Target) -> bool:
        """By its `get`: exit status 0 of a create proves nothing.

        Raises SshError when it cannot be asked or read: that says nothing of the create, which took a quarter of an hour.
        """
        proven = _home(target) / "proven"
        if proven.exists():
            return True
        try:
            done = subprocess.run(
                [*self._cloudypad.argv, "get", name_of(target.tag)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=GET_S,
                env={**_environ(target), "CLOUDYPAD_LOG_LEVEL": ERRORS},
                check=False,
            )
            said = done.stdout.decode(errors="replace")
            status = state_in(said)["status"]
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SshError(f"CloudyPad's program does not answer: {type(error).__name__}") from error
        except Unreadable as error:
            if done.returncode == 1 and failure_in(said).meaning is NotFound:
                return False
            raise SshError(f"CloudyPad's program answers what cannot be read: {error}") from error
        if not (status.get("provisioned") and status.get("configured")):
            return False
        proven.touch(mode=0o600)
        return True

    def _create(self, target: Target) -> None:
        home = _home(target)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / "config.yml").write_text(CONFIG)
        key = home / "key"
        with contextlib.suppress(FileNotFoundError):
            key.unlink()
        with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(target.private_key)
        argv = [sys.executable, "-c", _RUN, str(home), str(CREATE_S), *self._command(target, key)]
        try:
            subprocess.run(argv, **_SILENT, timeout=GET_S, env=_environ(target), check=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise SshError(f"CloudyPad's program could not be started: {type(error).__name__}") from error

    def _command(self, target: Target, key: Path) -> list[str]:
        """A create that was killed left its state: it is gone on with, never overwritten."""
        name = name_of(target.tag)
        if (_home(target) / "instances" / name / "state.yml").exists():
            return [*self._cloudypad.argv, "deploy", name, "--yes"]
        return [
            *self._cloudypad.argv,
            *("create", "ssh", "--name", name, "--yes", "--skip-pairing"),
            *("--streaming-server", "wolf", "--autostop=no", "--hostname", target.address.host),
            *("--ssh-user", target.address.user, "--ssh-private-key", str(key)),
        ]


def kept(cloudypad: Cloudypad) -> set[str]:
    """The tags of machines that something is kept of on our side."""
    home = Path(cloudypad.home)
    names = [entry.name for entry in home.iterdir()] if home.is_dir() else []
    return {tag for name in names if (tag := tag_of(name))}


def forget(tag: str, cloudypad: Cloudypad) -> None:
    """Remove what is kept of the machine on our side: it holds its key."""
    shutil.rmtree(Path(cloudypad.home) / name_of(tag), ignore_errors=True)


def _around(site: Site, target: Target) -> list[Step]:
    return wolf.around(site, target)


def _home(target: Target) -> Path:
    assert target.cloudypad is not None
    return Path(target.cloudypad.home) / name_of(target.tag)


def _version(target: Target) -> str:
    """Differs once a create has said more."""
    try:
        return f"log-{(_home(target) / 'log').stat().st_size}"
    except FileNotFoundError:
        return ""


def _environ(target: Target) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    home = str(_home(target))
    return {**kept, "HOME": home, "CLOUDYPAD_HOME": home, "CLOUDYPAD_LOG_LEVEL": STEPS}


def _told(state: Report, log: str) -> StepReport:
    return StepReport("cloudypad", TITLE, state, None, log)
