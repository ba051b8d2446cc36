"""Commands of a server that root typed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gamer.env import ROOT

NOBODY = 65534


def typed(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", command],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": "postgres://nobody@127.0.0.1:9/none", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("variable", ["GAMER_STATE_DIR", "CLOUDYPAD_HOME", "SAVES_URL"])
def test_are_refused_where_the_files_are_another_users(tmp_path: Path, variable: str) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, NOBODY, -1)
    given = f"file://{theirs}" if variable == "SAVES_URL" else str(theirs)
    ended = typed("diffsettings", **{"GAMER_STATE_DIR": str(tmp_path), variable: given})
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        f"{theirs} belongs to nobody, who could not read what root writes there. Type instead:",
        f"runuser -u nobody -- {sys.executable} manage.py diffsettings",
    ]
    assert typed("version", **{variable: given}).returncode == 0


def test_that_answer_by_their_exit_code_say_that_they_cannot(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, -1)
    ended = typed("billing_alerts", GAMER_STATE_DIR=str(tmp_path))
    assert (ended.returncode, ended.stdout.startswith(f"UNKNOWN - {tmp_path} belongs to nobody")) == (3, True)


def test_are_carried_out_where_they_are_roots(tmp_path: Path) -> None:
    ended = typed("diffsettings", GAMER_STATE_DIR=str(tmp_path), CLOUDYPAD_HOME=str(tmp_path / "not there"))
    assert ended.returncode == 0, ended.stderr
