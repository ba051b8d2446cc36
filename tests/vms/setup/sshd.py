"""A machine to set up: a real OpenSSH server on loopback, whose commands see one folder as their machine."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from sandbox.guests import wolf
from tests import ports
from tests.waiting import eventually
from vms.setup import Address, Target, make_keypair

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
STAND_INS = Path(__file__).with_name("stand_ins")
WOLF = Path(wolf.__file__)
# The only real programs a test's machine has: what else setup runs is a stand-in, or not there.
HARMLESS = (
    "bash",
    "cat",
    "chmod",
    "cp",
    "echo",
    "env",
    "kill",
    "mkdir",
    "mv",
    "rclone",
    "rm",
    "sh",
    "sleep",
    "true",
    "false",
    "touch",
)
# Noted in `calls`, and nothing done but for systemctl's restart.
NOTED = (
    "apt-get",
    "chown",
    "modprobe",
    "mountpoint",
    "nvidia-ctk",
    "nvidia-smi",
    "shutdown",
    "systemctl",
    "udevadm",
    "umount",
)
TOKEN = "agent-token-canary"


class Machine:
    """`root` is where its paths start. `host` and `user` are the key pairs it has and knows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.root.mkdir()
        self.bin = folder / "bin"
        self.bin.mkdir()
        for stand_in in STAND_INS.iterdir():
            shutil.copy(stand_in, self.bin)
        for name in HARMLESS:
            if (program := shutil.which(name, path="/usr/bin:/bin")) is not None:
                (self.bin / name).symlink_to(program)
        (self.bin / "wolf.path").write_text(str(WOLF))
        for name in NOTED:
            (self.bin / name).symlink_to("noted")
        (self.bin / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (self.bin / "python3").chmod(0o755)
        self.port = ports.free()
        self.host = make_keypair()
        self.user = make_keypair()
        self._sshd: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.port, getpass.getuser())

    def target(self, public_url: str = "") -> Target:
        return Target(
            "vm1", self.address, self.user.private_openssh, self.host.public_line, TOKEN, public_url
        )

    def start(self) -> None:
        host_key = self.folder / "host_key"
        host_key.write_text(self.host.private_openssh)
        host_key.chmod(0o600)
        (self.folder / "authorized_keys").write_text(self.user.public_line)
        config = self.folder / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {host_key}\n"
            f"AuthorizedKeysFile {self.folder}/authorized_keys\n"
            "UsePAM no\nStrictModes no\nPidFile none\nUseDNS no\n"
            # SHLVL 2 keeps bash from reading the login's .bashrc, as it does for the first shell of a connection.
            f"SetEnv PATH={self.bin} GAMER_AGENT_ROOT={self.root} SHLVL=2\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        with (self.folder / "sshd.log").open("ab") as log:
            assert SSHD is not None
            self._sshd = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=log)
        eventually(self._accepts)

    def _accepts(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False

    def drop_connections(self) -> None:
        """The network's death: every connection ends now, the commands behind it live on."""
        assert self._sshd is not None
        for pid in children(self._sshd.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        if self._sshd is not None:
            self.drop_connections()
            self._sshd.terminate()
            self._sshd.wait()
            self._sshd = None

    def path(self, name: str) -> Path:
        return self.root / name

    def lose_power(self) -> None:
        """Everything ends at once; what is on the disk stays."""
        self.stop()
        # A unit that is just starting is in no record yet, and setup may be about to start others.
        while found := self.processes():
            for pid in found:
                end_process(pid)
        for record in self.path("run/systemd").glob("*.service"):
            record.unlink()

    def processes(self) -> list[int]:
        """All that was started on it, by whomever: its root is in their environment."""
        mark = f"GAMER_AGENT_ROOT={self.root}".encode()
        found = []
        for environ in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):  # another user's, or gone by now
                if mark in environ.read_bytes().split(b"\0"):
                    found.append(int(environ.parent.name))
        return found

    def pid_of(self, unit: str) -> int:
        """A unit's process as systemd knows it; 0 when it does not run."""
        try:
            return int(json.loads(self.path(f"run/systemd/{unit}").read_text())["main"])
        except (FileNotFoundError, ValueError):
            return 0

    def agent_pid(self) -> int:
        return self.pid_of("gamer-agent.service")

    def calls(self, program: str = "") -> list[str]:
        """The stand-ins' calls in order, of one program or of all."""
        try:
            lines = self.path("calls").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [line for line in lines if not program or line.split(" ")[0] == program]

    def fail(self, program: str, says: str, at: str = "") -> None:
        """Every call of this stand-in that has these words fails from now on, until `heal`."""
        self.path(f"{program}.at").write_text(at)
        self.path(f"{program}.fails").write_text(says)

    def hang(self, program: str, at: str = "") -> None:
        """Every such call hangs from now on, until `heal`."""
        self.path(f"{program}.at").write_text(at)
        self.path(f"{program}.hangs").touch()

    def hold(self, program: str, at: str = "") -> None:
        """Every such call waits from now on, and goes on when it is healed."""
        self.path(f"{program}.at").write_text(at)
        self.path(f"{program}.waits").touch()

    def interrupt_apt(self) -> None:
        """As one that was killed in the middle: it refuses everything until dpkg has set up what it left."""
        self.path("apt-get.interrupted").touch()

    def heal(self, program: str) -> None:
        for what in ("fails", "hangs", "waits"):
            self.path(f"{program}.{what}").unlink(missing_ok=True)

    def game_pids(self) -> list[int]:
        """The games' processes, ended ones included."""
        records = self.path("var/lib/gamer/agent/sessions").glob("*/game.json")
        return [int(json.loads(path.read_text())["pid"]) for path in records]

    def end(self) -> None:
        """Stop it with all it started."""
        self.lose_power()
        for pid in self.game_pids():
            end_group(pid)


def children(parent: int) -> list[int]:
    """All processes below `parent`."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found + [below for pid in found for below in children(pid)]


def end_process(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def end_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def is_running(pid: int) -> bool:
    """Not gone, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextlib.contextmanager
def started(machine: Machine) -> Iterator[Machine]:
    machine.start()
    try:
        yield machine
    finally:
        machine.end()
