"""A console's configuration as plain values, on its way in. Names are the API's. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


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
