"""Keeps secrets out of what is shown: error texts and the vendor's raw words about a machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

MASK = "***"
TEXT_LIMIT = 300
RAW_LIMIT_BYTES = 16 * 1024

_SECRET_KEY = re.compile(
    r"pass|token|secret|credential|api_?key|private|ssh_?key|host_?key|cloud_?init|user_?data|authori[sz]ation",
    re.I,
)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S)
# The same in base64, as CloudyPad prints its state: "-----BEGIN …", and whatever stands under a telling key.
_ENCODED_KEY = re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/=]*|(?<=Base64)(\W{1,5})[A-Za-z0-9+/=]{8,}")
_BEARER = re.compile(r"(?i)\bbearer\s+\S+")


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """`text`, as long and broken as it was, without `secrets`, private keys and bearer tokens."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, MASK)
    for pattern in (_PRIVATE_KEY, _ENCODED_KEY, _BEARER):
        text = pattern.sub(MASK, text)
    return text


def scrub(text: str, secrets: Iterable[str] = (), *, limit: int = TEXT_LIMIT) -> str:
    """`text` on one line without `secrets`, private keys and bearer tokens, at most `limit` characters."""
    text = " ".join(mask(text, secrets).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


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
            if _SECRET_KEY.search(str(key)) and each not in (None, "", [], {})
            else _clean(each, secrets, depth=depth + 1)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_clean(each, secrets, depth=depth + 1) for each in value]
    return scrub(str(value), secrets)


def _size(value: Mapping[str, Any]) -> int:
    return len(json.dumps(value).encode())
