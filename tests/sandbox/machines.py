"""Machines of the sandbox reached with paramiko, which shares no code with the sandbox's own SSH."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.sandbox.vendor import Vendor


@dataclass(frozen=True)
class Keys:
    """A key pair as a file's text and as paramiko wants it."""

    text: str
    key: paramiko.PKey

    @classmethod
    def new(cls) -> Keys:
        made = Ed25519PrivateKey.generate()
        text = made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
        return cls(text, paramiko.Ed25519Key.from_private_key(io.StringIO(text)))

    @property
    def public(self) -> str:
        return f"{self.key.get_name()} {self.key.get_base64()}"


PLAYER, HOST, STRANGER = Keys.new(), Keys.new(), Keys.new()


@dataclass(frozen=True)
class Result:
    status: int
    stdout: str
    stderr: str


@dataclass
class Machine:
    """An instance made with PLAYER's key and HOST's host key, booted."""

    vendor: Vendor
    id: str
    clients: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _open: dict[str, paramiko.SSHClient] = field(default_factory=dict)

    @classmethod
    def create(cls, vendor: Vendor, cloud_init: dict[str, Any] | None = None, **changes: object) -> Machine:
        files = [{"path": "/etc/ssh/ssh_host_ed25519_key", "content": HOST.text, "permissions": "0600"}]
        given = {**(cloud_init or {})}
        given["write_files"] = files + given.get("write_files", [])
        made = vendor.create(ssh_key=PLAYER.public, cloud_init=given, **changes)
        vendor.server.control.advance()
        return cls(vendor, made)

    @property
    def detail(self) -> dict[str, Any]:
        return dict(self.vendor.get(f"/instances/{self.id}"))

    @property
    def endpoint(self) -> tuple[str, int]:
        """The forward whose internal port is 22, else 22 itself."""
        detail = self.detail
        ports = [each["external_port"] for each in detail["portForwards"] if each["internal_port"] == 22]
        return detail["ipAddress"], ports[0] if ports else 22

    def connect(self, user: str = "user", *, key: Keys = PLAYER, host_key: Keys = HOST) -> paramiko.SSHClient:
        host, port = self.endpoint
        client = paramiko.SSHClient()
        self.clients.callback(client.close)
        known = host if port == 22 else f"[{host}]:{port}"
        client.get_host_keys().add(known, host_key.key.get_name(), host_key.key)
        client.connect(
            host,
            port,
            user,
            pkey=key.key,
            look_for_keys=False,
            allow_agent=False,
            timeout=30,
            banner_timeout=30,
        )
        return client

    def run(self, command: str, user: str = "user", stdin: str = "") -> Result:
        """Over one connection per user, made anew when it was cut."""
        client = self._open.get(user)
        transport = client.get_transport() if client else None
        if client is None or transport is None or not transport.is_active():
            client = self._open[user] = self.connect(user)
        return run(client, command, stdin)

    def close(self) -> None:
        self.clients.close()


def run(client: paramiko.SSHClient, command: str, stdin: str = "") -> Result:
    sent, stdout, stderr = client.exec_command(command, timeout=60)
    sent.write(stdin)
    sent.channel.shutdown_write()
    out, err = stdout.read().decode(), stderr.read().decode()
    return Result(stdout.channel.recv_exit_status(), out, err)


@contextlib.contextmanager
def sftp_of(client: paramiko.SSHClient) -> Iterator[paramiko.SFTPClient]:
    with contextlib.closing(client.open_sftp()) as sftp:
        yield sftp
