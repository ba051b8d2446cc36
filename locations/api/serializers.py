from __future__ import annotations

from typing import Any

from rest_framework import serializers

from gamer.web.serializers import StrictCharField, StrictSerializer


class SearchSerializer(StrictSerializer):
    """The query string of a search."""

    q = StrictCharField(
        max_length=100, help_text="The beginning of a name; a state or country may follow a comma."
    )


class PlaceSerializer(serializers.Serializer[Any]):
    """A city. `state` is empty where it has no name in the gazetteer; coordinates are degrees."""

    name = serializers.CharField()
    state = serializers.CharField()
    country = serializers.CharField()
    country_code = serializers.CharField(help_text="ISO 3166-1, two capitals.")
    latitude = serializers.FloatField()
    longitude = serializers.FloatField()
    population = serializers.IntegerField()
