"""What the present act is part of: a request with its address, somebody who acts, a VM. One context for logs and events.

It is structlog's context variables, so a log line says it by itself. A thread starts without one: who hands work to threads
binds inside of it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string
from structlog.contextvars import bind_contextvars, bound_contextvars, get_contextvars


@dataclass(frozen=True, slots=True)
class Context:
    """Empty and None where nobody has said anything: in commands, the reconciler and the worker there is no request."""

    request_id: str = ""
    ip: str | None = None
    actor: str = ""


def present() -> Context:
    known = get_contextvars()
    return Context(
        request_id=str(known.get("request_id", "")),
        ip=known.get("ip"),
        actor=str(known.get("actor", "")),
    )


def bind(**what: Any) -> None:
    """Says something of everything from here on: to the end of the request, or of the process."""
    bind_contextvars(**what)


def act_as(actor: str) -> None:
    """Says who acts from here on: an event's actor, such as `user:alice`."""
    bind(actor=actor)


def about(**what: Any) -> AbstractContextManager[Any]:
    """Binds for a `with` block: `about(vm=…)`, `about(actor="policy:reconciler")`."""
    return bound_contextvars(**what)


def note(action: str, resource: str, resource_id: str, **details: Any) -> None:
    """Records an act of the ground's own, which knows no room above it: settings.RECORDER does."""
    import_string(settings.RECORDER)(action, resource, resource_id, details)
