"""Lists: a bare array, `limit` and `skip`, the total in X-Total-Count, and a cursor to go on by in Link."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.core import signing
from django.core.exceptions import FieldDoesNotExist
from django.core.paginator import Paginator
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.db.models import Model, Q, QuerySet
from django.utils.functional import cached_property
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from gamer import prepared
from gamer.errors import bad_field

DEFAULT_LIMIT, MAX_LIMIT, MAX_SKIP = 50, 200, 10_000
COUNTED = 10_000  # rows that are counted exactly; past them the planner's estimate has to do
ESTIMATE_KEPT_S = 10.0
PARAMETERS = ("limit", "skip", "cursor")
SALT = "gamer.web.cursor"
COUNT_WHOLE = """
    SELECT CASE WHEN reltuples > %s THEN reltuples::bigint
                ELSE (SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT %s) AS first) END
    FROM pg_class WHERE oid = %s::regclass
"""
# Estimates of whole tables by their name, and until when each is good. Postgres itself takes a new one at most once a minute.
ESTIMATES: dict[str, tuple[float, int]] = {}
WHOLE_NUMBER = re.compile(r"[0-9]{1,9}\Z", re.ASCII)

AnyModel = TypeVar("AnyModel", bound=Model)
Row = TypeVar("Row")


class LimitSkipPagination(BasePagination):
    """Keeps the queryset's own ordering (strings only) and makes it unique with the primary key.

    Bad values raise ValidationError naming the parameter. A cursor holds the ordering's values of the last row, signed, so
    that page 1,000 costs what page 1 costs and rows that come or go meanwhile shift nothing.
    """

    total = 0
    following = ""

    def paginate_queryset(
        self, queryset: QuerySet[AnyModel, Row] | Sequence[Row], request: Request, view: Any = None
    ) -> list[Row]:
        limit = _number(request, "limit", DEFAULT_LIMIT, low=1, high=MAX_LIMIT)
        skip = _number(request, "skip", 0, low=0, high=MAX_SKIP)
        cursor = request.query_params.get("cursor")
        if cursor is not None and skip:
            raise bad_field("skip", "Not together with cursor.")
        if not isinstance(queryset, QuerySet):
            return self._part(queryset, request, limit, skip)
        ordering = unique_ordering(queryset)
        self.total = count(queryset)
        page = queryset.order_by(*ordering)
        if cursor is not None:
            page = page.filter(_after(queryset.model, ordering, _open_cursor(cursor, ordering)))
        # Nothing was counted: do not search a whole table again for it.
        rows = _read(page[skip : skip + limit + 1]) if self.total else []
        self.following = _next_url(request, limit, ordering, rows[limit - 1]) if len(rows) > limit else ""
        return rows[:limit]

    def _part(self, rows: Sequence[Row], request: Request, limit: int, skip: int) -> list[Row]:
        """Of what is no table and stands in its own order: nothing shifts, so `skip` says where to go on."""
        if "cursor" in request.query_params:
            raise bad_field("cursor", "Not one of ours.")
        self.total, end = len(rows), skip + limit
        self.following = _url(request, limit=limit, skip=end) if end < min(self.total, MAX_SKIP + 1) else ""
        return list(rows[skip:end])

    def get_paginated_response(self, data: Any) -> Response:
        headers = {"X-Total-Count": str(self.total)}
        if self.following:
            headers["Link"] = f'<{self.following}>; rel="next"'
        return Response(data, headers=headers)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return schema

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
        skip = {"type": "integer", "minimum": 0, "maximum": MAX_SKIP, "default": 0}
        described = (
            ("limit", "How many rows.", limit),
            ("skip", "How many rows to pass over.", skip),
            ("cursor", "Where to go on; taken from the Link header.", {"type": "string"}),
        )
        return [
            {"name": name, "required": False, "in": "query", "description": text, "schema": schema}
            for name, text, schema in described
        ]


def _number(request: Request, name: str, default: int, *, low: int, high: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not WHOLE_NUMBER.match(text) or not low <= int(text) <= high:
        raise bad_field(name, f"A whole number from {low} to {high}.")
    return int(text)


def _read(page: QuerySet[AnyModel, Row]) -> list[Row]:
    """The rows. Of a whole table's pages everybody asks the same few: what narrows none has one best plan for all."""
    with nullcontext() if page.query.where else prepared.planned_once():
        return list(page)


