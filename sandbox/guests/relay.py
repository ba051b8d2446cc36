"""Port 47989 of a guest's address leads to a unix socket inside: guests share the loopback, so no program of theirs should listen there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

from sandbox.guests.folder import Folder

PORT = 47989
CHUNK = 65536


async def relay(sock: socket.socket, folder: Folder, path: str) -> asyncio.Server:
    """Leads connections on the bound socket to the guest's unix socket at `path`; where nobody listens, they are closed at once."""

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            inner = await _connected(folder, path)
            inner_reader, inner_writer = await asyncio.open_unix_connection(sock=inner)
            with contextlib.closing(inner_writer):
                there = asyncio.create_task(_copy(reader, inner_writer))
                await _copy(inner_reader, writer)
                there.cancel()

    return await asyncio.start_server(lead, sock=sock)


async def _connected(folder: Folder, path: str) -> socket.socket:
    """Connects to the socket itself and to no link that a guest put in its place. Raises OSError."""
    found = os.open(folder.resolve(path), os.O_PATH | os.O_NOFOLLOW)
    try:
        if not folder.holds(os.readlink(f"/proc/self/fd/{found}")):
            raise PermissionError("outside of the guest")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, f"/proc/self/fd/{found}")
        except BaseException:
            sock.close()
            raise
        return sock
    finally:
        os.close(found)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
