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

MOST_RUNS = 8
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
    slot = _slot(home)
    while (order := _begin(book, lock)) is not None:
        exit_code, is_overdue = _call([*argv[3:], *order.argv], order.limit_s, book, (lock, slot))
        _redact(book)
        _end(book, order, exit_code, is_overdue)
        if exit_code < 0 and not is_overdue:
            return  # cut off: whoever looks next decides how it goes on


def _slot(home: Home) -> int:
    while (slot := home.slot("run", MOST_RUNS)) is None:
        time.sleep(SLOT_LOOK_S)
    return slot


def _begin(book: Book, lock: int) -> Order | None:
    """Takes the next order; with none left the run lock is given back, under the page's, so that no order falls between."""
    if book.page() is None:
        os.close(lock)
        return None
    with book.changing() as page:
        order = page.head
        if order is None:
            os.close(lock)
            return None
        order.tries += 1
        page.run = Run(order.id, order.verb, time.time())
        return order


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
