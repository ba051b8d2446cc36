"""The one statement that a report is: one moment of everything it sums.

Its parts are what was closed, in the fewest rows that tell the groups apart (`rollups.py`); what the open meters have used since;
and for VMs the machines that were there at the beginning, and those that came beside another of their VM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import connection
from django.db.models import Q

from accounts.models import Department, Project, User
from billing.models import CostCentre
from billing.models.sums import BITS, LONGEST_SPAN_DAYS
from billing.periods import Period
from billing.rating import day_of
from billing.reports import rollups
from billing.reports.rows import Row

# What figures are grouped by beside the day, and the column that says it.
COLUMNS: Mapping[str, str] = {
    "provider": "provider",
    "region": "region",
    "console": "console",
    "preset": "preset",
    "project": "project_id",
    "department": "department_id",
    "user": "user_id",
}
# Whose ids have names, in which table and column.
NAMED: Mapping[str, tuple[str, str]] = {
    "project": (Project._meta.db_table, "name"),
    "department": (Department._meta.db_table, "name"),
    "user": (User._meta.db_table, "handle"),
}
USED = ("running_us", "charged_us", "stopped_us", "storage_us", "cost_usd", "charge_usd", "saved_usd")
# Machines that were there or began, that are the second of their VM there, and that ended.
MACHINES = ("begun", "seconds", "ended")
CLOSED = f"{', '.join(f'facts.{name}' for name in USED)}, facts.machines_begun, 0, facts.machines_ended"
TAKEN = CLOSED.replace("facts.", "-facts.")
# Days have running sums up to this one.
MADE = "(SELECT max(day) FROM billing_usagetodate)"
UNUSED = "0, 0, 0, 0, 0, 0, 0"

# Each part gives the keys, USED and MACHINES.
COARSE = f"""
    SELECT {{coarse_keys}} {CLOSED} FROM billing_usagesum facts
    WHERE facts.face = %(face)s AND facts.day BETWEEN %(start)s AND %(end)s {{conditions}}
"""  # noqa: S608  # our own words only
DAYS = f"""
    SELECT {{keys}} {CLOSED} FROM billing_usageday facts {{join}} WHERE facts.day BETWEEN %(start)s AND %(end)s {{narrow}}
"""  # noqa: S608  # our own words only
# The blocks' running sums, less what was before the period, and what is not in them yet.
TO_DATE = (
    f"""SELECT {{whom_keys}} {CLOSED} FROM unnest(%(firsts)s::date[], %(lasts)s::date[]) AS block (first, last)
        JOIN billing_usagetodate facts ON facts.day = least(block.last, {MADE}) AND facts.day >= block.first""",  # noqa: S608
    f"""SELECT {{whom_keys}} {TAKEN} FROM billing_usagetodate facts
        WHERE facts.day = least(%(start)s::date - 1, {MADE}) AND facts.day >= %(block)s""",  # noqa: S608
    f"""SELECT {{keys}} {CLOSED} FROM billing_usageday facts {{join}}
        WHERE NOT facts.is_folded AND facts.day BETWEEN %(start)s AND %(end)s""",  # noqa: S608
)
# Days at the edges, the spans between, and what is in the spans' time but not in them yet.
SPANS = (
    f"SELECT {{keys}} {CLOSED} FROM billing_usageday facts {{join}} WHERE facts.day = ANY(%(days)s::date[]) {{narrow}}",  # noqa: S608
    f"""SELECT {{keys}} {CLOSED} FROM unnest(%(lengths)s::smallint[], %(firsts)s::date[]) AS span (length, day)
        JOIN billing_usagespan facts ON facts.length = span.length AND facts.day = span.day {{join}} WHERE true {{narrow}}""",  # noqa: S608
    f"""SELECT {{keys}} {CLOSED} FROM billing_usageday facts {{join}}
        WHERE NOT facts.is_folded AND facts.day BETWEEN %(spans_start)s AND %(spans_end)s {{narrow}}""",  # noqa: S608
    f"""SELECT {{keys}} {CLOSED} FROM unnest(%(lengths)s::smallint[], %(firsts)s::date[]) AS span (length, day)
        JOIN billing_usagespan facts ON facts.length < span.length AND facts.day >= span.day AND facts.day < span.day + span.length
        {{join}} WHERE NOT facts.is_folded AND facts.length < {LONGEST_SPAN_DAYS} {{narrow}}""",  # noqa: S608
)
ACCRUED = """
    SELECT {keys} CASE facts.kind WHEN 'running' THEN facts.us ELSE 0 END, CASE WHEN facts.is_charged THEN facts.us ELSE 0 END,
           CASE facts.kind WHEN 'stopped' THEN facts.us ELSE 0 END, CASE facts.kind WHEN 'storage' THEN facts.us ELSE 0 END,
           facts.cost_usd, facts.charge_usd, 0, 0, 0, 0
    FROM billing_accrued(%(now)s, %(zone)s) facts {join} WHERE facts.day BETWEEN %(start)s AND %(end)s {narrow}
