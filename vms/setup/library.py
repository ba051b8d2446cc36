"""Where the library of games lies, as one address, and how rclone on the machine is told.

    gs://bucket/folder                              credentials of a service account as JSON beside it, else only public buckets
    s3://key:secret@endpoint/bucket/folder          ?region=…; an endpoint with a port is spoken to by http when it says ?insecure=1
    sftp://user:password@host:port/folder           ?host_key=…: the machine speaks to no other host
    file:///folder                                  a directory of our own host: no machine has it

The machine belongs to a player: give it credentials that may read this library and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from stores import addresses

REMOTE = "games"
# rclone hides passwords in its configuration by this key, which it publishes (fs/config/obscure/obscure.go): no secrecy is meant.
_OBSCURE = bytes.fromhex("9c935b48730a554d6bfd7c63c886a92bd390198eb8128afbf4de162b8b95f638")


@dataclass(frozen=True, slots=True)
class Library:
    """A place rclone can read. `options` are those of its configuration, secrets among them; `folder` is within it.

    `known_hosts` is the text of such a file, "" where any host is believed.
    """

    kind: str
    folder: str
    options: Mapping[str, str] = field(repr=False)
    known_hosts: str = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        names = ("secret_access_key", "pass", "service_account_credentials")
        return tuple(self.options[name] for name in names if self.options.get(name))

    def rclone_config(self, known_hosts_file: str) -> bytes:
        """The configuration's text, given where `known_hosts` will be. No value can hold a line of its own."""
        options = {**self.options, **({"known_hosts_file": known_hosts_file} if self.known_hosts else {})}
        lines = [f"[{REMOTE}]", f"type = {self.kind}"]
        lines += [f"{name} = {' '.join(value.splitlines())}" for name, value in sorted(options.items())]
        return "\n".join([*lines, ""]).encode()


def parse(address: str, *, google_credentials: str = "") -> Library | None:
    """The library at an address; None for "", and for a directory of our own host, which no machine sees.

    Raises ValueError in words that hold no secret.
    """
    if not address:
        return None
    try:
        parts = addresses.parse(address)
        known_hosts = parts.known_hosts
    except ValueError as error:
        raise ValueError(f"the library's address cannot be used: {error}") from None
    host, path = parts.host, parts.path
    match parts.scheme:
        case "file" if path and not host:
            return None
        case "gs" if host:
            key = {"service_account_credentials": google_credentials}
            folder = f"{host}/{path}".rstrip("/")
            return Library(
                "google cloud storage", folder, key if google_credentials else {"anonymous": "true"}
            )
        case "s3" if host and path and parts.user and parts.password:
            login = {"access_key_id": parts.user, "secret_access_key": parts.password}
            given = {**login, "endpoint": parts.endpoint}
            region = {"region": parts.options["region"]} if parts.options.get("region") else {}
            return Library("s3", path, {"provider": "Other", "force_path_style": "true", **given, **region})
        case "sftp" if host and parts.user:
            given = {"host": host, "user": parts.user, "port": str(parts.port or 22), "shell_type": "none"}
            if parts.password:
                given["pass"] = obscured(parts.password)
            return Library("sftp", f"/{path}", given, known_hosts)
    raise ValueError(
        "the library's address is gs://bucket, s3://key:secret@endpoint/bucket or sftp://user@host/folder"
    )


def obscured(password: str) -> str:
    """A password as rclone's configuration wants it: the same one always the same, or a plan with it were another at every look."""
    start = hashlib.sha256(b"gamer" + password.encode()).digest()[:16]
    cipher = Cipher(algorithms.AES(_OBSCURE), modes.CTR(start)).encryptor()
    hidden = start + cipher.update(password.encode()) + cipher.finalize()
    return base64.urlsafe_b64encode(hidden).decode().rstrip("=")
