"""README's first hour, its own lines run by a shell against the product as `make run` starts it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import requests

from gamer.env import ROOT
from tests.gamer.dev.test_run import Running, running, state
from tests.waiting import eventually

__all__ = ["state"]
# Every curl must succeed, and each answer has a line of its own.
PRELUDE = """set -euo pipefail
curl() { command curl --fail-with-body --max-time 60 "$@"; echo; }
"""
REPORT = 'echo "project $PROJECT vm $VM"\n'


SECTIONS = ("The first hour", "Keep a save")


def lines(title: str) -> str:
    """What stands in a section's block."""
    section = (ROOT / "README.md").read_text().split(f"### {title}\n")[1].split("\n### ")[0]
    (block,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return str(block)


def shell(run: Running, key: str, folder: Path) -> str:
    """Pastes the blocks into a shell where `URL` and `KEY` are set, as the section before them leaves them."""
    ended = subprocess.run(
        ["bash", "-c", PRELUDE + "".join(map(lines, SECTIONS)) + REPORT],
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", "URL": run.url, "KEY": key},
        capture_output=True, text=True, timeout=200, cwd=folder,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.timeout(280)
def test_goes_as_readme_tells_it(state: Path, tmp_path: Path) -> None:
    with running(state) as run:
        key = run.said(r"API key +(\S+)")
        said = shell(run, key, tmp_path)
        for told in (
            '"action":"create","resource":"projects"',
            "session_queued",
            '"door":"signup"',
            '"max_vms":1',
            "./zelda.srm",
            '"clock_at":"2020-03-20T08:00:00Z"',
        ):
            assert told in said
        found = re.search(r"project (\d+) vm (\S+)", said)
        assert found
        staff = {"X-API-Key": key}

        def is_closed() -> bool:
            project = requests.get(f"{run.url}/projects/{found[1]}", headers=staff, timeout=60).json()
            vm = requests.get(f"{run.url}/vms/{found[2]}", headers=staff, timeout=60).json()
            return bool(vm["status"] == "terminated" and project["state"] in ("closing", "closed"))

        eventually(is_closed, 60)
        # A worker has taken both contents out of the database.
        eventually(lambda: len([one for one in (state / "saves").rglob("*") if one.is_file()]) == 2, 60)
