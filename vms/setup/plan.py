"""Setup as a list of named steps, each harmless to repeat, each remembered on the machine itself.

A finished step leaves a file with the digest of what it did. Whoever looks next, after whatever death, skips it; a step whose content
has changed since is done again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from redaction.masks import mask
from vms.setup.orders import Report, StepReport
from vms.setup.site import STEPS, Site, Unfit
from vms.setup.ssh import CommandFailed, SshError

LOG_TAIL = 2048

Clock = Callable[[], float]
Reporter = Callable[[StepReport], None]


class StepFailed(Exception):
    """A step can't be done on this machine, however often it is tried. The text is for operators."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(f"{step}: {reason}")
        self.step = step
        self.reason = reason


class OutOfTime(Exception):
    """The time given to one look is used up; what is finished stays finished."""


@dataclass(frozen=True, slots=True)
class Step:
    """`apply` does it and returns a log for operators; it raises Unfit, or what `Shell.run` raises.

    `digest` names what it would do. Without one the step is cheap, and done at every look.
    """

    name: str
    title: str
    apply: Callable[[Site], str]
    digest: str = ""


def run_plan(
    site: Site,
    plan: Sequence[Step],
    report: Reporter,
    *,
    secrets: Sequence[str] = (),
    clock: Clock = time.monotonic,
    deadline: float = float("inf"),
) -> None:
    """Do what is not done yet, in order. `report` hears of each step; no `secrets` reach it.

    No step is begun after `deadline` (on `clock`). Raises StepFailed, OutOfTime, and SshError where another look may help.
    """
    for step in plan:
        if step.digest and site.finished.get(step.name) == step.digest:
            report(StepReport(step.name, step.title, "done"))
            continue
        if clock() >= deadline:
            raise OutOfTime(step.name)
        _run_step(site, step, report, secrets, clock)


def _run_step(site: Site, step: Step, report: Reporter, secrets: Sequence[str], clock: Clock) -> None:
    began = clock()
    report(StepReport(step.name, step.title, "running"))

    def tell(state: Report, log: str) -> None:
        seconds = round(clock() - began, 3)
        report(StepReport(step.name, step.title, state, seconds, _redact(log, secrets)))

    try:
        log = step.apply(site)
        if step.digest:
            site.shell.put(site.path(f"{STEPS}/{step.name}"), step.digest.encode(), as_root=True)
    except CommandFailed as error:
        tell("failed", f"{error}\n{error.stderr_tail}")
        raise StepFailed(step.name, _redact(f"{error}: {error.stderr_tail.strip()}", secrets)) from error
    except Unfit as error:
        tell("failed", str(error))
        raise StepFailed(step.name, str(error)) from error
    except SshError as error:
        tell("failed", str(error))
        raise
    tell("done", log)


def _redact(text: str, secrets: Sequence[str]) -> str:
    return mask(text, secrets)[-LOG_TAIL:]
