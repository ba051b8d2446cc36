"""A console's configuration as plain values, on its way in or out. Names are the API's. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypedDict


@dataclass(frozen=True, slots=True)
class PreferenceDraft:
    """One provider of a console's list. Without a priority it takes its place in the list."""

    provider: str
    priority: int | None = None
    enabled: bool = True
    preset_override: str | None = None
    cost_per_hour_limit: Decimal | None = None
    regions: tuple[str, ...] = ()
    gpu_class: str | None = None


@dataclass(frozen=True, slots=True)
class ConfigDraft:
    """Everything that is set about a console. Prices in USD per hour, memory in GB."""

    display_name: str
    default_emulator: str
    default_preset: str
    min_cpu: int
    min_ram_gb: int
    requires_gpu: bool
    gpu_class: str | None
    cost_per_hour_limit: Decimal | None
    max_session_hours: int
    supported_file_extensions: tuple[str, ...]
    save_file_extensions: tuple[str, ...]
    preferred_providers: tuple[PreferenceDraft, ...]
    usd_per_1000_km: Decimal | None = None


class ConfigChanges(TypedDict, total=False):
    """The fields of a ConfigDraft that somebody wants otherwise."""

    display_name: str
    default_emulator: str
    default_preset: str
    min_cpu: int
    min_ram_gb: int
    requires_gpu: bool
    gpu_class: str | None
    cost_per_hour_limit: Decimal | None
    max_session_hours: int
    supported_file_extensions: tuple[str, ...]
    save_file_extensions: tuple[str, ...]
    preferred_providers: tuple[PreferenceDraft, ...]
    usd_per_1000_km: Decimal | None


class PreferenceChanges(TypedDict, total=False):
    """The fields of a PreferenceDraft that somebody wants otherwise."""

    priority: int | None
    enabled: bool
    preset_override: str | None
    cost_per_hour_limit: Decimal | None
    regions: tuple[str, ...]
    gpu_class: str | None


def tidy(draft: ConfigDraft) -> ConfigDraft:
    """The draft as it is judged: extensions with their dot in small letters, regions without blanks or doubles, every priority a number.

    Providers keep their places, because faults are told by them.
    """
    placed = tuple(
        replace(one, regions=words_in(one.regions), priority=number if one.priority is None else one.priority)
        for number, one in enumerate(draft.preferred_providers, start=1)
    )
    return replace(
        draft,
        supported_file_extensions=extensions_in(draft.supported_file_extensions),
        save_file_extensions=extensions_in(draft.save_file_extensions),
        preferred_providers=placed,
    )


def ranked(draft: ConfigDraft) -> ConfigDraft:
    """The draft as rows give it back: its providers by priority."""
    listed = sorted(draft.preferred_providers, key=lambda one: one.priority or 0)
    return replace(draft, preferred_providers=tuple(listed))


def put(
    preferences: Sequence[PreferenceDraft], provider: str, changes: PreferenceChanges
) -> tuple[PreferenceDraft, ...]:
    """The list with one provider changed or added: last without a priority, else there, moving whoever is in its way down."""
    old = next((one for one in preferences if one.provider == provider), None)
    others = [one for one in preferences if one.provider != provider]
    new = replace(old or PreferenceDraft(provider), **changes)
    if new.priority is None:
        last = max((one.priority or 0 for one in others), default=0)
        new = replace(new, priority=old.priority if old else last + 1)
    taken, moved = new.priority or 0, []
    for one in sorted(others, key=lambda one: one.priority or 0):
        if one.priority == taken:
            taken += 1
            one = replace(one, priority=taken)
        moved.append(one)
    return tuple(sorted([new, *moved], key=lambda one: one.priority or 0))


def extensions_in(texts: Sequence[str]) -> tuple[str, ...]:
    """File extensions as they are kept: `NES` and `.nes` are one `.nes`."""
    return words_in(f".{text.strip().lower().removeprefix('.')}" for text in texts if text.strip())


def words_in(texts: Iterable[str]) -> tuple[str, ...]:
    """The texts without blanks around them, empty ones and repetitions."""
    return tuple(dict.fromkeys(text.strip() for text in texts if text.strip()))
