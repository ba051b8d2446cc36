"""A guest's sshd: sessions, SFTP and forwarding, all within the guest's folder."""

from __future__ import annotations

import asyncio
import contextlib
import os
import posixpath
import socket
import sys
from typing import Any

import asyncssh

from sandbox.guests.folder import Folder
from sandbox.guests.runtime import Runtime

HOMES = {"root": "/root", "user": "/home/user"}
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Where `user` may write over SFTP, as on a real machine; a command reaches everything (there is sudo).
USERS_FOLDERS = ("/home/user", "/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - the guest's own
SOCKET_PATH_MAX = 100
CHUNK = 65536


class SSHServer(asyncssh.SSHServer):
    """Who may come in, and where forwarding leads."""

    def __init__(
        self, folder: Folder, connections: set[asyncssh.SSHServerConnection], *, accepts_keys: bool
    ) -> None:
        self._folder = folder
        self._connections = connections
        self._accepts_keys = accepts_keys
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._connections.discard(self._connection)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """By the user's authorized_keys as it is now."""
        if not self._accepts_keys or username not in HOMES:
            return False
        text = self._folder.read(f"{HOMES[username]}/.ssh/authorized_keys") or ""
        wanted = key.export_public_key().split()[1].decode()
        return any(wanted in line.split() for line in text.splitlines() if not line.startswith("#"))

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        """To the guest's own loopback only, which is the machine's."""
        return dest_host in LOOPBACK

    def unix_connection_requested(self, dest_path: str) -> Any:
        """To sockets in the guest's folder only."""
        if self._connection is None:
            return False
        return self._forward_to(self._connection, self._folder.resolve(dest_path))

    async def _forward_to(self, connection: asyncssh.SSHServerConnection, path: str) -> Any:
        if len(path) < SOCKET_PATH_MAX or sys.platform != "linux":
            return await connection.forward_unix_connection(path)
        # A socket's path holds 107 bytes; through its folder's descriptor it is always short enough.
        try:
            parent = os.open(os.path.dirname(path), os.O_PATH)
        except OSError as error:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, str(error.strerror)) from None
        try:
            short = f"/proc/self/fd/{parent}/{os.path.basename(path)}"
            return await connection.forward_unix_connection(short)
        finally:
            os.close(parent)