"""
# Machines from before count as if they began with the first day. `lower` of the range keeps the planner from reading everything
# that began before, which is everything.
THERE = f"""
    SELECT {{keys}} {UNUSED}, 1, 0, 0 FROM (
        SELECT centre_id, %(start)s::date AS day FROM billing_subject
        WHERE vm IS NOT NULL AND tstzrange(started_at, ended_at) @> %(starts_at)s::timestamptz
          AND lower(tstzrange(started_at, ended_at)) < %(starts_at)s AND %(starts_at)s <= %(now)s) AS facts
    {{join}} WHERE true {{narrow}}
"""  # noqa: S608  # our own words only
# Machines that were there in the period, as an earlier one of their VM in the same group was, which was so until `until`. They are
# found by the last day of both, by index; and only those with several earlier ones have to be brought together.
SAME = """FROM billing_takeover facts WHERE {one} AND facts.agrees & {{mask}} = {{mask}}
    AND coalesce(least(facts.last_day, facts.before_last_day), DATE 'infinity') >= %(start)s
    AND facts.day <= %(counted_to)s AND %(start)s <= %(counted_to)s {{narrow}} {{narrow_before}}"""
BESIDE = f"""(
    SELECT facts.centre_id, facts.day, facts.last_day, facts.before_last_day AS until {SAME.format(one="facts.is_only")}
    UNION ALL
    SELECT facts.centre_id, facts.day, facts.last_day, max(coalesce(facts.before_last_day, 'infinity'))
    {SAME.format(one="NOT facts.is_only")} GROUP BY facts.subject_id, facts.centre_id, facts.day, facts.last_day)
"""
IN_ALL = f"(SELECT count(*) FROM {BESIDE} AS beside)"  # noqa: S608  # our own words only
SECONDS = f"SELECT {{keys}} {UNUSED}, 0, 1, 0 FROM {BESIDE} AS facts {{join}}"  # noqa: S608  # our own words only
SECONDS_BY_DAY = f"""
    SELECT {{shared_keys}} {UNUSED}, 0, 1, 0 FROM {BESIDE} AS facts {{join}} CROSS JOIN LATERAL
    generate_series(greatest(facts.day, %(start)s)::timestamp,
                    least(facts.last_day, facts.until, %(counted_to)s)::timestamp, interval '1 day') AS shared (day)
