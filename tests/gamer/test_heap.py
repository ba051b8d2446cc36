"""Servers leave what they have loaded to no collection."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from gamer.env import ROOT

COUNT = "import gc, {0}; print(gc.get_freeze_count(), len(gc.get_objects()))"


@pytest.mark.parametrize("server", ["gamer.wsgi", "gamer.asgi"])
def test_settles_with_all_that_is_loaded(server: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", COUNT.format(server)], cwd=ROOT, env={**os.environ}, capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    settled, others = map(int, ended.stdout.split())
    assert settled > 100 * others
