"""What the product's handler writes, for a test to read."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from gamer import logs


def formatter(*, is_json: bool = True) -> logging.Formatter:
    made = logs.as_django_wants(is_json=is_json)["formatters"]["lines"]
    return structlog.stdlib.ProcessorFormatter(**{name: each for name, each in made.items() if name != "()"})


class Written(io.StringIO):
    """The lines so far."""

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@contextmanager
def written(name: str = "") -> Iterator[Written]:
    """Everything under a logger's name, as production writes it."""
    stream = Written()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter())
    log = logging.getLogger(name)
    log.addHandler(handler)
    try:
        yield stream
    finally:
        log.removeHandler(handler)
