"""Masks: what is a secret by its shape, by its name, or because this process has opened it."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import islice
from threading import Lock
from typing import Any

MASK = "***"
TEXT_LIMIT = 300
RAW_LIMIT_BYTES = 16 * 1024
MOST_REMEMBERED = 512
SHORTEST_REMEMBERED, LONGEST_REMEMBERED = 8, 500

_TELLING = re.compile(
    r"pass|token|secret|credential|api[_-]?key|private|ssh[_-]?key|host[_-]?key|cloud[_-]?init|user[_-]?data|authori[sz]ation"
    r"|cookie|gamer_?keys|digest",
    re.I,
)
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S), MASK),
    # The same in base64, as CloudyPad prints its state.
    (re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/=]*|(?<=Base64)(\W{1,5})[A-Za-z0-9+/=]{8,}"), MASK),
    (re.compile(r"(?i)\bbearer\s+\S+"), MASK),
    (re.compile(r"(?i)(\bauthorization\W{1,4}basic\s+)\S+"), rf"\1{MASK}"),
    (re.compile(r"\bgk_[A-Za-z0-9]{4,16}_[A-Za-z0-9_-]{8,}"), MASK),  # our API keys
    (re.compile(r"\bga_[0-9a-f]{32}_[A-Za-z0-9_-]{20,}"), MASK),  # our agents' tokens
    (re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*"), MASK),  # JWTs
    (re.compile(r"\bgAAAA[A-Za-z0-9_=-]{40,}"), MASK),  # sealed values
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), MASK),  # AWS access keys
    (re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"), MASK),  # a password in an address
    # password=…, "token": "…", api_key: …
    (
        re.compile(
            r"""(?i)(["']?\b[\w-]*(?:password|passwd|secret|token|api[_-]?key)["']?\s*[:=]\s*)"""
            r"""("[^"]*"|'[^']*'|[^\s,;&})\]]+)"""
        ),
        rf"\1{MASK}",
    ),
)

# One of these is in every text that has a shape; most texts have none, and are looked at no further.
_HINTS = (
    "-----begin", "ls0tls1", "base64", "bearer", "basic", "gk_", "ga_", "eyj", "gaaaa", "akia", "asia", "://",
    "passw", "secret", "token", "api",
)  # fmt: skip

_opened: OrderedDict[str, None] = OrderedDict()
_for_ever: set[str] = set()
_lock = Lock()
# Both, the longest first (one may be inside another), until they change.
_by_length: tuple[str, ...] | None = None


def remember(*values: str, for_ever: bool = False) -> None:
    """Has texts masked wherever they turn up in this process: the last few hundred it opened, or for ever (its own keys).

    Too short ones are passed over, because they would mask ordinary words.
    """
    global _by_length
    with _lock:
        for value in values:
            if not SHORTEST_REMEMBERED <= len(value) <= LONGEST_REMEMBERED:
                continue
            if value not in _opened:
                _by_length = None
            if for_ever:
                _for_ever.add(value)
                continue
            _opened[value] = None
            _opened.move_to_end(value)
            if len(_opened) > MOST_REMEMBERED:
                _opened.popitem(last=False)


def _remembered() -> tuple[str, ...]:
    global _by_length
    with _lock:
        if _by_length is None:
            _by_length = tuple(sorted({*_for_ever, *_opened}, key=len, reverse=True))
        return _by_length


def is_telling(name: str) -> bool:
    """Whether a column, a key or a parameter of that name holds a secret."""
    return _TELLING.search(name) is not None


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without `secrets`, without what this process opened, and without what looks like a secret."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, MASK)
    known = _remembered()
    # Most texts of a log are shorter than any secret.
    for secret in islice(known, bisect_left(known, -len(text), key=lambda one: -len(one)), None):
        if secret in text:
            text = text.replace(secret, MASK)
    small = text.lower()
    if any(hint in small for hint in _HINTS):
        for shape, instead in _SHAPES:
            text = shape.sub(instead, text)
    return text


def scrub(text: str, secrets: Iterable[str] = (), *, limit: int = TEXT_LIMIT) -> str:
    """`text` masked and legible, on one line of at most `limit` characters."""
    text = " ".join(legible(mask(text, secrets)).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def legible(text: str) -> str:
    """Without NUL and lone surrogates, which PostgreSQL stores in no text."""
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()


def masked(told: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of JSON with every text masked; names of keys say nothing here. Most hold no secret, and are looked at once."""
    # Not as JSON, which writes a quote, a backslash or a line's end of a secret otherwise.
    whole = "\n".join(_texts(told))
    if mask(whole) == whole:
        return dict(told)
    return {str(key): _mask_inside(value) for key, value in told.items()}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(each)


def _mask_inside(value: Any) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {key: _mask_inside(each) for key, each in value.items()}
    return [_mask_inside(each) for each in value] if isinstance(value, list | tuple) else value


def redact(raw: Mapping[str, Any], secrets: Iterable[str] = ()) -> dict[str, Any]:
    """A JSON-able copy of at most 16 kB: values under telling keys masked, texts scrubbed, numbers as JSON numbers.

    What is too big keeps its plain values and says so under `truncated`.
    """
    secrets = tuple(secrets)
    clean: dict[str, Any] = _clean(raw, secrets, depth=0)
    if _size(clean) <= RAW_LIMIT_BYTES:
        return clean
    small: dict[str, Any] = {"truncated": True}
    for key, value in clean.items():
        if not isinstance(value, dict | list) and _size({**small, key: value}) <= RAW_LIMIT_BYTES:
            small[key] = value
    return small


def _clean(value: Any, secrets: tuple[str, ...], *, depth: int) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Decimal):
        return float(value)
    if depth > 8:
        return MASK
    if isinstance(value, Mapping):
        return {
            scrub(str(key), secrets): MASK
            if is_telling(str(key)) and each not in (None, "", [], {})
            else _clean(each, secrets, depth=depth + 1)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_clean(each, secrets, depth=depth + 1) for each in value]
    return scrub(str(value), secrets)


def _size(value: Mapping[str, Any]) -> int:
    return len(json.dumps(value).encode())
