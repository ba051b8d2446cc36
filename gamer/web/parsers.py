"""Reading bodies. JSON strictly: what Python's reader forgives (NaN, doubled names, lone surrogates) is refused by name."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.parsers import BaseParser

from gamer.errors import TooLarge, bad_field
from gamer.web.limits import announced_length, drain

MAX_DEPTH = 32
WHOLE = "body"


class StrictJSONParser(BaseParser):
    """`application/json` in UTF-8. Raises ValidationError naming the field, or TooLarge."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read(limit + 1)
        if len(raw) > limit:
            raise TooLarge(f"The body is larger than {limit} bytes.")
        return parse_json(raw)


class GzipParser(BaseParser):
    """`application/gzip` as bytes, up to the view's `max_body`. Raises TooLarge."""

    media_type = "application/gzip"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        context = parser_context or {}
        limit: int = context["view"].max_body
        announced = announced_length(context["request"].META.get("CONTENT_LENGTH") or "")
        if announced is not None and announced > limit:
            drain(stream, announced)
            raise TooLarge(f"The body is larger than {limit} bytes.")
        raw: bytes = stream.read(limit + 1)
        if len(raw) > limit:
            raise TooLarge(f"The body is larger than {limit} bytes.")
        return raw


def parse_json(raw: bytes) -> Any:
    """The value of a body. Raises ValidationError naming the field."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise bad_field(WHOLE, f"Not UTF-8 (byte {error.start}).") from None
    try:
        value = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise bad_field(
            WHOLE, f"Not JSON: {error.msg} (line {error.lineno}, column {error.colno})."
        ) from None
    except RecursionError:
        raise bad_field(WHOLE, f"Nested deeper than {MAX_DEPTH} levels.") from None
    except ValueError:
        raise bad_field(WHOLE, "A number has too many digits.") from None
    _inspect(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise bad_field(_printable(doubled), "Given twice.")
    return found


def _inspect(value: Any) -> None:
    """Walks the value without recursion, because its depth is the client's choice."""
    todo: list[tuple[str, int, Any]] = [("", 0, value)]
    while todo:
        name, depth, one = todo.pop()
        if depth > MAX_DEPTH:
            raise bad_field(name.split(".")[0] or WHOLE, f"Nested deeper than {MAX_DEPTH} levels.")
        if isinstance(one, dict):
            for key, inner in one.items():
                path = f"{name}.{_printable(key)}" if name else _printable(key)
                _check_text(path, key)
                todo.append((path, depth + 1, inner))
        elif isinstance(one, list):
            todo.extend(
                (f"{name}.{number}" if name else str(number), depth + 1, inner)
                for number, inner in enumerate(one)
            )
        elif isinstance(one, str):
            _check_text(name, one)
        elif isinstance(one, float) and not math.isfinite(one):
            raise bad_field(name or WHOLE, "Not a finite number.")


def _check_text(name: str, text: str) -> None:
    if "\x00" in text:
        raise bad_field(name or WHOLE, "Contains a NUL character.")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise bad_field(name or WHOLE, "Contains half a surrogate pair.")


def _printable(name: str) -> str:
    """A field's name that an answer can carry."""
    return name.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()[:100] or WHOLE
