"""Filling an empty installation. What has been there once is staff's, edited or deleted, and never touched again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import connection, transaction

from emulators.drafts import ConfigDraft
from emulators.models import Console, EmulatorConfig, Game, GpuClass, Preset, ProviderPreference
from emulators.shipped import CONSOLES, GAMES, GPU_CLASSES, PRESETS
from events.services import Happening, record_many
from gamer.queue import schedules

# Any constant will do: two processes that start together must not both find the tables empty.
SEED_LOCK = 0x656D756C


@transaction.atomic
def seed(now: datetime) -> list[str]:
    """Makes what has never been there; returns the consoles made. Safe to repeat and to run twice at once."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SEED_LOCK])
    Preset.objects.bulk_create(
        (
            Preset(slug=slug, vcpus=size.vcpus, ram_gb=size.ram_gb, disk_gb=size.disk_gb, gpus=size.gpus)
            for slug, size in PRESETS.items()
        ),
        ignore_conflicts=True,
    )
    if not GpuClass.objects.exists():
        GpuClass.objects.bulk_create(
            GpuClass(name=name, rank=rank, terms=list(terms))
            for rank, (name, terms) in enumerate(GPU_CLASSES, start=1)
        )
    # The Console row is the memory of having seeded it: its configuration may be gone on purpose.
    known = set(Console.objects.values_list("slug", flat=True))
    missing = [slug for slug in CONSOLES if slug not in known]
    if missing:
        _make(missing)
    schedules.keep("scan the library", "emulators.tasks.scan_nightly", minutes=24 * 60)
    schedules.keep("look after the library", "emulators.tasks.look_after_library", minutes=5)
    record_many(Happening(now, "command:seed", "create", "emulators", slug) for slug in missing)
    return missing


def _make(slugs: Sequence[str]) -> None:
    """Consoles with their configurations and games, in a statement per table."""
    classes = {row.name: row for row in GpuClass.objects.all()}
    positions = {slug: position for position, slug in enumerate(CONSOLES, start=1)}
    Console.objects.bulk_create(
        Console(slug=slug, display_name=CONSOLES[slug].display_name, position=positions[slug])
        for slug in slugs
    )
    EmulatorConfig.objects.bulk_create(_config(slug, CONSOLES[slug], classes) for slug in slugs)
    ProviderPreference.objects.bulk_create(
        ProviderPreference(
            config_id=slug,
            provider=one.provider,
            priority=number,
            cost_per_hour_limit=one.cost_per_hour_limit,
        )
        for slug in slugs
        for number, one in enumerate(CONSOLES[slug].preferred_providers, start=1)
    )
    Game.objects.bulk_create(
        Game(
            console_id=game.console,
            game_id=game.game_id,
            title=game.title,
            preset_id=game.preset,
            gpu_class=classes.get(game.gpu_class or ""),
        )
        for game in GAMES
        if game.console in slugs
    )


def _config(slug: str, draft: ConfigDraft, classes: Mapping[str, GpuClass]) -> EmulatorConfig:
    return EmulatorConfig(
        console_id=slug,
        default_emulator=draft.default_emulator,
        default_preset_id=draft.default_preset,
        min_cpu=draft.min_cpu,
        min_ram_gb=draft.min_ram_gb,
        requires_gpu=draft.requires_gpu,
        gpu_class=classes.get(draft.gpu_class or ""),
        cost_per_hour_limit=draft.cost_per_hour_limit,
        max_session_hours=draft.max_session_hours,
        supported_file_extensions=list(draft.supported_file_extensions),
        save_file_extensions=list(draft.save_file_extensions),
    )
