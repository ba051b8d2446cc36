"""OpenAPI: the error shape, what every view may answer, and the paths as we write them.

A view says `@extend_schema(responses={201: VmSerializer, **errors(402, 409)})`. The hooks add what any view may answer
(400, 401, 403, 404, 413, 415, 429, 503), so that nobody repeats it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers

ERROR = "Error"
MEANINGS = {
    400: "The request is not valid, or the thing is in no state for it.",
    401: "Nobody is signed in, or the key or token is not valid.",
    402: "Not enough credit.",
    403: "Not allowed.",
    404: "Not there, or not yours.",
    409: "In conflict with what is there.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    429: "Too many requests; Retry-After says when to come back.",
    503: "A part is away, or nobody has capacity.",
}


class ErrorFields(serializers.Serializer[Any]):
    """`details` maps a field's name to what is wrong with it."""

    code = serializers.CharField()
    message = serializers.CharField()
    details = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))


class ErrorSerializer(serializers.Serializer[Any]):
    """What every error looks like."""

    error = ErrorFields()
    detail = serializers.CharField(help_text="The message again.")


ERRORS: dict[int, OpenApiResponse] = {
    status: OpenApiResponse(ErrorSerializer, description=text) for status, text in MEANINGS.items()
}
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The same request under the same key has one effect and one answer, for 24 hours.",
)
LATITUDE = OpenApiParameter("latitude", {"type": "number", "minimum": -90, "maximum": 90})
LONGITUDE = OpenApiParameter("longitude", {"type": "number", "minimum": -180, "maximum": 180})

Endpoint = tuple[str, str, str, Callable[..., Any]]


def errors(*statuses: int) -> dict[int, OpenApiResponse]:
    """The named errors, for `responses` of extend_schema."""
    return {status: ERRORS[status] for status in statuses}


def strip_slashes(endpoints: list[Endpoint]) -> list[Endpoint]:
    """Our optional slash is not part of the path that is described."""
    return [(path.rstrip("/") or "/", regex, method, view) for path, regex, method, view in endpoints]


def say_whose_body_is_needed(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Bytes are what their request is for; JSON beside a query string says the same, and both together are refused."""
    for operations in result["paths"].values():
        for operation in operations.values():
            body = operation.get("requestBody", {"content": ()})
            if "application/gzip" in body["content"]:
                body["required"] = True
            elif body["content"] and any(one["in"] == "query" for one in operation.get("parameters", ())):
                body["required"] = False
    return result


def add_common_errors(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Every operation may answer what the middleware, the parser, the throttle and the database may."""
    schema = {"schema": {"$ref": f"#/components/schemas/{ERROR}"}}
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            if method not in ("get", "post", "put", "patch", "delete"):
                continue
            statuses = {400, 503}
            if {} not in operation.get("security", []):
                statuses |= {401, 403}
            if "{" in path:
                statuses.add(404)
            if method != "get":
                statuses |= {413, 415, 429}
            for status in sorted(statuses):
                operation["responses"].setdefault(
                    str(status),
                    {"description": MEANINGS[status], "content": {"application/json": schema}},
                )
    return result
