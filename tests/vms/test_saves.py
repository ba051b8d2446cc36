"""Saves at the same moment: whoever plays, reports, brings, restores, thins and deletes, nobody blocks nobody for good."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.principal import Principal
from emulators.models import SaveArchive, SaveSlot, SaveVersion
from emulators.services import keeping
from gamer.errors import GamerError
from tests import world as worlds
from tests.at_once import at_once
from tests.emulators.saving import brought
from tests.vms.control_plane import ControlPlane, prepare
from tests.world import Clock
from vms import saves, services, sessions
from vms.models import VM, GameSession

ROUNDS = 4
NAMES = ("", "second", "third")


@pytest.fixture
def plane(transactional_db: None) -> ControlPlane:
    return prepare(Clock(timezone.now()))


@pytest.fixture
def vms(plane: ControlPlane) -> list[VM]:
    """Two of alice's, each with games on all three slots of a game; they have ended."""
    world = worlds.build()
    made = [
        plane.launch(owner=world.alice, console=console, game_id="zelda") for console in ("snes", "switch")
    ]
    by = Principal(user=world.alice)
    for vm in made:
        for name in NAMES:
            services.play(vm=vm, by=by, game_id="zelda", save_id=name, now=plane.clock())
    GameSession.objects.update(
        status="ended", started_at=plane.clock() - timedelta(hours=9), ended_at=plane.clock()
    )
    return made


def acts(vms: list[VM], chance: random.Random) -> list[Callable[[], Any]]:
    """One of each kind, on slots and sessions by chance."""
    by, now = Principal(user=vms[0].owner), timezone.now()
    slots = list(SaveSlot.objects.all())
    owned = list(GameSession.objects.filter(slot__isnull=False))

    def bring() -> None:
        one = chance.choice(owned)
        assert one.slot is not None
        brought(one.slot, os.urandom(20_000), timezone.now(), base=0, session=one.pk)

    def report() -> None:
        played = {one.pk: chance.uniform(0, 9000) for one in GameSession.objects.all()}
        for vm in vms:
            sessions.note_played(vm_id=vm.pk, played=played, now=now)

    def launch() -> None:
        services.play(vm=vms[0], by=by, game_id="zelda", save_id=chance.choice(NAMES), now=now)
        GameSession.objects.filter(status="queued").update(status="ended", ended_at=now)

    return [
        bring,
        bring,
        bring,
        report,
        report,
        launch,
        partial(saves.restore, slot=chance.choice(slots), number=1, by=by, now=now),
        partial(saves.delete, slot=chance.choice(slots), by=by, now=now),
        partial(saves.change, slot=chance.choice(slots), save_id=uuid4().hex, by=by, now=now),
        partial(keeping.thin, now),
    ]


def test_at_once_end_or_are_refused_in_words(vms: list[VM], settings: Any) -> None:
    settings.SAVES_BYTES_PER_PLAYER, settings.SAVES_KEPT_VERSIONS, settings.SAVES_KEPT_DAYS = 150_000, 2, 0
    chance = random.Random(7)
    for _ in range(ROUNDS):
        for outcome in at_once(*acts(vms, chance)):
            assert not isinstance(outcome, Exception) or isinstance(outcome, GamerError), outcome
    kept = sum(SaveArchive.objects.filter(doomed_at=None).values_list("size", flat=True))
    assert kept <= settings.SAVES_BYTES_PER_PLAYER
    assert not SaveArchive.objects.filter(doomed_at=None, versions=None).exists()
    assert not SaveVersion.objects.filter(archive__doomed_at__isnull=False).exists()
    for slot in SaveSlot.objects.all():
        mine = sum(GameSession.objects.filter(slot=slot).values_list("played_s", flat=True))
        assert slot.played_s >= mine
