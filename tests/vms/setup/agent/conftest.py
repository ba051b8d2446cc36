from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.vms.setup.agent import silence
from tests.vms.setup.agent.playing import Playing, played
from tests.vms.setup.agent.running import Agent, PublicUrl

# Needs FUSE, and leave to mount.
collect_ignore = [] if silence.is_possible() else ["test_silent_library.py"]


@pytest.fixture
def make_agent(tmp_path: Path) -> Iterator[Callable[..., Agent]]:
    """An agent in a folder of the test's, not yet started; takes what `Agent` takes after its folder."""
    made: list[Agent] = []

    def make(public_url: str = "", **settings: Any) -> Agent:
        made.append(Agent(tmp_path, public_url, **settings))
        return made[-1]

    yield make
    for agent in made:
        agent.end()


@pytest.fixture
def agent(make_agent: Callable[..., Agent]) -> Agent:
    """A running agent that has nobody to call."""
    agent = make_agent()
    agent.start()
    return agent


@pytest.fixture
def caller(make_agent: Callable[..., Agent], public_url: PublicUrl) -> Agent:
    """An agent that calls `public_url` every 50 ms once it is started."""
    return make_agent(public_url.url)


@pytest.fixture
def wolf(tmp_path: Path) -> Iterator[Playing]:
    with played(tmp_path / "wolf", "B") as playing:
        yield playing
