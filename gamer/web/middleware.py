"""What every request passes before a view sees it."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

Handler = Callable[[HttpRequest], HttpResponse]


class BodyLimitMiddleware:
    """Refuses bodies past DATA_UPLOAD_MAX_MEMORY_SIZE by their announced length, before anything reads them."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        announced = request.META.get("CONTENT_LENGTH") or "0"
        if limit is not None and announced.isdigit() and int(announced) > limit:
            message = f"The body is larger than {limit} bytes."
            error = {"code": "too_large", "message": message, "details": {}}
            return JsonResponse({"error": error, "detail": message}, status=413)
        return self.get_response(request)
