"""Consoles and their settings, games, places, and what can be bought where."""

from __future__ import annotations

from tests.permissions.rows import CONFIGURERS, KNOWN, READERS, Row
from tests.permissions.scene import Scene


def switch(scene: Scene) -> dict[str, str]:
    return {"console_type": "switch"}


def gcp(scene: Scene) -> dict[str, str]:
    return {"cloud": "gcp"}


HERE = {"user_latitude": 32.7767, "user_longitude": -96.797}

ROWS = (
    Row("GET", "locations-search", KNOWN, query={"q": "Dallas"}),
    Row("GET", "emulators", READERS),
    Row("POST", "emulators", CONFIGURERS, 201, body=lambda s: {"console_type": "gba"}),
    Row("GET", "emulator", READERS, path=switch),
    Row("PUT", "emulator", CONFIGURERS, path=switch, body=lambda s: {}),
    Row("DELETE", "emulator", CONFIGURERS, path=lambda s: {"console_type": "nes"}),
    Row(
        "POST", "emulator-providers", CONFIGURERS, path=switch,
        body=lambda s: {"provider": "libvirt", "priority": 9, "enabled": True},
    ),
    Row("GET", "presets", READERS),
    Row("GET", "games", READERS),
    Row("GET", "providers", READERS),
    Row("GET", "optimal-for", READERS, path=switch),
    Row("GET", "hostnodes-available", READERS),
    Row("GET", "hostnodes-closest", READERS, query=HERE),
    Row("GET", "locations-summary", READERS),
    Row("GET", "regions-closest", READERS, path=gcp, query=HERE),
    Row("GET", "regions-all", READERS, path=gcp),
)  # fmt: skip
