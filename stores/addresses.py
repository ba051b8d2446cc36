"""One address for a place where files lie.

    file:///srv/gamer/saves                     a directory of this host
    gs://bucket/folder                          Google Cloud Storage
    s3://key:secret@endpoint/bucket/folder      ?region=…; an endpoint is spoken to by http when it says ?insecure=1
    sftp://user:password@host:port/folder       ?host_key=ssh-ed25519+AAAA…&host_key=…, all of its keys: no other is spoken to

What a place can be used for is said by who uses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key


@dataclass(frozen=True, slots=True)
class Address:
    """`host` with `port` is the endpoint (s3), the machine (sftp) or the bucket (gs); `path` has no slash at either end."""

    scheme: str
    host: str = ""
    port: int | None = None
    user: str = ""
    password: str = field(default="", repr=False)
    path: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    host_keys: Sequence[str] = ()

    @property
    def endpoint(self) -> str:
        """Of s3: where its API is."""
        scheme = "http" if self.options.get("insecure") == "1" else "https"
        return f"{scheme}://{self.host}{f':{self.port}' if self.port else ''}"

    @property
    def known_hosts(self) -> str:
        """Of sftp: the lines of known_hosts (sshd(8)) that say by which keys the host is known; "" where none was given.

        Raises ValueError for what is no public key.
        """
        name = self.host if self.port in (None, 22) else f"[{self.host}]:{self.port}"
        return "".join(f"{name} {_public_key(text)}\n" for text in self.host_keys)


def _public_key(text: str) -> str:
    """A public key as it stands in an address, where a plus is a space, as it stands in a file."""
    kind, _, key = text.partition(" ")
    key = key.replace(" ", "+")
    try:
        # Whole and sound: paramiko passes over lines that it cannot read, and would know no key of the host.
        load_ssh_public_key(f"{kind} {key}".encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("host_key is no public key, as ssh-ed25519+AAAA…") from None
    return f"{kind} {key}"


def parse(text: str) -> Address:
    """Raises ValueError in words that hold no secret."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("it cannot be read") from None
    # A bucket's name keeps its letters as they are.
    host = parts.netloc if parts.scheme == "gs" else parts.hostname or ""
    options = parse_qs(parts.query)
    address = Address(
        scheme=parts.scheme,
        host=host,
        port=port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        path=unquote(parts.path).strip("/"),
        options={name: values[-1] for name, values in options.items()},
        host_keys=options.get("host_key", ()),
    )
    if any(ord(letter) < 32 for letter in address.host + address.path + address.user + address.password):
        raise ValueError("it holds a control character")
    return address
