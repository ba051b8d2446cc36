"""The wire to TensorDock v2: endpoints, pacing, retries, and errors sorted into the seam's classes. Knows no meaning."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import requests

from redaction.masks import scrub
from vms.providers import base
from vms.providers.tensordock import answers
from vms.providers.tensordock.answers import BALANCE, CAPACITY, Problem, Row, Unreadable
from vms.providers.tensordock.transport import NoReply, Reply, exchange, new_session, shared_session

log = logging.getLogger(__name__)

T = TypeVar("T")

_TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `read` bounds a read with all its tries, `attempt` one of them: the vendor's lists take 4 to 5 s, a create over 60."""

    connect: float = 10
    attempt: float = 20
    read: float = 30
    create: float = 120
    act: float = 60
    backoff: float = 0.5


class Kind(Enum):
    """Why one asks: it decides what a failure means."""

    LIST = "list"
    LOOK = "look"
    ORDER = "order"
    ACT = "act"


class Client:
    """One account's API. Thread-safe and cheap to make: connections are shared per address and token.

    `pace` is called before every request, further tries included; it may wait, or raise Unavailable.
    """

    def __init__(
        self,
        token: str,
        base_url: str,
        *,
        pace: Callable[[], None] = lambda: None,
        timeouts: Timeouts | None = None,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
            raise ValueError("the base URL must be plain http(s)://host/path")
        self._token = token
        self._base_url = base_url.rstrip("/")
        self._pace = pace
        self._timeouts = timeouts or Timeouts()

    def __repr__(self) -> str:
        return f"<Client {self._base_url}>"

    def scrub(self, text: str) -> str:
        """`text` fit to be shown."""
        return scrub(text, (self._token,))

    def stock(self) -> tuple[list[Row], list[Row]]:
        """GET /locations and GET /hostnodes, both within the one bound of a read."""
        until = time.monotonic() + self._timeouts.read
        locations = self._read(Kind.LIST, "/locations", lambda body: answers.rows(body, "locations"), until)
        hostnodes = self._read(Kind.LIST, "/hostnodes", lambda body: answers.rows(body, "hostnodes"), until)
        return locations, hostnodes

    def instances(self) -> list[Row]:
        """GET /instances: all of them, each with an id, or Unavailable."""
        return self._read(
            Kind.LIST,
            "/instances",
            lambda body: [answers.one(row) for row in answers.rows(body, "instances")],
        )

    def instance(self, machine_id: str) -> Row:
        """GET /instances/{id}. Raises NotFound."""
        return self._read(Kind.LOOK, _path(machine_id), answers.one)

    def create(self, attributes: Row) -> Row:
        """POST /instances, once: v2 knows no idempotency key.

        A connection of its own: what fails before it stands surely sent nothing, and a create is too slow to mind the handshake.
        """
        body = {"data": {"type": "virtualmachine", "attributes": attributes}}
        self._pace()
        with new_session(self._base_url, self._checked_token()) as session:
            answer = self._ask(session, Kind.ORDER, "POST", "/instances", body, self._timeouts.create)
        try:
            return answers.one(answer)
        except Unreadable as error:
            raise base.OutcomeUnknown(f"create: {error}") from None

    def start(self, machine_id: str) -> None:
        """POST /instances/{id}/start. Raises NotFound, NoCapacity, QuotaExceeded, Rejected (wrong state, mostly)."""
        self._act("POST", f"{_path(machine_id)}/start", {})

    def stop(self, machine_id: str) -> None:
        """POST /instances/{id}/stop. Raises NotFound, Rejected (wrong state, mostly)."""
        self._act("POST", f"{_path(machine_id)}/stop", {})

    def delete(self, machine_id: str) -> None:
        """DELETE /instances/{id}. Raises NotFound, Rejected."""
        self._act("DELETE", _path(machine_id), None)

    def _act(self, method: str, path: str, body: Row | None) -> None:
        session = shared_session(self._base_url, self._checked_token())
        self._pace()
        self._ask(session, Kind.ACT, method, path, body, self._timeouts.act)

    def _read(self, kind: Kind, path: str, shape: Callable[[Any], T], until: float | None = None) -> T:
        """One GET, tried up to three times within its bound. When told how long to wait, that is left to the caller."""
        until = until or time.monotonic() + self._timeouts.read
        session = shared_session(self._base_url, self._checked_token())
        tries = 0
        while True:
            self._pace()
            tries += 1
            budget_s = max(0.1, min(self._timeouts.attempt, until - time.monotonic()))
            try:
                return shape(self._ask(session, kind, "GET", path, None, budget_s))
            except Unreadable as error:
                failure = base.Unavailable(f"GET {path}: {error}")
            except base.Unavailable as error:
                failure = error
            pause_s = self._timeouts.backoff * 2 ** (tries - 1)
            if tries == 3 or failure.retry_after is not None or time.monotonic() + pause_s >= until:
                raise failure
            time.sleep(pause_s)

    def _ask(
        self, session: requests.Session, kind: Kind, method: str, path: str, body: Row | None, budget_s: float
    ) -> Any:
        """The parsed answer of one request, or the seam's error for it."""
        asked = f"{method} {path}"
        started = time.monotonic()
        try:
            reply = exchange(
                session,
                method,
                self._base_url + path,
                json=body,
                connect_s=self._timeouts.connect,
                budget_s=budget_s,
            )
        except NoReply as lost:
            log.debug("%s: %s after %.3f s", asked, lost, time.monotonic() - started)
            raise _uncertain(kind, f"{asked}: {lost}", is_unsent=lost.is_unsent) from None
        log.debug("%s: HTTP %d after %.3f s", asked, reply.status, time.monotonic() - started)
        try:
            answer = answers.parse(reply.body)
            problem = answers.problem_in(reply.status, answer)
        except Unreadable as error:
            text = self.scrub(f"{asked}: HTTP {reply.status} with {error}")
            raise _sort_gateway(kind, reply, text) from None
        if problem is None and reply.status < 300:
            return answer
        problem = problem or Problem(reply.status, "not followed")
        text = self.scrub(f"{asked}: {problem.status} {problem.text}".rstrip())
        raise _sort(kind, problem, text, reply)

    def _checked_token(self) -> str:
        # Anything else cannot travel in a header, and the library's complaint would quote it.
        if not _TOKEN.fullmatch(self._token):
            raise base.BadCredentials("the API token is empty or has characters no token has")
        return self._token


def _sort(kind: Kind, problem: Problem, text: str, reply: Reply) -> base.ProviderError:
    """The API's own error in the seam's words."""
    status = problem.status
    if status in {401, 403}:
        return base.BadCredentials(text)
    if status == 404 and kind in {Kind.LOOK, Kind.ACT}:
        return base.NotFound(text)
    if kind in {Kind.ORDER, Kind.ACT} and status != 429 and reply.status < 500:
        if status == 402 or BALANCE.search(problem.text):
            return base.QuotaExceeded(text)
        if CAPACITY.search(problem.text):
            return base.NoCapacity(text)
    return _sort_status(kind, status, text, reply.retry_after)


def _sort_gateway(kind: Kind, reply: Reply, text: str) -> base.ProviderError:
    """An answer that is not JSON: something before the API spoke, which knows nothing of tokens, machines and stock."""
    if reply.status == 401:
        return base.BadCredentials(text)
    return _sort_status(kind, reply.status, text, reply.retry_after)


def _sort_status(kind: Kind, status: int, text: str, retry_after: float | None) -> base.ProviderError:
    if status == 429 or 300 <= status < 400 or kind in {Kind.LIST, Kind.LOOK}:
        return base.Unavailable(text, retry_after=retry_after)
    if 400 <= status < 500 and status not in {408, 425}:
        return base.Rejected(text)
    return _uncertain(kind, text, retry_after=retry_after)


def _uncertain(
    kind: Kind, text: str, *, is_unsent: bool = False, retry_after: float | None = None
) -> base.ProviderError:
    if kind is Kind.ORDER and not is_unsent:
        return base.OutcomeUnknown(text)
    return base.Unavailable(text, retry_after=retry_after)


def _path(machine_id: str) -> str:
    if not machine_id:
        # "/instances/" is the list: never to be deleted.
        raise ValueError("a machine id is needed")
    return f"/instances/{quote(machine_id, safe='')}"