class SFTPServer(asyncssh.SFTPServer):
    """Files of the guest's folder, links followed inside it."""

    def __init__(self, chan: asyncssh.SSHServerChannel[bytes], folder: Folder) -> None:
        super().__init__(chan, chroot=os.fsencode(folder.root))
        self._folder = folder
        self._user = chan.get_extra_info("username")

    def map_path(self, path: bytes) -> bytes:
        """The real path, a link at its end not followed."""
        return os.fsencode(self._folder.resolve(self._absolute(path), follow=False))

    def _absolute(self, path: bytes) -> str:
        return posixpath.join(HOMES[self._user], os.fsdecode(path))

    def _followed(self, path: bytes) -> bytes:
        return os.fsencode(self._folder.guest_path(self._folder.resolve(self._absolute(path))))

    def _require_write(self, path: bytes) -> None:
        guest_path = self._folder.guest_path(os.fsdecode(self.map_path(path)))
        allowed = self._user == "root" or any(guest_path.startswith(each + "/") for each in USERS_FOLDERS)
        if not allowed:
            raise asyncssh.SFTPPermissionDenied("Permission denied")

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        path = self._followed(path)
        if pflags & (asyncssh.FXF_WRITE | asyncssh.FXF_APPEND | asyncssh.FXF_CREAT | asyncssh.FXF_TRUNC):
            self._require_write(path)
        opened = super().open(path, pflags, attrs)
        self._give(path)
        return opened

    def open56(self, path: bytes, desired_access: int, flags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        raise asyncssh.SFTPOpUnsupported("SFTP version 3 only")

    def _give(self, path: bytes) -> None:
        self._folder.give(os.fsdecode(self.map_path(path)))

    def stat(self, path: bytes) -> Any:
        return super().stat(self._followed(path))

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> Any:
        path = self._followed(path)
        self._require_write(path)
        attrs.uid = attrs.gid = None
        return super().setstat(path, attrs)

    def lsetstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> Any:
        self._require_write(path)
        attrs.uid = attrs.gid = None
        return super().lsetstat(path, attrs)

    def scandir(self, path: bytes) -> Any:
        return super().scandir(self._followed(path))

    def realpath(self, path: bytes) -> bytes:
        return self._followed(path)

    def statvfs(self, path: bytes) -> Any:
        return super().statvfs(self._followed(path))

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        self._require_write(path)
        super().mkdir(path, attrs)
        self._give(path)

    def rmdir(self, path: bytes) -> Any:
        self._require_write(path)
        return super().rmdir(path)

    def remove(self, path: bytes) -> Any:
        self._require_write(path)
        return super().remove(path)

    def rename(self, oldpath: bytes, newpath: bytes) -> Any:
        self._require_write(oldpath)
        self._require_write(newpath)
        return super().rename(oldpath, newpath)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> Any:
        self._require_write(oldpath)
        self._require_write(newpath)
        return super().posix_rename(oldpath, newpath)

    def readlink(self, path: bytes) -> bytes:
        return os.readlink(self.map_path(path))

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        """The target is kept as the guest means it."""
        self._require_write(newpath)
        os.symlink(oldpath, self.map_path(newpath))
        self._give(newpath)

    def link(self, oldpath: bytes, newpath: bytes) -> Any:
        self._require_write(oldpath)
        self._require_write(newpath)
        return super().link(oldpath, newpath)


async def serve(
    sock: socket.socket,
    folder: Folder,
    runtime: Runtime,
    host_key: asyncssh.SSHKey,
    connections: set[asyncssh.SSHServerConnection],
    *,
    accepts_keys: bool,
) -> asyncssh.SSHAcceptor:
    """Listens on a bound socket until closed; `connections` holds those open now."""
    return await asyncssh.listen(
        sock=sock,
        server_factory=lambda: SSHServer(folder, connections, accepts_keys=accepts_keys),
        server_host_keys=[host_key],
        process_factory=lambda process: _run(process, runtime),
        sftp_factory=lambda chan: SFTPServer(chan, folder),
        encoding=None,
        line_editor=False,
        agent_forwarding=False,
        server_version="OpenSSH_9.6p1_sandbox",
    )


async def _run(process: asyncssh.SSHServerProcess[bytes], runtime: Runtime) -> None:
    """One session: a command, or a shell where none is named."""
    command = process.command
    argv = ["sh"] if command is None else ["sh", "-c", command]
    stdin, stdin_writer = os.pipe()
    stdout_reader, stdout = os.pipe()
    stderr_reader, stderr = os.pipe()
    user = process.get_extra_info("username")
    feeding = asyncio.create_task(_feed(process.stdin, stdin_writer))
    # As with OpenSSH, a session lasts until every process holding its output has let go.
    shown = asyncio.gather(_show(stdout_reader, process.stdout), _show(stderr_reader, process.stderr))
    try:
        status = await runtime.run(argv, user, (stdin, stdout, stderr))
        await shown
    except asyncio.CancelledError:
        shown.cancel()
        raise
    finally:
        feeding.cancel()
    if status < 0:
        process.exit_with_signal(_signal_name(-status))
    else:
        process.exit(status)


def _signal_name(number: int) -> str:
    names = {1: "HUP", 2: "INT", 3: "QUIT", 6: "ABRT", 9: "KILL", 11: "SEGV", 13: "PIPE", 15: "TERM"}
    return names.get(number, "TERM")


async def _feed(source: asyncssh.SSHReader[bytes], descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    transport, _protocol = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(descriptor, "wb", 0))
    try:
        with contextlib.suppress(
            asyncssh.BreakReceived, asyncssh.SignalReceived, asyncssh.TerminalSizeChanged
        ):
            while (content := await source.read(CHUNK)) and not transport.is_closing():
                transport.write(content)
    finally:
        transport.close()


async def _show(descriptor: int, target: asyncssh.SSHWriter[bytes]) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _protocol = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", 0)
    )
    try:
        with contextlib.suppress(ConnectionError, asyncssh.Error):
            while content := await reader.read(CHUNK):
                target.write(content)
                await target.drain()
    finally:
        transport.close()
