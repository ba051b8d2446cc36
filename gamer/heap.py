"""The heap of a process once its code is loaded."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Holds collections back: while code is loaded nothing goes, and walking through all of it time and again is a tenth of a start."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def settle() -> None:
    """Has collections pass over what is loaded for good: walking through it takes as long as a page does, several times a minute.

    Called when everything is loaded; before a fork it also keeps those pages shared, and a process that ends does not take it apart.
    """
    gc.collect()
    gc.freeze()
