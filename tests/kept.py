"""Rows that hundreds of tests begin with: each worker makes them once, and puts the same ones back for whoever asks later."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TypeVar

from django.db import connection, transaction
from django.utils import timezone
from django_q.models import Schedule

T = TypeVar("T")

# Every table of ours with the columns that can be written.
TABLES = """
    SELECT c.table_name, string_agg(format('%I', c.column_name), ',' ORDER BY c.ordinal_position)
    FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
    WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND c.is_generated = 'NEVER'
    GROUP BY c.table_name ORDER BY c.table_name
"""


@dataclass(frozen=True)
class Copy:
    """What came of a maker: its rows, as (table, columns, text of COPY), and what it returned, pickled."""

    rows: list[tuple[str, str, bytes]]
    returned: bytes


def kept(make: Callable[[], T]) -> Callable[[], T]:
    """Lets `make`, which only adds rows, run once. What it returns is pickled, so that nobody gets what another changed.

    Put back, rows are as they were: no law is asked a second time, no trigger fires, and the numbers are the same ones.
    """
    copies: list[Copy] = []

    @wraps(make)
    def made() -> T:
        with transaction.atomic():
            if copies:
                _put_back(copies[0])
            else:
                copies.append(_copied(make))
        return pickle.loads(copies[0].returned)

    return made


def _copied(make: Callable[[], T]) -> Copy:
    with transaction.atomic(), connection.cursor() as cursor:
        # The savepoint gets a number by writing; what is written after that has this number or a higher one.
        cursor.execute("CREATE TEMPORARY TABLE since AS SELECT")
        cursor.execute("INSERT INTO since DEFAULT VALUES RETURNING xmin::text")
        (first,) = cursor.fetchone()
        cursor.execute("DROP TABLE since")
        returned = make()
        cursor.execute(TABLES)
        rows = []
        for table, columns in cursor.fetchall():
            with cursor.copy(
                f'COPY (SELECT {columns} FROM "{table}" WHERE xmin::text::bigint >= {first}) TO STDOUT'
            ) as out:
                if text := b"".join(out):
                    rows.append((table, columns, text))
    return Copy(rows, pickle.dumps(returned))


def _put_back(copy: Copy) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table, columns, text in copy.rows:
            with cursor.copy(f'COPY "{table}" ({columns}) FROM STDIN') as into:
                into.write(text)
            if table == Schedule._meta.db_table:  # soon they would be late
                cursor.execute(f"UPDATE {table} SET next_run = %s", [timezone.now()])
        cursor.execute("SET LOCAL session_replication_role = origin")
