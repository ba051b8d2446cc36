"""What a VM's page tells: where it is, what it costs, and everything that happened to it. A handful of bounded queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from events.models import Event
from vms import queries
from vms.admin import wording
from vms.admin.acts import is_under_way
from vms.models import VM, Attempt, GameSession, SetupStep
from vms.reconcile.idle import idle_ends_at
from vms.reconcile.liveness import deadline_of, deletes_at
from vms.streaming import CONTROL_PORT, TCP_PORTS, UDP_PORTS

MOST_EVENTS = 100
MOST_ATTEMPTS = 50
MOST_SESSIONS = 50
# Seconds between two looks of an open page.
CLOSELY, NOW_AND_THEN = 3, 20

# By the names of `static/vms/charts.js`.
CHARTS = (
    ("cpu", "Processor"),
    ("memory", "Memory"),
    ("disk", "Disk"),
    ("gpu", "Graphics"),
    ("network", "Network"),
)

STEP_COLOURS = {"done": "success", "running": "info", "failed": "danger"}
OUTCOME_COLOURS = {"won": "success", "failed": "danger", "open": "info"}
SESSION_COLOURS = {"launched": "success", "queued": "info", "failed": "danger"}


@dataclass(frozen=True, slots=True)
class Line:
    """One event as it reads."""

    at: datetime
    actor: str
    words: str
    details: str
    is_bad: bool


@dataclass(frozen=True, slots=True)
class Try:
    """One order as it reads, with its setup."""

    attempt: Attempt
    size: str
    price: str
    distance: str
    score: str
    colour: str
    took: str
    left: str
    steps: Sequence[tuple[SetupStep, str, str]]


def story_of(vm: VM, now: datetime) -> dict[str, Any]:
    """The context of `vms/vm.html`."""
    attempts = list(queries.attempts_of(vm).reverse()[:MOST_ATTEMPTS])
    steps: dict[int, list[SetupStep]] = {}
    for step in SetupStep.objects.filter(attempt__in=attempts).order_by("position"):
        steps.setdefault(step.attempt_id, []).append(step)
    events = list(Event.objects.about("vms", vm.pk).order_by("-id")[: MOST_EVENTS + 1])
    sessions = list(queries.sessions_of(vm)[:MOST_SESSIONS])
    cost = queries.costs_of([vm.pk], now).get(vm.pk, Decimal(0))
    return {
        "vm": vm,
        "now": now,
        "colour": wording.COLOURS[vm.status],
        "poll_s": 0 if vm.is_terminal else CLOSELY if is_under_way(vm) else NOW_AND_THEN,
        "facts": _facts(vm, cost, now),
        "tries": [_try(attempt, steps.get(attempt.pk, []), now) for attempt in attempts],
        "lines": [_line(event) for event in events[:MOST_EVENTS]],
        "has_more_events": len(events) > MOST_EVENTS,
        "sessions": [_session(one, now) for one in sessions],
        "windows": _windows(vm, now),
        "charts": CHARTS,
    }


def _windows(vm: VM, now: datetime) -> list[tuple[str, int, bool]]:
    """What the charts may show: label, seconds up to now, and whether that grows while one looks."""
    windows = [("Hour", 3600, False), ("Day", 86_400, False)]
    if vm.ready_at is not None and not vm.is_terminal:
        windows.append(("Session", max(300, int((now - vm.ready_at).total_seconds())), True))
    return windows


def _facts(vm: VM, cost: Decimal, now: datetime) -> list[tuple[str, str]]:
    """The header: label and text, empty ones left out."""
    attempt, is_there = vm.attempt, bool(vm.ip_address) and not vm.is_terminal
    facts = [
        ("Console", vm.console.display_name),
        ("Owner", _owner(vm)),
        ("Where", _where(attempt)),
        ("Leaves", _where(vm.moves_from)),
        (
            "From the player",
            wording.kilometres(attempt.distance_km) if attempt and attempt.distance_km is not None else "",
        ),
        ("Price", wording.hourly(attempt.usd_per_hour) if attempt else ""),
        ("Cost so far", wording.usd(cost)),
        ("Moonlight", f"{vm.ip_address}, port {CONTROL_PORT}" if is_there else ""),
        ("Ports", _ports() if is_there else ""),
        (
            "SSH",
            f"{f'{vm.ssh_user}@' if vm.ssh_user else ''}{vm.ip_address}:{vm.ssh_port}" if is_there else "",
        ),
        ("Machine", attempt.machine_id if attempt else ""),
        ("Made", wording.ago(vm.created_at, now)),
        (
            "This phase",
            f"{vm.phase.replace('_', ' ')} for {wording.duration((now - vm.phase_since).total_seconds())}",
        ),
        *_clocks(vm, now),
    ]
    return [(label, text) for label, text in facts if text]


def _owner(vm: VM) -> str:
    if vm.owner is None:
        return ""
    return f"{vm.owner.handle} ({vm.owner.email})" if vm.owner.email else vm.owner.handle


def _where(attempt: Attempt | None) -> str:
    if attempt is None:
        return ""
    kind = wording.kind_name(attempt.account.kind)
    return f"{attempt.location_name or attempt.region} at {attempt.account.name} ({kind})"


def _ports() -> str:
    return f"TCP {', '.join(map(str, TCP_PORTS))}; UDP {', '.join(map(str, UDP_PORTS))}"


def _clocks(vm: VM, now: datetime) -> list[tuple[str, str]]:
    """What will end, and when: the moments a person on watch has to know."""
    if vm.is_terminal:
        return [
            ("Ended", wording.ago(vm.ended_at, now) if vm.ended_at else ""),
            ("Archived, without keys and logs", wording.ago(vm.archived_at, now) if vm.archived_at else ""),
        ]
    overdue = deadline_of(vm, vm.attempt)
    deletion, idle_end = deletes_at(vm), idle_ends_at(vm, now)
    return [
        ("Phase overdue", wording.ago(overdue, now) if overdue else ""),
        ("Session ends", wording.ago(vm.session_ends_at, now) if vm.session_ends_at and vm.ready_at else ""),
        ("Deleted if still stopped", wording.ago(deletion, now) if deletion else ""),
        ("Idle limit", wording.duration(vm.auto_stop_timeout)),
        ("Last player", wording.ago(vm.last_activity, now) if vm.last_activity else ""),
        ("Nobody plays since", wording.ago(vm.idle_since, now) if vm.idle_since else ""),
        ("Ended if still idle", wording.ago(idle_end, now) if idle_end else ""),
        ("Agent's messages refused", str(vm.agent_refusals) if vm.agent_refusals else ""),
        ("Agent last heard", wording.ago(vm.agent_seen_at, now) if vm.agent_seen_at else ""),
        ("Next look", wording.ago(vm.next_look_at, now) if vm.next_look_at else ""),
    ]


def _try(attempt: Attempt, steps: Sequence[SetupStep], now: datetime) -> Try:
    took = ""
    if attempt.sent_at is not None:
        until = attempt.answered_at or attempt.closed_at or now
        took = wording.short((until - attempt.sent_at).total_seconds())
    left = "may still hold a machine" if attempt.closed_at and not attempt.gone_at else ""
    return Try(
        attempt=attempt,
        size=wording.size(attempt),
        price=wording.hourly(attempt.usd_per_hour),
        distance=wording.kilometres(attempt.distance_km),
        score="" if attempt.score is None else wording.hourly(attempt.score),
        colour=OUTCOME_COLOURS[attempt.outcome],
        took=took,
        left=left,
        steps=[
            (
                step,
                STEP_COLOURS.get(step.state, "default"),
                "" if step.seconds is None else wording.short(step.seconds),
            )
            for step in steps
        ],
    )


def _line(event: Event) -> Line:
    from_, *_ = event.actor.partition(":")
    who = "" if from_ == "policy" else event.actor
    return Line(
        event.at,
        who,
        wording.action_words(event.action),
        wording.details_words(event.details),
        event.action in wording.BAD_ACTIONS,
    )


def _session(session: GameSession, now: datetime) -> dict[str, Any]:
    until = session.ended_at or now
    played = wording.duration((until - session.started_at).total_seconds()) if session.started_at else ""
    return {
        "session": session,
        "colour": SESSION_COLOURS.get(session.status, "default"),
        "played": played,
        "queued": wording.ago(session.queued_at, now),
    }
