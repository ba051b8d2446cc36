"""How large a body may be: DATA_UPLOAD_MAX_MEMORY_SIZE, or what the view says that takes larger ones (`max_body`, in bytes).

Only what announces its length may be larger, so that whoever asks is known before a byte of it is read.
"""

from __future__ import annotations

import re

from django.conf import settings
from django.urls import Resolver404, resolve

WHOLE_NUMBER = re.compile(r"[0-9]+\Z", re.ASCII)


def announced_length(text: str) -> int | None:
    """A Content-Length, None for none or nonsense."""
    return int(text[:18]) if WHOLE_NUMBER.match(text) else None


def largest_body(path: str, length: int | None) -> int:
    """In bytes. The view is looked up for large bodies alone."""
    usual: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if length is None or length <= usual:
        return usual
    try:
        view = resolve(path).func
    except Resolver404:
        return usual
    allowed: int = getattr(getattr(view, "view_class", None), "max_body", usual)
    return allowed
