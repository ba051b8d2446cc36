"""What of the environment only this app can judge."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from vms.setup.library import parse


@register("environment")
def library(**_: Any) -> list[CheckMessage]:
    try:
        parse(settings.GAMES_URL, google_credentials=settings.GAMES_GOOGLE_CREDENTIALS)
    except ValueError as error:
        return [Error(f"GAMES_URL cannot be used: {error}.", id="gamer.E012")]
    return []
