"""The ledger's part of `/health?full=1`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Min

from billing.models import Meter, Verification
from gamer.moments import written
from gamer.web.health import Part

LATE = timedelta(minutes=30)
UNPROVEN = timedelta(hours=50)  # two nights


def ledger(now: datetime) -> Iterable[Part]:
    """Well while the last proof found nothing broken, is recent, and full hours are being closed."""
    proof = Verification.objects.first()
    oldest = Meter.objects.aggregate(oldest=Min("since"))["oldest"]
    open_for = now - oldest if oldest is not None else timedelta(0)
    problem = ""
    if proof is not None and proof.broken:
        problem = f"broken: {'; '.join(sorted(proof.broken))}"
    elif proof is not None and now - proof.at > UNPROVEN:
        problem = f"was last proven at {proof.at:%Y-%m-%d %H:%M} UTC"
    elif open_for > timedelta(hours=1) + LATE:
        problem = f"an hour has been open for {int(open_for.total_seconds() // 60)} minutes"
    figures = {
        "proven_at": written(proof.at) if proof is not None else None,
        "oldest_open_minutes": int(open_for.total_seconds() // 60),
    }
    yield Part("ledger", problem, figures)
