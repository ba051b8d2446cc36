"""How amounts, times and states read on staff's pages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from emulators.models import ProviderKind
from vms import offers
from vms.health import Condition, condition_of
from vms.lifecycle import Status
from vms.models import Attempt, ProviderAccount

NONE = "–"
NO_BREAK = "\N{NO-BREAK SPACE}"
UNBROKEN = 24

# Unfold's label colours.
COLOURS: dict[str, str] = {
    Status.CREATING: "info",
    Status.CONFIGURING: "info",
    Status.RUNNING: "success",
    Status.STOPPING: "warning",
    Status.STOPPED: "default",
    Status.TERMINATING: "warning",
    Status.ERROR: "danger",
    Status.TERMINATED: "default",
}

HEALTH_WORDS: Mapping[Condition, str] = {
    Condition.HEALTHY: "answering",
    Condition.DEMOTED: "demoted",
    Condition.UNKNOWN: "not asked yet",
    Condition.FAILING: "failing",
    Condition.PAUSED: "paused",
}
HEALTH_COLOURS = {
    "answering": "success",
    "demoted": "warning",
    "not asked yet": "info",
    "failing": "danger",
    "paused": "danger",
    "paused by staff": "warning",
}

ACTIONS: Mapping[str, str] = {
    "create": "Launch asked",
    "update": "Changed",
    "placed": "Offer chosen",
    "attempt_failed": "Order failed, next offer",
    "machine_ordered": "Machine made, starting",
    "machine_running": "Machine runs, being set up",
    "power_on": "Running",
    "stopping": "Stopping",
    "power_off": "Stopped",
    "ending": "Being deleted",
    "delete": "Deleted, proven gone",
    "failed": "Ended in error, proven gone",
    "error": "Given up",
    "delete_unproven": "Delete does not confirm",
    "session_over": "Longest session reached",
    "stopped_too_long": "Stopped too long",
    "start_refused": "Start refused",
    "power_on_asked": "Start asked",
    "power_off_asked": "Stop asked",
    "delete_asked": "Termination asked",
    "look_asked": "Look asked",
    "retry": "Retry asked",
    "move_asked": "Move asked",
    "move_begun": "Left its machine, kept until another runs",
    "moved": "Moved; the machine it left is deleted",
    "move_refused": "Move came to nothing",
    "extend": "Time extended",
    "session_queued": "Game queued",
    "session_launched": "Game launched",
    "session_ended": "Game ended",
    "session_end": "End of game asked",
    "session_failed": "Game failed",
    "save_at_risk": "Ends although its save may not be safe",
    "save_refused": "Save of the machine not believed",
    "save_unpacked": "Save cannot be taken from the machine",
    "saves_lost": "Saves lost with the machine",
}
# Still driven, but its tool's makers advise against it: unreliable, and no longer looked after.
DEPRECATED = frozenset({ProviderKind.CLOUDYPAD_PAPERSPACE.value})
# Said elsewhere on the page, or only of use to programs.
UNTOLD = frozenset({"from", "offer", "session_id"})
BAD_ACTIONS = frozenset(
    {
        "attempt_failed",
        "failed",
        "error",
        "delete_unproven",
        "session_failed",
        "start_refused",
        "move_refused",
        "save_at_risk",
        "save_refused",
        "save_unpacked",
        "saves_lost",
    }
)


def action_words(action: str) -> str:
    return ACTIONS.get(action, action.replace("_", " ").capitalize())


def details_words(details: Mapping[str, Any]) -> str:
    """An event's details as one line."""
    told = (_detail(name, value) for name, value in details.items() if name not in UNTOLD)
    return ", ".join(filter(None, told))


def _detail(name: str, value: Any) -> str:
    if value in (None, "", [], {}):
        return ""
    match name:
        case "usd_per_hour":
            return hourly(float(value))
        case "distance_km":
            return f"{kilometres(float(value))} away"
        case "considered":
            return f"{value} offers looked at"
        case "from_location":
            return f"from {value}"
        case "location" | "text" | "reason" | "why" | "error":
            return str(value)
    return f"{name.replace('_', ' ')} {value}"


def duration(seconds: float) -> str:
    """A length of time in its two largest units: 42 s, 3 min 5 s, 2 h 10 min, 4 d 3 h."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def short(seconds: float) -> str:
    """A length of time of which tenths of a second may matter."""
    return f"{max(0.0, seconds):.1f} s" if seconds < 10 else duration(seconds)


def ago(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "never"
    seconds = (now - moment).total_seconds()
    return f"in {duration(-seconds)}" if seconds < 0 else f"{duration(seconds)} ago"


def unbroken(text: str) -> str:
    """A short text that a narrow column keeps on one line."""
    return text.replace(" ", NO_BREAK) if len(text) <= UNBROKEN else text


def hourly(price: Decimal | float | None) -> str:
    """USD per hour. A binary fraction is rounded as the exact price it stands for."""
    return NONE if price is None else f"${Decimal(str(round(price, 9))):.3f}/h"


def usd(amount: Decimal) -> str:
    """Whole cents from a dollar on; below it as many places as tell something."""
    return f"${amount:.2f}" if amount >= 1 or not amount else f"${amount:.4f}"


def kind_name(kind: str) -> str:
    name = str(ProviderKind(kind).label) if kind in ProviderKind.values else kind
    return f"{name}, deprecated by CloudyPad" if kind in DEPRECATED else name


def kilometres(distance: float | None) -> str:
    return NONE if distance is None else f"{distance:,.0f} km"


def size(attempt: Attempt) -> str:
    """A bought size: 8 vCPUs, 16 GB RAM, 200 GB disk, 1 × geforcertx4090."""
    gpu = f"{attempt.gpus} × {attempt.offer.get('gpu_model') or 'GPU'}" if attempt.gpus else "no GPU"
    return f"{attempt.vcpus} vCPUs, {attempt.ram_gb} GB RAM, {attempt.disk_gb} GB disk, {gpu}"


def health(account: ProviderAccount, now: datetime) -> tuple[str, str]:
    """How an account is doing: one word or two, and the sentence behind them."""
    if account.is_paused:
        return "paused by staff", "No new machines here until somebody resumes it."
    condition = condition_of(account, now)
    if condition is Condition.PAUSED:
        return HEALTH_WORDS[condition], f"{account.paused_why}. Tried again {ago(account.paused_until, now)}."
    until = offers.demoted_until(account, now)
    if condition is Condition.DEMOTED and until is not None:
        failed = account.orders_failed_in_a_row
        sentence = f"Its last {failed} orders failed: it comes after all others for {duration((until - now).total_seconds())}."
        return HEALTH_WORDS[condition], sentence
    answered_at = max(filter(None, (account.last_answered_at, account.offers_refreshed_at)), default=None)
    sentence = f"Answered {ago(answered_at, now)}." if answered_at else "Never answered."
    if account.failures_in_a_row:
        times = "once" if account.failures_in_a_row == 1 else f"{account.failures_in_a_row} times in a row"
        sentence = f"{sentence} Since then it failed {times}: {account.last_error}"
    return HEALTH_WORDS[condition], sentence
