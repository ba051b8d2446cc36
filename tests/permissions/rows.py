"""What a row of the matrix is: an endpoint, a right request, whom it answers, whom it refuses, from whom it hides.

A row names who may, with which status, and for whom the thing is not there (404). Of the others nobody is known (401), and
everybody else is refused (403). Requests are right, so that only the caller can be at fault. A new endpoint gets a row in one
of `tables/`: usually an Audience from below, and a path from there. Several rows of one endpoint are fine.
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
        named = {**dict.fromkeys(self.hidden.split(), 404), **dict.fromkeys(self.may.split(), status)}
        assert named.keys() <= answers.keys(), f"not callers: {named.keys() - answers.keys()}"
        return answers | named


@dataclass(frozen=True)
class Row:
    method: str
    name: str  # of the URL
    audience: Audience
    status: int = 200
    path: Made = field(default=nothing)
    body: Callable[[Scene], Mapping[str, Any] | bytes] | None = None
    query: Mapping[str, Any] = field(default_factory=dict)
    odd: Mapping[str, int] = field(default_factory=dict)  # callers whose answer is another one, and which
    note: str = ""  # tells apart the rows of one endpoint

    @property
    def expected(self) -> dict[str, int]:
        return self.audience.expected(self.status) | dict(self.odd)

    def __str__(self) -> str:
        return f"{self.method} {self.name}{self.note and f', {self.note}'}"


EVERYBODY = Audience(" ".join(CALLERS))
PEOPLE = Audience("alice charlie mona oscar sam")  # in person
READERS = Audience(f"{PEOPLE.may} key:read key:admin arcade:read palace:all")
LAUNCHERS = Audience(f"{PEOPLE.may} key:launch key:admin arcade:launch palace:all")
KNOWN = Audience(" ".join(caller for caller in CALLERS if caller != "nobody"))
STAFF = Audience("sam key:admin")
CONFIGURERS = Audience("sam key:config key:admin")

# What is alice's: hers, the staff's, and her manager's where it is a VM. A key sees people only when it acts for them, so
# arcade:read sees none; that of one scope `act_as` reads and launches nothing.
_STRANGERS_READ = "charlie oscar key:read arcade:read palace:all"
_STRANGERS_WRITE = "charlie oscar key:launch arcade:launch palace:all"
READ_HERS = Audience("alice mona sam key:admin", hidden=_STRANGERS_READ)
WRITE_HERS = Audience("alice mona sam key:admin", hidden=_STRANGERS_WRITE)
READ_HER_OWN = Audience("alice sam key:admin", hidden=f"mona {_STRANGERS_READ}")
WRITE_HER_OWN = Audience("alice sam key:admin", hidden=f"mona {_STRANGERS_WRITE}")
# What is Arcade's: its people and keys see it, its managers run it.
SEE_ARCADE = Audience("alice mona sam key:admin arcade:read", hidden="charlie oscar key:read palace:all")
RUN_ARCADE = Audience("mona sam key:admin", hidden="charlie oscar key:launch palace:all")
