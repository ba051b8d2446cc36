"""The heap of a process once its code is loaded."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Holds collections back, and has those to come pass over what was loaded: hardly any of it ever goes.

    Walking through all of it time and again is a tenth of a start, and even once at its end is as much as a page takes.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def settle() -> None:
    """Has collections pass over what was made since for good, in a process that stays: walking through it takes as long as a page does.

    Called when everything is there; before a fork it also keeps those pages shared, and a process that ends does not take it apart.
    """
    gc.collect()
    gc.freeze()
