"""What a launch asks of a machine, as plain values: the words `emulators` and `vms` share. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

# Where a console's GPU class is asked: CloudyPad's clouds sell what they have, by machine type.
KINDS_ASKED_FOR_A_CLASS = ("tensordock", "libvirt", "memory")


@dataclass(frozen=True, slots=True)
class Floor:
    """The least a machine must have. Memory and disk in GB."""

    vcpus: int
    ram_gb: int
    disk_gb: int
    gpus: int

    def raised_to(self, other: Floor) -> Floor:
        """The higher of both in every respect."""
        return Floor(
            max(self.vcpus, other.vcpus),
            max(self.ram_gb, other.ram_gb),
            max(self.disk_gb, other.disk_gb),
            max(self.gpus, other.gpus),
        )


@dataclass(frozen=True, slots=True)
class GpuTable:
    """GPU classes from weak to strong: (name, rank, terms). A vendor's model belongs to the class with the longest term in it."""

    classes: Sequence[tuple[str, int, Sequence[str]]] = ()

    def rank_of_class(self, name: str) -> int:
        """The rank of a class by its name; 0 for none."""
        return next((rank for known, rank, _ in self.classes if known == name), 0)

    def rank_of_model(self, model: str) -> int:
        """The rank of a vendor's model such as `geforcertx4090-pcie-24gb`; 0 when no class knows it (never good enough)."""
        plain = re.sub(r"[^a-z0-9]", "", model.lower())
        hits = [(len(term), rank) for _, rank, terms in self.classes for term in terms if term in plain]
        return max(hits)[1] if hits else 0


def classes_asked(gpu_class: str | None) -> dict[str, str]:
    """A Profile's `gpu_classes` for a console's one class."""
    return dict.fromkeys(KINDS_ASKED_FOR_A_CLASS, gpu_class) if gpu_class else {}


def region_matches(entry: str, *, region: str, city: str = "", state: str = "", country: str = "") -> bool:
    """Whether an entry of a preference's regions means this place: a region code or its beginning, a country, a state or a city."""
    plain = entry.strip().casefold()
    if not plain:
        return False
    names = {city.casefold(), state.casefold(), country.casefold()}
    return region.casefold().startswith(plain) or plain in names


@dataclass(frozen=True, slots=True)
class Preference:
    """One provider in a console's list; a lower priority number comes first. Empty regions mean anywhere."""

    provider: str
    priority: int
    is_enabled: bool = True
    preset: str | None = None
    usd_per_hour_limit: Decimal | None = None
    regions: tuple[str, ...] = ()
    gpu_class: str | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """A console's demands at this moment, with the game's own where it has some.

    `presets` maps a preset's name to its floor; `floor` is the console's own, under which no preset counts.
    `gpu_classes` maps a provider kind to the class asked there; "" is for all others.
    """

    console: str
    preset: str
    floor: Floor
    presets: Mapping[str, Floor]
    gpu_classes: Mapping[str, str]
    gpus: GpuTable
    preferences: tuple[Preference, ...]
    usd_per_hour_limit: Decimal | None
    max_session_hours: int
    # What being 1,000 km nearer is worth, USD per hour, in a score of distance and price; None: provider by provider.
    usd_per_1000_km: Decimal | None = None
    emulator: str = ""
    # The game's own, "" for one we do not know.
    title: str = ""
    file: str = ""

    def demand(self, preference: Preference, preset: str | None = None) -> tuple[str, Floor, int]:
        """(preset, floor, least GPU rank) at a provider; `preset` is the caller's own choice and binds."""
        name = preset or preference.preset or self.preset
        floor = self.presets[name].raised_to(self.floor)
        asked = (
            preference.gpu_class or self.gpu_classes.get(preference.provider) or self.gpu_classes.get("", "")
        )
        return name, floor, self.gpus.rank_of_class(asked) if floor.gpus and asked else 0
