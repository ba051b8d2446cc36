"""What of the environment only this app can judge."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Critical, Error, Warning, register

from emulators import shelves, storages


@register("environment")
def saves(**_: Any) -> list[CheckMessage]:
    try:
        storages.check(settings.SAVES_URL, settings.SAVES_GOOGLE_CREDENTIALS)
    except ValueError as error:
        return [Critical(f"SAVES_URL cannot be used: {error}.", id="gamer.E021")]
    return []


@register("environment", deploy=True)
def saves_are_shared(**_: Any) -> list[CheckMessage]:
    if not settings.SAVES_URL.startswith("file:"):
        return []
    return [
        Warning(
            "SAVES_URL is a directory: every host must have the same one there.",
            hint="A bucket needs no sharing: s3://key:secret@endpoint/bucket/folder or gs://bucket/folder.",
            id="gamer.W005",
        )
    ]


@register("environment")
def uploads(**_: Any) -> list[CheckMessage]:
    """The library's other address; the first one is judged by who gives it to machines."""
    if not settings.GAMES_UPLOAD_URL:
        return []
    try:
        shelves.shelf_at(settings.GAMES_UPLOAD_URL, settings.GAMES_UPLOAD_GOOGLE_CREDENTIALS)
    except ValueError as error:
        return [Error(f"GAMES_UPLOAD_URL cannot be used: {error}.", id="gamer.E022")]
    if settings.GAMES_UPLOAD_URL.partition(":")[0] != settings.GAMES_URL.partition(":")[0]:
        advice = "It is the same place as GAMES_URL, with a login that may write."
        return [Error("GAMES_UPLOAD_URL is another place than GAMES_URL.", hint=advice, id="gamer.E022")]
    return []
