"""One address for a place where files lie.

    file:///srv/gamer/saves                     a directory of this host
    gs://bucket/folder                          Google Cloud Storage
    s3://key:secret@endpoint/bucket/folder      ?region=…; an endpoint is spoken to by http when it says ?insecure=1
    sftp://user:password@host:port/folder

What a place can be used for is said by who uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit


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

    @property
    def endpoint(self) -> str:
        """Of s3: where its API is."""
        scheme = "http" if self.options.get("insecure") == "1" else "https"
        return f"{scheme}://{self.host}{f':{self.port}' if self.port else ''}"


def parse(text: str) -> Address:
    """Raises ValueError in words that hold no secret."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("it cannot be read") from None
    # A bucket's name keeps its letters as they are.
    host = parts.netloc if parts.scheme == "gs" else parts.hostname or ""
    address = Address(
        scheme=parts.scheme,
        host=host,
        port=port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        path=unquote(parts.path).strip("/"),
        options={name: values[-1] for name, values in parse_qs(parts.query).items()},
    )
    if any(ord(letter) < 32 for letter in address.host + address.path + address.user + address.password):
        raise ValueError("it holds a control character")
    return address
