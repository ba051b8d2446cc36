from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.http import QueryDict
from rest_framework.test import APIClient

from gamer.errors import ValidationError
from gamer.web.serializers import MoneyField, query_values
from tests.bad_inputs import sweep_bodies, sweep_query
from tests.gamer.web.site import ThingSerializer

RIGHT = {
    "name": "Mario",
    "count": 3,
    "weight": 1.5,
    "price": 0.25,
    "is_new": True,
    "kind": "a",
    "at": "2026-01-31T12:00:00Z",
    "place": {"latitude": 32.5, "name": "Dallas"},
}


def errors_of(**values: Any) -> dict[str, Any]:
    thing = ThingSerializer(data=values)
    assert not thing.is_valid()
    return dict(thing.errors)


@pytest.mark.django_db
class TestEndpoint:
    def test_takes_what_is_right(self, anyone: APIClient) -> None:
        assert anyone.post("/test/things", RIGHT).json() == {**RIGHT, "price_read": "0.250000"}

    def test_refuses_every_broken_body_by_name(self, anyone: APIClient) -> None:
        assert sweep_bodies(anyone, "/test/things", RIGHT) > 150

    def test_answers_every_odd_query(self, anyone: APIClient) -> None:
        right = {name: str(value) for name, value in RIGHT.items() if name != "place"}
        assert anyone.get("/test/things", right).json() == {
            key: value for key, value in RIGHT.items() if key != "place"
        }
        assert sweep_query(anyone, "/test/things", right) > 200


class TestUnknownFields:
    def test_are_named_beside_other_faults(self) -> None:
        assert set(errors_of(nope=1, count="x")) == {"nope", "count"}

    def test_are_those_that_may_only_be_read_too(self) -> None:
        assert errors_of(id=5) == {"id": ["This field cannot be set."]}

    def test_are_named_inside_an_object(self) -> None:
        assert errors_of(place={"latitude": 1, "nope": 1}) == {"place": {"nope": ["Unknown field."]}}


class TestChoices:
    @pytest.mark.parametrize("value", ["c", "", 1, None])
    def test_are_named_to_who_knew_none(self, value: Any) -> None:
        texts = {"kind": ["This field may not be null." if value is None else "One of a, b."]}
        assert errors_of(kind=value) == texts


class TestNumbers:
    @pytest.mark.parametrize("value", [5, 5.0])
    def test_are_whole_when_json_schema_says_so(self, value: Any) -> None:
        thing = ThingSerializer(data={"count": value})
        assert thing.is_valid()
        assert thing.validated_data["count"] == 5
        assert isinstance(thing.validated_data["count"], int)

    @pytest.mark.parametrize("value", ["5", True, 5.5, None, [], 10**400])
    def test_are_nothing_else(self, value: Any) -> None:
        assert set(errors_of(count=value)) == {"count"}

    def test_come_from_a_query_as_text(self) -> None:
        thing = ThingSerializer(data={"count": "5", "weight": "1.5", "is_new": "true"}, from_text=True)
        assert thing.is_valid(), thing.errors
        assert thing.validated_data == {"count": 5, "weight": 1.5, "is_new": True}

    @pytest.mark.parametrize("value", ["5x", "٣", "1_0", "0x10", "", "nan", "inf", "1e999", "9" * 5000])
    def test_do_not_come_from_other_text(self, value: str) -> None:
        for name in ("count", "weight", "price"):
            thing = ThingSerializer(data={name: value}, from_text=True)
            assert not thing.is_valid(), (name, value)


class TestMoney:
    @pytest.mark.parametrize(
        ("sent", "kept"), [(0.1, "0.1"), (1, "1"), (0.000001, "0.000001"), (123.456789, "123.456789")]
    )
    def test_is_exactly_what_was_written(self, sent: float, kept: str) -> None:
        assert MoneyField().run_validation(sent) == Decimal(kept)

    @pytest.mark.parametrize("value", ["1", True, 0.0000001, 10**10, 1e300, None])
    def test_has_six_places_and_is_a_number(self, value: Any) -> None:
        assert set(errors_of(price=value)) == {"price"}

    def test_is_shown_as_a_number_of_six_places(self) -> None:
        assert MoneyField().to_representation(Decimal("0.1234567")) == 0.123457


class TestQueryValues:
    def test_refuses_a_doubled_name(self) -> None:
        with pytest.raises(ValidationError) as caught:
            query_values(QueryDict("a=1&a=2"))
        assert caught.value.details == {"a": ["Given twice."]}
