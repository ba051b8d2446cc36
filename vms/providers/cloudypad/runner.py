"""Carries out a machine's orders, one after the other, apart from whoever gave them: `python -m … runner HOME NAME LOCK COMMAND…`.

Started in a session of its own with the machine's run lock (an open file) inherited; the tool inherits it too, so that nothing else is
begun while it lives. Nobody waits for us: what came of an order is on the page. Killing us in the middle leaves the tool at work.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from redaction.masks import mask
from vms.providers.cloudypad.books import Book, Home, Order, Page, Run

# Each takes 430 MB. Creates last a quarter of an hour: what ends a machine, or brings one back, has places that no create takes.
MOST_RUNS, MOST_ACTS = 8, 4
SLOT_LOOK_S = 0.2
# An overdue run is first asked to end: one that is killed leaves its cloud half made.
GRACE_S = 30
# As a shell says it: no such program.
CANNOT_RUN = 127
SECRET_NAMES = "GAMER_SECRET_NAMES"
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def main(argv: Sequence[str]) -> None:
    os.umask(0o077)
    home, name, lock = Home(Path(argv[0])), argv[1], int(argv[2])
    book = home.book(name)
    while (begun := _begin(home, book, lock)) is not None:
        order, slot = begun
        home.lift_locks(name)
        exit_code, is_overdue = _call([*argv[3:], *order.argv], order.limit_s, book, (lock, slot))
        os.close(slot)
        _redact(book)
        _end(book, order, exit_code, is_overdue)
        if exit_code < 0 and not is_overdue:
            return  # cut off: whoever looks next decides how it goes on


def _begin(home: Home, book: Book, lock: int) -> tuple[Order, int] | None:
    """Takes the next order, and a place for it. One that waits for its place has not begun, and may be another by then.

    With none left the run lock is given back, under the page's, so that no order falls between.
    """
    while (page := book.page()) is not None:
        seen = page.head
        slot = _slot(home, seen) if seen is not None else None
        if seen is not None and slot is None:
            time.sleep(SLOT_LOOK_S)
            continue
        with book.changing() as page:
            order = page.head
            if order == seen:
                if order is None or slot is None:
                    os.close(lock)
                    return None
                order.tries += 1
                page.run = Run(order.id, order.verb, time.time())
                return order, slot
        if slot is not None:
            os.close(slot)
    os.close(lock)
    return None


def _slot(home: Home, order: Order) -> int | None:
    if order.verb in ("create", "deploy"):
        return home.slot("run", MOST_RUNS)
    slot = home.slot("act", MOST_ACTS)
    return slot if slot is not None else home.slot("run", MOST_RUNS)


def _end(book: Book, order: Order, exit_code: int, is_overdue: bool) -> None:
    if book.page() is None:
        return
    with book.changing() as page:
        _note(page, order, exit_code, is_overdue)


def _note(page: Page, order: Order, exit_code: int, is_overdue: bool) -> None:
    if exit_code >= 0 or is_overdue:
        page.drop(order.id)
    if page.run is not None and page.run.order_id == order.id:
        page.run.ended_at, page.run.exit_code, page.run.is_overdue = time.time(), exit_code, is_overdue


def _call(command: Sequence[str], limit_s: float, book: Book, kept: Sequence[int]) -> tuple[int, bool]:
    """The tool's exit code, and whether it was ended for taking too long. Never an open stdin: a question would wait for ever."""
    with book.log.open("wb") as log:
        try:
            tool = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=kept,
            )
        except OSError as error:
            log.write(f"{command[0]} cannot be run: {error.strerror}\n".encode())
            return CANNOT_RUN, False
    try:
        return tool.wait(limit_s), False
    except subprocess.TimeoutExpired:
        tool.terminate()
    try:
        return tool.wait(GRACE_S), True
    except subprocess.TimeoutExpired:
        tool.kill()
        return tool.wait(), True


def _redact(book: Book) -> None:
    """What is kept of the tool's words holds no secret; while it runs they lie beside its own files, which hold them all."""
    secrets = [os.environ.get(name, "") for name in os.environ.get(SECRET_NAMES, "").split(",") if name]
    try:
        text = book.log.read_text(errors="replace")
        book.log.write_text(mask(_COLOURS.sub("", text), secrets))
    except FileNotFoundError:
        return  # the machine was forgotten meanwhile


if __name__ == "__main__":
    main(sys.argv[1:])
