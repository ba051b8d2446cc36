"""Staff's pages: what runs (`consoles`), and the library of games (`library`)."""

from emulators.admin import library
from emulators.admin.consoles import by

__all__ = ["by", "library"]
