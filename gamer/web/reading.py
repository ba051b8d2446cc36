"""How views read a request and answer with a list: one way for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from gamer.errors import bad_field
from gamer.web.pagination import PARAMETERS
from gamer.web.serializers import StrictSerializer, query_values

Asked = TypeVar("Asked", bound=StrictSerializer)


def body_of(request: Request, serializer: type[Asked]) -> Asked:
    """The body, checked. Raises ValidationError naming the field."""
    return _checked(serializer(data=request.data))


def query_of(request: Request, serializer: type[Asked]) -> Asked:
    """The query string, checked. Raises ValidationError naming the parameter."""
    return _checked(serializer(data=query_values(request.query_params), from_text=True))


def filters_of(request: Request, serializer: type[Asked]) -> Asked:
    """The query string of a list, checked; the parameters of paging are left to the page."""
    values = query_values(request.query_params)
    narrowing = {name: text for name, text in values.items() if name not in PARAMETERS}
    return _checked(serializer(data=narrowing, from_text=True))


def _checked(asked: Asked) -> Asked:
    asked.is_valid(raise_exception=True)
    return asked


def bytes_of(request: Request, name: str) -> bytes:
    """The body of a view that takes bytes (`GzipParser`). Raises ValidationError naming the field."""
    if not isinstance(request.data, bytes) or not request.data:
        raise bad_field(name, "The body is empty.")
    return request.data


class NothingSerializer(StrictSerializer):
    """A request that needs no body."""


def expect_nothing(request: Request) -> None:
    """Refuses a body with anything in it. Raises ValidationError naming the field."""
    body_of(request, NothingSerializer)


def expect_no_filters(request: Request) -> None:
    """For a list that has none: what it passed over would look narrowed. Raises ValidationError naming the parameter."""
    filters_of(request, NothingSerializer)


class ListView(GenericAPIView[Any]):
    """Answers pages of a queryset, or of a sequence that stands in its order."""

    def page(
        self, rows: QuerySet[Any] | Sequence[Any], serializer: type[serializers.BaseSerializer[Any]]
    ) -> Response:
        found = self.paginate_queryset(rows)
        shown = serializer(found, many=True, context=self.get_serializer_context())
        return self.get_paginated_response(shown.data)
