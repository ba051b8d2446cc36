from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamer.errors import ValidationError
from gamer.web.parsers import MAX_DEPTH, parse_json


def refusal(raw: bytes) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as caught:
        parse_json(raw)
    return caught.value.details


class TestParse:
    @given(
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(10**20), 10**20)
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
            lambda inner: st.lists(inner) | st.dictionaries(st.text("abc", min_size=1), inner),
            max_leaves=20,
        )
    )
    def test_reads_what_json_can_say(self, value: Any) -> None:
        assert parse_json(json.dumps(value).encode()) == value

    @pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
    def test_names_the_field_of_a_number_that_is_not_finite(self, number: str) -> None:
        found = refusal(f'{{"place": {{"latitude": {number}}}}}'.encode())
        assert found == {"place.latitude": ["Not a finite number."]}

    def test_names_the_field_of_a_nul(self) -> None:
        assert refusal(b'{"a": [{"b": "x\\u0000"}]}') == {"a.0.b": ["Contains a NUL character."]}

    def test_refuses_a_nul_in_a_name(self) -> None:
        assert refusal(b'{"a\\u0000": 1}') == {"a\ufffd": ["Contains a NUL character."]}

    def test_refuses_half_a_surrogate_pair(self) -> None:
        assert refusal(b'{"a": "\\ud800"}') == {"a": ["Contains half a surrogate pair."]}
        assert parse_json(b'{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}

    def test_refuses_half_a_surrogate_pair_in_a_name(self) -> None:
        assert refusal(b'{"\\ud800": 1}') == {"?": ["Contains half a surrogate pair."]}

    def test_names_a_field_that_is_given_twice(self) -> None:
        assert refusal(b'{"a": 1, "b": 2, "a": 3}') == {"a": ["Given twice."]}

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"{",
            b"{'a': 1}",
            b'{"a": 1,}',
            b'{"a": 01}',
            b"nope",
            b"\xff",
            b"\xef\xbb\xbf{}",
            b"9" * 5000,
        ],
    )
    def test_says_that_the_body_is_not_json(self, raw: bytes) -> None:
        assert set(refusal(raw)) == {"body"}

    @pytest.mark.parametrize(("start", "end"), [(b"[", b"]"), (b'{"a":', b"}")])
    def test_bounds_the_depth(self, start: bytes, end: bytes) -> None:
        parse_json(start * MAX_DEPTH + b"1" + end * MAX_DEPTH)
        for depth in (MAX_DEPTH + 1, 100_000):
            (texts,) = refusal(start * depth + b"1" + end * depth).values()
            assert texts == [f"Nested deeper than {MAX_DEPTH} levels."]
