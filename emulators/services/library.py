"""Changing what all consoles share: games, presets and the ladder of GPU classes. Each change leaves an Event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import models, transaction
from django.db.models import Case, ProtectedError, Q, Value, When
from django.forms.models import model_to_dict

from accounts.principal import Principal
from emulators.models import EmulatorConfig, Game, GpuClass, Preset
from emulators.rules import Faults, below_floor, is_below, size_in_words
from emulators.services.configs import CHANGED_SINCE, RESOURCE, digest_of, faults_of, invalid
from emulators.services.profiles import floor_of, floor_of_game, size_of
from events.services import Happening, record
from gamer.errors import Conflict

Row = Game | Preset | GpuClass


def save_game(*, game: Game, by: Principal, now: datetime, seen: str = "") -> Game:
    """Adds or changes a game. `seen` is `seen_in` the row that the changes were made on.

    Raises ValidationError, or Conflict when the row is another one by now, or the console has another game with this id.
    """
    with transaction.atomic():
        if seen:
            stored = Game.objects.select_for_update(of=("self",)).filter(pk=game.pk).first()
            if stored is None or seen != seen_in(stored):
                raise Conflict(CHANGED_SINCE)
        twin = Game.objects.filter(console=game.console_id, game_id=game.game_id).exclude(pk=game.pk)
        if twin.exists():
            raise Conflict(f"{game.console} has a game {game.game_id}.", details={"game_id": ["Taken."]})
        _save(game, game_faults(game), by, now)
        return game


def save_preset(*, preset: Preset, by: Principal, now: datetime) -> Preset:
    """Adds or changes a preset. Raises ValidationError, also when a console or game that asks for it needs more."""
    with transaction.atomic():
        _save(preset, preset_faults(preset), by, now)
        return preset


def save_gpu_class(*, gpu_class: GpuClass, by: Principal, now: datetime) -> GpuClass:
    """Adds a class at the top of the ladder, or changes one in its place. Raises ValidationError."""
    with transaction.atomic():
        if gpu_class.pk is None:
            top = GpuClass.objects.select_for_update().order_by("-rank").first()
            gpu_class.rank = top.rank + 1 if top else 1
        _save(gpu_class, {}, by, now)
        return gpu_class


def reorder_gpu_classes(*, ids: Sequence[int], by: Principal, now: datetime) -> None:
    """Gives the classes the ranks 1, 2, 3 … in this order, in one statement.

    Raises Conflict when these are not exactly the classes there are (somebody changed them meanwhile).
    """
    with transaction.atomic():
        before = list(GpuClass.objects.select_for_update().order_by("rank"))
        if sorted(row.pk for row in before) != sorted(ids):
            raise Conflict("The GPU classes have changed meanwhile; look again.")
        names = {row.pk: row.name for row in before}
        if [row.pk for row in before] == list(ids):
            return
        GpuClass.objects.update(rank=Case(*(When(pk=pk, then=Value(n)) for n, pk in enumerate(ids, start=1))))
        details = {"gpu_classes": [list(names.values()), [names[pk] for pk in ids]]}
        record(Happening(now, by.label, "update", RESOURCE, "gpu_classes", details))


def delete_row(*, row: Row, by: Principal, now: datetime) -> None:
    """Deletes a game, preset or GPU class. Raises Conflict while a configuration or a game names it."""
    with transaction.atomic():
        label, kept = _label(row), _plain(row)
        try:
            row.delete()
        except ProtectedError as error:
            users = sorted({str(user) for user in error.protected_objects})
            raise Conflict(f"{row} is in use: {', '.join(users[:8])}.") from None
        record(Happening(now, by.label, "delete", RESOURCE, label, kept))


def game_faults(game: Game) -> Faults:
    """What takes two rows to see: a preset under the floor of the console and the game."""
    config = EmulatorConfig.objects.filter(console=game.console_id).first()
    if game.preset is None or config is None:
        return {}
    floor = floor_of(config).raised_to(floor_of_game(game))
    text = below_floor(f"Preset {game.preset}", size_of(game.preset), floor, "the game's")
    return {"preset": [text]} if text else {}


def preset_faults(preset: Preset) -> Faults:
    """A preset that falls under the floor of a console that asks for it."""
    size = size_of(preset)
    users = EmulatorConfig.objects.select_related("console").filter(
        Q(default_preset=preset.pk) | Q(preferences__preset_override=preset.pk)
    )
    texts = [
        f"{config} asks for it and needs at least {size_in_words(floor_of(config))}."
        for config in users.distinct()
        if is_below(size, floor_of(config))
    ]
    return {"__all__": texts} if texts else {}


def _save(row: Row, faults: Faults, by: Principal, now: datetime) -> None:
    found = faults_of(row) | faults
    if found:
        raise invalid(found)
    old = type(row)._default_manager.select_for_update().filter(pk=row.pk).first()
    row.save(force_insert=old is None)
    after = _plain(row)
    if old is None:
        record(Happening(now, by.label, "create", RESOURCE, _label(row), after))
        return
    before = _plain(old)
    changed = {name: [before[name], after[name]] for name in after if before[name] != after[name]}
    if changed:
        record(Happening(now, by.label, "update", RESOURCE, _label(row), changed))


def _label(row: Row) -> str:
    """An event's resource_id: which kind of row, and its name; at most 64 characters."""
    match row:
        case Game():
            return f"game:{row.console_id}/{row.game_id}"[:64]
        case Preset():
            return f"preset:{row.slug}"
        case GpuClass():
            return f"gpu_class:{row.name}"


def seen_in(game: Game) -> str:
    """What a page that shows a game gives back with its changes, for `save_game`."""
    return digest_of(_plain(game))


def _plain(row: models.Model) -> dict[str, Any]:
    return model_to_dict(row)
