"""What steps have to do with saves: whom to believe, what to take, what to say. Touches no database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from emulators import archives
from gamer.errors import GamerError
from vms.models import GameSession
from vms.reconcile.outcome import Note, Subject, TakenSave
from vms.setup import Collected, PendingSave


def refusal(subject: Subject, save: PendingSave, archive: bytes | None) -> str:
    """Why a version that waits on the machine is not taken; "" for one that may be. The machine is a player's."""
    if _session_of(subject, save) is None:
        return "it is of no game session of this VM"
    if archive is None:
        return ""
    try:
        found = archives.digest_of(archive)
    except GamerError as error:
        return str(error)
    return "" if found == save.digest else "it holds something else than the machine says"


def found(subject: Subject, collected: Collected) -> Mapping[str, Any]:
    """What a look at the machine brought, as parts of an outcome."""
    taken = []
    for save, archive in collected.fetched:
        session_id = _session_of(subject, save)
        assert session_id is not None
        taken.append(TakenSave(subject.slots[session_id], session_id, save, archive))
    mine = {str(session_id): session_id for session_id in subject.slots}
    played = {
        mine[one.session_id]: one.played_s
        for one in collected.agent.sessions
        if one.session_id in mine and one.played_s
    }
    notes = [
        Note("save_refused", {"slot": save.slot[:40], "why": why[:300]}) for save, why in collected.refused
    ]
    return {"saves": taken, "played": played, "refusals": len(collected.refused), "notes": notes}


def lost(subject: Subject, action: str, why: str) -> list[Note]:
    """Says of every game with a save that was being played what may have become of it."""
    playing = [one for one in subject.sessions if one.status == GameSession.Status.LAUNCHED and one.slot_id]
    return [
        Note(action, {"session_id": str(one.pk), "game_id": one.game_id, "why": why[:300]}) for one in playing
    ]


def _session_of(subject: Subject, save: PendingSave) -> UUID | None:
    """The VM's session that the version is of, when its slot is that session's."""
    try:
        session_id = UUID(save.session_id)
    except ValueError:
        return None
    slot_id = subject.slots.get(session_id)
    return session_id if slot_id is not None and str(slot_id) == save.slot else None
