"""One game session as this machine knows it: what was ordered, what became of it, what is still to be told."""

from __future__ import annotations

import re
import time
from dataclasses import asdict, dataclass, field, fields
from typing import Any

QUEUED = "queued"
LAUNCHED = "launched"
ENDED = "ended"
FAILED = "failed"
ACTIVE = (QUEUED, LAUNCHED)

SLOT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DIGEST = re.compile(r"[0-9a-f]{64}")
FOLDER = re.compile(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*){2,}")
SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
MAX_WORDS = 256
MAX_TEXT = 32 * 1024
MAX_REASON = 500


class BadOrder(Exception):
    """The order can never be carried out. The text says why."""


def utc_now() -> str:
    """Now as ISO-8601 UTC with milliseconds and `Z`."""
    now = time.time()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now * 1000) % 1000:03d}Z"


def legible(text: str, most: int) -> str:
    """In letters that the server takes, and no more of them: a game may say anything."""
    return text.encode(errors="replace").decode().replace("\0", "?")[:most]


@dataclass
class Session:
    """`app` is what Wolf shall offer; without one `argv` is run. `save` is the slot its saves belong to, see `saves.py`.

    `events` are the states to report, oldest first; the first `reported` of them have been taken by the server.

    Times are ISO-8601 UTC.
    """

    session_id: str
    game_id: str
    argv: list[str]
    env: dict[str, str]
    ordered_at: str
    state: str = QUEUED
    launched_at: str | None = None
    ended_at: str | None = None
    exit_code: int | None = None
    reason: str = ""
    app: dict[str, Any] | None = None
    save: dict[str, Any] | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    reported: int = 0

    def move(self, state: str) -> None:
        """Enter `state` now, and have it reported."""
        now = utc_now()
        self.state = state
        if state == LAUNCHED:
            self.launched_at = now
        else:
            self.ended_at = now
        event: dict[str, Any] = {"state": state, "at": now, "exit_code": self.exit_code}
        if state == FAILED and self.reason:
            event["reason"] = legible(self.reason, MAX_REASON)
        self.events.append(event)

    def stored(self) -> dict[str, Any]:
        return asdict(self)

    def view(self, log_tail: str) -> dict[str, Any]:
        """What the local API shows. Never the environment: it may hold what the game needs to keep to itself."""
        return {
            "session_id": self.session_id,
            "game_id": self.game_id,
            "state": self.state,
            "exit_code": self.exit_code,
            "launched_at": self.launched_at,
            "ended_at": self.ended_at,
            "reason": self.reason,
            "log_tail": log_tail,
        }


def from_stored(stored: dict[str, Any]) -> Session | None:
    """A session read back from disk; None when the file is not one of ours."""
    names = {each.name for each in fields(Session)}
    try:
        return Session(**{name: value for name, value in stored.items() if name in names})
    except TypeError:
        return None


def from_order(order: dict[str, Any], default_argv: list[str]) -> Session:
    """A session as ordered: `session_id`*, `game_id`, `app` or `argv` (empty: the machine's default), `env`, `save`. Raises BadOrder."""
    session_id, game_id = order.get("session_id"), order.get("game_id", "")
    argv, env = order.get("argv") or default_argv, order.get("env") or {}
    if not isinstance(session_id, str) or not SESSION_ID.fullmatch(session_id):
        raise BadOrder("session_id: 1 to 64 letters, digits, _ or -")
    if not isinstance(game_id, str) or len(game_id) > MAX_TEXT:
        raise BadOrder("game_id: a text")
    if not isinstance(argv, list) or not argv or len(argv) > MAX_WORDS or not _are_texts(argv):
        raise BadOrder(f"argv: 1 to {MAX_WORDS} texts without NUL")
    if not isinstance(env, dict) or len(env) > MAX_WORDS or not _are_texts([*env, *env.values()]):
        raise BadOrder(f"env: at most {MAX_WORDS} texts by name, without NUL")
    if any(not name or "=" in name for name in env):
        raise BadOrder("env: a name is not empty and holds no =")
    app = order.get("app")
    if app is not None and not _is_app(app):
        raise BadOrder("app: name, title, image, mounts, env, files, folders, links and shared")
    save = order.get("save")
    if save is not None and not _is_save(save):
        raise BadOrder("save: slot, folder, base, digest, clock and clock_file")
    return Session(session_id, game_id, list(argv), dict(env), utc_now(), app=app, save=save)


def _is_save(save: Any) -> bool:
    if not isinstance(save, dict) or not _are_texts(
        [save.get(name) for name in ("slot", "folder", "digest")]
    ):
        return False
    base, clock, clock_file = save.get("base"), save.get("clock"), save.get("clock_file", "")
    return (
        SLOT.fullmatch(save["slot"]) is not None
        and DIGEST.fullmatch(save["digest"]) is not None
        and FOLDER.fullmatch(save["folder"]) is not None
        and type(base) is int
        and base >= 0
        and (clock is None or (type(clock) is int and FOLDER.fullmatch(str(clock_file)) is not None))
    )


def _is_app(app: Any) -> bool:
    if not isinstance(app, dict):
        return False
    texts = [app.get(name) for name in ("name", "title", "image")]
    lists = [app.get("mounts", []), app.get("folders", [])]
    tables = [app.get(name, {}) for name in ("env", "files", "links", "shared")]
    if not all(isinstance(each, list) for each in lists) or not all(
        isinstance(each, dict) for each in tables
    ):
        return False
    texts += [text for each in lists for text in each]
    texts += [text for each in tables for pair in each.items() for text in pair]
    return len(texts) <= MAX_WORDS and _are_texts(texts)


def _are_texts(values: list[Any]) -> bool:
    return all(isinstance(value, str) and "\0" not in value and len(value) <= MAX_TEXT for value in values)
