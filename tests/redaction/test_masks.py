"""What is shown holds no secret and stays small."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from redaction.masks import RAW_LIMIT_BYTES, TEXT_LIMIT, masked, redact, remember, scrub
from tests.vms.providers.specs import key_pair


class TestScrub:
    def test_masks_secrets_keys_and_bearers(self) -> None:
        text = f"a s3cret, Authorization: Bearer abc.def {key_pair()[0]} end"
        assert scrub(text, ["s3cret", ""]) == "a ***, Authorization: *** *** end"

    def test_masks_a_key_that_breaks_off(self) -> None:
        assert scrub(key_pair()[0][:80]) == "***"

    def test_keeps_one_short_line(self) -> None:
        assert scrub("two\n  lines") == "two lines"
        assert scrub("what\x00no\udcffcolumn holds") == "what\ufffdno?column holds"
        assert len(scrub("x" * 1000)) == TEXT_LIMIT

    def test_masks_before_it_cuts(self) -> None:
        text = "x" * (TEXT_LIMIT - 5) + "s3cret-tail"
        assert "s3c" not in scrub(text, ["s3cret-tail"])


class TestMasked:
    @pytest.mark.parametrize(
        "secret", ['quoted-"-0815', "back\\slash-0815", "two\nlines-0815", "plain-word-0815"]
    )
    def test_finds_what_was_opened_however_json_would_write_it(self, secret: str) -> None:
        remember(secret)
        told = {"why": f"refused {secret}!", "deep": [{"x": [secret]}], "n": 1, "ok": None}
        assert masked(told) == {"why": "refused ***!", "deep": [{"x": ["***"]}], "n": 1, "ok": None}

    def test_leaves_everything_else(self) -> None:
        told = {"token": "of a game", "usd": 1.5, "names": ("a", "b")}
        assert masked(told) == told


class TestRedact:
    @pytest.mark.parametrize(
        "key",
        [
            "password",
            "apiToken",
            "client_secret",
            "ssh_key",
            "sshKey",
            "cloud_init",
            "user_data",
            "Authorization",
        ],
    )
    def test_masks_by_key_whatever_the_value(self, key: str) -> None:
        for value in ("x", ["x"], {"y": "x"}, 7):
            assert redact({"deep": [{key: value}]}) == {"deep": [{key: "***"}]}

    def test_shows_that_there_is_none(self) -> None:
        assert redact({"ssh_key": None, "token": ""}) == {"ssh_key": None, "token": ""}

    def test_masks_in_texts_and_keys(self) -> None:
        assert redact({"s3cret": "is s3cret"}, ["s3cret"]) == {"***": "is ***"}

    def test_is_json(self) -> None:
        clean = redact(
            {"usd": Decimal("0.377"), "n": 1, "b": True, "none": None, "t": (1, "x"), "odd": object}
        )
        assert json.loads(json.dumps(clean))["usd"] == 0.377
        assert (clean["n"], clean["b"], clean["none"], clean["t"]) == (1, True, None, [1, "x"])

    @pytest.mark.parametrize(
        "raw",
        [
            {"id": "a", "list": ["x" * 200] * 1000},
            {"id": "a", **{f"k{number}": "x" * 200 for number in range(1000)}},
        ],
    )
    def test_keeps_to_16_kb_and_says_so(self, raw: dict[str, Any]) -> None:
        clean = redact(raw)
        assert len(json.dumps(clean).encode()) <= RAW_LIMIT_BYTES
        assert (clean["id"], clean["truncated"]) == ("a", True)

    def test_ends_in_the_deep(self) -> None:
        deep: dict[str, Any] = {}
        for _ in range(200):
            deep = {"x": deep}
        assert len(json.dumps(redact(deep))) < 200
