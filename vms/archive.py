"""What is left of a VM that ended long ago: what money and audit need, and nothing that opens or places anybody.

Its row, its orders, its games and its events stay; keys, the player's position, the vendor's raw answer and the logs of setup go.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef

from events.services import record
from vms.models import VM, Attempt, SetupStep
from vms.models.vm import TERMINAL_PHASES
from vms.reconcile.apply import happening

KEPT = timedelta(days=90)
BATCH = 500
ACTOR = "policy:retention"
# A retry makes new keys where there are none.
BARE: dict[str, Any] = {
    "ssh_private_key": "", "ssh_public_key": "", "host_private_key": "", "host_public_key": "", "agent_bootstrap": "",
    "agent_token_digest": "", "latitude": None, "longitude": None, "machine_raw": {},
}  # fmt: skip


def archive(now: datetime, *, batch: int = BATCH) -> int:
    """Archives what ended 90 days ago, a batch per transaction; how many. Nothing that may still have a machine is touched."""
    archived = 0
    while True:
        with transaction.atomic():
            found = _archive_some(now, batch)
        archived += found
        if found < batch:
            return archived


def _archive_some(now: datetime, most: int) -> int:
    may_live = Exists(Attempt.objects.held().filter(vm=OuterRef("pk")))
    old = VM.objects.filter(archived_at=None, ended_at__lt=now - KEPT, phase__in=TERMINAL_PHASES)
    rows = list(
        old.exclude(may_live)
        .order_by("ended_at")
        .select_for_update(no_key=True, skip_locked=True, of=("self",))
        .only("owner", "project", "department")[:most]
    )
    ids = [vm.pk for vm in rows]
    SetupStep.objects.filter(attempt__vm_id__anyof=ids).delete()
    VM.objects.filter(pk__anyof=ids).update(archived_at=now, **BARE)
    record(*(happening(vm, "archived", {}, now, ACTOR) for vm in rows))
    return len(rows)
