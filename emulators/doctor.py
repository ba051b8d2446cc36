"""What of this app `manage.py doctor` looks at (settings.DOCTOR_CHECKS): the storage of saves by writing, the library by listing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import uuid4

from emulators import shelves, storages
from gamer.web.doctor import Finding, Verdict

ADVICE = "Look at SAVES_URL: the address, its key, and what the key may do there (write, read, delete)."


def saves(now: datetime) -> Iterable[Finding]:
    name, content = f"doctor/{uuid4().hex}", b"may be deleted"
    try:
        place = storages.open_place()
        place.put(name, content)
        is_same = place.get(name) == content
        place.delete(name)
    except storages.SaveUnavailable as error:
        yield Finding("saves", Verdict.BROKEN, str(error), ADVICE)
        return
    if is_same:
        yield Finding("saves", Verdict.FINE, "the storage takes, gives back and deletes")
    else:
        yield Finding("saves", Verdict.BROKEN, "the storage gives back something else than it took", ADVICE)


def library(now: datetime) -> Iterable[Finding]:
    """Its top, by the login that machines have."""
    if not shelves.is_configured():
        yield Finding(
            "library", Verdict.WORSE, "there is none", "Set GAMES_URL; without it games have no files."
        )
        return
    try:
        with shelves.opened() as shelf:
            folders, _ = shelf.top()
    except shelves.LibraryError as error:
        advice = "Look at GAMES_URL: the address, its login, and whether that may list."
        yield Finding("library", Verdict.BROKEN, str(error), advice)
        return
    yield Finding("library", Verdict.FINE, f"answers; {len(folders)} folders")
