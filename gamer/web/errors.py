"""One error shape for everything that goes wrong: `{"error": {"code", "message", "details"}, "detail": message}`.

`exception_handler` serves the API's views; the handlers at the end serve what fails outside of them (urls.py and settings name
them). A person in front of a browser gets a page that says what happened, what to do and where to go on.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ObjectDoesNotExist, RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
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
RETRY_S = 5  # a restart of the database takes a few seconds
WHOLE = "body"  # the field of an error that belongs to no single field
HTML_PATHS = ("/admin", "/static", "/password")

# Of a page's status: what happened, and what to do about it.
PAGES = {
    400: ("This cannot be read", "Go back, correct it and send it again."),
    402: ("There is not enough credit", "Give credit first, then do it again."),
    403: (
        "You may not do this",
        "Your login has no permission for it. Who may edit users can give it to you under Users.",
    ),
    404: (
        "There is nothing here",
        "The address is wrong, or what was here is gone. Look for it from the overview.",
    ),
    409: ("Somebody was faster", "Go back, load the page again and look at what is there now."),
    413: ("This is too large", "Go back and send less, or a smaller file."),
    429: ("That was too often", "Wait a minute, then do it again."),
    500: (
        "Something went wrong on our side",
        "It is written in the log. Do it again; if it stays so, tell those who run this installation what you did and when.",
    ),
    503: (
        "Away for a moment",
        "Load this page again in a few seconds. Whether what you sent last was done is seen then.",
    ),
}
FORGED = (
    "This form is out of date",
    "You have logged in since it was opened, or your browser keeps no cookies. Go back, load its page again and send it once more.",
)


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
        case IntegrityError() | ObjectDoesNotExist():
            # Two at the same moment, and a law of the database or the end of a row that no service foresaw: one of them came first.
            log.error("what the database holds contradicts a request", exc_info=exc)
            return 409, error_body("conflict", "This contradicts what is there; look again."), {}
        case DataError():
            # A value that passed every check and that Postgres still refuses is the client's, and a hole in a check.
            log.error("a value reached the database that it refuses", exc_info=exc)
            return 400, error_body("validation_error", "A value is out of range."), {}
    return None


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """REST framework's hook. None lets the exception rise to `server_error`."""
    if isinstance(exc, drf.UnsupportedMediaType):
        kinds = " or ".join(parser.media_type for parser in context["view"].parser_classes)
        exc = drf.UnsupportedMediaType("", f"Send {kinds}, and say so in Content-Type.")
    answer = answer_for(exc)
    if answer is None:
        return None
    status, body, headers = answer
    if status == 503:
        log.warning("%s: %s", context["request"].path, exc)
    return Response(body, status=status, headers=headers)


def is_page(path: str) -> bool:
    """Whether a person in front of a browser reads the answer."""
    return path.startswith(HTML_PATHS)


def page(
    status: int,
    message: str = "",
    headers: Mapping[str, str] | None = None,
    words: tuple[str, str] | None = None,
) -> HttpResponse:
    """A refusal or a fault for a person. Needs neither database nor request: it is shown when these are what is amiss."""
    title, advice = words or PAGES.get(status, PAGES[500 if status >= 500 else 400])
    text = render_to_string("error.html", {"title": title, "message": message, "advice": advice})
    return HttpResponse(text, status=status, headers=headers)


def refusal(path: str, status: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> HttpResponse:
    """The same answer as a page where a person reads it, as JSON elsewhere."""
    if is_page(path):
        return page(status, body["detail"], headers)
    return JsonResponse(body, status=status, headers=headers)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    found = answer_for(exception) or (400, error_body(CODES[400], str(exception)), {})
    return refusal(request.path, *found)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_page(request.path):
        return page(403)
    return JsonResponse(error_body(CODES[403], "You may not do this."), status=403)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form without the right token: most often one from before a login in another tab. The API takes no such forms."""
    return page(403, words=FORGED)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_page(request.path):
        return page(404)
    return JsonResponse(error_body(CODES[404], "Not found."), status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """What no view caught: a database that is away or refuses a value (also for pages), or a fault of ours."""
    answer = answer_for(sys.exc_info()[1])
    if answer is not None:
        return refusal(request.path, *answer)
    if is_page(request.path):
        return page(500)
    return JsonResponse(error_body("error", "Something went wrong on our side."), status=500)
