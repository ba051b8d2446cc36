"""The heap of a process that stays."""

import gc


def settle() -> None:
    """Has collections pass over what is loaded for good: walking through it takes as long as a page does, several times a minute.

    Called once, when everything is loaded; before a fork it also keeps those pages shared.
    """
    gc.collect()
    gc.freeze()
