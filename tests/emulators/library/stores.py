"""Libraries of every kind, each answering for real on loopback: SFTP servers, and stores that speak S3's and Google's APIs."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import asyncssh

from tests import ports
from tests.emulators.gcs import Gcs
from tests.emulators.s3 import S3
from tests.waiting import eventually

USER, PASSWORD = "reader", "pass-canary"
PAGE = 2  # objects an answer of a store lists at most
RCLONE = shutil.which("rclone")


class ListingS3(S3):
    """Lists its bucket too, both ways that clients ask: a page at a time, with and without folders."""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        url = urlsplit(request.path)
        if request.command == "GET" and url.path == "/saves" and self.status == 200:
            if not self._is_signed(request, b""):
                self._refuse(request, 403, "SignatureDoesNotMatch")
                return
            self.headers = {}
            self.reply(request, self._listed({name: words[0] for name, words in parse_qs(url.query).items()}))
            return
        super().answer(request)

    def _listed(self, query: dict[str, str]) -> bytes:
        after = query.get("continuation-token") or query.get("marker") or ""
        entries = entries_of(self.objects, query.get("prefix", ""), query.get("delimiter", ""))
        rest = [entry for entry in entries if entry > after]
        page = rest[:PAGE]
        xml = "".join(
            f"<CommonPrefixes><Prefix>{quote(name)}</Prefix></CommonPrefixes>"
            if name not in self.objects
            else f"<Contents><Key>{quote(name)}</Key><Size>{len(self.objects[name])}</Size></Contents>"
            for name in page
        )
        more = len(rest) > PAGE
        next_page = (
            f"<NextContinuationToken>{page[-1]}</NextContinuationToken><NextMarker>{page[-1]}</NextMarker>"
        )
        head = f"<EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}</IsTruncated>"
        return f"<ListBucketResult>{head}{next_page if more else ''}{xml}</ListBucketResult>".encode()


class ListingGcs(Gcs):
    def _serve(self, request: BaseHTTPRequestHandler, path: str, query: dict[str, list[str]]) -> None:
        if path != "/storage/v1/b/gamer-saves/o" or request.command != "GET":
            super()._serve(request, path, query)
            return
        asked = {name: words[0] for name, words in query.items()}
        entries = entries_of(self.objects, asked.get("prefix", ""), asked.get("delimiter", ""))
        rest = [entry for entry in entries if entry > asked.get("pageToken", "")]
        page = rest[:PAGE]
        more = {"nextPageToken": page[-1]} if len(rest) > PAGE else {}
        items = [self._said(name) for name in page if name in self.objects]
        folders = [name for name in page if name not in self.objects]
        self.reply(request, {"items": items, "prefixes": folders, **more})


def entries_of(objects: dict[str, bytes], prefix: str, delimiter: str) -> list[str]:
    """Names beneath a prefix in their order; with a delimiter what lies deeper is one folder, which ends with it."""
    found = set()
    for name in objects:
        if not name.startswith(prefix):
            continue
        head, cut, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
        found.add(f"{prefix}{head}{cut}" if cut else name)
    return sorted(found)


class _Login(asyncssh.SSHServer):
    def __init__(self, connections: list[asyncssh.SSHServerConnection]) -> None:
        self.connections = connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connections.append(conn)

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)


class Hanging(asyncssh.SFTPServer):
    """Takes questions and answers none, as long as its client stays."""

    async def stat(self, path: bytes) -> asyncssh.SFTPAttrs:
        await self.connection.wait_closed()
        raise asyncssh.SFTPNoSuchFile("")

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        await self.connection.wait_closed()
        yield asyncssh.SFTPName(b"late")


@contextmanager
def asyncssh_server(
    root: Path, key: asyncssh.SSHKey | None = None, kind: type[asyncssh.SFTPServer] = asyncssh.SFTPServer
) -> Iterator[int]:
    """An SFTP server of asyncssh's in a thread, with this host key or one of its own; its port. It shows the folder and nothing else."""
    loop = asyncio.new_event_loop()
    connections: list[asyncssh.SSHServerConnection] = []

    async def start() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _Login(connections),
            server_host_keys=[key or asyncssh.generate_private_key("ssh-ed25519")],
            sftp_factory=lambda channel: kind(channel, chroot=str(root)),
        )

    async def stop(server: asyncssh.SSHAcceptor) -> None:
        server.close()
        await server.wait_closed()
        for connection in connections:
            connection.abort()
            await connection.wait_closed()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*left, return_exceptions=True)

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(start(), loop).result(timeout=20)
    try:
        yield server.get_port()
    finally:
        asyncio.run_coroutine_threadsafe(stop(server), loop).result(timeout=20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def rclone_server(root: Path) -> Iterator[int]:
    """The SFTP server that rclone is; its port."""
    port = ports.free()
    assert RCLONE is not None
    serve = [RCLONE, "serve", "sftp", str(root), "--addr", f"127.0.0.1:{port}"]
    with (root.parent / "rclone.log").open("wb") as log:
        server = subprocess.Popen([*serve, "--user", USER, "--pass", PASSWORD], stdout=log, stderr=log)

        def accepts() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        eventually(accepts)
        yield port
        server.kill()
        server.wait()
