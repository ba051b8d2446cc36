"""One guest from its first boot to its end."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from sandbox.guests import disk, relay, server, standins
from sandbox.guests.disk import Tools
from sandbox.guests.folder import Folder
from sandbox.guests.runtime import GuestFailed, Runtime, can_have_namespaces, guest_owner

log = logging.getLogger(__name__)

HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"
HOST_KEYS = "/etc/ssh/ssh_host_"
CLOUD_INIT_LOG = "/var/log/cloud-init-output.log"


@dataclass(frozen=True)
class GuestSpec:
    """What a guest is made from; `gpu` is the model's name, None without one.

    `ignores_host_key`: sshd shows a key of its own, whatever lies on the disk. `remakes_host_keys`: what cloud-init's ssh
    module does by default; keys on the disk are replaced after write_files, and shown when sshd is restarted.
    """

    hostname: str
    ssh_key: str
    cloud_init: dict[str, Any] = field(default_factory=dict)
    gpu: str | None = None
    ignores_host_key: bool = False
    remakes_host_keys: bool = False
    accepts_keys: bool = True


class Guest:
    """Its disk lasts from `boot` to `destroy`, over any number of stops."""

    def __init__(
        self,
        path: Path,
        tools: Tools,
        spec: GuestSpec,
        *,
        is_namespaced: bool,
        powered_off: Callable[[], None],
    ) -> None:
        self._path = path
        self._tools = tools
        self._spec = spec
        self._is_namespaced = is_namespaced
        self._powered_off = powered_off
        self._runtime: Runtime | None = None
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._relay: asyncio.Server | None = None
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._watch: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._ending = asyncio.Lock()
        self._is_wanted = False
        self._own_key = asyncssh.generate_private_key("ssh-ed25519") if spec.ignores_host_key else None

    @property
    def is_running(self) -> bool:
        return self._runtime is not None

    def _folder(self) -> Folder:
        return Folder(self._path, owner=guest_owner(is_namespaced=self._is_namespaced))

    async def boot(self, sock: socket.socket, web: socket.socket | None = None) -> None:
        """Starts its processes, answers SSH on the bound socket, and on `web` with what Wolf says inside. Both are then its to close."""
        self._is_wanted = True
        async with self._lock:
            async with self._ending:
                pass
            if self._runtime is None and self._is_wanted:
                await self._boot(sock, web)
            if not self._is_wanted:
                await self._end()
        if self._acceptor is None:
            sock.close()
        if self._relay is None and web is not None:
            web.close()

    async def _boot(self, sock: socket.socket, web: socket.socket | None) -> None:
        if not self._path.exists():
            self._first_boot()
        spec, folder = self._spec, self._folder()
        runtime = Runtime(
            folder,
            self._tools,
            spec.hostname,
            is_namespaced=self._is_namespaced,
            restart_ssh=self._restart_ssh,
        )
        try:
            await runtime.start()
        except GuestFailed as error:
            log.error("guest %s did not start: %s", spec.hostname, error)
            return
        self._runtime = runtime
        self._watch = asyncio.create_task(self._watch_power(runtime))
        if web is not None:
            self._relay = await relay.relay(web, folder, standins.WOLF_HTTP)
        if (key := self._host_key()) is None:
            return
        self._acceptor = await server.serve(
            sock, folder, runtime, key, self._connections, accepts_keys=spec.accepts_keys
        )

    def _host_key(self) -> asyncssh.SSHKey | None:
        if self._own_key is not None:
            return self._own_key
        try:
            return asyncssh.import_private_key(self._folder().read(HOST_KEY) or "")
        except asyncssh.KeyImportError:
            log.warning("guest %s: sshd does not start, its host key is unreadable", self._spec.hostname)
            return None

    def _restart_ssh(self) -> None:
        """Connections that come from now on see the host key as it is now."""
        if self._acceptor is not None and (key := self._host_key()) is not None:
            self._acceptor.update(server_host_keys=[key])

    def _first_boot(self) -> None:
        """The disk, then cloud-init's early part: files, host key, keys of the users."""
        self._path.mkdir(parents=True)
        folder = self._folder()
        folder.give(folder.root)
        spec = self._spec
        disk.lay_out(
            folder, self._tools, hostname=spec.hostname, gpu=spec.gpu, is_namespaced=self._is_namespaced
        )
        for file in spec.cloud_init.get("write_files", ()):
            if spec.remakes_host_keys and file["path"].startswith(HOST_KEYS):
                continue
            folder.write(file["path"], file.get("content", ""), int(file.get("permissions", "0644"), 8))
        if folder.read(HOST_KEY) is None:
            key = asyncssh.generate_private_key("ssh-ed25519")
            folder.write(HOST_KEY, key.export_private_key().decode(), 0o600)
        for home in server.HOMES.values():
            folder.make_dirs(f"{home}/.ssh", 0o700)
            keys = f"{home}/.ssh/authorized_keys"
            folder.write(keys, f"{folder.read(keys) or ''}\n{spec.ssh_key}\n".lstrip(), 0o600)

    async def _watch_power(self, runtime: Runtime) -> None:
        await runtime.powered_off.wait()
        self._powered_off()

    async def finish_cloud_init(self) -> None:
        """cloud-init's last part: packages noted, commands run in order, then the mark that all is done."""
        async with self._lock:
            if self._runtime is None:
                return
            folder, given = self._folder(), self._spec.cloud_init
            if folder.read(standins.BOOT_FINISHED) is not None:
                return
            if packages := given.get("packages"):
                await self._run_early(folder, ["apt-get", "install", "--assume-yes", *map(str, packages)])
            for command in given.get("runcmd", ()):
                await self._run_early(folder, command if isinstance(command, list) else ["sh", "-c", command])
            folder.write(standins.BOOT_FINISHED, "done\n")

    async def _run_early(self, folder: Folder, argv: list[str]) -> None:
        if self._runtime is None:
            return
        folder.append(CLOUD_INIT_LOG, f"+ {shlex.join(argv)}\n")
        real = folder.resolve(CLOUD_INIT_LOG)
        nothing = os.open(os.devnull, os.O_RDONLY)
        output = [os.open(real, os.O_WRONLY | os.O_APPEND) for _ in range(2)]
        status = await self._runtime.run(argv, "root", (nothing, output[0], output[1]))
        if status != 0:
            folder.append(CLOUD_INIT_LOG, f"exit status {status}\n")

    async def stop(self) -> None:
        """Every connection cut, every process killed; the disk stays."""
        self._is_wanted = False
        # Not behind the lock: this is what ends a command that cloud-init waits for. A boot under way ends itself.
        await self._end()

    async def _end(self) -> None:
        async with self._ending:
            acceptor, self._acceptor = self._acceptor, None
            runtime, self._runtime = self._runtime, None
            if acceptor is not None:
                acceptor.close()
            if self._relay is not None:
                self._relay.close()
                self._relay = None
            for connection in list(self._connections):
                connection.abort()
            if self._watch is not None:
                self._watch.cancel()
            if runtime is not None:
                await runtime.halt()

    async def destroy(self) -> None:
        await self.stop()
        async with self._lock:
            await asyncio.to_thread(disk.remove, self._path)


