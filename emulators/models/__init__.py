"""The tables of what runs and of what players keep. One module per topic; import from here."""

from __future__ import annotations

from emulators.models.consoles import (
    GAME_ID,
    MAX_DISK_GB,
    MAX_GPUS,
    MAX_LIST,
    MAX_RAM_GB,
    MAX_SESSION_HOURS,
    MAX_VCPUS,
    Console,
    ConsoleType,
    EmulatorConfig,
    Game,
    GameQuerySet,
    GpuClass,
    Preset,
    ProviderKind,
    ProviderPreference,
)
from emulators.models.saves import (
    MAX_SAVE_ID,
    SaveArchive,
    SaveSlot,
    SaveSlotQuerySet,
    SaveVersion,
    UnstoredArchive,
)

__all__ = [
    "GAME_ID",
    "MAX_DISK_GB",
    "MAX_GPUS",
    "MAX_LIST",
    "MAX_RAM_GB",
    "MAX_SAVE_ID",
    "MAX_SESSION_HOURS",
    "MAX_VCPUS",
    "Console",
    "ConsoleType",
    "EmulatorConfig",
    "Game",
    "GameQuerySet",
    "GpuClass",
    "Preset",
    "ProviderKind",
    "ProviderPreference",
    "SaveArchive",
    "SaveSlot",
    "SaveSlotQuerySet",
    "SaveVersion",
    "UnstoredArchive",
]
