"""Which sums a report reads: those with the fewest rows that tell its groups apart. Pure.

Reports of everybody come from the coarse sums: a row a day for each product or tenant instead of each cost centre. What asks for
a user, or for products and tenants at once, comes from the centres' days, and from spans of them unless days are told apart; or,
where only people are told apart, from what each has used to date.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Q

from billing.models import Face
from billing.models.sums import BLOCK_DAYS, LONGEST_SPAN_DAYS, SPANS_BEGAN
from billing.periods import Period

# The narrowest first.
KEPT = {
    Face.ALL: frozenset({"day"}),
    Face.PLACE: frozenset({"day", "provider", "provider_account", "region"}),
    Face.GAME: frozenset({"day", "console", "preset"}),
    Face.PRODUCT: frozenset({"day", "provider", "provider_account", "region", "console", "preset"}),
    Face.TENANT: frozenset({"day", "project", "department"}),
}


@dataclass(frozen=True, slots=True)
class Spans:
    """A period as single days and spans of 2, 4, 8 … days, given by their first days. Spans have no days between them."""

    days: Sequence[date]
    lengths: Sequence[int]
    firsts: Sequence[date]

    @property
    def end(self) -> date:
        """The last day of the last span."""
        return self.firsts[-1] + timedelta(days=self.lengths[-1] - 1)


def face_of(wanted: Q, group_by: Sequence[str]) -> Face | None:
    """The coarsest sums that tell these groups apart and can be narrowed like that; None where only centres can."""
    named = {*group_by, *(name.partition("__")[0] for name, _ in conditions(wanted))}
    return next((face for face, kept in KEPT.items() if named <= kept), None)


def conditions(wanted: Q) -> list[tuple[str, object]]:
    """What sights and filters ask for: look-ups and values, all of which must hold."""
    found: list[tuple[str, object]] = []
    for child in wanted.children:
        if isinstance(child, Q):
            found += conditions(child)
        elif isinstance(child, tuple):
            found.append((str(child[0]), child[1]))
    return found


def spans_of(period: Period) -> Spans:
    """The fewest: at most two of each length."""
    days, lengths, firsts = [], [], []
    day = period.start
    while day <= period.end:
        length = 1
        while (
            length < LONGEST_SPAN_DAYS
            and (day - SPANS_BEGAN).days % (2 * length) == 0
            and day + timedelta(days=2 * length - 1) <= period.end
        ):
            length *= 2
        if length == 1:
            days.append(day)
        else:
            lengths.append(length)
            firsts.append(day)
        day += timedelta(days=length)
    return Spans(days, lengths, firsts)


def blocks_of(period: Period) -> tuple[Sequence[date], Sequence[date]]:
    """The blocks that a period lies in: their first days, and the last of each that is in the period."""
    begun = period.start - timedelta(days=(period.start - SPANS_BEGAN).days % BLOCK_DAYS)
    firsts = [begun + timedelta(days=days) for days in range(0, (period.end - begun).days + 1, BLOCK_DAYS)]
    return firsts, [min(first + timedelta(days=BLOCK_DAYS - 1), period.end) for first in firsts]
