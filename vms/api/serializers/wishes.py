"""What a launch may ask, by body or by query string."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from emulators.api.serializers import PROVIDERS
from emulators.models import GAME_ID, ConsoleType
from gamer.web.serializers import (
    LatitudeField,
    LongitudeField,
    StrictCharField,
    StrictChoiceField,
    StrictIntegerField,
    StrictSerializer,
)
from vms.models import MAX_AUTO_STOP_S, MIN_AUTO_STOP_S
from vms.moves import Destination
from vms.services import Order

DEFAULTS = Order(console="")


class IdField(serializers.RegexField, StrictCharField):
    """A game's or a save's id: letters, digits and `. _ : -`, at most 100, as in the library."""

    default_error_messages = {"invalid": "Letters, digits and . _ : - only, starting with a letter or digit."}

    def __init__(self, **options: Any) -> None:
        super().__init__(GAME_ID, max_length=100, **options)


def save_id_field() -> IdField:
    return IdField(
        required=False,
        allow_null=True,
        allow_blank=True,
        help_text='The slot to go on with, made when there is none of that name. Left out or empty: the usual one, named "".',
    )


class UserField(StrictCharField):
    """Whose the VM shall be; which names are allowed depends on who asks."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=64, help_text="Letters, digits and . _ : @ -, at most 64.", **options)


class ProjectField(StrictIntegerField):
    """A project of the VM's owner or of their department. One that is not there and somebody else's are refused alike."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"min_value": 1, "help_text": "An id of /projects.", **options})


def auto_stop_field(**options: Any) -> StrictIntegerField:
    return StrictIntegerField(
        min_value=MIN_AUTO_STOP_S,
        max_value=MAX_AUTO_STOP_S,
        help_text="Seconds without a player after which the VM is stopped.",
        **options,
    )


class LocationSerializer(StrictSerializer):
    """Degrees."""

    latitude = LatitudeField()
    longitude = LongitudeField()


class WishSerializer(StrictSerializer):
    """What both ways to launch have in common."""

    console_type = StrictChoiceField(choices=ConsoleType.choices)
    provider = StrictChoiceField(
        choices=PROVIDERS, required=False, allow_null=True, help_text="Binding: no other provider is asked."
    )
    auto_stop_timeout = auto_stop_field(default=DEFAULTS.auto_stop_timeout)
    user_id = UserField(required=False, allow_null=True)
    project_id = ProjectField(required=False, allow_null=True)

    @property
    def user_id_given(self) -> str | None:
        given: str | None = self.validated_data.get("user_id")
        return given

    def order(self) -> Order:
        """The wish as the service takes it."""
        given: Mapping[str, Any] = {
            name: value for name, value in self.validated_data.items() if value is not None
        }
        place = given.get("user_location", {})
        return Order(
            console=given["console_type"],
            game_id=given.get("game_id", ""),
            save_id=given.get("save_id", ""),
            name=given.get("name", ""),
            provider=given.get("provider", ""),
            preset=given.get("preset", ""),
            latitude=place.get("latitude", given.get("user_latitude")),
            longitude=place.get("longitude", given.get("user_longitude")),
            auto_stop_timeout=given["auto_stop_timeout"],
            project_id=given.get("project_id"),
        )


class VmCreationSerializer(WishSerializer):
    """A VM to make. `provider` and `preset` bind."""

    game_id = IdField(required=False, allow_null=True, help_text="Launched as soon as the VM runs.")
    preset = StrictCharField(
        max_length=20,
        required=False,
        allow_null=True,
        help_text="A preset of /config/presets, not below what the console needs.",
    )
    user_location = LocationSerializer(required=False, allow_null=True)
    name = StrictCharField(max_length=100, allow_blank=True, default="")


class MoveSerializer(StrictSerializer):
    """Where to. The least is nothing: any other machine, the best for where the player was at the launch."""

    provider = StrictChoiceField(
        choices=PROVIDERS, required=False, allow_null=True, help_text="Binding; left out, any provider."
    )
    region = StrictCharField(
        max_length=100,
        required=False,
        allow_null=True,
        help_text="Binding: a region's code or its beginning, a country, a state or a city. Left out, anywhere.",
    )
    preset = StrictCharField(
        max_length=20, required=False, allow_null=True, help_text="Left out, as it was asked at the launch."
    )
    user_location = LocationSerializer(
        required=False, allow_null=True, help_text="Where the player is now; left out, where they were."
    )

    def destination(self) -> Destination:
        """The wish as the service takes it."""
        given = {name: value for name, value in self.validated_data.items() if value is not None}
        place = given.pop("user_location", {})
        return Destination(**given, **place)


class PositionSerializer(StrictSerializer):
    """Where the player is: both coordinates or none."""

    user_latitude = LatitudeField(required=False, allow_null=True)
    user_longitude = LongitudeField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        given = {name for name in ("user_latitude", "user_longitude") if attrs.get(name) is not None}
        for missing in {"user_latitude", "user_longitude"} - given if given else ():
            raise serializers.ValidationError({missing: "One coordinate alone is no position."})
        return attrs


class GameLaunchSerializer(PositionSerializer, WishSerializer):
    """A game to play."""

    game_id = IdField(help_text="A game of /games, or any other: it is launched with its console's values.")
    save_id = save_id_field()


class GameLaunchQuerySerializer(GameLaunchSerializer):
    """The same by query string, for its description: nothing is required where a body may hold it."""

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        for field in fields.values():
            field.required = False
        return fields


class GameOnVmSerializer(StrictSerializer):
    """A game to play on a VM that runs."""

    game_id = IdField()
    save_id = save_id_field()


class VmChangesSerializer(StrictSerializer):
    """What shall be otherwise; what is left out stays."""

    name = StrictCharField(max_length=100, allow_blank=True, required=False)
    auto_stop_timeout = auto_stop_field(required=False)
    project_id = ProjectField(required=False, allow_null=True)
