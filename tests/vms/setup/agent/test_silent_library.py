"""A game whose library does not answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.vms.setup.agent.playing import app
from tests.vms.setup.agent.running import Agent
from tests.vms.setup.agent.silence import silent

LINKS = {"/srv/gamer/roms/a.nes": "/srv/gamer/games/zelda.nes"}


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "root/srv/gamer/games"
    place.mkdir(parents=True)
    with silent(place):
        yield place


def launch(agent: Agent, session_id: str, **asked: Any) -> dict[str, Any]:
    order = {"session_id": session_id, "game_id": "zelda", "app": app(**asked)}
    return agent.ask("POST", "/sessions", order)[1]


@pytest.mark.parametrize(
    "asked", [{"links": LINKS}, {"shared": {"/srv/gamer/system": "/srv/gamer/games/system"}}]
)
def test_fails_in_words(
    make_agent: Callable[..., Agent], tmp_path: Path, library: Path, asked: dict[str, Any]
) -> None:
    agent = make_agent(root=str(tmp_path / "root"), library_s=0.2)
    agent.start()
    launch(agent, "s1", **asked)
    assert agent.until("s1", "failed")["reason"] == "the library on this machine does not answer"


def test_is_ended_while_it_waits(make_agent: Callable[..., Agent], tmp_path: Path, library: Path) -> None:
    agent = make_agent(root=str(tmp_path / "root"), library_s=600)
    agent.start()
    assert launch(agent, "s2", links=LINKS)["state"] == "queued"
    assert agent.ask("DELETE", "/sessions/s2")[1]["state"] == "ended"
