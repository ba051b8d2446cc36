"""OpenAPI: the error shape, what every view may answer, and the paths as we write them.

A view says `@extend_schema(parameters=[LOCATION], responses={201: VmSerializer, **errors(402, 409)})`. The hooks add what any
view may answer (400, 401, 403, 404, 413, 415, 429, 503) and the headers that follow from the rest, so that nobody repeats it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from gamer.errors import GamerError
from gamer.web.errors import CODES

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


def _codes() -> list[tuple[str, str]]:
    """Every code there is with its status, in the statuses' order."""
    kinds: list[type[GamerError]] = [GamerError, *GamerError.__subclasses__()]
    statuses = {code: status for status, code in CODES.items()} | {kind.code: kind.status for kind in kinds}
    return [(code, str(status)) for code, status in sorted(statuses.items(), key=lambda one: one[1])]


ERROR_CODES = _codes()


class ErrorFields(serializers.Serializer[Any]):
    """`details` maps a field's name to what is wrong with it."""

    code = serializers.ChoiceField(ERROR_CODES)
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
LOCATION = OpenApiParameter(
    "Location",
    OpenApiTypes.URI,
    OpenApiParameter.HEADER,
    required=True,
    description="Where what was made is read.",
    response=[201],
)

HEADERS: dict[str, dict[str, Any]] = {
    "X-Total-Count": {
        "schema": {"type": "integer", "minimum": 0},
        "required": True,
        "description": "How many rows there are in all; past 10,000 it may be an estimate.",
    },
    "Link": {
        "schema": {"type": "string"},
        "description": 'The next page\'s address with its cursor, as `<https://…>; rel="next"`. The last page has none.',
    },
    "Idempotent-Replayed": {
        "schema": {"type": "string", "enum": ["true"]},
        "description": "Only on the answer that this key was given before: nothing was done again.",
    },
    "Retry-After": {
        "schema": {"type": "integer", "minimum": 0},
        "description": "Seconds to wait, where they are known.",
    },
}

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


def add_headers(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """What comes beside the body: of lists, of what may be sent twice, and of what is to be asked again later."""
    for operations in result["paths"].values():
        for operation in operations.values():
            taken = {one["name"] for one in operation.get("parameters", ())}
            for status, answer in operation["responses"].items():
                names: list[str] = []
                if "cursor" in taken and status == "200":
                    names += ["X-Total-Count", "Link"]
                if IDEMPOTENCY_KEY.name in taken and status < "300":
                    names.append("Idempotent-Replayed")
                if status in ("429", "503"):
                    names.append("Retry-After")
                for name in names:
                    answer.setdefault("headers", {})[name] = {"$ref": f"#/components/headers/{name}"}
    result["components"]["headers"] = HEADERS
    return result
