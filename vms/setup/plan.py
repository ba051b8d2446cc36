"""Setup as a list of named steps, each harmless to repeat: what it writes and what it runs, as plain values.

The plan is made here and carried out on the machine by `agent/installer.py`, which remembers what is done under each step's digest.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

# After which pauses a failed step is tried again; apt's lock, a mirror and a registry come to themselves within these.
PAUSES_S = (2.0, 10.0, 30.0, 60.0)
QUICK_S, SLOW_S = 60.0, 900.0


@dataclass(frozen=True, slots=True)
class File:
    """What shall be at `path`, whole. Readable by root only unless said otherwise."""

    path: str
    content: bytes
    mode: int = 0o600


@dataclass(frozen=True, slots=True)
class Step:
    """`commands` are run in order by their words, no shell reads them. Without a required step the machine is no console."""

    name: str
    title: str
    commands: Sequence[Sequence[str]] = ()
    files: Sequence[File] = ()
    is_required: bool = True
    timeout_s: float = QUICK_S

    @property
    def value(self) -> dict[str, object]:
        files = [
            {"path": one.path, "content": base64.b64encode(one.content).decode(), "mode": f"{one.mode:o}"}
            for one in self.files
        ]
        return {
            "name": self.name,
            "title": self.title,
            "is_required": self.is_required,
            "files": files,
            "commands": [list(argv) for argv in self.commands],
            "timeout_s": self.timeout_s,
        }

    @property
    def digest(self) -> str:
        return digest(json.dumps(self.value, sort_keys=True).encode())


def written(steps: Sequence[Step]) -> tuple[str, bytes]:
    """The plan's digest, and the file that the machine is given. It may hold secrets."""
    name = digest(*(step.digest.encode() for step in steps))
    plan = {
        "digest": name,
        "pauses_s": list(PAUSES_S),
        "steps": [{**step.value, "digest": step.digest} for step in steps],
    }
    return name, json.dumps(plan, sort_keys=True).encode()


def digest(*parts: bytes) -> str:
    """A name for exactly these contents."""
    summed = hashlib.sha256()
    for part in parts:
        summed.update(hashlib.sha256(part).digest())
    return summed.hexdigest()
