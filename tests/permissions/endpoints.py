"""Every method of every named path of the URL configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.urls import URLPattern, URLResolver, get_resolver
from django.views.generic import RedirectView
from rest_framework.views import APIView

WRITING = ("POST", "PUT", "PATCH", "DELETE")


def endpoints() -> set[tuple[str, str]]:
    """As (method, name of the URL). The admin's own paths are not among them: test_admin.py walks those."""
    found = set()
    for pattern in patterns(get_resolver().url_patterns):
        assert pattern.name, f"{pattern.pattern} has no name"
        found |= {(method, pattern.name) for method in methods(pattern.callback)}
    return found


def patterns(among: list[Any]) -> Iterator[URLPattern]:
    for one in among:
        if isinstance(one, URLPattern):
            yield one
        elif isinstance(one, URLResolver) and one.app_name != admin.site.name:
            yield from patterns(one.url_patterns)


def methods(view: Any) -> set[str]:
    """What a view answers. Of a page GET and POST: Django's form views take PUT for POST, and its redirects take anything."""
    kind = getattr(view, "cls", None) or getattr(view, "view_class", None) or _beneath(view)
    had = {method for method in ("GET", *WRITING) if hasattr(kind, method.lower())}
    if issubclass(kind, RedirectView):
        return {"GET"}
    return had if issubclass(kind, APIView) else had & {"GET", "POST"}


def _beneath(view: Any) -> Any:
    """The class of a view that is wrapped, as the admin wraps its pages."""
    return view.__wrapped__.view_class
