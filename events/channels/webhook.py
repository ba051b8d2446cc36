"""A signed POST to an address that somebody named (standardwebhooks.com: `webhook-id`, `webhook-timestamp`, `webhook-signature`).

No redirect is followed, and the connection goes to the very address that was looked at. The answer's body is read to a
bound and thrown away.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import secrets
import socket
import ssl
import threading
from datetime import UTC, datetime
from urllib.parse import SplitResult, urlsplit

from standardwebhooks.webhooks import Webhook

from events.channels.addresses import resolve
from events.channels.base import LONGEST_S, BadTarget, Channel, Message, Refused, TryLater
from gamer.moments import written

CONNECT_S = 5.0
TOO_LONG = "The receiver took too long."
MOST_BYTES = 65_536  # of an answer
LONGEST_URL = 500
LONGEST_WAIT_S = 24 * 3600.0
# A receiver that says these says so of the moment, not of the message.
PASSING = {408, 409, 425, 429}


def make_secret() -> str:
    """A new signing secret, as receivers' libraries take it."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"


def is_secret(text: str) -> bool:
    """Whether it is one: `whsec_` and base64 of 24 to 64 bytes."""
    try:
        length = len(base64.b64decode(text.removeprefix("whsec_"), validate=True))
    except ValueError:
        return False
    return text.startswith("whsec_") and 24 <= length <= 64


class WebhookChannel(Channel):
    name = "webhook"

    def __init__(self, *, allows_local: bool = False, longest_s: float = LONGEST_S) -> None:
        self.allows_local, self.longest_s = allows_local, longest_s

    def check(self, target: str) -> None:
        self._parts(target)

    def _parts(self, target: str) -> SplitResult:
        """The URL in its parts, host and port sound."""
        schemes = ("https", "http") if self.allows_local else ("https",)
        try:
            parts = urlsplit(target)
            port = parts.port
            (parts.hostname or "").encode("idna")
        except (ValueError, UnicodeError):
            raise BadTarget("Not a URL.") from None
        if parts.scheme not in schemes:
            raise BadTarget(f"A URL that begins with {schemes[0]}://.")
        if len(target) > LONGEST_URL or not target.isascii() or not target.isprintable() or " " in target:
            raise BadTarget(f"A URL of at most {LONGEST_URL} ASCII characters, without blanks.")
        if not parts.hostname or port == 0:
            raise BadTarget("Not a URL: there is no host in it.")
        if parts.username is not None or parts.password is not None:
            raise BadTarget("Without a user and password in it; the signature says who we are.")
        return parts

    def send(self, message: Message, *, target: str, secret: str = "") -> None:
        parts = self._parts(target)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        body = json.dumps(
            {
                "type": message.kind,
                "timestamp": written(message.at),
                "data": {"subject": message.subject, "text": message.text, **message.details},
            }
        )
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Gamer-Webhooks/1",
            "Connection": "close",
        }
        headers |= _signed(message.id, body, secret)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        addresses = resolve(host, port, allows_local=self.allows_local)
        connection = _Pinned(host, port, addresses[0], is_tls=parts.scheme == "https")
        # A receiver that sends a byte now and then never meets a socket's time limit; this ends it all the same.
        limit = threading.Timer(self.longest_s, connection.cut)
        limit.daemon = True
        limit.start()
        try:
            connection.request("POST", path, body=body.encode(), headers=headers)
            answer = connection.getresponse()
            answer.read(MOST_BYTES)
            status, retry_after = answer.status, answer.headers.get("Retry-After", "")
        except (OSError, http.client.HTTPException, ValueError) as error:
            # ValueError: the connection was cut while a line was read.
            if connection.is_cut:
                raise TryLater(TOO_LONG) from None
            raise TryLater(f"The receiver does not answer ({type(error).__name__}).") from None
        finally:
            limit.cancel()
            connection.close()
        if connection.is_cut:
            raise TryLater(TOO_LONG)
        _judge(status, retry_after)


def _signed(message_id: str, body: str, secret: str) -> dict[str, str]:
    at = datetime.now(UTC)
    headers = {"webhook-id": message_id, "webhook-timestamp": str(int(at.timestamp()))}
    if secret:
        headers["webhook-signature"] = Webhook(secret).sign(message_id, at, body)
    return headers


def _judge(status: int, retry_after: str) -> None:
    if 200 <= status < 300:
        return
    text = f"The receiver answers {status}."
    if status >= 500 or status in PASSING:
        wait_s = float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None
        raise TryLater(text, retry_after=min(wait_s, LONGEST_WAIT_S) if wait_s is not None else None)
    if status == 410:
        raise Refused("The receiver answers 410: nobody is there any more.")
    if 300 <= status < 400:
        raise Refused(f"The receiver answers {status}; redirects are not followed.")
    raise Refused(text)


class _Pinned(http.client.HTTPConnection):
    """A connection to one address, in the name of a host: the certificate must be the host's."""

    _whole: socket.socket | None

    def __init__(self, host: str, port: int, address: str, *, is_tls: bool) -> None:
        super().__init__(host, port, timeout=CONNECT_S)
        self.address, self.is_tls = address, is_tls
        self.is_cut, self._whole = False, None
        self.default_port = 443 if is_tls else 80  # what the Host header leaves out

    def connect(self) -> None:
        self.sock = socket.create_connection((self.address, self.port), self.timeout)
        if self.is_tls:
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)
        self._whole = self.sock
        if self.is_cut:
            self.cut()

    def cut(self) -> None:
        """Ends whatever is under way, from another thread. The base class forgets its socket while the body is read."""
        self.is_cut = True
        if self._whole is not None:
            with contextlib.suppress(OSError):  # it ended by itself a moment ago
                self._whole.shutdown(socket.SHUT_RDWR)
