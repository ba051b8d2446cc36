"""What every request of the API passes first: counted, struck by a fault, asked for its token, held to the limit."""

from __future__ import annotations

import hmac
import re
from collections import Counter, deque
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from sandbox.answers import HTML_ERROR, NoAnswer, refusal
from sandbox.cloud import Cloud
from sandbox.faults import Fault

# Two price collectors read locations without a token.
PUBLIC_PATHS = ("/locations",)
WINDOW_S = 60.0
_ID = re.compile(r"/[0-9a-f]{8}-[0-9a-f-]{27}(?=/|$)")


class RequestLog:
    """How often each kind of request came, as "GET /instances/{id}"."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def note(self, method: str, path: str) -> None:
        self.counts[f"{method} {_ID.sub('/{id}', path)}"] += 1

    def as_json(self) -> dict[str, Any]:
        return {"total": self.counts.total(), "counts": dict(self.counts)}


class Gate:
    """ASGI middleware around the API's routes."""

    def __init__(self, app: Any, *, cloud: Cloud, token: str, requests: RequestLog) -> None:
        self._app = app
        self._cloud = cloud
        self._token = token
        self._requests = requests
        self._recent: deque[float] = deque()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        method, path = scope["method"], scope["path"].removeprefix(scope.get("root_path", ""))
        self._requests.note(method, path)
        limits = self._limit_headers()
        await self._cloud.clock.sleep(self._cloud.settings.latency_s)
        fault = self._cloud.faults.take_request(method, path)

        async def send_with_limits(message: Any) -> None:
            if message["type"] == "http.response.start":
                if fault is not None and fault.name == "late":
                    await self._cloud.hold(fault.number("seconds", 5))
                message["headers"] = [*message.get("headers", ()), *limits]
            await send(message)

        refused = await self._refused(Headers(scope=scope), method, path, fault)
        await (refused or self._app)(scope, receive, send_with_limits)

    async def _refused(
        self, headers: Headers, method: str, path: str, fault: Fault | None
    ) -> Response | None:
        if fault is not None and fault.name == "slow":
            await self._cloud.hold(fault.number("seconds", 5))
        elif fault is not None and fault.name != "late":
            return _struck(self._cloud, fault)
        has_token = hmac.compare_digest(
            headers.get("authorization", "").encode(), f"Bearer {self._token}".encode()
        )
        if not has_token:
            return None if path in PUBLIC_PATHS and method == "GET" else refusal(401, "Unauthorized")
        return self._over_limit()

    def _over_limit(self) -> Response | None:
        """100 requests per minute for the whole organisation, whoever sends them."""
        settings, now = self._cloud.settings, self._cloud.clock.now()
        while self._recent and self._recent[0] <= now - WINDOW_S:
            self._recent.popleft()
        if settings.rate_limit and len(self._recent) >= settings.requests_per_minute:
            return _too_many(max(1, round(self._recent[0] + WINDOW_S - now)))
        self._recent.append(now)
        return None

    def _limit_headers(self) -> list[tuple[bytes, bytes]]:
        """The real headers' names are not known; these are the usual ones."""
        limit = self._cloud.settings.requests_per_minute
        left = max(0, limit - len(self._recent) - 1)
        return [(b"x-ratelimit-limit", b"%d" % limit), (b"x-ratelimit-remaining", b"%d" % left)]

    def forget_recent(self) -> None:
        self._recent.clear()


def _too_many(retry_after: object) -> Response:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return JSONResponse({"error": "Too many requests"}, status_code=429, headers=headers)


def _struck(cloud: Cloud, fault: Fault) -> Response:
    match fault.name:
        case "401":
            return refusal(401, "Unauthorized")
        case "403":
            return refusal(403, "Forbidden")
        case "404":
            return refusal(404, "Not found")
        case "429":
            return _too_many(fault.args.get("retry_after", 1))
        case "500_html":
            return HTMLResponse(HTML_ERROR, status_code=500)
        case "502":
            return HTMLResponse("<html><body><h1>502 Bad Gateway</h1></body></html>", status_code=502)
        case "503":
            return PlainTextResponse("upstream connect error", status_code=503)
        case "garbage_json":
            return Response('{"data": [{"id": "', media_type="application/json")
        case _:
            return NoAnswer(cloud, 0.0)
