"""What `/metrics` says of the roll-ups, by settings.METRICS."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from gamer.web.metrics import Figure, age_s
from monitoring.models import Progress


def figures(now: datetime) -> Iterable[Figure]:
    until = Progress.objects.filter(pk="minute").values_list("until", flat=True).first()
    yield Figure(
        "samples_rolled_up_age_seconds",
        "How far behind the minutes of samples are; two are usual.",
        age_s(until, now),
    )
