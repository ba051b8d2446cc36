"""How far the installer is. Apart from it, because it is asked again and again and needs the least of what the installer does."""

from __future__ import annotations

import contextlib
import json
import os
import time
import zlib

from .files import boot_id, is_locked, read_json, read_tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .files import AnyPath

LOG_TAIL = 2048
TICK_S, SETTLE_S = 0.05, 1.0
DONE, RUNNING, FAILED, WAITING = "done", "running", "failed", "waiting"
# What a console can do without is tried again after so many of the pauses only: a player waits for it.
OPTIONAL_PAUSES = 2


def progress(folder: str, *, seen: str = "", wait_s: float = 0) -> dict[str, Any]:
    """How far the plan is; with `seen` (the `version` of an earlier answer) once that has changed, or after `wait_s`.

    Quick steps follow each other: one answer tells of all until for a moment nothing moves.
    """
    deadline = time.monotonic() + wait_s
    version, moved_at = seen, 0.0
    while True:
        # Taken first: what is written during the reading is read the next time.
        marks = _marks(folder)
        found, now = _progress(folder), time.monotonic()
        if found["version"] != version:
            version, moved_at = found["version"], now
        has_settled = version != seen and (not seen or now - moved_at >= SETTLE_S)
        if not found["is_running"] or has_settled or now >= deadline:
            return found
        until = deadline if version == seen else min(deadline, moved_at + SETTLE_S)
        time.sleep(TICK_S)
        while _marks(folder) == marks and time.monotonic() < until:
            time.sleep(TICK_S)


def _marks(folder: str) -> object:
    """Other ones once something has changed that is news; to see that costs far less than to read all of it."""
    written = []
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as files:
        written = [(one.name, one.stat().st_mtime_ns) for one in files if one.name.endswith(".json")]
    return is_locked(f"{folder}/lock"), sorted(written)


def _progress(folder: str) -> dict[str, Any]:
    # Asked first: what a dead installer has written is all it ever will.
    is_running = is_locked(f"{folder}/lock")
    plan = read_json(f"{folder}/plan.json") or {"steps": [], "digest": "", "pauses_s": []}
    steps = []
    for step in plan["steps"]:
        state = state_of(folder, step)
        is_over = state["state"] == FAILED and state["tries"] > len(pauses_of(plan, step))
        steps.append(
            {
                **{name: step[name] for name in ("name", "title", "is_required")},
                **{name: state[name] for name in ("state", "tries", "seconds", "error")},
                "is_over": is_over or state["state"] == DONE,
                "log_tail": read_tail(f"{folder}/{step['name']}.log", LOG_TAIL),
            }
        )
    told = [[step["name"], step["state"], step["tries"]] for step in steps]
    version = f"{zlib.crc32(json.dumps([plan['digest'], is_running, told]).encode()):08x}"
    return {"digest": plan["digest"], "is_running": is_running, "version": version, "steps": steps}


def pauses_of(plan: dict[str, Any], step: dict[str, Any]) -> list[float]:
    """After which pauses the step is tried again."""
    return list(plan["pauses_s"][: None if step["is_required"] else OPTIONAL_PAUSES])


def state_of(folder: AnyPath, step: dict[str, Any]) -> dict[str, Any]:
    """The step's state under its present digest. The tries of another boot do not count."""
    known = read_json(f"{folder}/{step['name']}.json") or {}
    booted = boot_id()
    counts = known.get("state") == DONE or known.get("boot_id") == booted
    if known.get("digest") == step["digest"] and counts:
        return known
    fresh = {"digest": step["digest"], "state": WAITING, "tries": 0, "seconds": None, "error": ""}
    return {**fresh, "boot_id": booted}
