from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests import ports
from tests.mute import mute_host
from tests.vms.setup.sshd import Machine
from tests.waiting import eventually
from vms.setup.ssh import (
    PUT_SCRIPT,
    Address,
    AuthFailed,
    CommandFailed,
    HostKeyMismatch,
    Shell,
    TimedOut,
    Unreachable,
    connect,
    learn_host_key,
    make_keypair,
)


@pytest.fixture
def shell(machine: Machine) -> Iterator[Shell]:
    with connect(machine.address, machine.user.private_openssh, machine.host.public_line) as opened:
        yield opened


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


class TestConnect:
    def test_accepts_the_pinned_host_key(self, shell: Shell) -> None:
        assert shell.run(["echo", "hello"]).stdout == b"hello\n"

    def test_refuses_another_host_key_before_it_offers_the_user_key(self, machine: Machine) -> None:
        with (
            pytest.raises(HostKeyMismatch),
            connect(machine.address, machine.user.private_openssh, make_keypair().public_line),
        ):
            pass
        assert "Accepted" not in (machine.folder / "sshd.log").read_text()

    def test_refuses_a_server_without_an_ed25519_key(self, machine: Machine) -> None:
        wear_rsa_key(machine)
        with (
            pytest.raises(HostKeyMismatch),
            connect(machine.address, machine.user.private_openssh, make_keypair().public_line),
        ):
            pass

    def test_tells_a_refused_user_key(self, machine: Machine) -> None:
        with (
            pytest.raises(AuthFailed),
            connect(machine.address, make_keypair().private_openssh, machine.host.public_line),
        ):
            pass

    def test_tells_a_refused_port(self, machine: Machine) -> None:
        address = replace(machine.address, port=ports.free())
        with (
            pytest.raises(Unreachable),
            connect(address, machine.user.private_openssh, machine.host.public_line),
        ):
            pass

    def test_gives_up_on_a_server_that_says_nothing(self, machine: Machine, silent_port: int) -> None:
        address = Address("127.0.0.1", silent_port)
        with (
            pytest.raises(Unreachable),
            connect(address, machine.user.private_openssh, machine.host.public_line, timeout_s=0.2),
        ):
            pass

    def test_gives_up_on_a_server_that_hangs_up(self, machine: Machine) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            closing = threading.Thread(target=lambda: listener.accept()[0].close())
            closing.start()
            with (
                pytest.raises(Unreachable),
                connect(
                    Address("127.0.0.1", listener.getsockname()[1]),
                    machine.user.private_openssh,
                    machine.host.public_line,
                    timeout_s=5,
                ),
            ):
                pass
            closing.join()

    @pytest.mark.parametrize("line", ["", "ssh-ed25519", "ssh-rsa AAAA", "ssh-ed25519 ???"])
    def test_demands_a_readable_pin(self, machine: Machine, line: str) -> None:
        with pytest.raises(ValueError), connect(machine.address, machine.user.private_openssh, line):
            pass

    def test_demands_a_readable_user_key_and_does_not_show_it(self, machine: Machine) -> None:
        with (
            pytest.raises(ValueError) as caught,
            connect(machine.address, "canary", machine.host.public_line),
        ):
            pass
        assert "canary" not in str(caught.value)

    def test_leaves_no_connection_behind(self, machine: Machine) -> None:
        before = set(threading.enumerate())
        with connect(machine.address, machine.user.private_openssh, machine.host.public_line) as shell:
            assert shell.run(["true"]).exit_status == 0
        eventually(
            lambda: not [t for t in {*threading.enumerate()} - before if type(t).__name__ == "Transport"]
        )


class TestLearnHostKey:
    def test_gives_a_line_that_can_be_pinned(self, machine: Machine) -> None:
        assert learn_host_key(machine.address) == machine.host.public_line

    def test_learns_no_other_kind_of_key(self, machine: Machine) -> None:
        wear_rsa_key(machine)
        with pytest.raises(HostKeyMismatch):
            learn_host_key(machine.address)

    def test_tells_a_refused_port(self) -> None:
        with pytest.raises(Unreachable):
            learn_host_key(Address("127.0.0.1", ports.free()))


