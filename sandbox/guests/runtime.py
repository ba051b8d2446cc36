"""The sandbox's end of a guest: starts its first process, has commands run by it, and ends it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.guests import disk
from sandbox.guests.disk import Tools
from sandbox.guests.folder import Folder
from sandbox.guests.namespaces import NOBODY

START_S = 15.0
HALT_S = 5.0
NO_UNSHARE = "GAMER_SANDBOX_NO_UNSHARE"


class GuestFailed(Exception):
    """The first process did not come up; the text is what it said."""


class Runtime:
    """One guest's processes."""

    def __init__(
        self,
        folder: Folder,
        tools: Tools,
        hostname: str,
        *,
        is_namespaced: bool,
        restart_ssh: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder = folder
        self._tools = tools
        self._hostname = hostname
        self._is_namespaced = is_namespaced
        self._restart_ssh = restart_ssh
        self._control: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._started: dict[int, asyncio.Event] = {}
        self._exits: dict[int, asyncio.Future[int]] = {}
        self._turn = asyncio.Lock()
        self._runs = 0
        self.powered_off = asyncio.Event()

    async def start(self) -> None:
        """Returns when units are being started; raises GuestFailed."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        plan = {
            "root": self._folder.root,
            "tools": str(self._tools.path),
            "package": str(self._tools.lib),
            "hostname": self._hostname,
            "control": theirs.fileno(),
            "is_namespaced": self._is_namespaced,
        }
        code = "import sys; sys.path.insert(0, sys.argv[1]); from sandbox.guests.init import main; main()"
        with tempfile.TemporaryFile() as log:
            self._process = await asyncio.create_subprocess_exec(
                os.path.realpath(sys.executable),
                *("-I", "-S", "-c", code, str(self._tools.lib), json.dumps(plan)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                cwd=self._folder.root,
                env={"LANG": "C.UTF-8"},
            )
            theirs.close()
            self._control = ours
            self._reader = asyncio.create_task(self._read(ours))
            ready = asyncio.create_task(self._ready.wait())
            await asyncio.wait({ready, self._reader}, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()
            if not self._ready.is_set():
                await self.halt()
                log.seek(0)
                raise GuestFailed(log.read().decode(errors="replace") or "no sign of life")

    async def _read(self, control: socket.socket) -> None:
        loop, received = asyncio.get_running_loop(), b""
        with contextlib.suppress(ConnectionError):
            while more := await loop.sock_recv(control, 65536):
                *lines, received = (received + more).split(b"\n")
                for line in lines:
                    self._on_event(json.loads(line))
        for each in self._exits.values():
            if not each.done():
                each.set_result(255)
        for started in self._started.values():
            started.set()

    def _on_event(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "ready":
                self._ready.set()
            case "poweroff":
                self.powered_off.set()
            case "restart_ssh":
                self._restart_ssh()
            case "started":
                self._started[event["id"]].set()
            case "exit":
                self._exits[event["id"]].set_result(event["status"])

    async def run(self, argv: list[str], user: str, streams: tuple[int, int, int]) -> int:
        """Runs a command with these descriptors as its standard streams (closed here); returns its exit status.

        Negative where a signal ended it, 255 where the guest ended under it.
        """
        self._runs += 1
        number = self._runs
        started = self._started[number] = asyncio.Event()
        exited = self._exits[number] = asyncio.get_running_loop().create_future()
        request = {"op": "run", "id": number, "argv": argv, "user": user}
        try:
            # One at a time: descriptors of two requests read in one go could not be told apart.
            async with self._turn:
                sent = self._send(json.dumps(request).encode() + b"\n", streams)
                if sent:
                    await started.wait()
            return await exited if sent else 255
        finally:
            del self._started[number], self._exits[number]

    def _send(self, message: bytes, streams: tuple[int, int, int]) -> bool:
        try:
            if self._control is None or self._reader is None or self._reader.done():
                return False
            socket.send_fds(self._control, [message], list(streams))
            return True
        except OSError:
            return False
        finally:
            for stream in streams:
                os.close(stream)

    async def halt(self) -> None:
        """Ends every process of the guest; returns when none is left."""
        if self._control is None or self._process is None:
            return
        with contextlib.suppress(OSError):
            self._control.send(b'{"op": "halt"}\n')
        try:
            await asyncio.wait_for(self._process.wait(), HALT_S)
        except TimeoutError:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), HALT_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._reader is not None:
            await self._reader
        self._control.close()
        self._control = None


async def can_have_namespaces(state_dir: Path, tools: Tools) -> bool:
    """Whether a guest in namespaces comes up here; tried once with a real one."""
    if os.environ.get(NO_UNSHARE) or sys.platform != "linux":
        return False
    path = Path(tempfile.mkdtemp(prefix="probe-", dir=state_dir))
    folder = Folder(path, owner=guest_owner(is_namespaced=True))
    runtime = Runtime(folder, tools, "probe", is_namespaced=True)
    try:
        folder.give(folder.root)
        disk.lay_out(folder, tools, hostname="probe", gpu=None, is_namespaced=True)
        await runtime.start()
        streams = tuple(os.open(os.devnull, os.O_RDWR) for _ in range(3))
        return await runtime.run(["python3", "-c", "pass"], "root", (streams[0], streams[1], streams[2])) == 0
    except (GuestFailed, OSError):
        return False
    finally:
        await runtime.halt()
        disk.remove(path)


def guest_owner(*, is_namespaced: bool) -> int | None:
    """Whom a guest's files must belong to, where that is not who runs the sandbox."""
    return NOBODY if is_namespaced and os.geteuid() == 0 else None
