"""Nothing outside a guest's folder changes, whatever is run in it, whoever runs it, however it is walled in."""

from __future__ import annotations

import contextlib
import io
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.testing import SandboxServer
from tests.sandbox.conftest import WALLS
from tests.sandbox.machines import Machine, sftp_of
from tests.sandbox.vendor import Vendor
from tests.waiting import eventually

# Nothing of this may ever run outside of a guest, even when the walls are broken: only guests have this folder.
ONLY_IN_A_GUEST = "test -d /.sandbox || exit 1"

SHELL_ATTACKS = """
rm -rf {canary}
rm -rf ../../../../../../../../../..{canary}
cd /; rm -rf ..{canary} {canary}/../{name}
echo changed > {canary}/file
echo changed >> {canary}/file
touch {canary}/new {canary}/file
chmod 777 {canary} {canary}/file
mv {canary} /opt/
mv /etc/hosts {canary}/file
cp /etc/hosts {canary}/file
ln -s {canary} /tmp/away
rm -rf /tmp/away/
echo changed > /tmp/away/file
ln {canary}/file /tmp/hard
ln -s ../../../../../../../../../../..{canary} /tmp/up
rm -rf /tmp/up/file
mkdir -p {canary}/made
kill -9 {pid}
kill -9 -1
sudo kill -9 {pid}
sudo -n rm -rf {canary}
sudo /bin/rm -rf {canary}
/usr/bin/rm -rf {canary}
env rm -rf {canary}
sh -c 'exec rm -rf {canary}'
sudo apt-get remove -y --purge bash python3
sudo docker run --privileged -v /:/host alpine rm -rf /host{canary}
sudo mount -o remount,rw /
sudo umount -l /
sudo systemctl stop ssh
printf '[Service]\\nExecStart=/bin/rm -rf {canary}\\nType=oneshot\\n' > /etc/systemd/system/bad.service
sudo systemctl daemon-reload; sudo systemctl start bad
systemd-run --unit=worse rm -rf {canary}
echo changed > /.sandbox/standin
rm -rf /.sandbox/bin /.sandbox/lib
"""

PYTHON_ATTACKS = """
import os, posix, shutil, signal, socket, sqlite3, subprocess, sys
assert os.path.isdir('/.sandbox')
canary, pid = sys.argv[1], int(sys.argv[2])
file = canary + '/file'

def attack(work):
    try:
        work()
    except BaseException as error:
        print(type(error).__name__, error)

def at_descriptor():
    folder = os.open('/', os.O_RDONLY)
    os.open('../../../../../../../..' + file, os.O_WRONLY | os.O_TRUNC, dir_fd=folder)

def posix_at_descriptor():
    folder = posix.open('/', os.O_RDONLY)
    posix.open('../../../../../../../..' + file, os.O_WRONLY | os.O_TRUNC, dir_fd=folder)

def through_a_link():
    os.symlink(canary, '/tmp/link')
    open('/tmp/link/file', 'w').write('changed')

def through_a_folder():
    os.chdir(canary)
    open('file', 'w').write('changed')

def by_reading_descriptor():
    os.fchmod(os.open(file, os.O_RDONLY), 0o777)

def by_ctypes():
    import ctypes
    ctypes.CDLL(None).unlink(file.encode())

def by_fork_exec():
    import _posixsubprocess
    _posixsubprocess.fork_exec([b'rm', b'-rf', canary.encode()], [b'/bin/rm'], True, (), None, None,
                               -1, -1, -1, -1, -1, -1, -1, -1, True, False, -1, None, None, None, -1, None, False)

def by_socket():
    socket.socket(socket.AF_UNIX).bind(canary + '/socket')

def by_database():
    sqlite3.connect(canary + '/database').execute('create table t (a)')

def by_fork():
    child = os.fork()
    if child == 0:
        try:
            shutil.rmtree(canary)
        finally:
            os._exit(0)
    os.waitpid(child, 0)

for work in (
    lambda: shutil.rmtree(canary),
    lambda: open(file, 'w').write('changed'),
    lambda: os.remove(file),
    lambda: os.unlink('/../../../../../..' + file),
    lambda: posix.unlink(file),
    lambda: os.rename(canary, '/tmp/moved'),
    lambda: os.replace('/etc/hosts', file),
    lambda: os.link(file, '/tmp/linked'),
    lambda: os.chmod(file, 0o777),
    lambda: posix.chmod(canary, 0o777),
    lambda: os.chown(file, 1, 1),
    lambda: os.utime(file, (0, 0)),
    lambda: os.truncate(file, 0),
    lambda: os.mkdir(canary + '/made'),
    lambda: os.mkfifo(canary + '/fifo'),
    lambda: os.setxattr(file, 'user.changed', b'yes'),
    lambda: os.system('rm -rf ' + canary),
    lambda: os.popen('rm -rf ' + canary).read(),
    lambda: subprocess.run(['rm', '-rf', canary]),
    lambda: subprocess.run(['/bin/rm', '-rf', canary]),
    lambda: subprocess.run('rm -rf ' + canary, shell=True),
    lambda: subprocess.run(['kill', '-9', str(pid)]),
    lambda: os.spawnv(os.P_WAIT, '/bin/rm', ['rm', '-rf', canary]),
    lambda: os.posix_spawn('/bin/rm', ['rm', '-rf', canary], {}),
    lambda: os.kill(pid, signal.SIGKILL),
    lambda: os.killpg(pid, signal.SIGKILL),
    lambda: os.setuid(0),
    at_descriptor, posix_at_descriptor, through_a_link, through_a_folder, by_reading_descriptor, by_ctypes,
    by_fork_exec, by_socket, by_database, by_fork,
):
    attack(work)
print('done', flush=True)
os.execv('/bin/rm', ['rm', '-rf', canary])
"""


