"""Reports of everybody, read from the coarse sums: a row a day for each product or tenant instead of each cost centre.

What asks for a user, or for products and tenants at once, is read from the centres' days.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import F, Q, Sum

from billing.models import Face, UsageSum
from billing.periods import Period

FIGURES = ("running_us", "charged_us", "stopped_us", "storage_us", "cost_usd", "charge_usd", "vms_begun")
# The narrowest first.
KEPT = {
    Face.ALL: frozenset({"day"}),
    Face.PLACE: frozenset({"day", "provider", "provider_account", "region"}),
    Face.GAME: frozenset({"day", "console", "preset"}),
    Face.PRODUCT: frozenset({"day", "provider", "provider_account", "region", "console", "preset"}),
    Face.TENANT: frozenset({"day", "project", "department"}),
}


def face_of(wanted: Q, group_by: Sequence[str]) -> Face | None:
    """The coarsest sums that tell these groups apart and can be narrowed like that; None where only centres can."""
    named = {*group_by, *(name.partition("__")[0] for name in _conditions(wanted))}
    return next((face for face, kept in KEPT.items() if named <= kept), None)


def sums(face: Face, period: Period, wanted: Q, group_by: Sequence[str]) -> list[tuple[Any, ...]]:
    """The keys and figures of each group of a face, of what was closed."""
    rows = UsageSum.objects.filter(wanted, face=face, day__range=(period.start, period.end))
    keys = {f"key{number}": F(name) for number, name in enumerate(group_by)}
    totals = {f"sum_{name}": Sum(name, default=0) for name in FIGURES}
    if not keys:
        return [tuple(rows.aggregate(**totals).values())]
    return list(rows.order_by().values(**keys).annotate(**totals).values_list(*keys, *totals))


def merged(parts: Sequence[tuple[Any, ...]], keys: int) -> list[tuple[Any, ...]]:
    """One row for each key, however many parts it came in."""
    found: dict[tuple[Any, ...], list[Any]] = {}
    for part in parts:
        key, figures = part[:keys], part[keys:]
        so_far = found.get(key)
        found[key] = [a + b for a, b in zip(so_far, figures, strict=True)] if so_far else list(figures)
    return [(*key, *figures) for key, figures in found.items()]


def _conditions(wanted: Q) -> list[str]:
    """The columns that it looks at."""
    found: list[str] = []
    for child in wanted.children:
        if isinstance(child, Q):
            found += _conditions(child)
        elif isinstance(child, tuple):
            found.append(str(child[0]))
    return found
