"""What every request passes before a view sees it."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from whitenoise.middleware import WhiteNoiseMiddleware

from gamer.web.errors import error_body

WHOLE_NUMBER = re.compile(r"[0-9]+\Z", re.ASCII)
DRAINED = 16  # times the limit; a client with more to say is cut off
CHUNK = 65_536

Handler = Callable[[HttpRequest], HttpResponse]


def _drain(request: HttpRequest, most: int) -> None:
    """Reads a refused body: a connection closed on a client that still sends would take our answer with it."""
    source = request.META.get("wsgi.input")
    while source is not None and most > 0 and (read := source.read(min(most, CHUNK))):
        most -= len(read)


def too_large(limit: int) -> JsonResponse:
    return JsonResponse(error_body("too_large", f"The body is larger than {limit} bytes."), status=413)


class StaticMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]
    """Whitenoise, content without the folder that only `collectstatic` makes: development serves from the packages."""

    def add_files(self, root: str, prefix: str | None = None) -> None:
        if Path(root).is_dir():
            super().add_files(root, prefix)


class BodyLimitMiddleware:
    """Refuses bodies past DATA_UPLOAD_MAX_MEMORY_SIZE, announced or not.

    Django reads a body without Content-Length (chunked) as empty. Here it is read, up to the limit, and its length is
    written down for those who come later. Under ASGI `gamer.web.asgi.BodyLimit` has bounded it before.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        announced = request.META.get("CONTENT_LENGTH") or ""
        if WHOLE_NUMBER.match(announced) and int(announced[:18]) > limit:
            _drain(request, min(int(announced[:18]), limit * DRAINED))
            return too_large(limit)
        if not announced and "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower():
            source = request.META.get("wsgi.input", request)
            body = source.read(limit + 1)
            if len(body) > limit:
                _drain(request, limit * DRAINED)
                return too_large(limit)
            # What HttpRequest.body leaves behind when it has read a body.
            vars(request).update(_body=body, _read_started=True, _stream=BytesIO(body))
            request.META["CONTENT_LENGTH"] = str(len(body))
        return self.get_response(request)


class NulMiddleware:
    """Refuses NUL characters in the address: Postgres has none, and no honest client sends one."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        details: dict[str, list[str]] = {}
        if "\x00" in request.path:
            details["path"] = ["Contains a NUL character."]
        if "%00" in request.META.get("QUERY_STRING", "") or "\x00" in request.META.get("QUERY_STRING", ""):
            for name, values in request.GET.lists():
                if "\x00" in name or any("\x00" in value for value in values):
                    details[name.replace("\x00", "\ufffd")] = ["Contains a NUL character."]
        if details:
            message = f"{next(iter(details))}: Contains a NUL character."
            return JsonResponse(error_body("validation_error", message, details), status=400)
        return self.get_response(request)
