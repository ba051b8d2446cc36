"""Requests that must be refused, made from one that is right. For sweeps over any endpoint:

sweep_bodies(as_alice, "/vms", {"console_type": "snes", "auto_stop_timeout": 900})
sweep_query(as_alice, "/vms", {"status": "running", "limit": "10"})
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from rest_framework.test import APIClient

from gamer.web.models import Allowance

HUGE_NUMBER = "9" * 5000
FEW = 5  # requests, that every rate lets through at once
CODES = {
    400: {"validation_error", "invalid_state"},
    401: {"not_authenticated"},
    402: {"insufficient_credits"},
    403: {"permission_denied"},
    404: {"not_found"},
    405: {"method_not_allowed"},
    409: {"conflict"},
    413: {"too_large"},
    415: {"unsupported_media_type"},
    429: {"rate_limited"},
    503: {"no_capacity", "provider_unavailable", "unavailable"},
}


@dataclass(frozen=True)
class Broken:
    """One body. `field` is what the refusal must name; empty when no field is at fault."""

    title: str
    raw: bytes
    field: str = ""
    content_type: str = "application/json"
    status: int = 400


class Literal:
    """JSON that Python's writer would not write."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text if len(self.text) < 40 else f"{self.text[:20]}…"


TEXTS = (Literal(r'"a\u0000b"'), Literal(r'"\ud800"'), Literal(f'"{"x" * 20_000}"'))
NUMBERS = (Literal("NaN"), Literal("Infinity"), Literal("-Infinity"), Literal("1e999"), Literal(HUGE_NUMBER))
COMPOSED = ([], {}, [1], {"a": 1})


def wrong_values(right: Any) -> Iterator[Any]:
    """Values of another type than the right one, or of no type at all."""
    match right:
        case bool():
            yield from ("true", 1, 0, "", *NUMBERS, *COMPOSED)
        case int():
            yield from ("5", "x", True, False, 1.5, 10**30, -(10**30), *NUMBERS, *COMPOSED)
        case float():
            yield from ("1.5", "x", True, False, 10**400, *NUMBERS, *COMPOSED)
        case str():
            yield from (5, 1.5, True, *TEXTS, *NUMBERS, *COMPOSED)
        case list():
            yield from (5, "x", True, {"a": 1}, *NUMBERS)
        case dict():
            yield from (5, "x", True, [1], *NUMBERS)


