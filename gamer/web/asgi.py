"""The body limit under ASGI, where Django would first write a whole body to disk: wrap the application in it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gamer.web.errors import error_body

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


class BodyLimit:
    """Answers 413 as soon as a body has passed `limit` bytes."""

    def __init__(self, application: Application, limit: int) -> None:
        self.application = application
        self.limit = limit

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
            # Django reads the whole body before it answers. To it, the client hangs up: it tidies up and says nothing.
            return message if read <= self.limit else {"type": "http.disconnect"}

        await self.application(scope, counted, send)
        if read > self.limit:
            body = json.dumps(
                error_body("too_large", f"The body is larger than {self.limit} bytes.")
            ).encode()
            headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 413, "headers": headers})
            await send({"type": "http.response.body", "body": body})
