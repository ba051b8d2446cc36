"""Game sessions go forward only: one guarded statement moves one, and whoever saw the move first tells it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import F, Value
from django.db.models.functions import Coalesce, Greatest

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
