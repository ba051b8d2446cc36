"""The body limit under ASGI, where Django would first write a whole body to disk: wrap the application in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings

from gamer.web.limits import DRAINED, announced_length, own_limit
from gamer.web.middleware import too_large

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


class BodyLimit:
    """Answers 413 to bodies past the usual or their view's own limit, and hangs up on those that do not end soon after."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        announced = announced_length(lengths[0].decode("latin-1")) if lengths else None
        usual = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        limit = own_limit(scope["path"], announced) or usual
        read, has_more = 0, True

        async def counted() -> Message:
            nonlocal read, has_more
            message = await receive()
            read += len(message.get("body", b""))
            has_more = bool(message.get("more_body"))
            # Django reads the whole body before it answers. To it, the client hangs up: it tidies up and says nothing.
            return message if read <= limit else {"type": "http.disconnect"}

        await self.application(scope, counted, send)
        if read > limit:
            # A connection closed on a client that still sends would take our answer with it.
            while has_more and read <= max(limit, usual * DRAINED):
                await counted()
            await self._refuse(send, scope["path"], limit)

    async def _refuse(self, send: Send, path: str, limit: int) -> None:
        refused = too_large(path, limit)
        headers = [(b"content-type", refused["Content-Type"].encode()), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": refused.content})
