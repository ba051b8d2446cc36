"""One function for every table and chart: sums over days, narrowed and grouped, in a handful of statements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Q

from accounts.models import Department, Project, User
from billing.models import CostCentre
from billing.periods import Period
from billing.rating import amount
from billing.reports import rollups
from billing.sight import Sight

HOUR_US = Decimal(3_600_000_000)
PLACES = Decimal("0.000001")

# What figures are grouped by, and the column that says it.
GROUPS: Mapping[str, str] = {
    "provider": "centre.provider",
    "region": "centre.region",
    "console": "centre.console",
    "preset": "centre.preset",
    "project": "centre.project_id",
    "department": "centre.department_id",
    "user": "centre.user_id",
    "day": "facts.day",
}
Key = str | int | date | None

ACCRUED = """
    SELECT centre_id, day, CASE kind WHEN 'running' THEN us ELSE 0 END AS running_us, CASE WHEN is_charged THEN us ELSE 0 END AS charged_us,
           CASE kind WHEN 'stopped' THEN us ELSE 0 END AS stopped_us, CASE kind WHEN 'storage' THEN us ELSE 0 END AS storage_us,
           cost_usd, charge_usd, 0 AS vms_begun
    FROM billing_accrued(%(now)s, %(zone)s) WHERE day BETWEEN %(start)s AND %(end)s {narrow}
"""
FACTS = f"""
    SELECT centre_id, day, running_us, charged_us, stopped_us, storage_us, cost_usd, charge_usd, vms_begun
    FROM billing_usageday WHERE day BETWEEN %(start)s AND %(end)s {{narrow}}
    UNION ALL {ACCRUED}
"""  # noqa: S608  # our own words only
SUMS = """
    SELECT {groups} coalesce(sum(facts.running_us), 0), coalesce(sum(facts.charged_us), 0), coalesce(sum(facts.stopped_us), 0),
           coalesce(sum(facts.storage_us), 0), coalesce(sum(facts.cost_usd), 0), coalesce(sum(facts.charge_usd), 0),
           coalesce(sum(facts.vms_begun), 0)
    FROM ({facts}) AS facts {join} {grouping}
"""
# A VM counts wherever one of its machines began in the period, or was at its beginning. The sums know how many began, one
# machine for each VM; here are the few others: machines from before, and those that took over from another. `lower` of the range
# keeps the planner from reading everything that began before, which is everything.
VMS = """
    WITH spans AS MATERIALIZED ({spans}),
    others AS MATERIALIZED (
        SELECT spans.*, facts.vm, facts.centre_id
        FROM spans JOIN billing_subject facts ON tstzrange(facts.started_at, facts.ended_at) @> spans.lower
        WHERE facts.vm IS NOT NULL AND lower(tstzrange(facts.started_at, facts.ended_at)) < spans.lower AND spans.lower < %(now)s {narrow}
        UNION ALL
        SELECT spans.*, facts.vm, facts.centre_id
        FROM spans JOIN billing_subject facts ON facts.started_at >= spans.lower AND facts.started_at < spans.upper
        WHERE facts.vm IS NOT NULL AND NOT facts.is_counted {narrow}),
    told AS MATERIALIZED (
        SELECT {groups} facts.*, counted.started_at >= facts.lower AND counted.started_at < facts.upper {begun} AS is_begun,
               {same} AS is_same
        FROM others AS facts {join}
        JOIN billing_subject counted ON counted.vm = facts.vm AND counted.is_counted {same_join})
    SELECT {keys} false, count(DISTINCT (vm, lower)) FROM told WHERE NOT (is_begun AND is_same) {grouping}
    UNION ALL SELECT {nothing} true, count(DISTINCT vm) FROM told WHERE NOT is_begun
"""
WHOLE = "SELECT %(starts_at)s::timestamptz AS lower, %(ends_at)s::timestamptz AS upper"
DAYS = """
    SELECT local::date AS day, local AT TIME ZONE %(zone)s AS lower, (local + interval '1 day') AT TIME ZONE %(zone)s AS upper
    FROM generate_series(%(start)s::timestamp, %(end)s::timestamp, interval '1 day') AS local
