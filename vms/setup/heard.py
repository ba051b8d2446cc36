"""What a machine says, read without belief: it is a player's, and what it says goes into columns that do not hold everything."""

from __future__ import annotations

import json
from typing import Any

from redaction.masks import legible

# No number of ours is larger that is not told its own bound.
MOST = 2**31 - 1


def read(said: bytes) -> Any:
    """JSON with legible texts. Raises ValueError, also for what is nested so deeply that nobody means it."""
    try:
        return _legible(json.loads(said))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def number(value: object, most: float = MOST) -> float:
    """From 0 to `most`. Raises ValueError, also for NaN and infinity, which Python reads in JSON."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("not a number")
    if not 0 <= value <= most:  # which NaN is not either
        raise ValueError("out of bounds")
    return float(value)


def whole(value: object, most: int = MOST) -> int:
    """A whole `number`."""
    number(value, most)
    if not isinstance(value, int):
        raise ValueError("not a whole number")
    return value


def text(value: object, most: int) -> str:
    """A text of at most so many characters. Raises ValueError."""
    if not isinstance(value, str) or len(value) > most:
        raise ValueError("not a text, or too long")
    return value


def _legible(value: Any) -> Any:
    if isinstance(value, str):
        return legible(value)
    if isinstance(value, list):
        return [_legible(one) for one in value]
    if isinstance(value, dict):
        return {legible(name): _legible(one) for name, one in value.items()}
    return value
