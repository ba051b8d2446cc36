"""Rows that hundreds of tests begin with: each worker makes them once, and puts the same ones back for whoever asks later."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, TypeVar

from django.db import connection, transaction
from django_q.models import Schedule

T = TypeVar("T")
SCHEDULES = Schedule._meta.db_table

# Every table of ours, the columns that can be written, and the same with times moved.
TABLES = """
    SELECT c.table_name, string_agg(format('%I', c.column_name), ',' ORDER BY c.ordinal_position),
        string_agg(format('%I', c.column_name) || CASE c.data_type WHEN 'timestamp with time zone' THEN ' + moved.by' ELSE '' END,
            ',' ORDER BY c.ordinal_position)
    FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
    WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND c.is_generated = 'NEVER'
    GROUP BY c.table_name ORDER BY c.table_name
"""


@dataclass(frozen=True)
class Copy:
    """What came of a maker at a time: its rows, as (statement that puts them back, JSON), and what it returned, pickled."""

    at: datetime
    rows: list[tuple[str, str]]
    returned: bytes


_copies: dict[Callable[[datetime], Any], Copy] = {}


def forget() -> None:
    """For another database: its sequences do not know of the rows."""
    _copies.clear()


def kept(make: Callable[[datetime], T]) -> Callable[[datetime], T]:
    """Lets `make`, which only adds rows, run once. What it returns is pickled, so that nobody gets what another changed.

    Put back at another time than they were made, all times in rows have moved by as much; those in what `make` returns have not.
    Else rows are as they were: no law is asked a second time, no trigger fires, and the numbers are the same ones.
    """

    @wraps(make)
    def made(now: datetime) -> T:
        copy = _copies.get(make)
        with transaction.atomic():
            if copy is not None and copy.at.date() == now.date():  # days in rows do not move
                _put_back(copy.rows, now - copy.at)
            else:
                copy = _copies[make] = _copied(make, now)
        return pickle.loads(copy.returned)

    return made


def _copied(make: Callable[[datetime], T], now: datetime) -> Copy:
    with transaction.atomic(), connection.cursor() as cursor:
        # The savepoint gets a number by writing; what is written after that has this number or a higher one.
        cursor.execute("CREATE TEMPORARY TABLE since AS SELECT")
        cursor.execute("INSERT INTO since DEFAULT VALUES RETURNING xmin::text")
        (first,) = cursor.fetchone()
        cursor.execute("DROP TABLE since")
        returned = make(now)
        cursor.execute(TABLES)
        rows = []
        for table, columns, moved in cursor.fetchall():
            cursor.execute(
                f'SELECT json_agg(one)::text FROM "{table}" one WHERE xmin::text::bigint >= {first}'
            )
            if (text := cursor.fetchone()[0]) is not None:
                put = f'INSERT INTO "{table}" ({columns}) OVERRIDING SYSTEM VALUE SELECT {moved}'
                put += f' FROM json_populate_recordset(NULL::"{table}", %s), (SELECT %s AS by) moved'
                rows.append((put, text))
    return Copy(now, rows, pickle.dumps(returned))


def _put_back(rows: list[tuple[str, str]], later: timedelta) -> None:
    statements = [statement for statement, _ in rows]
    if any(SCHEDULES in statement for statement in statements):  # soon they would be late
        statements.append(f"UPDATE {SCHEDULES} SET next_run = now()")
    role = "SET LOCAL session_replication_role = "
    with connection.cursor() as cursor:  # in one round trip
        cursor.execute(
            "; ".join([f"{role} replica", *statements, f"{role} origin"]),
            [value for _, text in rows for value in (text, later)],
        )