"""
JOIN = "JOIN billing_costcentre centre ON centre.id = {table}.centre_id"


# Narrows to what has no region, console …, or no project, department or user: rows of a report have a key for those, too.
NO_TEXT, NO_ID = "-", 0


@dataclass(frozen=True, slots=True)
class Filters:
    """What a report is narrowed to; projects and departments by primary key, users by it or by their handle.

    NO_TEXT and NO_ID ask for what has none.
    """

    provider: str = ""
    region: str = ""
    console: str = ""
    preset: str = ""
    project: int | None = None
    department: int | None = None
    user: int | None = None
    user__handle: str = ""

    def of(self) -> Q:
        chosen = Q()
        for one in fields(self):
            value = getattr(self, one.name)
            if value == NO_ID:
                chosen &= Q(**{f"{one.name}__isnull": True})
            elif value not in ("", None):
                chosen &= Q(**{one.name: "" if value == NO_TEXT else value})
        return chosen


EVERYTHING = Filters()


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one group. `keys` are its values, in the order of `group_by`; ids have their names in `names`.

    Provider's money: `cost_usd` for `provider_us` microseconds. Customers': `charge_usd` for `charged_us`.
    """

    keys: tuple[Key, ...]
    vms: int
    running_us: int
    charged_us: int
    stopped_us: int
    storage_us: int
    cost_usd: Decimal
    charge_usd: Decimal
    names: tuple[str, ...] = ()

    @property
    def provider_us(self) -> int:
        """How long providers billed machines: running, or stopped and kept."""
        return self.running_us + self.stopped_us

    @property
    def provider_hours(self) -> Decimal:
        return hours(self.provider_us)

    @property
    def charged_hours(self) -> Decimal:
        return hours(self.charged_us)

    @property
    def margin_usd(self) -> Decimal:
        return self.charge_usd - self.cost_usd

    @property
    def cost_per_play_hour(self) -> Decimal | None:
        """What an hour somebody could play has cost us; None when nobody could."""
        return amount(self.cost_usd * HOUR_US / self.charged_us) if self.charged_us else None


@dataclass(frozen=True, slots=True)
class Report:
    """Rows by the larger sum first (days: in order), and the totals of all that was asked for."""

    period: Period
    group_by: tuple[str, ...]
    rows: Sequence[Row]
    totals: Row


def hours(us: int) -> Decimal:
    return (Decimal(us) / HOUR_US).quantize(PLACES)


@dataclass(frozen=True, slots=True)
class Question:
    """The parts every statement of a report shares."""

    period: Period
    centres: Sequence[int] | None  # None: all
    now: datetime
    group_by: tuple[str, ...] = ()

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            "start": self.period.start, "end": self.period.end, "zone": self.period.zone.key, "now": self.now,
            "starts_at": self.period.starts_at, "ends_at": self.period.ends_at, "centres": list(self.centres or ()),
        }  # fmt: skip

    def ask(self, template: str, **parts: str) -> list[tuple[Any, ...]]:
        columns = [GROUPS[name] for name in self.group_by]
        keys = [f"key{number}" for number in range(len(columns))]
        needs_centre = any(column.startswith("centre.") for column in columns)
        statement = template.format(
            groups="".join(f"{column} AS {key}, " for column, key in zip(columns, keys, strict=True)),
            keys="".join(f"{key}, " for key in keys),
            nothing="NULL, " * len(keys),
            same=" AND ".join(
                f"{column} IS NOT DISTINCT FROM counted_{column}"
                for column in columns
                if column != GROUPS["day"]
            )
            or "true",
            same_join="JOIN billing_costcentre counted_centre ON counted_centre.id = counted.centre_id"
            if needs_centre
            else "",
            begun="AND counted.centre_id = ANY(%(centres)s)" if self.centres is not None else "",
            grouping=f"GROUP BY {', '.join(keys)}" if keys else "",
            join=JOIN.format(table="facts") if needs_centre else "",
            narrow="AND centre_id = ANY(%(centres)s)" if self.centres is not None else "",
            **parts,
        )
        with connection.cursor() as cursor:
            cursor.execute(statement, self.parameters)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found


def report(
    *,
    period: Period,
    sight: Sight,
    now: datetime,
    filters: Filters = EVERYTHING,
    group_by: Iterable[str] = (),
    counts_vms: bool = True,
) -> Report:
    """Sums of a period, for what somebody may see of it. `group_by` names up to two of GROUPS.

    `counts_vms` False leaves `vms` 0: counting looks at every machine, and sums at days only.

    A handful of statements, whatever is asked: which centres, sums, what runs, machines, and names.
    """
    names = tuple(group_by)
    wanted = sight.of() & filters.of()
    question = Question(period, _centres(wanted), now, names)
    sums = _sums(question, wanted)
    others, more = _others(question) if counts_vms else ({}, 0)
    begun = sum(int(found[-1]) for found in sums) if counts_vms else 0
    rows = [
        row_of(
            tuple(found[: len(names)]),
            int(found[-1]) + others.get(tuple(found[: len(names)]), 0) if counts_vms else 0,
            found[len(names) : -1],
        )
        for found in sums
    ]
    vms = begun + more
    if not names:
        return Report(period, names, rows, rows[0])
    totals = total_of(rows, vms)
    if "day" in names:
        rows.sort(key=lambda row: (row.keys[names.index("day")], -row.cost_usd, str(row.keys)))
    else:
        rows.sort(key=lambda row: (-(row.cost_usd if sight.shows_cost else row.charge_usd), str(row.keys)))
    return Report(period, names, _named(rows, names), totals)