def unique_ordering(queryset: QuerySet[Any]) -> list[str]:
    """The queryset's ordering, ended by the primary key in the direction of the first field."""
    key = queryset.model._meta.pk
    ordered: Sequence[Any] = queryset.query.order_by or queryset.model._meta.ordering or ()
    ordering = [re.sub(r"^(-?)pk\Z", rf"\g<1>{key.name}", str(name)) for name in ordered]
    if key.name not in (name.lstrip("-") for name in ordering):
        is_descending = bool(ordering) and ordering[0].startswith("-")
        ordering.append(f"-{key.name}" if is_descending else key.name)
    return ordering


def count(queryset: QuerySet[Any]) -> int:
    """The number of rows: exact up to 10,000, the planner's estimate past them."""
    is_whole = not queryset.query.where
    found = _count_whole(queryset.model) if is_whole else _plain(queryset)[: COUNTED + 1].count()
    return found if found != COUNTED + 1 else max(found, _estimate(queryset))


def _plain(queryset: QuerySet[Any]) -> QuerySet[Any, Any]:
    """The same rows, without the order and the columns that only a page needs."""
    return queryset.order_by().values("pk")


def _count_whole(model: type[Model]) -> int:
    """The rows of a table, which Postgres knows well enough to say when counting up to the limit would be in vain."""
    name = model._meta.db_table
    good_until, found = ESTIMATES.get(name, (0.0, 0))
    if time.monotonic() < good_until:
        return found
    table = connection.ops.quote_name(name)
    with connection.cursor() as cursor:
        cursor.execute(COUNT_WHOLE.format(table=table), [2 * COUNTED, COUNTED + 1, table])
        found = int(cursor.fetchone()[0])
    if found > COUNTED + 1:
        ESTIMATES[name] = time.monotonic() + ESTIMATE_KEPT_S, found
    return found


def _estimate(queryset: QuerySet[Any]) -> int:
    plan = json.loads(_plain(queryset).explain(format="json"))
    return int(plan[0]["Plan"]["Plan Rows"])


def _value(row: Any, name: str) -> Any:
    value: Any = row
    for part in name.split("__"):
        value = getattr(value, part)
    return value.pk if isinstance(value, Model) else value


def _next_url(request: Request, limit: int, ordering: list[str], last: Any) -> str:
    values = [_value(last, name.lstrip("-")) for name in ordering]
    kept = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    text = json.dumps([ordering, kept], cls=DjangoJSONEncoder, separators=(",", ":"))
    return _url(request, limit=limit, cursor=signing.Signer(salt=SALT).sign_object(text))


def _url(request: Request, **paging: object) -> str:
    """The same list, further on."""
    asked = [(name, each) for name, each in request.query_params.lists() if name not in PARAMETERS]
    return f"{request.build_absolute_uri(request.path)}?{urlencode([*asked, *paging.items()], doseq=True)}"


def _open_cursor(cursor: str, ordering: list[str]) -> list[Any]:
    try:
        made_for, values = json.loads(signing.Signer(salt=SALT).unsign_object(cursor))
    except signing.BadSignature:
        raise bad_field("cursor", "Not one of ours.") from None
    if made_for != ordering:
        raise bad_field("cursor", "Made for another ordering.")
    return list(values)


def _after(model: type[Model], ordering: list[str], values: list[Any]) -> Q:
    """The rows behind the one with these values, in Postgres's order (nulls last ascending, first descending)."""
    behind, equal = Q(pk__in=[]), Q()
    for name, value in zip(ordering, values, strict=True):
        field = name.lstrip("-")
        behind |= equal & _beyond(model, field, value, is_descending=name.startswith("-"))
        equal &= Q(**{f"{field}__isnull": True}) if value is None else Q(**{field: value})
    return _bound(ordering[0], values[0], model) & behind


def _beyond(model: type[Model], field: str, value: Any, *, is_descending: bool) -> Q:
    if value is None:
        return Q(**{f"{field}__isnull": False}) if is_descending else Q(pk__in=[])
    beyond = Q(**{f"{field}__{'lt' if is_descending else 'gt'}": value})
    if not is_descending and _may_be_null(model, field):
        beyond |= Q(**{f"{field}__isnull": True})
    return beyond


def _bound(name: str, value: Any, model: type[Model]) -> Q:
    """Follows from the rest, but said at the top it is what an index can start from."""
    field = name.lstrip("-")
    if value is None or _may_be_null(model, field):
        return Q()
    return Q(**{f"{field}__{'lte' if name.startswith('-') else 'gte'}": value})


def _may_be_null(model: type[Model], field: str) -> bool:
    try:
        return bool(getattr(model._meta.get_field(field), "null", True))
    except FieldDoesNotExist:
        return True


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """The admin's pages: nobody turns past row 10,000, so nobody counts past it either."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[:COUNTED].count())
