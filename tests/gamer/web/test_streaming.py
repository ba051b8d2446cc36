"""Files that are made while they are read."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator

from django.core.handlers.asgi import ASGIRequest
from django.test import RequestFactory

from gamer.web.streaming import streamed


def test_lets_the_proxy_keep_what_is_ahead_of_a_slow_reader(rf: RequestFactory) -> None:
    answer = streamed(rf.get("/"), (text for text in ["a"]), content_type="text/csv", filename="x.csv")
    assert "X-Accel-Buffering" not in answer.headers


def test_is_not_read_to_its_end_before_the_first_byte_under_asgi() -> None:
    made: list[int] = []

    def pieces() -> Iterator[str]:
        try:
            for number in range(5):
                made.append(number)
                yield f"{number}\n"
        finally:
            made.append(-1)

    async def first() -> bytes:
        request = ASGIRequest({"type": "http", "method": "GET", "path": "/", "headers": []}, io.BytesIO())
        answer = streamed(request, pieces(), content_type="text/csv", filename="x.csv")  # type: ignore[arg-type]
        async for piece in answer:
            await answer._iterator.aclose()
            return piece
        return b""

    assert asyncio.run(first()) == b"0\n"
    assert made == [0, -1]
