"""What a launch asks for, read anew every time: a change takes effect on the next launch."""

from __future__ import annotations

from emulators import shelves
from emulators.models import EmulatorConfig, Game, GpuClass, Preset, ProviderPreference
from emulators.profile import Floor, GpuTable, Preference, Profile, classes_asked
from gamer.errors import NotFound, bad_field


def profile_for(*, console: str, game_id: str | None = None) -> Profile:
    """The console's demands now, with the game's own where it has some; five queries at most.

    A game's floor raises the console's; its preset, GPU class and emulator replace those of the console and of its
    providers. An unknown game has the console's. Raises NotFound when the console is not configured.
    """
    config = EmulatorConfig.objects.select_related("gpu_class").filter(console=console).first()
    if config is None:
        raise not_configured()
    game = _game(console, game_id)
    rows = ProviderPreference.objects.filter(config=config).select_related("gpu_class").order_by("priority")
    preferences = tuple(_preference(row, game) for row in rows)
    gpu_class = game.gpu_class if game and game.gpu_class else config.gpu_class
    return Profile(
        console=console,
        preset=(game and game.preset_id) or config.default_preset_id,
        floor=floor_of(config).raised_to(floor_of_game(game)),
        gpus=gpu_table(),
        preferences=preferences,
        gpu_classes=classes_asked(gpu_class.name if gpu_class else None),
        usd_per_hour_limit=config.cost_per_hour_limit,
        max_session_hours=config.max_session_hours,
        usd_per_1000_km=config.usd_per_1000_km,
        emulator=(game and game.emulator) or config.default_emulator,
        title=game.title if game else "",
        file=game.file if game else "",
        # Last, so that every preset named above is among them.
        presets={preset.slug: size_of(preset) for preset in Preset.objects.all()},
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
    return GpuTable(tuple((row.name, row.rank, tuple(row.terms)) for row in GpuClass.objects.all()))


def _game(console: str, game_id: str | None) -> Game | None:
    if game_id is None:
        return None
    return Game.objects.select_related("gpu_class").filter(console=console, game_id=game_id).first()


def floor_of_game(game: Game | None) -> Floor:
    """What a game itself asks at least; nothing for an unknown one."""
    if game is None:
        return Floor(0, 0, 0, 0)
    return Floor(game.min_cpu or 0, game.min_ram_gb or 0, 0, int(game.requires_gpu))


def _preference(row: ProviderPreference, game: Game | None) -> Preference:
    own_class = game.gpu_class if row.gpu_class and game and game.gpu_class else row.gpu_class
    return Preference(
        provider=row.provider,
        priority=row.priority,
        is_enabled=row.enabled,
        preset=None if game and game.preset_id else row.preset_override_id,
        usd_per_hour_limit=row.cost_per_hour_limit,
        regions=tuple(row.regions),
        gpu_class=own_class.name if own_class else None,
    )
