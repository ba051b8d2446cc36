"""What can be asked and done here, by topic: `profiles` reads, `configs` and `library` change, `seeding` fills an empty table.

The library of games: `scanning` compares it with the rows, `uploads` puts files into it, `upkeep` takes up what died.

Every change is one transaction and leaves an Event of resource `emulators`.
"""

from emulators.services.profiles import demand_file, lost_file, profile_for
from emulators.services.seeding import seed

__all__ = ["demand_file", "lost_file", "profile_for", "seed"]
