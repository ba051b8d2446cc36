"""What every request passes before a view sees it."""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.request import HttpHeaders
from django_prometheus.middleware import PrometheusAfterMiddleware
from django_structlog.middlewares import RequestMiddleware
from structlog.contextvars import clear_contextvars
from whitenoise.middleware import WhiteNoiseMiddleware

from gamer.context import act_as, bind
from gamer.web.errors import error_body, is_page, refusal
from gamer.web.limits import DRAINED, announced_length, drain, own_limit
from gamer.web.throttles import client_ip

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z", re.ASCII)

Handler = Callable[[HttpRequest], HttpResponse]


def too_large(path: str, limit: int) -> HttpResponse:
    return refusal(path, 413, error_body("too_large", f"The body is larger than {limit} bytes."), {})


def request_id_of(request: HttpRequest) -> str:
    """The client's `X-Request-ID` if it is short and plain, else one of ours."""
    given = request.META.get("HTTP_X_REQUEST_ID", "")  # not `headers`, which remembers what it first saw
    return given if REQUEST_ID.match(given) else uuid.uuid4().hex


def _address_of(request: HttpRequest) -> str | None:
    """The client's address, as far as it is one: behind a proxy that says nothing it is not known."""
    try:
        return str(ipaddress.ip_address(client_ip(request)))
    except ValueError:
        return None


class ContextMiddleware(RequestMiddleware):
    """Binds the request's id, address and VM for logs and events, answers with the id, and logs what it came to.

    An address's query is not logged: it may say where somebody lives.
    """

    def prepare(self, request: HttpRequest) -> None:
        clear_contextvars()
        request_id = request_id_of(request)
        request.META["HTTP_X_REQUEST_ID"] = request_id
        vars(request)["request_id"] = request_id
        bind(ip=_address_of(request))
        super().prepare(request)

    def handle_response(self, request: HttpRequest, response: HttpResponse) -> None:
        response.headers["X-Request-ID"] = vars(request)["request_id"]
        if not is_page(request.path):  # whose answer it is says X-API-Key, which no cache between looks at
            response.headers.setdefault("Cache-Control", "no-store")
        super().handle_response(request, response)

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        return f"{request.method} {request.path}"

    def process_view(
        self, request: HttpRequest, view: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Everything beneath a VM's path is about that VM."""
        if vm_id := kwargs.get("vm_id"):
            bind(vm=str(vm_id))


class StaffActsMiddleware:
    """Says who acts on an admin page. Elsewhere the API's authentication does, once it knows."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if is_page(request.path) and request.user.is_authenticated:
            act_as(f"user:{request.user}")
        return self.get_response(request)


class CountMiddleware(PrometheusAfterMiddleware):  # type: ignore[misc]
    """Counts requests by the names of routes. The library takes a client's word for methods and lengths; here neither may
    make a new label or an error.
    """

    def label_metric(self, metric: Any, request: HttpRequest, response: Any = None, **labels: str) -> Any:
        if "method" in labels:
            labels["method"] = self._method(request)
        return super().label_metric(metric, request, response, **labels)

    def process_request(self, request: HttpRequest) -> None:
        length = request.META.get("CONTENT_LENGTH") or ""
        if length and announced_length(length) is None:
            vars(request)["headers"] = HttpHeaders({**request.META, "CONTENT_LENGTH": ""})
        super().process_request(request)


class StaticMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]
    """Whitenoise, content without the folder that only `collectstatic` makes: development serves from the packages."""

    def add_files(self, root: str, prefix: str | None = None) -> None:
        if Path(root).is_dir():
            super().add_files(root, prefix)


class BodyLimitMiddleware:
    """Refuses bodies past DATA_UPLOAD_MAX_MEMORY_SIZE, announced or not, but leaves those to their view that it takes.

    Django reads a body without Content-Length (chunked) as empty. Here it is read, up to the limit, and its length is
    written down for those who come later. Under ASGI `gamer.web.asgi.BodyLimit` has cut it off before.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        announced = request.META.get("CONTENT_LENGTH") or ""
        source = request.META.get("wsgi.input", request)
        length = announced_length(announced)
        if length is not None and length > limit and own_limit(request.path_info, length) is None:
            drain(source, length)
            return too_large(request.path, limit)
        if not announced and "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower():
            body = source.read(limit + 1)
            if len(body) > limit:
                drain(source, limit * DRAINED)
                return too_large(request.path, limit)
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
            return refusal(request.path, 400, error_body("validation_error", message, details), {})
        return self.get_response(request)
