"""What the operations of the document are called, from its lines: reading all of it takes seconds, and every worker collects."""

from __future__ import annotations

import re
from pathlib import Path

from gamer.env import ROOT

# The generator writes every path and every method on a line of its own; components come later, and deeper.
_LINE = re.compile(r"^(?:  (/.*)|    (get|post|put|patch|delete)):$", re.MULTILINE)


def labels() -> list[str]:
    """`GET /health` and so on, in the document's order."""
    text = (Path(ROOT) / "docs" / "openapi.yaml").read_text(encoding="utf-8")
    found, path = [], ""
    for starts, method in _LINE.findall(text.partition("\npaths:\n")[2].partition("\ncomponents:\n")[0]):
        path = starts or path
        if method:
            found.append(f"{method.upper()} {path}")
    return found
