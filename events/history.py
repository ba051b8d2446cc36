"""Before and after of configuration rows, written by the database itself, so that no door goes past it.

One line per model, above the class:

    @keeps_history("emulators", "preset:{slug}")
    class Preset(models.Model): ...

A trigger writes an Event with `is_change`, its details `{"row": …, "changes": {column: [before, after]}}`, whoever changed the
row: a service, a bulk update, SQL by hand. Columns that machines write all the time are named in `unless` and leave nothing.
Sealed columns and those with a secret's name say only that they were replaced. Who did it and from where comes from
`gamer.context`, carried in front of each write (`announce`); without one the database's user is the actor.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any, TypeVar

import pgtrigger
from django.db import models

from gamer.context import present
from gamer.sealed import SealedTextField
from redaction.masks import is_telling

Model = TypeVar("Model", bound=type[models.Model])

PLACE = re.compile(r"\{(\w+)\}")
WRITES = re.compile(r"\s*(insert|update|delete|with|merge)\b", re.I)
SET_CONTEXT = (
    "SELECT set_config('gamer.actor', {}, true), set_config('gamer.ip', {}, true), "
    "set_config('gamer.request_id', {}, true); "
)
NAMES = ("gamer__actor", "gamer__ip", "gamer__request_id")  # where a statement's parameters have names

_tables: set[str] = set()
_subjects: dict[type[models.Model], tuple[str, str]] = {}


def keeps_history(
    resource: str, subject: str, *, unless: Collection[str] = (), row: str = ""
) -> Callable[[Model], Model]:
    """Has every change of the model's rows kept.

    `subject` makes the event's `resource_id`, like "preset:{slug}", from columns; choose what the model's services use, so that
    both stand in one timeline. `row` names the row among others of its subject the same way.
    """

    def declare(model: Model) -> Model:
        opts = model._meta
        columns = [str(field.column) for field in opts.concrete_fields]
        hidden = [
            str(field.column)
            for field in opts.concrete_fields
            if isinstance(field, SealedTextField) or is_telling(str(field.column))
        ]
        if strangers := set(unless) - set(columns):
            raise ValueError(f"{opts.label} has no columns {', '.join(sorted(strangers))}")
        name = f"{opts.verbose_name} {row}".strip()
        arguments = ", ".join(
            (
                _quoted(resource),
                _filled(subject, columns),
                _filled(name, columns),
                "CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END",
                "CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END",
                _array(unless),
                _array(hidden),
            )
        )
        trigger = pgtrigger.Trigger(
            name="history",
            when=pgtrigger.After,
            operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
            declare=[("r", "jsonb")],
            func="r := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END; "
            f"PERFORM events_note_change({arguments}); RETURN NULL;",
        )
        _tables.add(opts.db_table)
        _subjects[opts.concrete_model or model] = resource, subject
        return pgtrigger.register(trigger)(model)  # type: ignore[no-any-return]

    return declare


def subject_of(row: models.Model) -> tuple[str, str] | None:
    """The `resource` and `resource_id` under which a row's history stands; None for a model without one."""
    known = _subjects.get(row._meta.concrete_model or type(row))
    if known is None:
        return None
    resource, pattern = known
    columns = {field.column: field for field in row._meta.concrete_fields}
    return resource, PLACE.sub(lambda place: str(getattr(row, columns[place[1]].attname)), pattern)[:64]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _array(names: Collection[str]) -> str:
    return f"ARRAY[{', '.join(map(_quoted, sorted(names)))}]::text[]"


def _filled(text: str, columns: Collection[str]) -> str:
    """A text with `{column}`s as an SQL expression over the row."""
    named = PLACE.findall(text)
    if strangers := set(named) - set(columns):
        raise ValueError(f"no columns {', '.join(sorted(strangers))}")
    if not named:
        return _quoted(text)
    pattern = _quoted(PLACE.sub("%s", text.replace("%", "%%")))
    return f"format({pattern}, {', '.join(f'r->>{_quoted(name)}' for name in named)})"


@lru_cache(maxsize=1)
def _watched(tables: frozenset[str]) -> re.Pattern[str]:
    return re.compile(rf"\b({'|'.join(map(re.escape, sorted(tables)))})\b")


def announce(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    """Django's hook around every statement: tells the triggers who acts, in the same round trip, before writes they watch.

    The settings hold for the transaction only; a connection that goes on to serve somebody else carries nothing over.
    """
    if (
        many
        or not (isinstance(sql, str) and WRITES.match(sql) and _watched(frozenset(_tables)).search(sql))
        or (params is None and "%" in sql)
    ):
        return execute(sql, params, many, context)
    known = present()  # walks through every variable of the context: only for the few statements that need it
    if not (known.actor or known.ip):
        return execute(sql, params, many, context)
    told = (known.actor, known.ip or "", known.request_id)
    if isinstance(params, dict):
        places = [f"%({name})s" for name in NAMES]
        given: Any = {**params, **dict(zip(NAMES, told, strict=True))}
    else:
        places, given = ["%s"] * len(told), (*told, *(params or ()))
    cursor = execute(SET_CONTEXT.format(*places) + sql, given, many, context)
    while cursor is not None and cursor.nextset():
        pass  # on to the statement's own result
    return cursor


def install(connection: Any, **_: Any) -> None:
    """For every new connection, once."""
    if announce not in connection.execute_wrappers:
        connection.execute_wrappers.append(announce)
