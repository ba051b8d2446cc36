"""Whoever sends a request, with what is asked of them every time, in one statement.

The statements are made and planned once: to have Django make such a query anew for every request costs ten times what asking it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection
from django.db.models import Model

from accounts.models import ApiKey, Department, Login, User
from gamer import prepared

Row = TypeVar("Row", bound=Model)


def login_of_id(login_id: UUID) -> Login | None:
    """A login with its person and their department."""
    values = _asked(LOGIN, [login_id])
    if values is None:
        return None
    login, user, department = _row(Login, values), _row(User, values), _row(Department, values)
    user.department = department if user.department_id is not None else None
    login.user = user
    return login


def key_of_prefix(prefix: str, now: datetime) -> ApiKey | None:
    """A key that may be used, with its maker and its department."""
    values = _asked(KEY, [prefix, now])
    if values is None:
        return None
    key, maker, department = _row(ApiKey, values), _row(User, values), _row(Department, values)
    key.department = department if key.department_id is not None else None
    key.maker = maker
    return key


def _asked(statement: str, values: Sequence[Any]) -> Iterator[Any] | None:
    found = prepared.rows(statement, values)
    return iter(found[0]) if found else None


def _row(model: type[Row], values: Iterator[Any]) -> Row:
    """The instance that the next values are of."""
    names = _names(model)
    return model.from_db(connection.alias, names, [next(values) for _ in names])


@cache
def _names(model: type[Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


def _columns(*models: type[Model]) -> str:
    return ", ".join(
        f"{model._meta.db_table}.{field.column}" for model in models for field in model._meta.concrete_fields
    )


LOGIN = f"""
    SELECT {_columns(Login, User, Department)}
      FROM accounts_login JOIN accounts_user ON accounts_user.id = accounts_login.user_id
      LEFT JOIN accounts_department ON accounts_department.id = accounts_user.department_id
     WHERE accounts_login.id = %s
"""  # noqa: S608  # names of our own columns only
KEY = f"""
    SELECT {_columns(ApiKey, User, Department)}
      FROM accounts_apikey JOIN accounts_user ON accounts_user.id = accounts_apikey.maker_id
      LEFT JOIN accounts_department ON accounts_department.id = accounts_apikey.department_id
     WHERE accounts_apikey.prefix = %s AND accounts_apikey.revoked_at IS NULL AND accounts_user.is_active
       AND (accounts_apikey.expires_at IS NULL OR accounts_apikey.expires_at > %s)
"""  # noqa: S608  # names of our own columns only