def write(value: Any) -> str:
    """JSON with the literals as they are."""
    if isinstance(value, Literal):
        return value.text
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)}: {write(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(write, value)) + "]"
    return json.dumps(value)


def broken_bodies(right: Mapping[str, Any], *, nullable: Collection[str] = ()) -> Iterator[Broken]:
    """Bodies with one fault each. `nullable` names the fields (`outer.inner`) for which null is right."""
    yield from _broken_fields(right, "", nullable, lambda body: body)
    yield Broken("an unknown field", write({**right, "no_such_field": 1}).encode(), "no_such_field")
    for name in right:
        doubled = write(right)[:-1] + f", {json.dumps(name)}: {write(right[name])}}}"
        yield Broken(f"{name} given twice", doubled.encode(), name)
    yield Broken("a NUL in a name", b'{"a\\u0000b": 1}', "a\ufffdb")
    yield from _broken_wholes(write(right).encode())


def _broken_fields(
    right: Mapping[str, Any], outer: str, nullable: Collection[str], whole: Any
) -> Iterator[Broken]:
    for name, value in right.items():
        path = f"{outer}{name}"
        for wrong in wrong_values(value):
            body = write(whole({**right, name: wrong})).encode()
            # Python reads no number this long, and its refusal does not say where it stood.
            field = "" if isinstance(wrong, Literal) and wrong.text == HUGE_NUMBER else path
            yield Broken(f"{path} = {wrong!r}", body, field)
        if path not in nullable:
            yield Broken(f"{path} = null", write(whole({**right, name: None})).encode(), path)
        if isinstance(value, dict):
            yield from _broken_fields(
                value,
                f"{path}.",
                nullable,
                lambda inner, name=name: whole({**right, name: inner}),
            )


def _broken_wholes(right: bytes) -> Iterator[Broken]:
    for text in (b"[]", b'"x"', b"5", b"null", b"true", b"{", b"{'a': 1}", b"\xef\xbb\xbf{}", b'{"a": 1,}'):
        yield Broken(f"the body {text!r}", text)
    yield Broken("half a UTF-8 character", b'{"a": "\xc3"}')
    yield Broken("a body in UTF-16", right.decode().encode("utf-16"))
    yield Broken("a deep body", b"[" * 50_000 + b"]" * 50_000)
    yield Broken("a deep object", b'{"a":' * 100 + b"1" + b"}" * 100)
    yield Broken("ten megabytes", b'{"a": "' + b"x" * 10_000_000 + b'"}', status=413)
    yield Broken("a form", b"a=1", content_type="application/x-www-form-urlencoded", status=415)
    yield Broken("text", right, content_type="text/plain", status=415)
    yield Broken("no type", right, content_type="", status=415)
    yield Broken("a broken type", right, content_type='multipart/form-data; boundary="\\', status=415)


ODD_TEXTS = (
    "", " ", "\x00", "a\x00b", "null", "NaN", "inf", "-1", "1e999", "9" * 30, "9" * 5000, "0x10", "1_0", "٣", "½",
    "true", "[]", "{}", "'", '"', ";--", "%", "%%s", "\\", "../..", "x" * 5000, "\ufffd", "\U0001f600", "-" * 50,
    "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2026-02-30", "2026-01-01T25:00:00Z", "10000-01-01",
)  # fmt: skip


def assert_error(response: Any, title: str = "") -> dict[str, list[str]]:
    """That an answer has the contract's error shape; its details."""
    assert response.status_code in CODES, (title, response.status_code, response.content[:300])
    body = response.json()
    error = body["error"]
    assert set(error) == {"code", "message", "details"}, (title, body)
    assert error["code"] in CODES[response.status_code], (title, body)
    assert body["detail"] == error["message"], (title, body)
    assert error["message"].strip(), (title, body)
    details: dict[str, list[str]] = error["details"]
    assert all(texts and all(isinstance(one, str) for one in texts) for texts in details.values()), (
        title,
        body,
    )
    return details


def sweep_bodies(
    client: APIClient,
    path: str,
    right: Mapping[str, Any],
    *,
    method: str = "POST",
    nullable: Collection[str] = (),
) -> int:
    """Sends every broken body and asserts its refusal; how many there were."""
    sent = 0
    for broken in broken_bodies(right, nullable=nullable):
        if sent % FEW == 0:
            Allowance.objects.all().delete()  # the sweep is faster than anybody may write
        response = client.generic(method, path, broken.raw, content_type=broken.content_type)
        details = assert_error(response, broken.title)
        assert response.status_code == broken.status, (broken.title, response.content[:300])
        assert not broken.field or any(
            name == broken.field or name.startswith(f"{broken.field}.") for name in details
        ), (broken.title, details)
        sent += 1
    return sent


def sweep_query(client: APIClient, path: str, right: Mapping[str, str], *, method: str = "GET") -> int:
    """Sends every odd value in every parameter: each is answered, in the error shape when refused; how many there were."""
    sent = 0
    for name in (*right, "no_such_parameter", "a\x00b"):
        for odd in ODD_TEXTS:
            if sent % FEW == 0:
                Allowance.objects.all().delete()
            response = client.generic(method, path, QUERY_STRING=_query({**right, name: odd}))
            if response.status_code >= 400:
                details = assert_error(response, f"{name}={odd[:40]!r}")
                assert response.status_code < 500, (name, odd[:40], response.content[:300])
                if "\x00" in odd:
                    assert name.replace("\x00", "\ufffd") in details, (name, odd, details)
            else:
                assert "\x00" not in odd, (name, odd)
            sent += 1
    return sent


def _query(values: Mapping[str, str]) -> str:
    return urlencode(values)
