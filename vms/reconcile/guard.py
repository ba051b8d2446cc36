"""The edge between the loop and work that may have a bug: one row, or one account, pays for it, and nobody else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, transaction

from vms.reconcile.outcome import AccountNote, Outcome, Wait

log = logging.getLogger(__name__)

Result = TypeVar("Result")

# What a value that came from outside may raise on its way into a column.
REFUSED = (DatabaseError, ValueError, TypeError, OverflowError)

# After a failure nobody foresaw, the row is looked at again so late: its deadline goes on.
AFTER_A_BUG_S = 30


def guarded(work: Callable[[], Result], otherwise: Callable[[str], Result], what: str) -> Result:
    """What the work returns; after a bug in it, which is logged, what `otherwise` makes of the error's name.

    Broad on purpose: a claimed row comes back for ever, so an error that flew on would end every reconciler and every
    batch that meets the row, and starve all others.
    """
    try:
        return work()
    except Exception as error:
        log.exception("bug in %s", what)
        return otherwise(f"internal error: {type(error).__name__}")


def looked_at_later(_text: str) -> Outcome:
    """What becomes of a row whose step has a bug."""
    return Wait(seconds=AFTER_A_BUG_S)


def noted(text: str) -> AccountNote:
    """What becomes of an account whose adapter has a bug."""
    return AccountNote(error=text)


def stored(work: Callable[[], object], what: str) -> bool:
    """Writes what a provider or a machine told; False when it is refused, such as a number no column holds."""
    try:
        work()
    except REFUSED:
        if not transaction.get_connection().is_usable():
            raise
        log.exception("cannot be stored: %s", what)
        return False
    return True
