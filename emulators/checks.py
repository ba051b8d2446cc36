"""What of the environment only this app can judge."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Critical, Warning, register

from emulators import storages


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
