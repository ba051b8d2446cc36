"""Serializers that take nothing for something else: unknown fields are refused by name, and 5 is not "5".

Views derive from `StrictSerializer` or `StrictModelSerializer`. Values that came as text (a query string) are read with
`from_text=True`, where "5" is 5 and "true" is true.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from decimal import Decimal
from typing import Any, NoReturn

from django.db import models
from django.http import QueryDict
from rest_framework import serializers
from rest_framework.fields import empty

from gamer.errors import bad_field

INTEGER = re.compile(r"[+-]?[0-9]{1,30}\Z", re.ASCII)
NUMBER = re.compile(r"[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][+-]?[0-9]{1,3})?\Z", re.ASCII)
LARGEST = 10**300
MONEY_DIGITS, MONEY_PLACES = 15, 6


def _is_text(field: serializers.Field[Any, Any, Any, Any]) -> bool:
    return bool(getattr(field.root, "from_text", False))


def _number(field: serializers.Field[Any, Any, Any, Any], value: Any) -> int | float:
    """A number as JSON has them. Fails `invalid` for everything else."""
    if _is_text(field) and isinstance(value, str) and NUMBER.match(value.strip()):
        value = int(value) if INTEGER.match(value.strip()) else float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -LARGEST <= value <= LARGEST:
        field.fail("invalid")  # NaN too: it compares with nothing
    return value


class StrictCharField(serializers.CharField):
    """Text, of at most 10,000 characters unless the field says otherwise."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("max_length", 10_000)
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        if "\x00" in data:
            raise serializers.ValidationError("Contains a NUL character.")
        return str(super().to_internal_value(data))


class StrictEmailField(StrictCharField, serializers.EmailField):
    pass


class StrictBooleanField(serializers.BooleanField):
    def to_internal_value(self, data: Any) -> bool:
        if _is_text(self) and isinstance(data, str):
            return bool(super().to_internal_value(data))
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class StrictIntegerField(serializers.IntegerField):
    """A whole number; 5.0 is one, as in JSON Schema. Bounded to what a bigint column holds unless the field says less."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("min_value", -(2**63))
        options.setdefault("max_value", 2**63 - 1)
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> int:
        value = _number(self, data)
        if value != int(value):
            self.fail("invalid")
        return int(value)


class StrictFloatField(serializers.FloatField):
    def to_internal_value(self, data: Any) -> float:
        return float(_number(self, data))


class StrictChoiceField(serializers.ChoiceField):
    default_error_messages = {"invalid_choice": "One of {choices}."}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid_choice")
        return super().to_internal_value(data)

    def fail(self, key: str, **values: Any) -> NoReturn:
        super().fail(key, choices=", ".join(self.choice_strings_to_values), **values)


class StrictDateTimeField(serializers.DateTimeField):
    def to_internal_value(self, value: Any) -> Any:
        if not isinstance(value, str) or len(value) > 40:
            self.fail("invalid", format="ISO 8601, like 2026-01-31T12:00:00Z")
        return super().to_internal_value(value)


class MoneyField(serializers.DecimalField):
    """US dollars as a JSON number of at most 6 places; exact inside."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("max_digits", MONEY_DIGITS)
        options.setdefault("decimal_places", MONEY_PLACES)
        super().__init__(coerce_to_string=False, **options)

    def to_internal_value(self, data: Any) -> Decimal:
        # Read from the number's text, the shortest decimal that is this float: what the client wrote.
        return super().to_internal_value(_number(self, data))

    def to_representation(self, value: Any) -> Any:
        return None if value is None else float(round(Decimal(value), MONEY_PLACES))


class LatitudeField(StrictFloatField):
    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=-90, max_value=90, **options)


class LongitudeField(StrictFloatField):
    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=-180, max_value=180, **options)


class _RefusesUnknown:
    """The mixin of both bases. A field that may only be read counts as unknown when written."""

    from_text = False

    def __init__(self, *args: Any, from_text: bool = False, **options: Any) -> None:
        self.from_text = from_text
        super().__init__(*args, **options)

    def to_internal_value(self, data: Any) -> Any:
        unknown: dict[str, list[str]] = {}
        if isinstance(data, Mapping):
            fields: Mapping[str, Any] = self.fields  # type: ignore[attr-defined]
            for name in data:
                if name not in fields:
                    unknown[str(name)[:100]] = ["Unknown field."]
                elif fields[name].read_only:
                    unknown[str(name)] = ["This field cannot be set."]
        try:
            value = super().to_internal_value(data)  # type: ignore[misc]
        except serializers.ValidationError as error:
            if not unknown or not isinstance(error.detail, dict):
                raise
            raise serializers.ValidationError({**error.detail, **unknown}) from None
        if unknown:
            raise serializers.ValidationError(unknown)
        return value


class StrictSerializer(_RefusesUnknown, serializers.Serializer[Any]):
    """Fields are declared with the Strict* classes of this file."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Of a query string only the fields it names, and those that are there unnamed: most lists are asked for without any."""
        if not (self.from_text and isinstance(getattr(self, "initial_data", None), Mapping)):
            return super().get_fields()
        return {
            name: deepcopy(field)
            for name, field in self._declared_fields.items()
            if name in self.initial_data or field.required or field.default is not empty
        }


class StrictModelSerializer(_RefusesUnknown, serializers.ModelSerializer[Any]):
    """Fields that come from the model are strict by themselves."""

    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.CharField: StrictCharField,
        models.TextField: StrictCharField,
        models.EmailField: StrictEmailField,
        models.BooleanField: StrictBooleanField,
        models.IntegerField: StrictIntegerField,
        models.PositiveIntegerField: StrictIntegerField,
        models.PositiveSmallIntegerField: StrictIntegerField,
        models.SmallIntegerField: StrictIntegerField,
        models.BigIntegerField: StrictIntegerField,
        models.FloatField: StrictFloatField,
        models.DecimalField: MoneyField,
        models.DateTimeField: StrictDateTimeField,
    }
    serializer_choice_field = StrictChoiceField


class MessageSerializer(serializers.Serializer[Any]):
    """What was begun."""

    message = serializers.CharField()


def query_values(query: QueryDict) -> dict[str, str]:
    """A query string as the data of a serializer with `from_text=True`. Raises ValidationError for a doubled name."""
    for name, values in query.lists():
        if len(values) > 1:
            raise bad_field(name, "Given twice.")
    return {name: str(query[name]) for name in query}
