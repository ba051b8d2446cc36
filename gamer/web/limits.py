"""How large a body may be: DATA_UPLOAD_MAX_MEMORY_SIZE, or what the view says that takes larger ones (`max_body`, in bytes).

Only what announces its length may be larger, and is read by the view's parser, once it is known who sends it.
"""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.urls import Resolver404, resolve

WHOLE_NUMBER = re.compile(r"[0-9]+\Z", re.ASCII)
DRAINED = 16  # times the usual limit; a client with more to say is cut off
CHUNK = 65_536


def announced_length(text: str) -> int | None:
    """A Content-Length, None for none or nonsense."""
    return int(text[:18]) if WHOLE_NUMBER.match(text) else None


def own_limit(path: str, length: int | None) -> int | None:
    """What the view of a path takes of a body of this announced length; None when it is the usual. Small ones cost no look."""
    if length is None or length <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        return None
    try:
        view = resolve(path).func
    except Resolver404:
        return None
    limit: int | None = getattr(getattr(view, "view_class", None), "max_body", None)
    return limit


def drain(source: Any, most: int) -> None:
    """Reads a refused body: a connection closed on a client that still sends would take our answer with it."""
    most = min(most, settings.DATA_UPLOAD_MAX_MEMORY_SIZE * DRAINED)
    while most > 0 and (read := source.read(min(most, CHUNK))):
        most -= len(read)
