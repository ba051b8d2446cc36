"""The matrix: a row for every method of every path, with whom it answers, whom it refuses, and from whom it hides.

A row names who may, with which status, and for whom the thing is not there (404). Of the others nobody is known (401), and
everybody else is refused (403). Bodies are right, so that only the caller can be at fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.permissions.scene import CALLERS, Scene

Made = Callable[[Scene], Mapping[str, Any]]


def nothing(scene: Scene) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class Audience:
    """Who may, and from whom it is hidden: names of CALLERS, separated by spaces."""

    may: str
    hidden: str = ""

    def expected(self, status: int) -> dict[str, int]:
        answers = {caller: 401 if caller == "nobody" else 403 for caller in CALLERS}
        return answers | dict.fromkeys(self.hidden.split(), 404) | dict.fromkeys(self.may.split(), status)


@dataclass(frozen=True)
class Row:
    method: str
    name: str  # of the URL
    audience: Audience
    status: int = 200
    path: Made = field(default=nothing)
    body: Made | None = None
    query: Mapping[str, Any] = field(default_factory=dict)
    odd: Mapping[str, int] = field(default_factory=dict)  # callers whose answer is another one, and which

    @property
    def expected(self) -> dict[str, int]:
        return self.audience.expected(self.status) | dict(self.odd)

    def __str__(self) -> str:
        return f"{self.method} {self.name}"


EVERYBODY = Audience(" ".join(CALLERS))
PEOPLE = Audience("alice charlie mona oscar sam")
PLAYERS_AND = "alice charlie mona oscar sam"
READERS = Audience(f"{PLAYERS_AND} key:read key:admin")
LAUNCHERS = Audience(f"{PLAYERS_AND} key:launch key:admin")
STAFF = Audience("sam key:admin")
CONFIGURERS = Audience("sam key:config key:admin")
# What is alice's: hers, her manager's, the staff's. A key that speaks for nobody else does not see it.
READ_HERS = Audience("alice mona sam key:admin", hidden="charlie oscar key:read")
WRITE_HERS = Audience("alice mona sam key:admin", hidden="charlie oscar key:launch")
# What is the department's to run.
RUN_ARCADE = Audience("mona sam key:admin", hidden="charlie oscar key:launch")
SEE_ARCADE = Audience("alice mona sam key:admin", hidden="charlie oscar key:read")
