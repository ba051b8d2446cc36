"""The life of a VM, on one page. `desired` is a wish (services write it), `phase` an observation (the reconciler does).

A failure records `error` and goes to DELETING; once every machine of the VM is proven gone the phase ends FAILED if
`error` is set, else DELETED. A terminal phase therefore always means: no machine is left.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum


class Desired(StrEnum):
    RUNNING = "running"
    STOPPED = "stopped"
    GONE = "gone"


class Phase(StrEnum):
    REQUESTED = "requested"  # no offer chosen yet
    CREATING = "creating"  # an attempt is recorded; its order is about to be sent, or was
    BOOTING = "booting"  # the provider has the machine; it is not reachable yet
    SETTING_UP = "setting_up"  # reachable; being made a console
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"
    DELETING = "deleting"
    DELETED = "deleted"
    FAILED = "failed"


TERMINAL = frozenset({Phase.DELETED, Phase.FAILED})
LIVE = tuple(phase for phase in Phase if phase not in TERMINAL)

# A machine is given up for the next offer from CREATING, BOOTING and SETTING_UP; a start that comes to nothing goes back from the last
# two to STOPPED, or to STOPPING where the machine may run, and so does what is STOPPED and runs; a retry leaves FAILED. A move leaves
# READY or STOPPED for REQUESTED, and comes back from there when nothing can be had.
TRANSITIONS: dict[Phase, frozenset[Phase]] = {
    Phase.REQUESTED: frozenset({Phase.CREATING, Phase.READY, Phase.STOPPED, Phase.DELETING}),
    Phase.CREATING: frozenset({Phase.BOOTING, Phase.REQUESTED, Phase.DELETING}),
    Phase.BOOTING: frozenset(
        {Phase.SETTING_UP, Phase.REQUESTED, Phase.STOPPED, Phase.STOPPING, Phase.DELETING}
    ),
    Phase.SETTING_UP: frozenset(
        {Phase.READY, Phase.REQUESTED, Phase.STOPPED, Phase.STOPPING, Phase.DELETING}
    ),
    Phase.READY: frozenset({Phase.STOPPING, Phase.STOPPED, Phase.REQUESTED, Phase.DELETING}),
    Phase.STOPPING: frozenset({Phase.STOPPED, Phase.DELETING}),
    Phase.STOPPED: frozenset({Phase.BOOTING, Phase.STOPPING, Phase.REQUESTED, Phase.DELETING}),
    Phase.DELETING: frozenset({Phase.DELETED, Phase.FAILED}),
    Phase.DELETED: frozenset(),
    Phase.FAILED: frozenset({Phase.REQUESTED}),
}

# Seconds a phase may last (contract.md); judged by `reconcile/liveness.py` alone. DELETING has none: it is retried for ever.
DEADLINES: dict[Phase, int] = {
    Phase.REQUESTED: 120,
    Phase.CREATING: 300,
    Phase.BOOTING: 600,
    Phase.SETTING_UP: 1800,
    Phase.STOPPING: 600,
}
CREATING_DEADLINES_BY_KIND = {"cloudypad": 2400}

# A launch's own deadline: no further order once so many failed, or so many seconds after its first. What is under way may still arrive.
MAX_ATTEMPTS = 30
PLACING_S = 3600


class Status(StrEnum):
    """What the API says: the six words of the product and the honest ones in between."""

    CREATING = "creating"
    CONFIGURING = "configuring"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    TERMINATING = "terminating"
    ERROR = "error"
    TERMINATED = "terminated"


_BY_PHASE: dict[Phase, Status] = {
    Phase.REQUESTED: Status.CREATING,
    Phase.CREATING: Status.CREATING,
    Phase.BOOTING: Status.CREATING,
    Phase.SETTING_UP: Status.CONFIGURING,
    Phase.READY: Status.RUNNING,
    Phase.STOPPING: Status.STOPPING,
    Phase.STOPPED: Status.STOPPED,
    Phase.DELETING: Status.TERMINATING,
    Phase.DELETED: Status.TERMINATED,
    Phase.FAILED: Status.ERROR,
}
STATUS: dict[tuple[Desired, Phase], Status] = {
    (desired, phase): Status.TERMINATING if desired is Desired.GONE and phase not in TERMINAL else status
    for desired in Desired
    for phase, status in _BY_PHASE.items()
}
# Its game is ended and its saves are fetched: minutes in which it is nobody's to play on (decision 0072).
STATUS[Desired.STOPPED, Phase.READY] = Status.STOPPING


def status_of(desired: str, phase: str) -> Status:
    return STATUS[Desired(desired), Phase(phase)]


def columns_of(status: Status) -> list[tuple[Desired, Phase]]:
    """The (desired, phase) pairs a status filter stands for."""
    return [pair for pair, known in STATUS.items() if known is status]


def may_move(source: Phase, target: Phase) -> bool:
    return target in TRANSITIONS[source]


# The states in which a launch reuses a player's VM, and those in which a player may stop it.
REUSED = (Status.CREATING, Status.CONFIGURING, Status.RUNNING)


# A stopped machine that costs more than this share of a running one is given back instead.
DEAREST_REST = Decimal("0.25")


def rests_cheaply(running_usd_per_hour: Decimal, stopped_usd_per_hour: Decimal | None) -> bool:
    """Whether a machine is worth keeping while it is stopped; not where it isn't known what it costs then."""
    return stopped_usd_per_hour is not None and stopped_usd_per_hour <= running_usd_per_hour * DEAREST_REST
