"""One error shape for everything that goes wrong: `{"error": {"code", "message", "details"}, "detail": message}`.

`exception_handler` serves the API's views; the four handlers at the end serve what fails outside of them (urls.py names them).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views import defaults
from rest_framework import exceptions as drf
from rest_framework.response import Response

from gamer.errors import Details, GamerError

log = logging.getLogger(__name__)

CODES = {
    400: "validation_error",
    401: "not_authenticated",
    402: "insufficient_credits",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    429: "rate_limited",
    503: "unavailable",
}
DATABASE_AWAY = (OperationalError, InterfaceError)
RETRY_S = 5  # a restart of the database takes a few seconds
WHOLE = "body"  # the field of an error that belongs to no single field
HTML_PATHS = ("/admin", "/static", "/password")


def error_body(code: str, message: str, details: Details | None = None) -> dict[str, Any]:
    """The contract's error shape."""
    listed = {name: list(texts) for name, texts in (details or {}).items()}
    return {"error": {"code": code, "message": message, "details": listed}, "detail": message}


def flatten(detail: Any, name: str = "") -> dict[str, list[str]]:
    """A framework's nested error as `{field: [text]}`, where a field inside a field is named `outer.inner`."""
    if isinstance(detail, Mapping):
        parts: list[tuple[str, Any]] = [(str(key), value) for key, value in detail.items()]
    elif isinstance(detail, list | tuple):
        texts = [str(one) for one in detail if not isinstance(one, Mapping | list | tuple)]
        found = {name or WHOLE: texts} if texts else {}
        for number, one in enumerate(detail):
            if isinstance(one, Mapping | list | tuple):
                found.update(flatten(one, f"{name}.{number}" if name else str(number)))
        return found
    else:
        return {name or WHOLE: [str(detail)]}
    flat: dict[str, list[str]] = {}
    for key, value in parts:
        inner = name if key == WHOLE and name else (f"{name}.{key}" if name else key)
        flat.update(flatten(value, inner))
    return flat


def summary(details: Details) -> str:
    """The first fault as a sentence that names its field."""
    for name, texts in details.items():
        for text in texts:
            return text if name == WHOLE else f"{name}: {text}"
    return "The request is not valid."


def _from_framework(exc: drf.APIException) -> tuple[int, dict[str, Any], dict[str, str]]:
    headers = {}
    if header := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = header
    if (wait := getattr(exc, "wait", None)) is not None:
        headers["Retry-After"] = str(max(1, round(wait)))
    code = CODES.get(exc.status_code, "error")
    if isinstance(exc, drf.ValidationError | drf.ParseError):
        details = flatten(exc.detail)
        return exc.status_code, error_body(code, summary(details), details), headers
    return exc.status_code, error_body(code, summary(flatten(exc.detail))), headers


def _from_gamer(exc: GamerError) -> tuple[int, dict[str, Any], dict[str, str]]:
    headers = {} if exc.retry_after is None else {"Retry-After": str(exc.retry_after)}
    if exc.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return exc.status, error_body(exc.code, exc.message, exc.details), headers


def answer_for(exc: BaseException | None) -> tuple[int, dict[str, Any], dict[str, str]] | None:
    """Status, body and headers of an exception; None when the fault is ours and nobody foresaw it."""
    match exc:
        case GamerError():
            return _from_gamer(exc)
        case drf.APIException():
            return _from_framework(exc)
        case Http404():
            return 404, error_body("not_found", "Not found."), {}
        case DjangoPermissionDenied():
            return 403, error_body("permission_denied", "You may not do this."), {}
        case DjangoValidationError():
            details = flatten(exc.message_dict if hasattr(exc, "error_dict") else exc.messages)
            details = {(WHOLE if name == "__all__" else name): texts for name, texts in details.items()}
            return 400, error_body("validation_error", summary(details), details), {}
        case RequestDataTooBig():
            return 413, error_body("too_large", "The body is too large."), {}
        case SuspiciousOperation():
            return 400, error_body("validation_error", "The request is not valid."), {}
        case OperationalError() | InterfaceError():
            details = {"database": ["not reachable"]}
            headers = {"Retry-After": str(RETRY_S)}
            return (
                503,
                error_body("unavailable", "The database is away; try again shortly.", details),
                headers,
            )
        case IntegrityError():
            # Two at the same moment, and a law of the database that no service foresaw: one of them came first.
            log.error("a law of the database was broken", exc_info=exc)
            return 409, error_body("conflict", "This contradicts what is there; look again."), {}
        case DataError():
            # A value that passed every check and that Postgres still refuses is the client's, and a hole in a check.
            log.error("a value reached the database that it refuses", exc_info=exc)
            return 400, error_body("validation_error", "A value is out of range."), {}
    return None


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """REST framework's hook. None lets the exception rise to `server_error`."""
    answer = answer_for(exc)
    if answer is None:
        return None
    status, body, headers = answer
    if status == 503:
        log.warning("%s: %s", context["request"].path, exc)
    return Response(body, status=status, headers=headers)


def is_page(request: HttpRequest) -> bool:
    """Whether a person in front of a browser reads the answer."""
    return request.path.startswith(HTML_PATHS)


def _json(status: int, message: str) -> JsonResponse:
    return JsonResponse(error_body(CODES[status], message), status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if is_page(request):
        return defaults.bad_request(request, exception)
    status, body, headers = answer_for(exception) or (400, error_body(CODES[400], str(exception)), {})
    return JsonResponse(body, status=status, headers=headers)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if is_page(request):
        return defaults.permission_denied(request, exception)
    return _json(403, "You may not do this.")


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if is_page(request):
        return defaults.page_not_found(request, exception)
    return _json(404, "Not found.")


def server_error(request: HttpRequest) -> HttpResponseBase:
    """What no view caught: a database that is away or refuses a value (also for pages), or a fault of ours."""
    answer = answer_for(sys.exc_info()[1])
    if answer is not None:
        status, body, headers = answer
        if is_page(request):
            return HttpResponse(body["detail"], status=status, headers=headers, content_type="text/plain")
        return JsonResponse(body, status=status, headers=headers)
    if is_page(request):
        return defaults.server_error(request)
    return JsonResponse(error_body("error", "Something went wrong on our side."), status=500)
