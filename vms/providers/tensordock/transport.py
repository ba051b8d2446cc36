"""One HTTP exchange with bounds on time and size, and the truth about whether the other side can have seen it."""

from __future__ import annotations

import email.utils
import ipaddress
import math
import os
import ssl
import time
from dataclasses import dataclass
from functools import lru_cache
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError, NewConnectionError

BODY_LIMIT_BYTES = 10 * 1000 * 1000
RETRY_AFTER_LIMIT_S = 3600.0
_POOL_SIZE = 32
_CHUNK_BYTES = 64 * 1024


class NoReply(Exception):
    """The request brought no usable HTTP answer. `is_unsent`: surely the other side never saw it."""

    def __init__(self, text: str, *, is_unsent: bool = False) -> None:
        super().__init__(text)
        self.is_unsent = is_unsent


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. `retry_after` in seconds, where the header says so."""

    status: int
    body: bytes
    retry_after: float | None


class _Bearer(AuthBase):
    """Sets the header itself: a plain header would give way to a .netrc."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def new_session(base_url: str, token: str) -> requests.Session:
    """A session of its own, to be closed by the caller."""
    session = requests.Session()
    session.auth = _Bearer(token)
    session.headers["Accept"] = "application/json"
    session.headers["User-Agent"] = "gamer"
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    # A proxy that is set for the world must not swallow a stand-in on this machine.
    session.trust_env = not _is_loopback(base_url)
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=_POOL_SIZE))
    return session


def shared_session(base_url: str, token: str) -> requests.Session:
    """The pool of this account in this process."""
    # After a fork, parent and child must not talk over one socket.
    return _session_of(base_url, token, os.getpid())


@lru_cache(maxsize=64)
def _session_of(base_url: str, token: str, _pid: int) -> requests.Session:
    return new_session(base_url, token)


def _is_loopback(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def exchange(
    session: requests.Session, method: str, url: str, *, json: Any, connect_s: float, budget_s: float
) -> Reply:
    """Send one request and read the whole answer within `budget_s`. Follows no redirect. Raises NoReply."""
    until = time.monotonic() + budget_s
    try:
        with session.request(
            method,
            url,
            json=json,
            timeout=(min(connect_s, budget_s), budget_s),
            stream=True,
            allow_redirects=False,
        ) as response:
            body = _read_body(response, until)
            return Reply(response.status_code, body, _retry_after(response.headers.get("Retry-After")))
    except NoReply as error:
        lost = error
    except (HTTPError, OSError) as error:
        lost = NoReply(f"no answer ({type(error).__name__})", is_unsent=_is_unsent(error))
    # Raised out here: the library's error carries the request, and with it the token.
    raise lost


def _read_body(response: requests.Response, until: float) -> bytes:
    body = bytearray()
    # read1 returns what has come: a slow drip cannot stretch one read past the bound.
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            raise NoReply(f"an answer of over {BODY_LIMIT_BYTES} bytes")
        if time.monotonic() > until:
            raise NoReply("an answer that did not end in time")
    return bytes(body)


def _is_unsent(error: BaseException) -> bool:
    """Whether the connection was never made. A reused connection that breaks, or TLS that fails later, proves nothing."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(error, requests.exceptions.SSLError):
        return any(isinstance(each, ssl.SSLCertVerificationError) for each in getattr(reason, "args", ()))
    if isinstance(error, requests.exceptions.ProxyError | requests.ConnectTimeout):
        return True
    return isinstance(reason, NewConnectionError)


def _retry_after(header: str | None) -> float | None:
    """Seconds to wait, from a number or an HTTP date; None where there is none or it makes no sense."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(header).timestamp() - time.time()
        except ValueError:
            return None
    return min(max(seconds, 0.0), RETRY_AFTER_LIMIT_S) if not math.isnan(seconds) else None
