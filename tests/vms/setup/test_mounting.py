"""The game library on a machine: rclone's own client against rclone's own server; the mount itself needs a kernel that allows it."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import paramiko
import pytest

from tests import ports
from tests.vms.setup.sshd import Machine
from tests.vms.setup.test_library import KEY
from tests.waiting import eventually
from vms.setup import NotYet, Ready, StepReport, Target, parse_library, set_up

PASSWORD = "library-canary"


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vms.setup.plan.PAUSES_S", (0.01,))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[int]:
    """An SFTP server with one game and one emulator; its port."""
    for name in ("nes/Castle (World).nes", "emulators/ryubing.AppImage"):
        (tmp_path / "store" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "store" / name).write_bytes(b"content")
    port, program = ports.free(), shutil.which("rclone")
    assert program is not None
    serve = [program, "serve", "sftp", str(tmp_path / "store"), "--addr", f"127.0.0.1:{port}"]
    serve += ["--dir-cache-time=0s", "--user", "reader", "--pass", PASSWORD]
    with serving(serve, port, tmp_path / "store.log") as server:
        (tmp_path / "store.pid").write_text(str(server.pid))
        yield port


@contextlib.contextmanager
def serving(argv: list[str], port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as opened:
        server = subprocess.Popen(argv, stdout=opened, stderr=opened)

    def accepts() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        eventually(accepts)
        yield server
    finally:
        server.kill()
        server.wait()


def made(target: Target) -> tuple[Ready, list[StepReport]]:
    reports: list[StepReport] = []
    outcome = set_up(target, reports.append)
    while isinstance(outcome, NotYet):
        outcome = set_up(target, reports.append)
    assert isinstance(outcome, Ready), outcome
    return outcome, reports


def host_keys(port: int) -> Iterator[str]:
    """All keys a host has, as an address says them."""
    for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512"):
        with paramiko.Transport(("127.0.0.1", port)) as transport:
            transport.get_security_options().key_types = [kind]
            transport.start_client()
            key = transport.get_remote_server_key()
        yield f"{key.get_name()}+{key.get_base64()}"


class TestLibrary:
    def test_is_read_and_its_programs_are_fetched(self, machine: Machine, store: int) -> None:
        library = parse_library(f"sftp://reader:{PASSWORD}@127.0.0.1:{store}/")
        ready, reports = made(replace(machine.target(), library=library, programs=("ryubing",)))
        assert ready.has_library
        assert ready.left_out == ()
        told = next(one for one in reports if (one.name, one.state) == ("library", "done"))
        assert "nes/" in told.log_tail
        assert machine.path("srv/gamer/tools/ryubing.AppImage").read_bytes() == b"content"
        unit = machine.path("etc/systemd/system/gamer-games.service").read_text()
        assert "--read-only" in unit
        assert "--vfs-cache-max-size=20G" in unit
        # A client that died is started again: rclone refuses a folder on which its last mount still is.
        assert f"ExecStartPre=-umount --lazy {machine.path('srv/gamer/games')}\n" in unit
        assert PASSWORD not in unit + repr(reports) + "".join(machine.calls())

    def test_whose_programs_are_not_all_there_gives_all_else(
        self, machine: Machine, store: int, tmp_path: Path
    ) -> None:
        (tmp_path / "store/emulators/broken.AppImage").write_bytes(b"content")
        machine.path("srv/gamer/tools/broken.AppImage/in the way").mkdir(parents=True)
        library = parse_library(f"sftp://reader:{PASSWORD}@127.0.0.1:{store}/")
        programs = ("ryujinx", "broken", "ryubing")
        ready, reports = made(replace(machine.target(), library=library, programs=programs))
        assert ready.has_library
        assert [step.name for step in ready.left_out] == ["program-broken"]
        lacking = next(one for one in reports if (one.name, one.state) == ("program-ryujinx", "done"))
        assert "the library has no emulators/ryujinx.AppImage" in lacking.log_tail
        tool = machine.path("srv/gamer/tools/ryubing.AppImage")
        assert tool.stat().st_mode & 0o111
        assert not tool.with_name("ryujinx.AppImage").exists()

    def test_whose_host_shows_another_key_is_left_out(self, machine: Machine, store: int) -> None:
        address = f"sftp://reader:{PASSWORD}@127.0.0.1:{store}/?host_key="
        right = parse_library(address + "&host_key=".join(host_keys(store)))
        ready, _ = made(replace(machine.target(), library=right))
        assert ready.has_library
        other = parse_library(f"{address}ssh-ed25519+{KEY}")
        ready, _ = made(replace(machine.target(), library=other))
        (left_out,) = ready.left_out
        assert left_out.name == "library"
        assert "key" in left_out.log_tail

    def test_whose_host_says_nothing_is_left_out(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("vms.setup.drivers.wolf.SILENCE_S", 1)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            library = parse_library(f"sftp://reader:{PASSWORD}@127.0.0.1:{silent.getsockname()[1]}/")
            ready, _ = made(replace(machine.target(), library=library))
        (left_out,) = ready.left_out
        assert left_out.name == "library"
        assert "timeout" in left_out.log_tail

    def test_shows_what_is_uploaded_later_and_ends_a_wait_for_a_host_that_falls_silent(
        self, machine: Machine, store: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is mounted is served over HTTP here, with the same words: below both is one file system of rclone's."""
        monkeypatch.setattr("vms.setup.drivers.wolf.SILENCE_S", 1)
        monkeypatch.setattr("vms.setup.drivers.wolf.FRESH_S", 1)
        monkeypatch.setattr(
            "vms.setup.plan.PAUSES_S", (0.01, 0.01)
        )  # a busy machine is silent for so long at times
        library = parse_library(f"sftp://reader:{PASSWORD}@127.0.0.1:{store}/")
        made(replace(machine.target(), library=library))
        unit = machine.path("etc/systemd/system/gamer-games.service").read_text()
        line = next(one for one in unit.splitlines() if one.startswith("ExecStart="))
        rclone, config, verb, remote, _, *words = shlex.split(line.partition("=")[2])
        assert verb == "mount"
        words.remove("--allow-other")
        port, cache = ports.free(), f"--cache-dir={tmp_path}/cache"
        serve = [rclone, config, "serve", "http", remote, f"--addr=127.0.0.1:{port}", cache, *words]

        def status(name: str) -> int:
            with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=60)) as asking:
                asking.request("GET", f"/nes/{name}")
                return asking.getresponse().status

        with serving(serve, port, tmp_path / "games.log"):
            eventually(lambda: status("Castle%20(World).nes") == 200)
            eventually(lambda: status("Tower.nes") == 404)
            (tmp_path / "store/nes/Tower.nes").write_bytes(b"content")
            eventually(lambda: status("Tower.nes") == 200)
            server = int((tmp_path / "store.pid").read_text())
            os.kill(server, signal.SIGSTOP)
            eventually(lambda: status("Tower.nes") == 500, timeout_s=60)
            os.kill(server, signal.SIGCONT)
            eventually(lambda: status("Tower.nes") == 200)

    def test_that_lets_nobody_in_is_left_out_with_a_reason(self, machine: Machine, store: int) -> None:
        library = parse_library(f"sftp://reader:wrong-canary@127.0.0.1:{store}/")
        ready, reports = made(replace(machine.target(), library=library))
        assert not ready.has_library
        (left_out,) = ready.left_out
        assert left_out.name == "library"
        assert "rclone ended with status" in left_out.log_tail
        assert "wrong-canary" not in repr(reports)
