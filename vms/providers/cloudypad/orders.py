"""Orders on their way: given, begun, watched, taken up again after a death. The page is the order's truth; whoever looks carries on."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

from vms.providers.base import MachineState
from vms.providers.cloudypad.answers import events_in
from vms.providers.cloudypad.books import MOST_TRIES, Book, Home, Order, Page, Run
from vms.providers.cloudypad.cli import Cli

# What an order that is under way makes of a machine.
STATES = {
    "create": MachineState.PENDING,
    "deploy": MachineState.PENDING,
    "start": MachineState.PENDING,
    "stop": MachineState.STOPPING,
    "destroy": MachineState.STOPPING,
}
MADE = "configuration-end"
TAKEN = "provision-begin"
PROVISIONED = "provision-end"
# The exit code of a run that was cut off, and did not say how it ended.
CUT_OFF = -1
# Bytes of a run's words that are read: its error, or its success, stands at the end.
LAST_WORDS = 64 * 1024


def state_of(page: Page) -> MachineState | None:
    """What the orders under way say of a machine; None when none is, or only a quiet one."""
    loud = [order.verb for order in page.queue if not order.is_quiet]
    if not loud:
        return None
    return MachineState.STOPPING if "destroy" in loud else STATES[loud[0]]


def give(cli: Cli, book: Book, *given: Order, machine: dict[str, Any] | None = None) -> None:
    """Puts orders behind those the machine has, and sees that somebody carries them out."""
    with book.changing() as page:
        page.queue.extend(given)
        page.machine = machine or page.machine
    carry_on(cli, book)


def give_if_unchanged(cli: Cli, book: Book, seen: Page, order: Order) -> None:
    """Gives an order that follows from a look, unless another was given since that look read the page: `get` takes its seconds."""
    if book.page() is None:
        return
    with book.changing() as page:
        if page.queue or page.run != seen.run:
            return
        page.queue.append(order)
    carry_on(cli, book)


def waits(page: Page, order_id: str) -> bool:
    """Whether an order is next and waits for a place. What comes of it is not unknown: it is on the page, and will be carried out."""
    return page.head is not None and page.head.id == order_id and not page.is_cut_off()


def drop_unbegun(home: Home, book: Book) -> bool:
    """Takes back a create that nobody has begun, and what was to follow it; whether it was one. There is no such machine then."""
    if book.page() is None:
        return False
    with book.changing() as page:
        order = page.head
        is_unbegun = order is not None and order.verb == "create" and not page.is_cut_off()
        if not is_unbegun or home.state_path(book.name).exists():
            return False
        page.queue.clear()
    return True


def carry_on(cli: Cli, book: Book) -> None:
    """Starts a runner where orders wait and nobody is at them. An order that was cut off in the middle is taken up again."""
    page = book.page()
    if page is None or not page.queue:
        return
    lock = book.take()
    if lock is None:
        return
    try:
        is_due = _mend(cli.home, book)
    except BaseException:
        os.close(lock)
        raise
    if is_due:
        cli.start(book, lock)
    else:
        os.close(lock)


def _mend(home: Home, book: Book) -> bool:
    """Under the run lock: makes of an order that was cut off one that can be begun again. Whether any is left."""
    if book.page() is None:
        return False
    with book.changing() as page:
        order = page.head
        if order is not None and page.is_cut_off():
            _take_up(home, book, page, order)
        return bool(page.queue)


def _take_up(home: Home, book: Book, page: Page, order: Order) -> None:
    run = page.run if page.run is not None and page.run.order_id == order.id else None
    if order.verb in ("create", "deploy"):
        state = home.state_text(book.name)
        if order.verb == "create" and not state:
            # Cut off before the tool wrote its state, which it does before it asks its cloud for anything.
            _settle(page, order, run, CUT_OFF)
            return
        if events_in(state)[-1:] == [MADE]:
            _settle(page, order, run, 0)
            return
        order.verb, order.argv = "deploy", ["deploy", book.name, "--yes"]
    if order.tries >= MOST_TRIES:
        _settle(page, order, run, CUT_OFF)


def _settle(page: Page, order: Order, run: Run | None, exit_code: int) -> None:
    page.drop(order.id)
    ended = run or Run(order.id, order.verb, time.time())
    ended.ended_at, ended.exit_code = time.time(), exit_code
    page.run = ended


def watch(cli: Cli, book: Book, order_id: str, seconds: float, is_taken: Callable[[], bool]) -> Run | None:
    """Waits until an order's run has ended, or it is evidently taken, or `seconds` are over. The run, if it has ended."""
    until = cli.clock.now() + seconds
    while True:
        page = book.page()
        run = page.run if page is not None else None
        if run is not None and run.order_id == order_id and run.ended_at is not None:
            return run
        if page is None or is_taken() or cli.clock.now() >= until:
            return None
        carry_on(cli, book)
        cli.clock.nap()


def words_of(book: Book) -> str:
    """What the last run said, as far as it has come."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), book.log.open("rb") as log:
        log.seek(max(0, book.log.stat().st_size - LAST_WORDS))
        return log.read(LAST_WORDS).decode(errors="replace")
    return ""


def forget(book: Book) -> None:
    """Lets go of a machine that is gone, unless somebody is at it."""
    lock = book.take()
    if lock is None:
        return
    page = book.page()
    if page is None or not page.queue:
        book.forget()
    os.close(lock)