class TestRun:
    @pytest.mark.parametrize("word", ["a b", "$HOME", "'", '"', "*", ";exit 3", "a\nb", "", "é"])
    def test_passes_words_unchanged(self, shell: Shell, word: str) -> None:
        assert shell.run(["printf", "%s|", word, "end"]).stdout.decode() == f"{word}|end|"

    def test_keeps_the_streams_apart_and_tells_the_status(self, shell: Shell) -> None:
        result = shell.run(["sh", "-c", "echo out; echo err >&2; exit 7"])
        assert (result.exit_status, result.stdout, result.stderr) == (7, b"out\n", b"err\n")

    def test_raises_what_a_checked_command_said_last(self, shell: Shell) -> None:
        with pytest.raises(CommandFailed) as caught:
            shell.run(["sh", "-c", "printf %05000d 7 >&2; exit 3"], check=True)
        assert (caught.value.argv0, caught.value.exit_status) == ("sh", 3)
        assert len(caught.value.stderr_tail) == 2048
        assert caught.value.stderr_tail.endswith("07")

    def test_feeds_and_collects_more_than_any_pipe_holds(self, shell: Shell) -> None:
        sent = bytes(range(256)) * 20_000
        assert shell.run(["cat"], stdin=sent, max_output=len(sent), timeout_s=60).stdout == sent

    def test_survives_a_command_that_ignores_its_input(self, shell: Shell) -> None:
        assert shell.run(["true"], stdin=b"x" * 5_000_000, timeout_s=60).exit_status == 0

    def test_keeps_only_the_end_of_a_flood(self, shell: Shell) -> None:
        flood = "/usr/bin/yes | /usr/bin/head -c 3000000; echo end"
        result = shell.run(["sh", "-c", flood], max_output=1000, timeout_s=60)
        assert len(result.stdout) == 1000
        assert result.stdout.endswith(b"y\nend\n")
        assert result.is_truncated

    def test_gives_up_on_a_slow_command_and_stays_usable(self, shell: Shell) -> None:
        with pytest.raises(TimedOut):
            shell.run(["sleep", "60"], timeout_s=0.2)
        assert shell.run(["echo", "again"]).stdout == b"again\n"

    def test_gives_up_on_a_machine_that_does_not_even_say_whether_it_runs_a_command(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("vms.setup.ssh.CUT_S", 0.1)
        host, user = make_keypair(), make_keypair()
        with (
            mute_host(host.private_openssh) as port,
            connect(Address("127.0.0.1", port), user.private_openssh, host.public_line) as shell,
            pytest.raises(TimedOut),
        ):
            shell.run(["true"], timeout_s=0.2)

    def test_does_not_wait_for_what_a_command_leaves_behind(self, shell: Shell) -> None:
        result = shell.run(["sh", "-c", "sleep 600 & echo $!"], timeout_s=60)
        shell.run(["kill", result.stdout.decode().strip()])
        assert result.exit_status == 0

    def test_tells_a_command_that_a_signal_ended(self, shell: Shell) -> None:
        assert shell.run(["sh", "-c", "kill -9 $$"]).exit_status != 0

    def test_tells_a_connection_that_dies(self, machine: Machine, shell: Shell) -> None:
        started = machine.path("started")
        killer = threading.Thread(target=lambda: (eventually(started.exists), machine.drop_connections()))
        killer.start()
        with pytest.raises(Unreachable):
            shell.run(["sh", "-c", f"touch {started}; exec sleep 600"], timeout_s=60)
        killer.join()
        with pytest.raises(Unreachable):
            shell.run(["true"])

    def test_goes_through_sudo_only_where_the_login_is_not_root(self, shell: Shell) -> None:
        shell.address = replace(shell.address, user="player")
        shell.run(["sh", "-c", 'printf "#!/bin/sh\\necho sudo \\"\\$@\\"" >"$(command -v sudo)"'], check=True)
        assert shell.run(["id"], as_root=True).stdout == b"sudo -n id\n"
        shell.address = replace(shell.address, user="root")
        assert b"uid=" in shell.run(["/usr/bin/id"], as_root=True).stdout


class TestPut:
    def test_writes_the_bytes_with_their_mode(self, machine: Machine, shell: Shell) -> None:
        content = bytes(range(256)) * 4000
        shell.put(str(machine.path("a file")), content, mode=0o640)
        assert machine.path("a file").read_bytes() == content
        assert machine.path("a file").stat().st_mode & 0o7777 == 0o640

    def test_replaces_a_file_and_leaves_nothing_else(self, machine: Machine, shell: Shell) -> None:
        shell.put(str(machine.path("file")), b"old")
        shell.put(str(machine.path("file")), b"")
        assert [path.name for path in machine.root.iterdir()] == ["file"]
        assert machine.path("file").read_bytes() == b""

    def test_keeps_the_old_file_when_the_connection_dies_midway(self, machine: Machine, shell: Shell) -> None:
        machine.path("file").write_bytes(b"old")
        # What the far side sees then: its input ends before the announced number of bytes.
        argv = ["python3", "-c", PUT_SCRIPT, str(machine.path("file")), "100", "644"]
        assert shell.run(argv, stdin=b"x" * 99).exit_status != 0
        assert [path.name for path in machine.root.iterdir()] == ["file"]
        assert machine.path("file").read_bytes() == b"old"

    def test_tells_a_folder_that_is_not_there(self, machine: Machine, shell: Shell) -> None:
        with pytest.raises(CommandFailed):
            shell.put(str(machine.path("nowhere/file")), b"x")


class TestGet:
    def test_reads_a_file_back(self, machine: Machine, shell: Shell) -> None:
        machine.path("file").write_bytes(b"\0\xff")
        assert shell.get(str(machine.path("file"))) == b"\0\xff"

    def test_tells_a_file_that_is_not_there(self, machine: Machine, shell: Shell) -> None:
        with pytest.raises(CommandFailed):
            shell.get(str(machine.path("file")))

    def test_refuses_a_file_that_is_too_long(self, machine: Machine, shell: Shell) -> None:
        machine.path("file").write_bytes(b"x" * 101)
        with pytest.raises(ValueError):
            shell.get(str(machine.path("file")), max_bytes=100)


def wear_rsa_key(machine: Machine) -> None:
    """From now on the machine has an RSA host key, and no other."""
    machine.stop()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    machine.host = replace(machine.host, private_openssh=pem.decode())
    machine.start()
