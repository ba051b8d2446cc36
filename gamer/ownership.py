"""Whose files a command writes. As root on a server it would leave files that the services, who run as somebody else, cannot read:
one `doctor` would take a cloud's account away from them for good.
"""

from __future__ import annotations

import os
import pwd
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from gamer.env import IS_SUPERVISED, STATE_DIR

# They keep nothing there; what `collectstatic` collects lies beside the code, and belongs to whom that belongs.
HARMLESS = frozenset({"help", "version", "--help", "--version", "check", "collectstatic"})


def refuse_root(argv: Sequence[str]) -> None:
    """Ends a command of a server that root began, where the services' folders belong to another user, with what to type."""
    if os.geteuid() != 0 or len(argv) < 2 or argv[1] in HARMLESS:
        return
    if IS_SUPERVISED or not os.environ.get("DATABASE_URL"):
        return
    for folder in _folders():
        if folder.exists() and (owner := folder.stat().st_uid):
            sys.exit(
                f"{folder} belongs to {_name(owner)}, who could not read what root writes there. Type instead:\n"
                f"runuser -u {_name(owner)} -- {shlex.join([sys.executable, *argv])}"
            )


def _folders() -> Iterator[Path]:
    yield STATE_DIR
    for named in ("CLOUDYPAD_HOME", "GAMES_UPLOAD_DIR"):
        if value := os.environ.get(named):
            yield Path(value)
    saves = os.environ.get("SAVES_URL", "")
    if saves.startswith("file://"):
        yield Path(saves.removeprefix("file://"))


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