"""  # noqa: S608  # our own words only
JOIN = "JOIN billing_costcentre centre ON centre.id = facts.centre_id"
# How the coarse sums are asked what Django's look-ups ask of centres.
ASKED = {"": "= {}", "in": "= ANY({})", "isnull": "IS NULL"}
# On a day are the machines that were there the day before and did not end, and those that began. The first day's `begun` has those
# that were there before it.
VMS_OF_DAYS = """(CASE WHEN {day} <= %(counted_to)s THEN sum(begun - ended) OVER ({others} ORDER BY {day}) + ended - seconds
                  ELSE begun END)::bigint"""
# The groups, as many as are wanted, with the names of what they are; and all of them together, as the last row, which also says how
# many groups there are.
STATEMENT = """
    WITH grouped AS MATERIALIZED (SELECT {keys} {sums} FROM ({parts}) AS facts ({keys} {columns}) {grouping} {having}),
    page AS (SELECT {keys} {used}, {vms} AS vms, 0 AS groups FROM grouped {most}),
    told AS (
        SELECT 0 AS place, {named} page.* FROM page {people}
        UNION ALL SELECT 1, {unnamed} {nothing} {totals}, {vms_in_all}, count(*) FROM grouped)
    SELECT * FROM told ORDER BY place {order}
