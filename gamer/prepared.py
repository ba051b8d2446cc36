"""Big statements that run all the time, planned once per connection instead of each time.

Django binds on the client, so that every statement is new to Postgres; of one that writes six tables, planning is more than half
the work. Not for statements whose best plan depends on their parameters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection
from django.db.backends.postgresql.base import ServerBindingCursor


def rows(statement: str, parameters: Mapping[str, Any] | Sequence[Any]) -> list[tuple[Any, ...]]:
    """What a statement returns, if anything, in the transaction that is open, if one is. Raises as a cursor of Django's does."""
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    if connection.queries_logged:  # somebody counts them
        connection.queries_log.append({"sql": statement, "time": ""})
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(statement, parameters, prepare=True)
        # Of a statement without rows there is none; to ask for the columns would make an object of each.
        return cursor.fetchall() if cursor.rownumber is not None else []


@contextmanager
def planned_once() -> Iterator[None]:
    """What Django asks within is bound by the server: a statement that comes again is planned only the first times.

    "Again" is `prepare_threshold` times on this connection, letter for letter.
    """
    connection.ensure_connection()
    opened = connection.connection
    usual = opened.cursor_factory
    opened.cursor_factory = ServerBindingCursor
    try:
        yield
    finally:
        opened.cursor_factory = usual
