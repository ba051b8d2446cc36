"""What the agent waits for below a folder of saves."""

from __future__ import annotations

import threading
from pathlib import Path

from vms.setup.agent.watching import Changes

LONG_S = 600.0


def ends(changes: Changes, folder: Path) -> bool:
    """Whether the wait ends long before its time is over."""
    waiting = threading.Thread(target=changes.wait, args=(folder, LONG_S), daemon=True)
    waiting.start()
    waiting.join(30)
    is_over = not waiting.is_alive()
    changes.poke()
    waiting.join()
    return is_over


class TestChanges:
    def test_of_a_folder_that_is_missing_are_looked_for_every_other_second(self, tmp_path: Path) -> None:
        """It may come back, as where a game writes its folder anew: nothing could be watched until then."""
        changes, missing = Changes(), tmp_path / "missing"
        changes.wait(missing, LONG_S)
        assert ends(changes, missing)

    def test_from_before_a_folder_was_watched_are_not_waited_for(self, tmp_path: Path) -> None:
        changes = Changes()
        assert ends(changes, tmp_path)
