"""A move: the VM leaves its machine for another one elsewhere, ordered as at a launch; the old one is kept until the new one runs.

Three moments. It departs: what it played has ended, and its machine is `moves_from`, no longer current. It arrives: the new machine runs,
the old one is closed, and so deleted on sight. Or nothing can be had there: it comes back to the phase it left, and says why.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime

from vms.lifecycle import Desired, Phase
from vms.models import NO_MOVE, GameSession
from vms.reconcile.outcome import AGENT, Advance, Fail, Note, Outcome, SessionChange, Subject

Status = GameSession.Status


def depart(subject: Subject, now: datetime) -> Outcome:
    """Its machine stays as it is, so that the VM can come back to it at once."""
    vm = subject.vm
    left = {
        "attempt": None,
        "round": vm.round + 1,
        "moves_back_to": vm.phase,
        "gaming_environment_ready": False,
    }
    looks = {"missing_since": None, "missing_looks": 0, "error_text": ""}
    running = [one for one in subject.sessions if one.status == Status.LAUNCHED]
    return Advance(
        phase=Phase.REQUESTED,
        vm={**left, **looks},
        sessions=[SessionChange(one.pk, Status.ENDED, "the VM moves") for one in running],
        notes=(Note("move_begun", _where(subject)),),
    )


def arrive(subject: Subject, advance: Advance, now: datetime) -> Advance:
    """`advance` of a machine that runs, with the end of the move this VM is on, if it is on any."""
    vm = subject.vm
    if not vm.is_moving:
        return advance
    # The machine that is left must not speak for the VM any more.
    fresh = {**AGENT, "agent_bootstrap": secrets.token_urlsafe(32), "games_mounted": False, "ready_at": None}
    closed = {subject.origin.pk: {"closed_at": now}} if subject.origin is not None else {}
    return replace(
        advance,
        vm={**advance.vm, **fresh, **vm.moves_to, **NO_MOVE},
        others={**advance.others, **closed},
        notes=(*advance.notes, Note("moved", _where(subject))),
    )


def instead_of_failing(subject: Subject, outcome: Outcome) -> Outcome:
    """What becomes of a move that came to nothing: the VM goes on where it was. Any other outcome stays what it is."""
    vm = subject.vm
    if (
        not isinstance(outcome, Fail)
        or not vm.is_moving
        or subject.origin is None
        or subject.attempt is not None
    ):
        return outcome
    phase = Phase(vm.moves_back_to)
    back = {
        "attempt": subject.origin,
        "gaming_environment_ready": True,
        "machine_raw": {},
        "error_text": "",
        **NO_MOVE,
    }
    if phase is Phase.STOPPED:
        back["desired"] = Desired.STOPPED
    return Advance(phase=phase, vm=back, notes=(Note("move_refused", {"reason": outcome.text[:1000]}),))


def _where(subject: Subject) -> dict[str, str]:
    origin, to = subject.origin, subject.attempt
    told = {"from_location": origin.location_name if origin is not None else ""}
    return {**told, **({"location": to.location_name} if to is not None and to is not origin else {})}
