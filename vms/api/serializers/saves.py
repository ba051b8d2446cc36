"""Save slots and their versions, as the API takes and says them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from emulators.models import ConsoleType, SaveSlot, SaveVersion
from gamer.web.serializers import StrictChoiceField, StrictDateTimeField, StrictSerializer
from vms.api.serializers.machines import TextOrNull
from vms.api.serializers.wishes import IdField, UserField

EPOCH_HELP = "What time it is in the game before anything is played; null for the real time."


class SaveVersionSerializer(serializers.ModelSerializer[SaveVersion]):
    """A slot's content at one time. One that is not current is older, or was made without knowing what is."""

    is_current = serializers.SerializerMethodField()
    size = serializers.IntegerField(source="archive.size", read_only=True, help_text="Bytes, packed.")
    digest = serializers.CharField(source="archive.digest", read_only=True, help_text="Of the content.")
    vm_id = TextOrNull(source="subject", help_text="The VM it came from; null for an upload or a restore.")

    class Meta:
        model = SaveVersion
        fields = (
            *("number", "is_current", "size", "digest", "base", "restored_from"),
            *("session_id", "vm_id", "by", "created_at"),
        )
        read_only_fields = fields

    def get_is_current(self, version: SaveVersion) -> bool:
        return version.pk == version.slot.current_id


class CurrentSaveSerializer(serializers.ModelSerializer[SaveVersion]):
    """What the next launch goes on with."""

    size = serializers.IntegerField(source="archive.size", read_only=True, help_text="Bytes, packed.")
    digest = serializers.CharField(source="archive.digest", read_only=True, help_text="Of the content.")

    class Meta:
        model = SaveVersion
        fields = ("number", "size", "digest", "created_at")
        read_only_fields = fields


class SaveSlotSerializer(serializers.ModelSerializer[SaveSlot]):
    """A player's named place for one game's saves."""

    slot_id = serializers.UUIDField(source="id", read_only=True)
    user_id = TextOrNull(source="owner.handle", default=None, help_text="Null: it is of a VM without owner.")
    vm_id = TextOrNull(source="subject", help_text="Without an owner, the VM it is of.")
    console_type = serializers.CharField(source="console_id", read_only=True)
    current = CurrentSaveSerializer(read_only=True, allow_null=True)
    clock_epoch = serializers.DateTimeField(read_only=True, allow_null=True, help_text=EPOCH_HELP)
    clock_at = serializers.DateTimeField(
        read_only=True,
        allow_null=True,
        help_text="What time it is in the game: `clock_epoch` and `played_s`.",
    )
    played_s = serializers.IntegerField(read_only=True, help_text="In all.")
    is_in_use = serializers.BooleanField(read_only=True, help_text="A game runs or waits on it.")

    class Meta:
        model = SaveSlot
        fields = (
            *("slot_id", "user_id", "vm_id", "console_type", "game_id", "save_id", "is_in_use", "current"),
            *("clock_epoch", "clock_at", "played_s", "created_at"),
        )
        read_only_fields = fields


class SaveQuerySerializer(StrictSerializer):
    """The query string of a list of slots."""

    user_id = UserField(required=False)
    console_type = StrictChoiceField(choices=ConsoleType.choices, required=False)
    game_id = IdField(required=False)


class SaveCreationSerializer(StrictSerializer):
    """A slot to make before its first launch, which would make it too."""

    console_type = StrictChoiceField(choices=ConsoleType.choices)
    game_id = IdField()
    save_id = IdField(required=False, allow_blank=True, default="", help_text="Empty is the usual slot.")
    clock_epoch = StrictDateTimeField(required=False, allow_null=True, default=None, help_text=EPOCH_HELP)
    user_id = UserField(required=False, allow_null=True)


class SaveChangesSerializer(StrictSerializer):
    """What may be changed of a slot; what is left out stays."""

    save_id = IdField(required=False, allow_blank=True, help_text="The name launches ask for it by.")
    clock_epoch = StrictDateTimeField(required=False, allow_null=True, help_text=EPOCH_HELP)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs:
            raise serializers.ValidationError("Say what to change: save_id, clock_epoch.")
        return attrs
