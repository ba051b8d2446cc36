"""Commands that cron and Nagios ask by their exit code. Python ends with 1 after an error, which is Nagios' word for a warning: what
keeps such a command from answering, before it has begun as well, is told as unknown. Standard library only, for that reason.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

COMMANDS = frozenset({"billing_alerts"})
UNKNOWN = 3


@contextmanager
def unknown_for_errors(argv: Sequence[str]) -> Iterator[None]:
    """What `manage.py` runs in. The first line on standard output is what Nagios shows; a traceback goes where it always does."""
    if "".join(argv[1:2]) not in COMMANDS:
        yield
        return
    # Instead of catching everything: by now nobody else wants the error, and what it left behind is cleared away.
    sys.excepthook = _end
    try:
        yield
    except SystemExit as ended:
        if not isinstance(ended.code, str):
            raise
        sys.stdout.write(f"UNKNOWN - {ended.code}\n")
        sys.exit(UNKNOWN)


def _end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stdout.write(f"UNKNOWN - {kind.__name__}: {error}\n")
    sys.stdout.flush()
    sys.__excepthook__(kind, error, trace)
    sys.stderr.flush()
    os._exit(UNKNOWN)  # Python would go on to end with 1
