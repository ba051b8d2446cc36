"""What the API says of consoles, presets and games, and what it takes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

from rest_framework import serializers

from emulators.drafts import ConfigChanges, PreferenceChanges, PreferenceDraft
from emulators.models import (
    MAX_LIST,
    MAX_RAM_GB,
    MAX_SESSION_HOURS,
    MAX_VCPUS,
    ConsoleType,
    EmulatorConfig,
    Game,
    Preset,
    ProviderKind,
)
from emulators.services.configs import draft_of
from gamer.web.serializers import (
    MoneyField,
    StrictBooleanField,
    StrictCharField,
    StrictChoiceField,
    StrictIntegerField,
    StrictSerializer,
)

PROVIDERS = [(kind.value, kind.label) for kind in ProviderKind if kind is not ProviderKind.MEMORY]
MAX_PRIORITY = 1000


def _limit(whose: str) -> MoneyField:
    return MoneyField(
        max_digits=10, allow_null=True, help_text=f"Never pay more, USD per hour; null for {whose}."
    )


def _texts(longest: int, help_text: str) -> serializers.ListField:
    return serializers.ListField(
        child=StrictCharField(max_length=longest), max_length=MAX_LIST, help_text=help_text
    )


class PreferenceSerializer(StrictSerializer):
    """One provider that may host the console."""

    provider = StrictChoiceField(choices=PROVIDERS)
    priority = StrictIntegerField(min_value=1, max_value=MAX_PRIORITY, help_text="1 is tried first.")
    enabled = StrictBooleanField()
    preset_override = StrictCharField(
        max_length=20, allow_null=True, help_text="Another preset here; null for the console's."
    )
    cost_per_hour_limit = _limit("the console's limit")
    regions = _texts(
        100, "Only there: region codes or their beginnings, countries, states or cities; empty for anywhere."
    )
    gpu_class = StrictCharField(
        max_length=40, allow_null=True, help_text="Another least GPU class here; null for the console's."
    )


class EmulatorSerializer(StrictSerializer):
    """How a console is run. Memory in GB, money in USD per hour."""

    console_type = StrictChoiceField(choices=ConsoleType.choices)
    display_name = StrictCharField(max_length=60)
    default_emulator = StrictCharField(max_length=60)
    default_preset = StrictCharField(
        max_length=20, help_text="A preset of /config/presets, not below the floor."
    )
    min_cpu = StrictIntegerField(min_value=1, max_value=MAX_VCPUS, help_text="The floor: least vCPUs.")
    min_ram_gb = StrictIntegerField(min_value=1, max_value=MAX_RAM_GB, help_text="The floor: least memory.")
    requires_gpu = StrictBooleanField(help_text="The floor: whether a GPU is needed.")
    gpu_class = StrictCharField(
        max_length=40, allow_null=True, help_text="The least GPU class, asked on TensorDock and own hosts."
    )
    cost_per_hour_limit = _limit("no limit")
    usd_per_1000_km = MoneyField(
        max_digits=10,
        allow_null=True,
        help_text="With it (0 to 100) offers are tried by score, whoever sells them: the price and so much for every 1,000 km. "
        "Null: provider by provider, by priority, the nearest offer first.",
    )
    max_session_hours = StrictIntegerField(min_value=1, max_value=MAX_SESSION_HOURS)
    supported_file_extensions = _texts(11, "Game files, like .nes")
    save_file_extensions = _texts(11, "Files that hold progress, like .sav")
    preferred_providers = PreferenceSerializer(many=True, max_length=len(PROVIDERS))

    def to_representation(self, instance: EmulatorConfig) -> dict[str, Any]:
        plain = {"console_type": instance.pk, **asdict(draft_of(instance))}
        return dict(super().to_representation(plain))


class PreferenceChangesSerializer(PreferenceSerializer):
    """A provider to add or change. What is left out keeps its value, or has none yet."""

    def get_fields(self) -> dict[str, Any]:
        return _optional(super().get_fields(), but="provider")

    def draft(self) -> tuple[str, PreferenceChanges]:
        """The provider, and what shall be otherwise."""
        changes = _preference(self.validated_data)
        return changes.pop("provider"), cast(PreferenceChanges, changes)


class EmulatorCreationSerializer(EmulatorSerializer):
    """A console to configure. What is left out takes the value we ship for it."""

    preferred_providers = PreferenceChangesSerializer(many=True, max_length=len(PROVIDERS))

    def get_fields(self) -> dict[str, Any]:
        return _optional(super().get_fields(), but="console_type")

    def draft(self) -> tuple[str, ConfigChanges]:
        """The console ("" when left out), and what shall be otherwise."""
        changes = dict(self.validated_data)
        for name in ("supported_file_extensions", "save_file_extensions"):
            if name in changes:
                changes[name] = tuple(changes[name])
        if "preferred_providers" in changes:
            listed = changes["preferred_providers"]
            changes["preferred_providers"] = tuple(PreferenceDraft(**_preference(one)) for one in listed)
        return changes.pop("console_type", ""), cast(ConfigChanges, changes)


class EmulatorChangesSerializer(EmulatorCreationSerializer):
    """What shall be otherwise. What is left out keeps its value; a given list of providers replaces the old one."""

    def get_fields(self) -> dict[str, Any]:
        return _optional(super().get_fields())


class PresetSerializer(serializers.ModelSerializer[Preset]):
    """A size of machine, as a floor: the provider's next legal size is what is bought, quoted and shown."""

    name = serializers.CharField(source="slug")

    class Meta:
        model = Preset
        fields = ("name", "vcpus", "ram_gb", "disk_gb", "gpus")
        read_only_fields = fields


class GameSerializer(serializers.ModelSerializer[Game]):
    """A game we know, with what it asks for itself: null (or empty) for what its console asks."""

    console_type = serializers.CharField(source="console_id")
    preset = serializers.CharField(source="preset_id", allow_null=True)
    gpu_class = serializers.CharField(source="gpu_class.name", default=None, allow_null=True)
    available = serializers.BooleanField(
        source="is_available",
        allow_null=True,
        help_text="Whether its file is in the library: false refuses its launch; null when nobody has looked, or it has none.",
    )

    class Meta:
        model = Game
        fields = (
            *("game_id", "console_type", "title", "available", "preset"),
            *("min_cpu", "min_ram_gb", "requires_gpu", "gpu_class", "emulator"),
        )
        read_only_fields = fields


class GameQuerySerializer(StrictSerializer):
    """The query string of the library."""

    console = StrictChoiceField(choices=ConsoleType.choices, required=False)
    q = StrictCharField(max_length=100, required=False, help_text="A part of the title or id, in any case.")
    available = StrictBooleanField(
        required=False, help_text="true: the file is in the library; false: it is known to be gone."
    )


def _optional(fields: dict[str, Any], but: str = "") -> dict[str, Any]:
    for name, field in fields.items():
        field.required = name == but
    return fields


def _preference(values: dict[str, Any]) -> dict[str, Any]:
    changes = dict(values)
    if "regions" in changes:
        changes["regions"] = tuple(changes["regions"])
    return changes
