"""Answers that are too long to keep: sent piece by piece, under WSGI and ASGI alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse


def streamed(
    request: HttpRequest, pieces: Generator[str], *, content_type: str, filename: str
) -> StreamingHttpResponse:
    """A file to keep. Under ASGI Django would read a plain generator to its end before it sends the first byte."""
    content: Any = _waited_for(pieces) if isinstance(request, ASGIRequest) else pieces
    return StreamingHttpResponse(content, content_type=content_type, headers=attached(filename))


def attached(filename: str) -> dict[str, str]:
    """The proxy may keep what is ahead of a slow reader (no X-Accel-Buffering): else that reader holds one of few workers."""
    return {
        "Content-Disposition": f'attachment; filename="{filename}"',
        "Cache-Control": "no-store",
    }


async def _waited_for(pieces: Generator[str]) -> AsyncIterator[str]:
    """Each piece is made in the request's own thread, where its database connection is."""
    made = sync_to_async(lambda: next(pieces, None))
    try:
        while (piece := await made()) is not None:
            yield piece
    finally:
        await sync_to_async(pieces.close)()
