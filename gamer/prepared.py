"""Big statements that run all the time, planned once per connection instead of each time.

Django binds on the client, so that every statement is new to Postgres; of one that writes six tables, planning is more than half
the work. Not for statements whose best plan depends on their parameters.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import psycopg
import psycopg.sql
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.postgresql.base import ServerBindingCursor
from django.db.models import Expression, Model, QuerySet
from django.db.models.sql.compiler import SQLCompiler

Row = TypeVar("Row", bound=Model)


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


class _Given(Expression):
    """A value that comes with each asking; what it is compared with says of what type it is."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        return "%s", (self,)


class CompiledQuery(Generic[Row]):
    """A queryset that is asked all the time, each time with other values. Django makes its SQL once per process: that is most
    of what asking costs.

        BY_KEY = CompiledQuery(lambda key: Subject.objects.filter(key=key))
        BY_KEY.first(key="attempt:1")

    No value may be None. The instances come without what `select_related` would bring.
    """

    def __init__(self, queryset: Callable[..., QuerySet[Row]]) -> None:
        self._queryset = queryset

    def all(self, **given: Any) -> list[Row]:
        made = self._made
        found: Sequence[Sequence[Any]] = rows(made.statement, [given[name] for name in made.places])
        if made.readers:
            found = [made.read(row) for row in found]
        return [made.model.from_db(connection.alias, made.names, row) for row in found]

    def first(self, **given: Any) -> Row | None:
        return next(iter(self.all(**given)), None)

    @cached_property
    def _made(self) -> _Made[Row]:
        asked = self._queryset(
            **{name: _Given(name) for name in inspect.signature(self._queryset).parameters}
        )
        compiler = asked.query.get_compiler(connection.alias)
        statement, values = compiler.as_sql()
        places = [one.name for one in values if isinstance(one, _Given)]
        # What is the same each time stands in the statement: the planner has to see it to use an index of some rows only.
        words = ["%s" if isinstance(one, _Given) else _literal(one) for one in values]
        statement = statement.replace("%%", "%%%%") % tuple(words)
        fields = [column.target for column, *_ in compiler.select]
        readers = {
            place: field.from_db_value
            for place, field in enumerate(fields)
            if hasattr(field, "from_db_value")
        }
        return _Made(asked.model, statement, places, [field.attname for field in fields], readers)


@dataclass(frozen=True, slots=True)
class _Made(Generic[Row]):
    """A queryset's SQL, the names of the values in it, and how its rows become instances."""

    model: type[Row]
    statement: str
    places: Sequence[str]
    names: Sequence[str]
    readers: Mapping[int, Callable[..., Any]]

    def read(self, row: Sequence[Any]) -> Sequence[Any]:
        values = list(row)
        for place, reader in self.readers.items():
            values[place] = reader(values[place], None, connection)
        return values


def _literal(value: object) -> str:
    return psycopg.sql.Literal(value).as_string(connection.connection).replace("%", "%%")
