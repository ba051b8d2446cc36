"""What can be asked and done here, by topic: `profiles` reads, `configs` and `library` change, `seeding` fills an empty table.

Every change is one transaction and leaves an Event of resource `emulators`.
"""

from emulators.services.profiles import has_file, profile_for
from emulators.services.seeding import seed

__all__ = ["has_file", "profile_for", "seed"]
