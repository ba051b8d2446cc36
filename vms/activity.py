"""What a machine says of its player, as the VM's columns: the same for a heartbeat and for a look over SSH. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any


def columns(is_playing: bool | None, idle_s: float | None, now: datetime) -> dict[str, Any]:
    """`is_playing` None, or no word of how long: it can't be told, which counts as playing but is nobody's activity."""
    if is_playing:
        return {
            "idle_since": None,
            "idle_seen_at": now,
            "last_activity": now,
            "last_moonlight_connection": now,
        }
    if is_playing is None or idle_s is None:
        return {"idle_since": None, "idle_seen_at": now}
    return {"idle_since": now - timedelta(seconds=idle_s), "idle_seen_at": now}