def series(
    *,
    period: Period,
    sight: Sight,
    now: datetime,
    filters: Filters = EVERYTHING,
    by: str | None = None,
    counts_vms: bool = True,
) -> Sequence[Row]:
    """One row for every day of the period, also for those without use; with `by`, one per day and group."""
    names = ("day", by) if by else ("day",)
    found = report(
        period=period, sight=sight, now=now, filters=filters, group_by=names, counts_vms=counts_vms
    ).rows
    if by is not None:
        return found
    of_day = {row.keys[0]: row for row in found}
    return [of_day.get(day) or _nothing((day,)) for day in period.each()]


def saved_by_stopping(*, period: Period, sight: Sight, filters: Filters = EVERYTHING) -> Decimal:
    """What machines would have cost had they run while they were stopped, minus what they cost stopped: what auto-stop saved.

    The daily sums say where something was stopped at all, so that only those intervals are read, whatever the planner guesses.
    """
    centres = chosen_centres(sight, filters)
    narrow = "AND centre_id = ANY(%(centres)s)" if centres is not None else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT coalesce(sum((
                SELECT sum(billing_total(subject.cost_usd_per_hour, record.started_at, record.ended_at) - record.cost_usd)
                FROM billing_usagerecord record JOIN billing_subject subject ON subject.id = record.subject_id
                WHERE record.day = rested.day AND record.centre_id = rested.centre_id AND record.kind <> 'running')), 0)
            FROM billing_usageday rested
            WHERE day BETWEEN %(start)s AND %(end)s AND stopped_us + storage_us > 0 {narrow}
            """,  # noqa: S608  # our own words only
            {"start": period.start, "end": period.end, "centres": list(centres or ())},
        )
        return Decimal(cursor.fetchone()[0])


def chosen_centres(sight: Sight, filters: Filters) -> Sequence[int] | None:
    """The centres asked for; None for all of them."""
    return _centres(sight.of() & filters.of())


def _centres(wanted: Q) -> Sequence[int] | None:
    if not wanted:
        return None
    return list(CostCentre.objects.filter(wanted).order_by("id").values_list("id", flat=True))


def _sums(question: Question, wanted: Q) -> list[tuple[Any, ...]]:
    """Keys and figures of each group: from the coarse sums where they tell the groups apart, else from the centres' days."""
    face = rollups.face_of(wanted, question.group_by)
    if face is None:
        return question.ask(SUMS.replace("{facts}", FACTS))
    closed = rollups.sums(face, question.period, wanted, question.group_by)
    running = question.ask(SUMS.replace("{facts}", ACCRUED))
    return rollups.merged([*closed, *running], len(question.group_by))


def _others(question: Question) -> tuple[dict[tuple[Key, ...], int], int]:
    """How many VMs there were beside those that began, in each group, and in all of them together."""
    is_daily = "day" in question.group_by
    found = question.ask(VMS, spans=DAYS if is_daily else WHOLE)
    groups = {tuple(row[:-2]): int(row[-1]) for row in found if not row[-2]}
    if is_daily:
        found = replace(question, group_by=()).ask(VMS, spans=WHOLE)
    return groups, next(int(row[-1]) for row in found if row[-2])


def row_of(keys: tuple[Key, ...], vms: int, figures: Sequence[Any]) -> Row:
    running, charged, stopped, storage, cost, charge = figures
    return Row(keys, vms, int(running), int(charged), int(stopped), int(storage), cost, charge)


def _nothing(keys: tuple[Key, ...]) -> Row:
    return Row(keys, 0, 0, 0, 0, 0, Decimal(0), Decimal(0))


def total_of(rows: Sequence[Row], vms: int) -> Row:
    return Row(
        (), vms, sum(row.running_us for row in rows), sum(row.charged_us for row in rows),
        sum(row.stopped_us for row in rows), sum(row.storage_us for row in rows),
        sum((row.cost_usd for row in rows), Decimal(0)), sum((row.charge_usd for row in rows), Decimal(0)),
    )  # fmt: skip


NAMED: Mapping[str, tuple[type[Any], str]] = {
    "project": (Project, "name"),
    "department": (Department, "name"),
    "user": (User, "handle"),
}


def _named(rows: Sequence[Row], group_by: Sequence[str]) -> Sequence[Row]:
    """Ids get the names people know; one statement for each kind of them."""
    known: dict[int, dict[Any, str]] = {}
    for position, group in enumerate(group_by):
        if group in NAMED:
            model, column = NAMED[group]
            ids = {row.keys[position] for row in rows} - {None}
            known[position] = dict(model.objects.filter(pk__in=ids).values_list("pk", column))
    return [
        Row(
            row.keys, row.vms, row.running_us, row.charged_us, row.stopped_us, row.storage_us, row.cost_usd, row.charge_usd,
            tuple(known[at].get(key, "") if at in known else str(key) for at, key in enumerate(row.keys)),
        )
        for row in rows
    ]  # fmt: skip
