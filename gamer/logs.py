"""How every process logs: one line a record, with who and what it is about, and with no secret in it.

The context is structlog's context variables. Whoever begins something binds to them, and everything beneath says it: the
request (`gamer.web.middleware`), the caller (where they are recognised), the VM (around a reconciler's step). Events read
the same context (`gamer.context`). Records of the standard library, ours and others', pass the same chain.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from redaction.masks import MASK, is_telling, mask, remember

DEPTH = 6  # of containers in a record; what is deeper is shown as text
# Kept for events, which forget it after 90 days; log files would keep it for as long as they like.
NOT_LOGGED = ("ip",)

Event = MutableMapping[str, Any]


def _clean(value: Any, depth: int = 0) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return mask(value)
    if depth < DEPTH and isinstance(value, Mapping):
        return {
            mask(str(key)): MASK if is_telling(str(key)) and each else _clean(each, depth + 1)
            for key, each in value.items()
        }
    if depth < DEPTH and isinstance(value, list | tuple | set | frozenset):
        return [_clean(each, depth + 1) for each in value]
    return mask(str(value))


def redact(_logger: Any, _method: str, event: Event) -> Event:
    """Masks secrets by name and by shape, in the message, its values and the traceback (which is text by now)."""
    for name in NOT_LOGGED:
        event.pop(name, None)
    for name, value in event.items():
        if not name.startswith("_"):  # structlog's own: the record itself
            event[name] = MASK if is_telling(name) and value else _clean(value)
    return event


CHAIN: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
]


def configure(*secrets: str) -> None:
    """Sets structlog up; `secrets` are this installation's own and never shown."""
    remember(*secrets, for_ever=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *CHAIN,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def as_django_wants(*, is_json: bool) -> dict[str, Any]:
    """settings.LOGGING: JSON for machines, readable lines for people."""
    renderer: Any = (
        structlog.processors.JSONRenderer(default=str)
        if is_json
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0, sort_keys=False)
    )
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": CHAIN,
        "processors": [
            structlog.processors.format_exc_info,
            redact,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            renderer,
        ],
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": formatter},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "root": {"handlers": ["console"], "level": "INFO"},
        "loggers": {
            # Django brings handlers of its own, which know no redaction.
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            "django.server": {"handlers": [], "level": "INFO", "propagate": True},
            # What a request came to is one line of ours; a fault's traceback is in it.
            "django.request": {"level": "CRITICAL"},
            "django.db.backends": {"level": "WARNING"},
            "paramiko": {"level": "WARNING"},
            "django-q": {"level": "WARNING"},
            "pgtrigger": {"level": "WARNING"},
            "axes": {"level": "ERROR"},  # it would write down who mistyped
        },
    }
