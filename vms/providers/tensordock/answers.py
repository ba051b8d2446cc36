"""Reads TensorDock v2's answers: one parse step for every shape in which it says the same thing. Pure.

Shapes and texts are those that live clients of 2026 recorded; the vendor documents only a part of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Never

Row = dict[str, Any]

CAPACITY = re.compile(r"no available|public ip|capacity|out of stock|unavailable", re.I)
BALANCE = re.compile(r"need at least \$|balance|insufficient (funds|credit)", re.I)
ALREADY_GONE = re.compile(r"already (been |being )?(terminated|deleted|deleting)|being deleted", re.I)


class Unreadable(ValueError):
    """The answer is not one of the known shapes. The text never quotes it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An error the vendor tells us, by HTTP status or inside a 200. `status` is the one that counts."""

    status: int
    text: str


def parse(body: bytes) -> Any:
    """JSON with exact decimals; None for an empty body. Raises Unreadable (HTML, garbage, NaN, absurd nesting)."""
    if not body.strip():
        return None
    if body.lstrip().startswith(b"<"):
        raise Unreadable("an HTML page instead of JSON")
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, ArithmeticError, RecursionError):
        pass
    # Raised out here: the decoder's error quotes the whole body.
    raise Unreadable("not JSON")


def _refuse(constant: str) -> Never:
    raise ValueError(constant)


def problem_in(status: int, body: Any) -> Problem | None:
    """What went wrong, or None. v2 also reports errors as HTTP 200 with `{"status": 400, "error": text}` inside."""
    if status >= 400:
        return Problem(status, _text_of(body))
    if (
        isinstance(body, list)
        and body
        and not any(isinstance(each, dict) and each.get("id") for each in body)
    ):
        return Problem(400, _text_of(body))
    if not isinstance(body, dict):
        return None
    inner = _error_status(body)
    if inner is None and isinstance(body.get("data"), dict):
        inner = _error_status(body["data"])
    return None if inner is None else Problem(inner, _text_of(body))


def _error_status(node: Row) -> int | None:
    status = node.get("status")
    if type(status) is int and status >= 400:
        return status
    # A machine may carry a word about its own failure; only an answer without a machine is a failed call.
    return 400 if (node.get("error") or node.get("errors")) and not node.get("id") else None


def _text_of(body: Any, depth: int = 0) -> str:
    """The vendor's words: {"error"}, {"message"}, {"data": {"error"}}, or v2's validation list [{code, message, path}]."""
    if isinstance(body, str):
        return body
    if depth > 4:
        return ""
    if isinstance(body, list):
        return "; ".join(text for each in body[:10] if (text := _text_of(each, depth + 1)))
    if not isinstance(body, dict):
        return ""
    words = (_text_of(body.get(key), depth + 1) for key in ("error", "errors", "message", "detail", "data"))
    text = next(filter(None, words), "")
    path = body.get("path")
    steps = map(str, path[:6]) if isinstance(path, list) else ()
    where = ".".join(step for step in steps if step not in {"data", "attributes"})
    return f"{where}: {text}" if where and text else text


def rows(body: Any, key: str) -> list[Row]:
    """The items of a list: `{"data": [..]}`, `{"data": {key: [..]}}`, `{"data": {"attributes": {key: [..]}}}`, or the list bare.

    Raises Unreadable for anything else and for a list that says it is not all: what is missing here counts as gone.
    """
    node = body
    for step in ("data", "attributes", key):
        if isinstance(node, dict):
            _refuse_paged(node)
            node = node.get(step, node)
    if not isinstance(node, list):
        raise Unreadable(f"no list of {key}")
    if not all(isinstance(each, dict) for each in node):
        raise Unreadable(f"{key} that are no objects")
    return [flat(each) for each in node]


def _refuse_paged(node: Any) -> None:
    # No paging was ever seen in v2; should it come, half a list must not pass for a whole one.
    links, meta = (node.get("links"), node.get("meta")) if isinstance(node, dict) else (None, None)
    if (isinstance(links, dict) and links.get("next")) or (isinstance(meta, dict) and meta.get("next")):
        raise Unreadable("one page of several")


def one(body: Any) -> Row:
    """One machine: a bare object, or in `data`, its fields perhaps in `attributes`. Raises Unreadable without an id."""
    node = body.get("data", body) if isinstance(body, dict) else None
    row = flat(node) if isinstance(node, dict) else {}
    if not isinstance(row.get("id"), str) or not row["id"]:
        raise Unreadable("a machine without an id")
    return row


def flat(row: Row) -> Row:
    """The row with its `attributes` lifted beside the rest."""
    attributes = row.get("attributes")
    return (
        {**attributes, **{k: v for k, v in row.items() if k != "attributes"}}
        if isinstance(attributes, dict)
        else row
    )


def mapping(value: Any) -> Mapping[str, Any]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def usd(value: Any) -> Decimal | None:
    """An amount that may be a JSON number or a text; None when it is neither, or below zero."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    try:
        amount = Decimal(value)
    except ArithmeticError:
        return None
    return amount if amount.is_finite() and amount >= 0 else None


def whole(value: Any) -> int:
    """A count, rounded down; 0 when it is none."""
    amount = usd(value)
    return int(amount) if amount is not None else 0