"""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: whose figures (of cost centres), of which days, told apart by what; `most`: only so many of the groups.

    Rows come by day, where days are told apart, and by the largest sum, which is `by`: of USED, in SQL.
    """

    period: Period
    wanted: Q
    now: datetime
    group_by: tuple[str, ...] = ()
    counts_vms: bool = True
    most: int | None = None
    by: str = "cost_usd"

    @property
    def by_day(self) -> bool:
        return "day" in self.group_by

    @property
    def _is_of_people(self) -> bool:
        """Running sums are kept of whom it was, who has several centres."""
        is_coarse = rollups.face_of(self.wanted, self.group_by) is not None
        return not (is_coarse or self.wanted) and {"user", "project", "department"}.issuperset(self.group_by)

    @property
    def summed(self) -> tuple[str, ...]:
        machines = 0 if not self.counts_vms else 3 if self.by_day else 2
        return USED + MACHINES[:machines]

    @property
    def counted_to(self) -> date:
        """The last day on which machines are there: what still runs is not there tomorrow."""
        return min(self.period.end, day_of(self.now, self.period.zone))

    def answer(self) -> tuple[list[Row], Row, int]:
        """The groups, all together, and how many groups there are."""
        centres = centres_of(self.wanted)
        parts, told = self._closed()
        parts.append(ACCRUED)
        if self.counts_vms:
            parts += [THERE, SECONDS_BY_DAY if self.by_day else SECONDS]
        told |= {
            "start": self.period.start, "end": self.period.end, "zone": self.period.zone.key, "now": self.now,
            "starts_at": self.period.starts_at, "counted_to": self.counted_to, "centres": list(centres or ()),
            "most": self.most,
        }  # fmt: skip
        with connection.cursor() as cursor:
            cursor.execute(self._statement(parts, is_narrow=centres is not None), told)
            *found, whole = cursor.fetchall()
        keys = 1 + len(self.group_by)
        used = keys + len(self.group_by)
        vms = used + len(USED)
        rows = [Row._make((one[keys:used], one[vms], *one[used:vms], one[1:keys])) for one in found]
        return rows, Row._make(((), whole[vms], *whole[used:vms], ())), whole[-1]

    def _closed(self) -> tuple[list[str], dict[str, Any]]:
        """The parts that were closed, and their values."""
        told: dict[str, Any]
        face = rollups.face_of(self.wanted, self.group_by)
        if face is not None:
            texts, told = [], {"face": face}
            for number, (lookup, value) in enumerate(rollups.conditions(self.wanted)):
                name, _, kind = lookup.partition("__")
                texts.append(
                    f"AND facts.{COLUMNS.get(name, name)} {ASKED[kind].format(f'%(asked{number})s')}"
                )
                told[f"asked{number}"] = value
            return [COARSE.replace("{conditions}", " ".join(texts))], told
        if self.by_day:
            return [DAYS], {}
        if self._is_of_people:
            firsts, lasts = rollups.blocks_of(self.period)
            return list(TO_DATE), {"firsts": firsts, "lasts": lasts, "block": firsts[0]}
        spans = rollups.spans_of(self.period)
        told = {"days": spans.days, "lengths": spans.lengths, "firsts": spans.firsts}
        if not spans.firsts:
            return list(SPANS[:1]), told
        return list(SPANS), {**told, "spans_start": spans.firsts[0], "spans_end": spans.end}

    def _statement(self, parts: Sequence[str], *, is_narrow: bool) -> str:
        names = [f"key{number}" for number in range(len(self.group_by))]
        columns = [COLUMNS[name] for name in self.group_by if name != "day"]
        narrow = "AND {} = ANY(%(centres)s)" if is_narrow else ""
        words = {
            "keys": self._keys("centre", "facts.day"),
            "coarse_keys": self._keys("facts", "facts.day"),
            "whom_keys": self._keys("facts", ""),
            "shared_keys": self._keys("centre", "shared.day::date"),
            "join": JOIN if columns else "",
            "narrow": narrow.format("facts.centre_id"),
            "narrow_before": narrow.format("facts.before_centre_id"),
        }
        mask = sum(BITS[column] for column in columns)
        tables = {key: NAMED[name] for key, name in zip(names, self.group_by, strict=True) if name in NAMED}
        sums = {name: _sum(name) for name in self.summed}
        vms = vms_in_all = "0"
        if self.counts_vms:
            vms, vms_in_all = self._vms(names), f"{sums['begun']} - {IN_ALL.format(mask=0, **words)}"
        order = self._order(names)
        return STATEMENT.format(
            keys="".join(f"{name}, " for name in names),
            sums=", ".join(f"{told} AS {name}" for name, told in sums.items()),
            parts=" UNION ALL ".join(part.format(mask=mask, **words) for part in parts),
            columns=", ".join((*USED, *MACHINES)), grouping=f"GROUP BY {', '.join(names)}" if names else "",
            # Who used something in a block, but nothing in the period.
            having=f"HAVING ({', '.join(sums.values())}) <> ({', '.join('0' * len(sums))})" if self._is_of_people else "",
            most=f"ORDER BY {order} LIMIT %(most)s" if self.most is not None and names else "",
            named="".join(
                f"coalesce(of_{key}.{tables[key][1]}, '') AS of_{key}, "
                if key in tables
                else f"page.{key}::text AS of_{key}, "
                for key in names
            ),
            people=" ".join(
                f"LEFT JOIN {table} of_{key} ON of_{key}.id = page.{key}" for key, (table, _) in tables.items()
            ),
            unnamed="'', " * len(names), nothing="NULL, " * len(names), used=", ".join(USED), vms=vms,
            totals=", ".join(sums[name] for name in USED), vms_in_all=vms_in_all,
            order=f", {order}" if names else "",
        )  # fmt: skip

    def _vms(self, names: Sequence[str]) -> str:
        """SQL of how many VMs each group had, or had on its day."""
        if not self.by_day:
            return "begun - seconds"
        day = names[self.group_by.index("day")]
        others = ", ".join(name for name in names if name != day)
        return VMS_OF_DAYS.format(day=day, others=f"PARTITION BY {others}" if others else "")

    def _order(self, names: Sequence[str]) -> str:
        days = [key for key, name in zip(names, self.group_by, strict=True) if name == "day"]
        return ", ".join((*days, f"{self.by} DESC", *names))

    def _keys(self, table: str, day: str) -> str:
        return "".join(f"{day if name == 'day' else f'{table}.{COLUMNS[name]}'}, " for name in self.group_by)


def _sum(name: str) -> str:
    return f"coalesce(sum({name}), 0)" if name.endswith("_usd") else f"coalesce(sum({name}), 0)::bigint"


def centres_of(wanted: Q) -> Sequence[int] | None:
    """The cost centres that hold to something; None for all of them."""
    if not wanted:
        return None
    return list(CostCentre.objects.filter(wanted).order_by("id").values_list("id", flat=True))
