"""The tool itself: what it may see of us, reads with a time limit, and the start of a detached runner."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from redaction.masks import scrub
from vms.providers import base
from vms.providers.cloudypad import runner
from vms.providers.cloudypad.answers import Failure, failure_in
from vms.providers.cloudypad.books import Book, Home
from vms.providers.cloudypad.clouds import Account, Cloud

ROOT = Path(__file__).resolve().parents[3]
# The machine's own, besides the cloud's variables: no key or address of ours reaches a program of others.
SHARED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "PULUMI_HOME")
PROXIES = (
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "NODE_EXTRA_CA_CERTS",
)
# Each call takes 430 MB and seconds of a core.
MOST_READS = 2
SLOT_LOOK_S = 0.05


class Clock(Protocol):
    def now(self) -> float: ...

    def nap(self) -> None: ...


class RealClock:
    def now(self) -> float:
        return time.monotonic()

    def nap(self) -> None:
        time.sleep(0.1)


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds. `create_watch` and `act_watch`: how long an order is watched for a refusal before it is left to go on by itself.

    `names` and `status`: how long an answer to `list` and `get` is good for; each costs seconds of a core. The limits end a run for good: a
    create takes a quarter of an hour, and the tool itself repeats what failed.
    """

    read: float = 15
    create_watch: float = 45
    act_watch: float = 15
    names: float = 15
    status: float = 20
    probe: float = 600
    create_limit: float = 2400
    act_limit: float = 1500


@dataclass(frozen=True, slots=True)
class Cli:
    """The tool for one account."""

    account: Account
    cloud: Cloud
    home: Home
    times: Times
    clock: Clock
    pace: Callable[[], None] = field(repr=False)

    @property
    def command(self) -> list[str]:
        return shlex.split(self.account.command)

    @property
    def secrets(self) -> list[str]:
        names = (*self.cloud.secrets, *self.cloud.files)
        return [value for name in names if (value := self.account.credentials.get(name, ""))]

    def scrub(self, text: str) -> str:
        return scrub(text, self.secrets)

    def error(self, failure: Failure, otherwise: type[base.ProviderError], what: str) -> base.ProviderError:
        return failure.error(otherwise, self.scrub(f"{what}: {failure.text}"))

    def check(self) -> None:
        """Raises Unavailable where there is no such program."""
        if not self.command:
            raise base.Unavailable("CLOUDYPAD_BIN names no program")
        if shutil.which(self.command[0]) is None:
            raise base.Unavailable(f"CLOUDYPAD_BIN names {self.command[0]!r}, which is no program here")

    def enter(self) -> None:
        """Opens the home. Raises Unavailable where it is not the one that knows of the account's machines: all would seem gone."""
        if self.account.has_machines and not self.home.is_made():
            raise base.Unavailable(
                f"{self.home.marker} is missing, and rows hold machines: bring the home back or correct CLOUDYPAD_HOME."
                " If it is lost for good, end them at the cloud and make that file, empty."
            )
        self.home.open()

    def ask(self, *argv: str) -> str:
        """What a read answers. Raises the seam's errors; NotFound for an unknown machine."""
        self.check()
        self.pace()
        self.enter()
        until = time.monotonic() + self.times.read
        while (slot := self.home.slot("read", MOST_READS)) is None:
            if time.monotonic() > until:
                raise base.Unavailable(f"{argv[0]}: too many calls are under way")
            time.sleep(SLOT_LOOK_S)
        try:
            return self._answer(argv)
        finally:
            os.close(slot)

    def _answer(self, argv: Sequence[str]) -> str:
        tool = subprocess.Popen(
            [*self.command, *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment(),
            start_new_session=True,
        )
        try:
            out, err = tool.communicate(timeout=self.times.read)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(tool.pid, signal.SIGKILL)
            tool.communicate()
            raise base.Unavailable(f"{argv[0]}: no answer within {self.times.read:g} s") from None
        said = out.decode(errors="replace")
        if tool.returncode:
            failure = failure_in(f"{said}\n{err.decode(errors='replace')}")
            raise self.error(failure, base.Unavailable, argv[0])
        return said

    def start(self, book: Book, lock: int) -> None:
        """Starts a runner for the machine's orders, and hands the lock over. It goes on whatever becomes of us."""
        arguments = [str(self.home.folder), book.name, str(lock), *self.command]
        environment = self.environment()
        environment[runner.SECRET_NAMES] = ",".join(
            variable for names in self.cloud.secrets.values() for variable in names
        )
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", runner.__name__, *arguments],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
                pass_fds=(lock,),
            )
        finally:
            os.close(lock)
        # It outlives us; one that ends while we live must not stay as a zombie.
        threading.Thread(target=process.wait, name=f"reap {book.name}", daemon=True).start()

    def environment(self) -> dict[str, str]:
        """What the tool sees: the machine's own variables, the cloud's, and the account's credentials above both."""
        known = {
            name: value
            for name, value in os.environ.items()
            if name in (*SHARED, *PROXIES) or name.startswith(tuple(self.cloud.prefixes) or ("\0",))
        }
        credentials = self.account.credentials
        for names in (self.cloud.settings, self.cloud.secrets):
            for word, variables in names.items():
                known |= {variable: credentials[word] for variable in variables if credentials.get(word)}
        for word, variable in self.cloud.files.items():
            if credentials.get(word):
                known[variable] = str(self.home.keep_secret(word, credentials[word]))
        if self.cloud.clouder == "scaleway" and credentials.get("secret_key"):
            known["SCW_CONFIG_PATH"] = str(self._scaleway_config())
        return {
            **known,
            "CLOUDYPAD_HOME": str(self.home.folder),
            "CLOUDYPAD_LOG_LEVEL": "5",  # errors alone: warnings would stand before the JSON
            # The stacks' own seal; empty is the tool's default, and what it lays down by hand uses none.
            "PULUMI_CONFIG_PASSPHRASE": "",
        }

    def _scaleway_config(self) -> Path:
        """The tool reads Scaleway's credentials from a file alone, and gives up without one."""
        words = ("access_key", "secret_key", "default_project_id")
        credentials = self.account.credentials
        values = {**credentials, "default_project_id": credentials.get("project_id", "")}
        lines = [f"{word}: {values[word]}\n" for word in words if values.get(word)]
        return self.home.keep_secret("scaleway.yaml", "".join(lines))
