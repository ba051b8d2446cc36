"""Filling an empty installation. What has been there once is staff's, edited or deleted, and never touched again."""

from __future__ import annotations

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
    for slug, size in PRESETS.items():
        Preset.objects.get_or_create(
            slug=slug,
            defaults={"vcpus": size.vcpus, "ram_gb": size.ram_gb, "disk_gb": size.disk_gb, "gpus": size.gpus},
        )
    if not GpuClass.objects.exists():
        GpuClass.objects.bulk_create(
            GpuClass(name=name, rank=rank, terms=list(terms))
            for rank, (name, terms) in enumerate(GPU_CLASSES, start=1)
        )
    # The Console row is the memory of having seeded it: its configuration may be gone on purpose.
    known = set(Console.objects.values_list("slug", flat=True))
    missing = [slug for slug in CONSOLES if slug not in known]
    classes = {row.name: row for row in GpuClass.objects.all()}
    for position, slug in enumerate(CONSOLES, start=1):
        if slug in missing:
            _make(slug, position, CONSOLES[slug], classes)
    schedules.keep("scan the library", "emulators.tasks.scan_nightly", minutes=24 * 60)
    schedules.keep("look after the library", "emulators.tasks.look_after_library", minutes=5)
    record_many(Happening(now, "command:seed", "create", "emulators", slug) for slug in missing)
    return missing


def _make(slug: str, position: int, draft: ConfigDraft, classes: dict[str, GpuClass]) -> None:
    console = Console.objects.create(slug=slug, display_name=draft.display_name, position=position)
    config = EmulatorConfig.objects.create(
        console=console,
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
    ProviderPreference.objects.bulk_create(
        ProviderPreference(
            config=config,
            provider=one.provider,
            priority=number,
            cost_per_hour_limit=one.cost_per_hour_limit,
        )
        for number, one in enumerate(draft.preferred_providers, start=1)
    )
    Game.objects.bulk_create(
        Game(
            console=console,
            game_id=game.game_id,
            title=game.title,
            preset_id=game.preset,
            gpu_class=classes.get(game.gpu_class or ""),
        )
        for game in GAMES
        if game.console == slug
    )