def _picture(path: Path) -> dict[str, Any]:
    """Everything about a folder that an attack could change."""
    picture: dict[str, Any] = {}
    for each in [path, *path.rglob("*")]:
        details = each.lstat()
        content = each.read_bytes() if stat.S_ISREG(details.st_mode) else b""
        picture[str(each)] = (details.st_mode, details.st_uid, details.st_nlink, details.st_mtime_ns, content)
    return picture


@pytest.fixture(scope="module", params=WALLS)
def server(request: pytest.FixtureRequest) -> Iterator[SandboxServer]:
    with SandboxServer(environ=WALLS[request.param]) as running:
        yield running


@pytest.fixture
def machine(server: SandboxServer) -> Iterator[Machine]:
    server.control.reset()
    with Vendor(server) as vendor:
        made = Machine.create(vendor)
        yield made
        made.close()


@pytest.fixture
def canary(
    server: SandboxServer, machine: Machine, tmp_path: Path
) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """A folder open to everybody and a process; the test ends with both, and with what guests share, as they were."""
    folder = tmp_path / "canary"
    folder.mkdir()
    (folder / "file").write_text("as it was")
    for path in (folder, *folder.iterdir()):
        path.chmod(0o777 if path.is_dir() else 0o666)
    living = subprocess.Popen(["sleep", "600"], start_new_session=True)
    watched = (folder, server.state_dir / "tools", Path("/etc/hostname"), Path("/etc/hosts"))
    before = [_picture(path) for path in watched]
    try:
        yield folder, living
        assert [_picture(path) for path in watched] == before
        assert living.poll() is None
        assert server.process.poll() is None
    finally:
        living.kill()
        living.wait()


@pytest.mark.parametrize("user", ["root", "user"])
class TestCanary:
    def test_survives_the_shell(
        self, canary: tuple[Path, subprocess.Popen[bytes]], machine: Machine, user: str
    ) -> None:
        folder, living = canary
        script = SHELL_ATTACKS.format(canary=folder, name=folder.name, pid=living.pid)
        machine.run(f"{ONLY_IN_A_GUEST}\n{script}\necho survived > /opt/me", user)
        assert machine.run("cat /opt/me").stdout == "survived\n"

    def test_survives_python(
        self, canary: tuple[Path, subprocess.Popen[bytes]], machine: Machine, user: str
    ) -> None:
        folder, living = canary
        with sftp_of(machine.connect("root")) as sftp:
            sftp.putfo(io.BytesIO(PYTHON_ATTACKS.encode()), "/opt/attack.py")
        result = machine.run(f"python3 /opt/attack.py {folder} {living.pid}", user)
        assert "done" in result.stdout, result

    def test_survives_the_end_of_everything(
        self, canary: tuple[Path, subprocess.Popen[bytes]], machine: Machine, user: str
    ) -> None:
        attack = "cd /; sudo shutdown -h +1; sudo rm -rf /etc /var /.sandbox/lib ../home ../../opt /bin 2>&1"
        machine.run(f"{ONLY_IN_A_GUEST}\n{attack}", user)
        machine.vendor.server.control.stop(machine.id)
        eventually(lambda: machine.detail["status"] == "stopped")

    def test_survives_sftp(
        self, canary: tuple[Path, subprocess.Popen[bytes]], machine: Machine, user: str
    ) -> None:
        folder, _living = canary
        with sftp_of(machine.connect(user)) as sftp:
            for link, target in (("away", str(folder)), ("up", "../" * 12 + str(folder)[1:]), ("root", "/")):
                sftp.symlink(target, f"/tmp/{link}")
                for name in (f"/tmp/{link}/file", f"/tmp/{link}{folder}/file", f"{'/..' * 12}{folder}/file"):
                    for work in (
                        lambda name=name: sftp.putfo(io.BytesIO(b"changed"), name),
                        lambda name=name: sftp.remove(name),
                        lambda name=name: sftp.chmod(name, 0o777),
                        lambda name=name: sftp.posix_rename(name, "/tmp/stolen"),
                        lambda name=name: sftp.open(name).read(),
                    ):
                        with contextlib.suppress(OSError):
                            assert work() != b"as it was"

    def test_cannot_steer_the_kernel(self, machine: Machine, user: str) -> None:
        assert machine.run("test -w /proc/sys/kernel/core_pattern", user).status == 1
        assert machine.run("test -w /proc/sysrq-trigger", user).status == 1

    def test_cannot_add_to_what_it_is_shown_of_the_machine(self, machine: Machine, user: str) -> None:
        for folder in ("/usr/lib", "/lib", "/.sandbox/bin", "/.sandbox/python", "/bin"):
            assert machine.run(f"sudo touch {folder}/sandbox-canary", user).status != 0