class Guests:
    """Makes guests under a folder; finds out once in which way they can be walled in here."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._path = state_dir / "guests"
        self._tools: Tools | None = None
        self._is_namespaced = False
        self._lock = asyncio.Lock()
        self._made = 0

    async def prepare(self) -> None:
        """Repeated, it does nothing. What an earlier sandbox left behind is removed."""
        async with self._lock:
            if self._tools is not None:
                return
            self._state_dir.mkdir(parents=True, exist_ok=True)
            disk.remove(self._path)
            tools = await asyncio.to_thread(disk.collect_tools, self._state_dir / "tools")
            self._is_namespaced = await can_have_namespaces(self._state_dir, tools)
            self._tools = tools
            if not self._is_namespaced:
                log.warning(
                    "guests are confined: this machine allows them no namespaces, or was told to allow none"
                )

    @property
    def walls(self) -> str | None:
        """How guests are walled in here; None before the first was made."""
        if self._tools is None:
            return None
        return "namespaces" if self._is_namespaced else "confined"

    def make(self, spec: GuestSpec, powered_off: Callable[[], None]) -> Guest:
        """A guest that is not booted yet; `prepare` was awaited before."""
        if self._tools is None:
            raise RuntimeError("prepare() has not been awaited")
        self._made += 1
        path = self._path / f"{self._made:x}"
        return Guest(path, self._tools, spec, is_namespaced=self._is_namespaced, powered_off=powered_off)
