"""Game sessions go forward only: one guarded statement moves one, and whoever saw the move first tells it.

What is played on them only grows, too: each report is the whole of it, so one that is repeated or late changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce, Greatest

from emulators.services import saves
from vms.models import GameSession

Status = GameSession.Status
# The states from which each one is a step forward.
BEFORE: dict[str, tuple[str, ...]] = {
    Status.LAUNCHED: (Status.QUEUED,),
    Status.ENDED: GameSession.OPEN,
    Status.FAILED: GameSession.OPEN,
}


def move(*, vm_id: UUID, session_id: UUID, status: str, at: datetime, error_text: str = "") -> bool:
    """Moves a session of that VM. False when it is that far already, or is not there. Times never run backwards."""
    changes: dict[str, object] = {"status": status, "error_text": error_text[:500]}
    if status == Status.LAUNCHED:
        changes["started_at"] = Greatest(F("queued_at"), Value(at))
    else:
        changes["ended_at"] = Greatest(Coalesce("started_at", "queued_at"), Value(at))
    rows = GameSession.objects.filter(pk=session_id, vm=vm_id, status__in=BEFORE[status])
    return bool(rows.update(**changes))


# A session is played no longer than it lasts, whatever its machine says.
PLAYED = """
    UPDATE vms_gamesession AS session SET played_s = known.played_s
    FROM (
        SELECT one.id, one.played_s AS before, GREATEST(0, LEAST(
            told.seconds,
            EXTRACT(EPOCH FROM COALESCE(one.ended_at, %(now)s) - COALESCE(one.started_at, one.queued_at))
        ))::integer AS played_s
        FROM vms_gamesession AS one JOIN unnest(%(ids)s::uuid[], %(seconds)s::float8[]) AS told (id, seconds) USING (id)
        WHERE one.vm_id = %(vm)s ORDER BY one.id FOR NO KEY UPDATE OF one
    ) AS known
    WHERE session.id = known.id AND known.played_s >= known.before + %(step)s
    RETURNING session.slot_id, known.played_s - known.before
"""


def note_played(*, vm_id: UUID, played: Mapping[UUID, float], now: datetime, step_s: int = 1) -> None:
    """How long each of that VM's sessions has been played in all, in seconds; growth below `step_s` waits for a later report."""
    # Most reports bring nothing new, and 2,000 machines send one every 15 s: those cost one look.
    known = GameSession.objects.filter(vm=vm_id, pk__in=played).values_list("pk", "played_s")
    if not any(played[pk] >= before + step_s for pk, before in known):
        return
    values: dict[str, Any] = {
        "now": now,
        "vm": vm_id,
        "step": step_s,
        "ids": list(played),
        "seconds": list(played.values()),
    }
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(PLAYED, values)
            rows = cursor.fetchall()
        grown: Counter[UUID] = Counter()
        for slot, seconds in rows:
            if slot is not None:
                grown[slot] += seconds
        saves.add_played(grown)
