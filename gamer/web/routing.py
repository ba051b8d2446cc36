"""Paths that answer with and without a trailing slash, in place, because a redirected POST loses its body."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.urls import URLPattern, re_path

PARAMETER = re.compile(r"<(?:(?P<kind>int|str|uuid):)?(?P<name>\w+)>")
HEX = "[0-9a-fA-F]"  # we write small letters; some clients write ids back in capitals
KINDS = {"int": r"[0-9]{1,18}", "str": r"[^/]+", "uuid": rf"{HEX}{{8}}(?:-{HEX}{{4}}){{3}}-{HEX}{{12}}"}


def route(path: str, view: Callable[..., Any], name: str | None = None) -> URLPattern:
    """One path, like `vms/<vm_id>/start` or `sessions/<int:id>`. Parameters reach the view as text."""

    def group(match: re.Match[str]) -> str:
        return f"(?P<{match['name']}>{KINDS[match['kind'] or 'str']})"

    return re_path(rf"^{PARAMETER.sub(group, path.strip('/'))}/?\Z", view, name=name)
