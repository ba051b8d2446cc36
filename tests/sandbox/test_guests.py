"""What a rented machine answers over SSH, in both ways of walling it in."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import socket
import stat
import threading
from pathlib import Path

import asyncssh
import paramiko
import pytest

from sandbox.testing import SandboxServer
from tests.sandbox.machines import HOST, PLAYER, STRANGER, Machine, sftp_of
from tests.sandbox.vendor import Vendor
from tests.waiting import eventually

FORWARDED = {"useDedicatedIp": False, "port_forwards": [{"internal_port": 22, "external_port": 0}]}


def _may_bind_port_22() -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # another worker may try just now, too
        try:
            sock.bind(("127.9.9.9", 22))
        except OSError:
            return False
    return True


class TestEndpoint:
    def test_of_a_dedicated_ip_is_port_22_where_that_may_be_bound(self, shared: Machine) -> None:
        assert (shared.endpoint[1] == 22) == _may_bind_port_22()
        assert bool(shared.detail["portForwards"]) != _may_bind_port_22()
        assert shared.run("true").status == 0

    def test_of_a_dedicated_ip_is_a_forward_elsewhere(self, guests: Vendor) -> None:
        guests.server.control.settings(ssh_port="forwarded")
        made = Machine.create(guests)
        assert made.endpoint[1] > 1024
        assert made.run("true").status == 0

    def test_of_a_shared_ip_is_a_forward(self, guests: Vendor) -> None:
        made = Machine.create(guests, **FORWARDED)
        assert made.endpoint[1] > 1024
        assert made.run("true").status == 0


class TestLogin:
    @pytest.mark.parametrize("user", ["user", "root"])
    def test_takes_the_key_of_the_create(self, shared: Machine, user: str) -> None:
        assert shared.run("whoami", user).stdout == f"{user}\n"

    def test_shows_the_host_key_of_cloud_init(self, shared: Machine) -> None:
        with pytest.raises(paramiko.BadHostKeyException):
            shared.connect(host_key=STRANGER)

    def test_refuses_other_keys_and_users(self, shared: Machine) -> None:
        with pytest.raises(paramiko.AuthenticationException):
            shared.connect(key=STRANGER)
        with pytest.raises(paramiko.AuthenticationException):
            shared.connect("admin")

    def test_takes_keys_that_cloud_init_writes(self, guests: Vendor) -> None:
        path = "/home/user/.ssh/authorized_keys"
        made = Machine.create(guests, {"write_files": [{"path": path, "content": f"{STRANGER.public}\n"}]})
        assert made.connect(key=STRANGER)
        assert made.connect(key=PLAYER)


class TestFaults:
    def test_ssh_refused_leaves_nothing_listening(self, guests: Vendor) -> None:
        guests.server.control.fault("ssh_refused")
        with pytest.raises(OSError, match="Unable to connect"):
            Machine.create(guests).connect()

    def test_port_drop_leaves_port_22_unreachable(self, guests: Vendor) -> None:
        guests.server.control.fault("port_drop")
        made = Machine.create(guests, **FORWARDED)
        assert made.endpoint[1] == 22
        with pytest.raises(OSError, match="Unable to connect"):
            made.connect()

    def test_ssh_auth_fails_takes_no_key(self, guests: Vendor) -> None:
        guests.server.control.fault("ssh_auth_fails")
        with pytest.raises(paramiko.AuthenticationException):
            Machine.create(guests).connect()

    def test_host_key_ignored_shows_a_key_of_its_own(self, guests: Vendor) -> None:
        guests.server.control.fault("host_key_ignored")
        with pytest.raises(paramiko.BadHostKeyException):
            Machine.create(guests).connect()

    def test_host_keys_remade_shows_ours_after_a_command_restarted_ssh(self, guests: Vendor) -> None:
        control = guests.server.control
        control.fault("host_keys_remade")
        control.settings(cloud_init_s=50)
        kept = {"path": "/etc/gamer/key", "content": HOST.text, "permissions": "0600"}
        commands = ["mv -f /etc/gamer/key /etc/ssh/ssh_host_ed25519_key", "systemctl restart ssh"]
        made = Machine.create(guests, {"write_files": [kept], "runcmd": commands})
        with pytest.raises(paramiko.BadHostKeyException):
            made.connect()
        control.advance(51)
        assert made.run("systemctl is-active ssh").stdout == "active\n"

    def test_kill_guest_leaves_a_machine_that_runs_and_does_not_answer(self, machine: Machine) -> None:
        client = machine.connect()
        machine.vendor.server.control.kill_guest(machine.id)
        assert machine.detail["status"] == "running"
        eventually(lambda: not client.get_transport().is_active())
        with pytest.raises(OSError, match="Unable to connect"):
            machine.connect()


class TestCommand:
    def test_has_output_errors_status_and_input(self, shared: Machine) -> None:
        result = shared.run("cat; echo wrong >&2; exit 7", stdin="typed")
        assert (result.status, result.stdout, result.stderr) == (7, "typed", "wrong\n")

    def test_sees_nothing_of_the_environment(self, shared: Machine) -> None:
        names = {line.partition("=")[0] for line in shared.run("env").stdout.splitlines()}
        assert names <= {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "PWD", "LD_LIBRARY_PATH"}

    def test_begins_at_home(self, shared: Machine) -> None:
        assert shared.run("pwd").stdout == "/home/user\n"
        assert shared.run("pwd; id -u", "root").stdout == "/root\n0\n"

    def test_uses_absolute_paths_as_on_a_real_machine(self, shared: Machine) -> None:
        script = (
            "mkdir -p /opt/a && printf 'one\\n' > /opt/a/b && ln -s /opt/a /srv/link && mv /srv/link/b /opt/a/c"
            " && chmod 600 /opt/a/c && test -f /opt/a/c && cat /srv/link/c | head -n 1"
        )
        assert shared.run(script).stdout == "one\n"

    def test_may_be_python(self, shared: Machine) -> None:
        code = (
            "import os, pathlib, subprocess; pathlib.Path('/opt/x').write_text('deep');"
            "print(open('/opt/x').read(), os.getcwd());"
            "print(subprocess.run(['cat', '/opt/x'], capture_output=True, text=True).stdout)"
        )
        assert shared.run(f'/usr/bin/python3 -c "{code}"').stdout == "deep /home/user\ndeep\n"

    def test_knows_privileged_programs_by_name_and_notes_the_call(self, shared: Machine) -> None:
        assert shared.run("sudo -n apt-get install -y docker.io && sudo docker run -d wolf").status == 0
        calls = [json.loads(line) for line in shared.run("cat /var/log/calls.jsonl").stdout.splitlines()]
        assert {"argv": ["apt-get", "install", "-y", "docker.io"], "user": "root"} in calls
        assert {"argv": ["docker", "run", "-d", "wolf"], "user": "root"} in calls

    def test_not_found_is_127(self, shared: Machine) -> None:
        assert shared.run("no-such-program").status == 127

    def test_killed_by_a_signal_has_no_status(self, shared: Machine) -> None:
        assert shared.run("kill -9 $$").status == -1

    def test_ends_when_the_guest_does(self, machine: Machine) -> None:
        client = machine.connect()
        _stdin, stdout, _stderr = client.exec_command("sleep 1000")
        machine.vendor.server.control.kill_guest(machine.id)
        assert stdout.read() == b""

    @pytest.mark.parametrize("gpu", [True, False])
    def test_nvidia_smi_is_there_with_a_gpu_only(self, guests: Vendor, gpu: bool) -> None:
        hostnode = guests.hostnode("Dallas") if gpu else guests.hostnode("Dallas", gpu=None)
        sizes = guests.body()["data"]["attributes"]["resources"]
        changes = {} if gpu else {"resources": {**sizes, "gpus": {}}}
        made = Machine.create(guests, hostnode_id=hostnode["id"], **changes)
        result = made.run("nvidia-smi --query-gpu=name --format=csv,noheader")
        assert (result.status, "RTX 4090" in result.stdout) == ((0, True) if gpu else (127, False))


class TestCloudInit:
    def test_writes_files_with_their_permissions(self, guests: Vendor) -> None:
        files = [
            {"path": "/etc/gamer/token", "content": "secret", "permissions": "0640", "owner": "root:root"}
        ]
        made = Machine.create(guests, {"write_files": files})
        assert made.run("cat /etc/gamer/token; stat -c %a /etc/gamer/token").stdout == "secret640\n"

    def test_runs_commands_in_order_and_notes_packages(self, guests: Vendor) -> None:
        commands = [
            "echo one > /opt/order",
            ["sh", "-c", "echo two >> /opt/order"],
            "false",
            "echo 3 >> /opt/order",
        ]
        made = Machine.create(guests, {"runcmd": commands, "packages": ["rclone"]})
        assert made.run("cloud-init status --wait").stdout == "status: done\n"
        assert made.run("cat /opt/order").stdout == "one\ntwo\n3\n"
        assert "exit status 1" in made.run("cat /var/log/cloud-init-output.log").stdout
        assert "rclone" in made.run("cat /var/log/calls.jsonl").stdout

    def test_does_not_run_again_at_the_next_boot(self, guests: Vendor) -> None:
        made = Machine.create(guests, {"runcmd": ["echo once >> /opt/times"]})
        for verb in ("stop", "start"):
            guests.send("POST", f"/instances/{made.id}/{verb}")
        guests.server.control.advance()
        assert made.run("cat /opt/times").stdout == "once\n"

    def test_takes_its_time_on_the_clock(self, guests: Vendor) -> None:
        control = guests.server.control
        control.settings(ssh_s=50, cloud_init_s=50)
        made = Machine.create(guests, {"runcmd": ["true"]})
        with pytest.raises(OSError, match="Unable to connect"):
            made.connect()
        control.advance(51)
        assert made.run("cloud-init status").stdout == "status: running\n"
        control.advance(51)
        assert made.run("cloud-init status").stdout == "status: done\n"


class TestSFTP:
    def test_puts_gets_renames_and_changes_modes(self, shared: Machine) -> None:
        with sftp_of(shared.connect()) as sftp:
            sftp.mkdir("/home/user/new")
            sftp.putfo(io.BytesIO(b"one"), "new/a")
            sftp.putfo(io.BytesIO(b"two"), "/home/user/new/b")
            sftp.posix_rename("/home/user/new/b", "/home/user/new/a")
            sftp.chmod("/home/user/new/a", 0o750)
            assert stat.S_IMODE(sftp.stat("new/a").st_mode or 0) == 0o750
            assert sftp.listdir("/home/user/new") == ["a"]
            assert sftp.normalize(".") == "/home/user"
        assert shared.run("cat /home/user/new/a && echo more >> new/a").stdout == "two"

    def test_lets_user_write_at_home_only_and_root_everywhere(self, shared: Machine) -> None:
        with sftp_of(shared.connect()) as sftp, pytest.raises(PermissionError):
            sftp.putfo(io.BytesIO(b""), "/etc/systemd/system/x.service")
        with sftp_of(shared.connect("root")) as sftp:
            sftp.putfo(io.BytesIO(b"one"), "/opt/x")
        assert shared.run("cat /opt/x").stdout == "one"

    def test_follows_links_inside_the_guest(self, shared: Machine) -> None:
        shared.run("mkdir -p /opt/real && ln -s /opt/real /home/user/link && ln -s ../../../../.. up")
        with sftp_of(shared.connect("root")) as sftp:
            sftp.putfo(io.BytesIO(b"one"), "/home/user/link/x")
            assert "bin" in sftp.listdir("/home/user/up")
            assert sftp.readlink("/home/user/link") == "/opt/real"
        assert shared.run("cat /opt/real/x").stdout == "one"


SERVER = """
import os, socketserver
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b'heard ' + self.rfile.readline())
socketserver.UnixStreamServer('%s', Echo).serve_forever()
"""


def _ask_socket(machine: Machine, path: str) -> bytes:
    """Over direct-streamlocal, which paramiko cannot open."""

    async def ask() -> bytes:
        host, port = machine.endpoint
        async with asyncssh.connect(
            host,
            port,
            username="root",
            client_keys=[asyncssh.import_private_key(PLAYER.text)],
            known_hosts=([asyncssh.import_public_key(HOST.public)], [], []),
            config=None,
            agent_path=None,
        ) as connection:
            reader, writer = await connection.open_unix_connection(path)
            writer.write(b"this\n")
            return bytes(await reader.read())

    return asyncio.run(ask())


class TestForwarding:
    @pytest.mark.parametrize("folder", ["/run/agent", "/run/" + "long-" * 20])
    def test_reaches_unix_sockets_of_the_guest(self, shared: Machine, folder: str) -> None:
        path = f"{folder}/agent.sock"
        if len(path) > 107:
            # What listens there needs a name that fits; the client's may be longer.
            shared.run(f"mkdir /run/short && ln -s /run/short {folder}")
            listening = "/run/short/agent.sock"
        else:
            shared.run(f"mkdir {folder}")
            listening = path
        with sftp_of(shared.connect("root")) as sftp:
            sftp.putfo(io.BytesIO((SERVER % listening).encode()), "/opt/echo.py")
        shared.run(f"systemd-run --unit=echo-{len(folder)} python3 /opt/echo.py", "root")
        eventually(lambda: shared.run(f"test -S {listening}").status == 0)
        assert _ask_socket(shared, path) == b"heard this\n"

    def test_of_a_socket_outside_is_refused(
        self, shared: Machine, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        path = str(tmp_path_factory.mktemp("s") / "s")
        with socket.socket(socket.AF_UNIX) as outside:
            outside.bind(path)
            outside.listen()
            shared.run(f"ln -s {path} /run/away", "root")
            for name in (path, "/run/away", "/../../../../.." + path):
                with pytest.raises(asyncssh.ChannelOpenError):
                    _ask_socket(shared, name)

    def test_reaches_tcp_ports_of_loopback(self, shared: Machine) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            answering = threading.Thread(target=_answer_once, args=(listening,))
            answering.start()
            transport = shared.connect().get_transport()
            assert transport is not None
            port = listening.getsockname()[1]
            with contextlib.closing(
                transport.open_channel("direct-tcpip", ("127.0.0.1", port), ("", 0))
            ) as channel:
                assert channel.recv(10) == b"hello"
            with pytest.raises(paramiko.ChannelException):
                transport.open_channel("direct-tcpip", ("192.0.2.1", port), ("", 0))
            answering.join()


def _answer_once(listening: socket.socket) -> None:
    connection, _address = listening.accept()
    with connection:
        connection.sendall(b"hello")


class TestPowerOff:
    @pytest.mark.parametrize(
        "command", ["sudo -n shutdown -h now", "sudo systemctl poweroff", "sudo poweroff"]
    )
    def test_from_inside_stops_the_machine(self, machine: Machine, command: str) -> None:
        # Only guests have this folder: with broken walls nobody's machine shall be switched off.
        machine.run(f"test -d /.sandbox && {command}")
        eventually(lambda: machine.detail["status"] == "stopped")
        with pytest.raises(OSError, match="Unable to connect"):
            machine.connect()

    def test_later_can_be_called_off(self, machine: Machine) -> None:
        machine.run("test -d /.sandbox && sudo shutdown -P +30")
        machine.run("sudo shutdown -c")
        assert machine.detail["status"] == "running"

    def test_is_followed_by_a_start_with_the_same_disk(self, machine: Machine) -> None:
        machine.run("test -d /.sandbox && echo kept > /opt/kept && sudo poweroff")
        eventually(lambda: machine.detail["status"] == "stopped")
        assert machine.vendor.send("POST", f"/instances/{machine.id}/start").status_code == 200
        machine.vendor.server.control.advance()
        assert machine.run("cat /opt/kept").stdout == "kept\n"


class TestEnd:
    def test_of_a_deleted_machine_leaves_no_process(self, machine: Machine) -> None:
        client = machine.connect()
        marker = f"marker-{machine.id}"
        client.exec_command(f'python3 -c "import time; time.sleep(1000)" {marker}')
        eventually(lambda: _processes_with(marker))
        machine.vendor.send("DELETE", f"/instances/{machine.id}")
        machine.vendor.server.control.advance()
        eventually(lambda: not _processes_with(marker))

    def test_of_a_killed_sandbox_leaves_no_process(self) -> None:
        with SandboxServer() as server, Vendor(server) as vendor:
            made = Machine.create(vendor)
            marker = f"marker-{made.id}-killed"
            made.connect().exec_command(f'python3 -c "import time; time.sleep(1000)" {marker}')
            eventually(lambda: _processes_with(marker))
            server.process.kill()
            eventually(lambda: not _processes_with(marker))


def _processes_with(marker: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if marker.encode() in path.read_bytes():
                found.append(path.parent.name)
    return found


class TestManyAtOnce:
    def test_each_answer_with_their_own_disk(self, guests: Vendor) -> None:
        made = [Machine.create(guests, name=f"m{number}") for number in range(3)]
        assert [each.run("hostname").stdout for each in made] == ["m0\n", "m1\n", "m2\n"]
        assert len({each.endpoint for each in made}) == 3


class TestShell:
    def test_runs_lines_as_they_come(self, shared: Machine) -> None:
        channel = shared.connect().invoke_shell()
        channel.sendall(b"echo one\nexit 4\n")
        assert channel.makefile("rb").read() == b"one\n"
        assert channel.recv_exit_status() == 4

    @pytest.mark.parametrize(
        ("script", "output"),
        [
            ("a=1; echo $a ${b:-2} \"$a b\" '$a'", "1 2 1 b $a\n"),
            ("false || echo or; true && echo and; ! false && echo not", "or\nand\nnot\n"),
            ("set -e; false; echo unseen", ""),
            ("set -e; false || true; echo seen", "seen\n"),
            ("(cd /opt; pwd); pwd", "/opt\n/home/user\n"),
            ("echo $(echo in; echo ner) `echo old`", "in ner old\n"),
            ("touch /tmp/a1 /tmp/a2; cd /tmp; echo a* 'a*'", "a1 a2 a*\n"),
            ("echo x > /tmp/f; echo y >> /tmp/f; cat < /tmp/f; echo e 2>&1 >/dev/null", "x\ny\n"),
            ("A=b sh -c 'echo $A $0 $1' zero one; echo [$A]", "b zero one\n[]\n"),
            ("sleep 0.01 & wait; echo $?", "0\n"),
            ("printf '%s-' a b; test 2 -gt 1 && [ -d /opt ] && echo yes", "a-b-yes\n"),
            ("export X=1; env | grep X=; command -v cat", "X=1\n/bin/cat\n"),
        ],
    )
    def test_speaks_the_usual(self, shared: Machine, script: str, output: str) -> None:
        assert shared.run(script).stdout == output
