"""What of the environment only this app can judge."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from vms.setup.library import parse


@register("environment")
def library(**_: Any) -> list[CheckMessage]:
    try:
        found = parse(settings.GAMES_URL, google_credentials=settings.GAMES_GOOGLE_CREDENTIALS)
    except ValueError as error:
        return [Error(f"GAMES_URL cannot be used: {error}.", id="gamer.E012")]
    if settings.ENV.is_production and settings.GAMES_URL.startswith("file:"):
        advice = "Machines start the emulator alone. Name a bucket or an SFTP host instead."
        return [Warning("GAMES_URL is a directory, which no machine sees.", hint=advice, id="gamer.W006")]
    if settings.ENV.is_production and found is not None and found.kind == "sftp" and not found.known_hosts:
        advice = "Add ?host_key=ssh-ed25519+AAAA…&host_key=…, all its keys, from /etc/ssh/ssh_host_*_key.pub of the host."
        return [Warning("GAMES_URL's host is believed whatever key it shows.", hint=advice, id="gamer.W007")]
    return []
