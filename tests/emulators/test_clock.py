"""The game's clock with the real library, as a recipe preloads it. Collected where Debian's libfaketime is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from emulators.recipes import CLOCK_ENV, CLOCK_LIBRARY, IN_APP, IN_TOOLS, recipe_for
from tests.emulators.conftest import CLOCK

# What a game may look at: the calendar, what frames are paced by, and when a file was written.
GAME = """import json, os, sys, time
file = sys.argv[1]
told = [[time.monotonic(), time.time(), time.monotonic()]]
open(file, "w").close()
while time.monotonic() - told[0][2] < 1.2:
    pass
told.append([time.monotonic(), time.time(), time.monotonic()])
sys.stdout.write(json.dumps({"told": told, "local": time.strftime("%H:%M"), "written": os.stat(file).st_mtime}))
"""


def test_is_another_calendar_and_nothing_else(tmp_path: Path) -> None:
    made = recipe_for(console="snes", game_id="x", emulator="Snes9x", has_clock=True)
    clock = tmp_path / "clock"
    clock.write_text("@2000-01-01 06:00:00\n")
    words = [word.replace(f"{IN_TOOLS}/{CLOCK_LIBRARY}", str(CLOCK)) for word in made.launch[:2]]
    env = {name: value.replace(IN_APP, str(tmp_path)) for name, value in CLOCK_ENV.items()}
    before = tmp_path.stat().st_mtime
    done = subprocess.run(
        [*words, sys.executable, "-c", GAME, str(tmp_path / "save")], env=env, capture_output=True, check=True
    )
    seen = json.loads(done.stdout)
    (before_first, first, after_first), (before_last, last, after_last) = seen["told"]
    assert 946_706_400 <= first < 946_706_460
    # It goes on as fast as the real one: between the shortest and the longest time that may have passed.
    assert before_last - after_first - 0.1 <= last - first <= after_last - before_first + 0.1
    assert seen["local"] == "06:00"
    assert seen["written"] >= before
