"""Where the files of games lie, by the library's address (`GAMES_URL`). One module per kind of place, loaded when it is used.

Each module has `open_shelf(address, google_credentials)`, which raises ValueError in words that hold no secret. What is open may
take time: use it where no request waits and no transaction is open. What goes wrong is told by what to do next: `LibraryAway`
again later, `LibraryRefuses` nothing before an operator did.
"""

from emulators.shelves.base import (
    LibraryAway,
    LibraryError,
    LibraryRefuses,
    Shelf,
    StoredFile,
    is_configured,
    opened,
    shelf_at,
)

__all__ = [
    "LibraryAway",
    "LibraryError",
    "LibraryRefuses",
    "Shelf",
    "StoredFile",
    "is_configured",
    "opened",
    "shelf_at",
]
