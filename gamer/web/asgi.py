"""The body limit under ASGI, where Django would first write a whole body to disk: wrap the application in it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings

from gamer.web.limits import DRAINED, announced_length, own_limit

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


class BodyLimit:
    """Cuts off bodies past the usual or their view's own limit, and reads on a while what their clients still send.

    Django gets the beginning, one byte more than is allowed or more, and refuses it as under WSGI (`BodyLimitMiddleware`, or the
    view's parser): with the request's id, the headers of CORS, and a line in the log.
    """

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
        seen, read = dict(scope), 0

        async def bounded() -> Message:
            nonlocal read
            if read > limit:
                await asyncio.Event().wait()  # nothing more: Django stops to listen when it has answered
            message = await receive()
            read += len(message.get("body", b""))
            if read <= limit:
                return message
            # A connection closed on a client that still sends would take our answer with it.
            rest = message
            while rest.get("more_body") and read <= max(limit, usual * DRAINED):
                rest = await receive()
                read += len(rest.get("body", b""))
            if not lengths:
                # What has no length is chunked; Django looks at the headers after the body.
                others = [one for one in scope["headers"] if one[0] != b"transfer-encoding"]
                seen["headers"] = [*others, (b"transfer-encoding", b"chunked")]
            return {**message, "more_body": False}

        async def closing(message: Message) -> None:
            if read > limit and message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        await self.application(seen, bounded, closing)
