"""A guest's first process: runs what SSH sessions and cloud-init ask for, supervises units, and ends with the guest.

It is started by the sandbox with one end of a socket pair. When the other end closes, however the sandbox died, the
guest ends. On the socket: JSON lines; a request to run a command carries three file descriptors beside it.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.guests import landlock, namespaces, systemctl
from sandbox.guests.folder import Folder
from sandbox.guests.units import Units

SOCKET = "/run/init.sock"
HOMES = {"root": "/root", "user": "/home/user"}
READABLE = ("/bin", "/usr", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/proc")
WRITABLE_DEVICES = ("/dev/null",)
READABLE_DEVICES = ("/dev/zero", "/dev/random", "/dev/urandom")


@dataclass(frozen=True)
class Plan:
    """How this guest is started (the JSON of the command line)."""

    root: str
    tools: str
    package: str
    hostname: str
    control: int
    is_namespaced: bool


class Init:
    def __init__(self, plan: Plan, control: socket.socket) -> None:
        self._plan = plan
        self._folder = Folder("/" if plan.is_namespaced else plan.root)
        self._control = control
        self._received = b""
        self._descriptors: list[int] = []
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._sessions: dict[int, int] = {}
        self._power_off_at: float | None = None
        self._is_ending = False
        self._selector = selectors.DefaultSelector()
        self.units = Units(self._folder, self._spawn_unit, self._kill_group)
        self._listener = self._listen()

    def _listen(self) -> socket.socket:
        """Where the guest's stand-ins call. Bound by a relative name: real paths can be too long for a socket."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path = self._folder.resolve(SOCKET)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        os.chdir(os.path.dirname(path))
        listener.bind(os.path.basename(path))
        os.chdir(self._folder.root)
        listener.listen(16)
        return listener

    # -- the loop

    def run(self) -> None:
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(woken, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.signal(signal.SIGTERM, self._on_term)
        ready: dict[int, Callable[[], None]] = {
            self._control.fileno(): self._on_control,
            self._listener.fileno(): self._on_call,
            woken: lambda: self._on_signal(woken),
        }
        for descriptor in ready:
            self._selector.register(descriptor, selectors.EVENT_READ)
        self.units.start_enabled(time.monotonic())
        self._tell({"event": "ready"})
        while not self._is_ending:
            for key, _events in self._selector.select(self._patience()):
                ready[key.fd]()
            self._reap()
        self._kill_all()

    def _patience(self) -> float | None:
        now = time.monotonic()
        due = [moment for moment in (self.units.tick(now), self._power_off_at) if moment is not None]
        if self._power_off_at is not None and self._power_off_at <= now:
            self._power_off_at = None
            self._tell({"event": "poweroff"})
            return 0.0
        return max(0.0, min(due) - now) if due else None

    def _on_term(self, _number: int, _frame: object) -> None:
        self._is_ending = True

    def _on_signal(self, woken: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(woken, 512)

    # -- the sandbox's requests

    def _tell(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            self._control.sendall(json.dumps(message).encode() + b"\n")

    def _on_control(self) -> None:
        size = array.array("i").itemsize
        try:
            received, ancillary, _flags, _address = self._control.recvmsg(65536, socket.CMSG_SPACE(3 * size))
        except OSError:
            received, ancillary = b"", []
        for _level, _kind, data in ancillary:
            self._descriptors += array.array("i", data[: len(data) - len(data) % size])
        if not received:
            self._is_ending = True
            return
        *lines, self._received = (self._received + received).split(b"\n")
        for line in lines:
            request = json.loads(line)
            if request["op"] == "halt":
                self._is_ending = True
            else:
                self._on_run(request)

    def _on_run(self, request: dict[str, Any]) -> None:
        """{op: run, id, argv, user}: answered with {started} or {exit} with the status."""
        streams, self._descriptors = self._descriptors[:3], self._descriptors[3:]
        home = HOMES.get(request["user"], "/")
        try:
            environ = self.environ(request["user"])
            process = self._popen(request["argv"], environ, home, streams[0], streams[1], streams[2])
            self._sessions[process.pid] = request["id"]
            self._tell({"event": "started", "id": request["id"]})
        except OSError as error:
            os.write(streams[2], f"{request['argv'][0]}: {error.strerror}\n".encode())
            self._tell({"event": "started", "id": request["id"]})
            self._tell({"event": "exit", "id": request["id"], "status": 127})
        finally:
            for stream in streams:
                os.close(stream)

    # -- processes

    def environ(self, user: str) -> dict[str, str]:
        """All that a command sees of an environment."""
        tools = f"{namespaces.TOOLS}/python/lib"
        return {
            "PATH": "/usr/local/bin:/bin" if self._plan.is_namespaced else f"{self._folder.root}/bin",
            "HOME": HOMES.get(user, "/"),
            "USER": user,
            "LOGNAME": user,
            "SHELL": "/bin/sh",
            "LANG": "C.UTF-8",
            **({"LD_LIBRARY_PATH": tools} if self._plan.is_namespaced and namespaces.python_prefix() else {}),
        }

    def _popen(
        self, argv: list[str], environ: dict[str, str], cwd: str, stdin: int, stdout: int, stderr: int
    ) -> subprocess.Popen[bytes]:
        real = self._folder.resolve(cwd)
        process = subprocess.Popen(
            self._launched(argv),
            env=environ,
            cwd=real if os.path.isdir(real) else self._folder.root,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        self._processes[process.pid] = process
        return process

    def _launched(self, argv: list[str]) -> list[str]:
        return (
            argv if self._plan.is_namespaced else confined_command(self._plan.package, self._plan.root, argv)
        )

    def _spawn_unit(self, argv: list[str], environ: dict[str, str], cwd: str, log: str) -> int:
        self._folder.make_dirs(os.path.dirname(log))
        descriptor = os.open(self._folder.resolve(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        try:
            return self._popen(
                argv, {**self.environ("root"), **environ}, cwd, nothing, descriptor, descriptor
            ).pid
        except OSError as error:
            os.write(descriptor, f"{argv[0]}: {error.strerror}\n".encode())
            return self._failed()
        finally:
            os.close(descriptor)
            os.close(nothing)

    def _failed(self) -> int:
        """A process that ends with 203, as systemd reports what it cannot execute."""
        pid = os.fork()
        if pid == 0:
            os._exit(203)
        return pid

    def _reap(self) -> None:
        while True:
            try:
                pid, wait_status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            status = os.waitstatus_to_exitcode(wait_status)
            if (process := self._processes.pop(pid, None)) is not None:
                process.returncode = status
            if (session := self._sessions.pop(pid, None)) is not None:
                self._tell({"event": "exit", "id": session, "status": status})
            self.units.ended(pid, status, time.monotonic())

    def _kill_group(self, pid: int, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, number)

    def _descendants(self) -> list[int]:
        """All processes that come of this one; without /proc, those it started itself."""
        parents: dict[int, int] = {}
        for name in os.listdir("/proc") if os.path.isdir("/proc/self") else []:
            with contextlib.suppress(OSError, ValueError):
                with open(f"/proc/{int(name)}/stat") as file:
                    parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
        if not parents:
            return list(self._processes)
        known = {os.getpid()}
        while more := {pid for pid, parent in parents.items() if parent in known} - known:
            known |= more
        return sorted(known - {os.getpid()})

    def _kill_all(self) -> None:
        """Namespaced, the kernel does it when this process ends; confined, none may be left before it ends."""
        give_up_at = time.monotonic() + 5
        while not self._plan.is_namespaced and time.monotonic() < give_up_at:
            left = self._descendants()
            if not left:
                return
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._reap()

    # -- calls from inside

    def _on_call(self) -> None:
        """One JSON line from a stand-in: ["systemctl", word…], ["poweroff", seconds | "never"], ["kill", pid, signal].

        The answer is a line with the exit status, then what is to be shown.
        """
        connection, _address = self._listener.accept()
        connection.settimeout(2)
        try:
            self._answer_call(connection, *json.loads(connection.makefile("rb").readline() or b"null"))
        except (OSError, ValueError, TypeError):
            connection.close()

    def _answer_call(self, connection: socket.socket, call: str, *words: str) -> None:
        def reply(status: int, text: str) -> None:
            with contextlib.suppress(OSError):
                connection.sendall(f"{status}\n{text}".encode())
            connection.close()

        match call:
            case "systemctl":
                systemctl.answer(self.units, list(words), time.monotonic(), reply, self._restart_ssh)
            case "poweroff":
                (after_s,) = words
                self._power_off_at = None if after_s == "never" else time.monotonic() + float(after_s)
                reply(0, "")
            case "kill":
                pid, number = map(int, words)
                is_ours = abs(pid) in self._descendants()
                if is_ours:
                    os.kill(pid, number)
                reply(0 if is_ours else 1, "" if is_ours else f"kill: ({pid}) - No such process\n")
            case _:
                reply(1, "unknown call\n")

    def _restart_ssh(self) -> None:
        self._tell({"event": "restart_ssh"})


def confined_command(package: str, root: str, argv: list[str]) -> list[str]:
    """The command line that runs `argv` of a guest confined to its folder."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); from sandbox.guests.confine import main; main()"
    return [os.path.realpath(sys.executable), "-I", "-S", "-c", code, package, root, *argv]


def _confine(plan: Plan) -> None:
    """The kernel's walls for a guest without namespaces, as far as this kernel has them."""
    if sys.platform != "linux":
        return
    namespaces.drop_privileges()
    namespaces.adopt_orphans()
    python = [
        os.path.realpath(sys.base_prefix),
        os.path.dirname(os.path.realpath(sys.executable)),
        plan.package,
    ]
    landlock.restrict((plan.root, *WRITABLE_DEVICES), (*READABLE, *READABLE_DEVICES, *python))


def _wait_for(child: int) -> None:
    """Outside of the namespaces: ends when all inside has ended; told to end, ends all inside."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: os.kill(child, signal.SIGKILL))
    while True:
        try:
            os.waitpid(child, 0)
        except ChildProcessError:
            os._exit(0)


def main() -> None:
    """Entry: the plan as JSON in the last argument."""
    plan = Plan(**json.loads(sys.argv[-1]))
    os.umask(0o022)
    control = socket.socket(fileno=plan.control)
    control.set_inheritable(False)
    if plan.is_namespaced:
        uid = os.geteuid()
        namespaces.unshare()
        if (child := os.fork()) != 0:
            control.close()
            _wait_for(child)
        namespaces.enter(plan.root, plan.tools, plan.hostname, become_nobody=uid == 0)
    else:
        _confine(plan)
    Init(plan, control).run()
