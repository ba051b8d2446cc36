"""What the queue calls: no arguments, nothing out. A lost run is made up by the next."""

from __future__ import annotations

from django.utils import timezone

from gamer import tallies
from monitoring import services


def roll_up() -> None:
    services.roll_up(now=timezone.now())
    tallies.flush()


def forget() -> None:
    services.forget(now=timezone.now())
