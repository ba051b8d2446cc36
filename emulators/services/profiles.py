"""What a launch asks for, read anew every time: a change takes effect on the next launch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emulators import shelves
from emulators.models import EmulatorConfig, Game, GpuClass, Preset, ProviderPreference
from emulators.profile import Floor, GpuTable, Preference, Profile, classes_asked
from gamer.errors import NotFound, bad_field
from gamer.prepared import CompiledQuery

CONFIG = CompiledQuery(lambda console: EmulatorConfig.objects.filter(console=console).order_by())
GAME = CompiledQuery(
    lambda console, game_id: Game.objects.filter(console=console, game_id=game_id).order_by()
)
PREFERENCES = CompiledQuery(
    lambda console: ProviderPreference.objects.filter(config=console).order_by("priority")
)
PRESETS = CompiledQuery(Preset.objects.all)
GPU_CLASSES = CompiledQuery(GpuClass.objects.all)


def profile_for(*, console: str, game_id: str | None = None) -> Profile:
    """The console's demands now, with the game's own where it has some; five queries at most.

    A game's floor raises the console's; its preset, GPU class and emulator replace those of the console and of its
    providers. An unknown game has the console's. Raises NotFound when the console is not configured.
    """
    config = CONFIG.first(console=console)
    if config is None:
        raise not_configured()
    game = None if game_id is None else GAME.first(console=console, game_id=game_id)
    rows = PREFERENCES.all(console=console)
    classes = GPU_CLASSES.all()
    names = {row.pk: row.name for row in classes}
    gpu_class = (game and game.gpu_class_id) or config.gpu_class_id
    return Profile(
        console=console,
        preset=(game and game.preset_id) or config.default_preset_id,
        floor=floor_of(config).raised_to(floor_of_game(game)),
        gpus=_table_of(classes),
        preferences=tuple(_preference(row, game, names) for row in rows),
        gpu_classes=classes_asked(names.get(gpu_class) if gpu_class else None),
        usd_per_hour_limit=config.cost_per_hour_limit,
        max_session_hours=config.max_session_hours,
        usd_per_1000_km=config.usd_per_1000_km,
        emulator=(game and game.emulator) or config.default_emulator,
        title=game.title if game else "",
        file=game.file if game else "",
        # Last, so that every preset named above is among them.
        presets={preset.slug: size_of(preset) for preset in PRESETS.all()},
    )


def demand_file(*, console: str, game_id: str) -> None:
    """Refuses a game whose file is known to be gone: nothing is bought that cannot be played. Raises ValidationError."""
    if lost := lost_file(console=console, game_id=game_id):
        raise bad_field("game_id", lost)


def lost_file(*, console: str, game_id: str) -> str:
    """What is to be said of a game whose file the library had or should have, and has not; "" for every other. One query.

    A game without a file, one we do not know, and whatever no scan has looked for are no such games.
    """
    if not game_id or not shelves.is_configured():
        return ""
    lost = Game.objects.filter(console=console, game_id=game_id).available(False).first()
    return f"the library has lost the file of {lost.title} ({lost.game_id})" if lost else ""


def not_configured() -> NotFound:
    """The error of every question about a console that has no configuration."""
    return NotFound("console not configured", details={"console_type": ["console not configured"]})


def size_of(preset: Preset) -> Floor:
    """A preset as a floor."""
    return Floor(preset.vcpus, preset.ram_gb, preset.disk_gb, preset.gpus)


def floor_of(config: EmulatorConfig) -> Floor:
    """The floor under which no preset is accepted for the console."""
    return Floor(config.min_cpu, config.min_ram_gb, 0, int(config.requires_gpu))


def gpu_table() -> GpuTable:
    """The ladder of GPU classes now; one query."""
    return _table_of(GPU_CLASSES.all())


def _table_of(classes: Sequence[GpuClass]) -> GpuTable:
    return GpuTable(tuple((row.name, row.rank, tuple(row.terms)) for row in classes))


def floor_of_game(game: Game | None) -> Floor:
    """What a game itself asks at least; nothing for an unknown one."""
    if game is None:
        return Floor(0, 0, 0, 0)
    return Floor(game.min_cpu or 0, game.min_ram_gb or 0, 0, int(game.requires_gpu))


def _preference(row: ProviderPreference, game: Game | None, names: Mapping[int, str]) -> Preference:
    own_class = row.gpu_class_id and ((game and game.gpu_class_id) or row.gpu_class_id)
    return Preference(
        provider=row.provider,
        priority=row.priority,
        is_enabled=row.enabled,
        preset=None if game and game.preset_id else row.preset_override_id,
        usd_per_hour_limit=row.cost_per_hour_limit,
        regions=tuple(row.regions),
        gpu_class=names.get(own_class) if own_class else None,
    )
