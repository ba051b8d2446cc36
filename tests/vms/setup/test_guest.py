"""The whole way on a rented machine: set up, a game launched, the agent's death, the end; in both kinds of guest."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.guests.guest import HOST_KEY, Guest, Guests, GuestSpec
from sandbox.guests.runtime import NO_UNSHARE
from tests.vms.setup.looking import look_at, playing, session_state
from tests.waiting import eventually
from vms.setup import (
    Address,
    Ready,
    SessionOrder,
    StepReport,
    Target,
    connect,
    end_session,
    launch_game,
    make_keypair,
    set_up,
)

# Namespaces are walled in by the kernel, where it lets us; the other way works everywhere.
KINDS = ["confined", "namespaced"] if sys.platform == "linux" and os.geteuid() == 0 else ["confined"]


class Rented:
    """A booted guest, served by an event loop in a thread of its own."""

    def __init__(self, state_dir: Path, user: str) -> None:
        self.user_key = make_keypair()
        self.host_key = make_keypair()
        self.user = user
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._state_dir = state_dir
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._guest: Guest | None = None

    def _do(self, awaitable: object) -> object:
        return asyncio.run_coroutine_threadsafe(awaitable, self._loop).result(60)  # type: ignore[arg-type]

    async def _boot(self) -> None:
        guests = Guests(self._state_dir)
        await guests.prepare()
        files = [{"path": HOST_KEY, "content": self.host_key.private_openssh, "permissions": "0600"}]
        spec = GuestSpec("vm1", self.user_key.public_line, {"write_files": files})
        self._guest = guests.make(spec, lambda: None)
        await self._guest.boot(self._listener)

    def start(self) -> None:
        self._thread.start()
        self._do(self._boot())

    def end(self) -> None:
        if self._guest is not None:
            self._do(self._guest.destroy())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def target(self) -> Target:
        address = Address("127.0.0.1", self.port, self.user)
        key = self.user_key.private_openssh
        return Target("vm1", address, key, self.host_key.public_line, "agent-token")


@pytest.fixture(params=KINDS)
def rented(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Rented]:
    if request.param == "confined":
        monkeypatch.setenv(NO_UNSHARE, "1")
    guest = Rented(tmp_path, "user")
    guest.start()
    yield guest
    guest.end()


def ignore(report: StepReport) -> None:
    """Nobody reads the reports here."""


def made_ready(target: Target) -> None:
    """Looks until the machine is a console: programs of a confined guest start slowly."""
    eventually(lambda: isinstance(set_up(target, ignore), Ready), timeout_s=60)


def app(name: str) -> dict[str, object]:
    """Something for Wolf to offer."""
    return {"name": f"gamer-{name}", "title": name.title(), "image": "image:edge", "mounts": [], "env": {}}


def main_pid(target: Target) -> str:
    with connect(target.address, target.private_key, target.host_public_key) as shell:
        shown = shell.run(
            ["systemctl", "show", "--value", "-p", "MainPID", "gamer-agent.service"], check=True
        )
    return shown.stdout.decode().strip()


def kill_agent(target: Target) -> None:
    with connect(target.address, target.private_key, target.host_public_key) as shell:
        shell.run(["kill", "-9", main_pid(target)], as_root=True, check=True)


class TestRentedMachine:
    def test_becomes_ready_and_runs_one_game_through_the_death_of_its_agent(self, rented: Rented) -> None:
        target, order = rented.target, SessionOrder("s1", "zelda", "switch")
        made_ready(target)
        launched = playing(target, order)
        assert launched.state == "launched"
        killed = main_pid(target)
        kill_agent(target)
        eventually(lambda: main_pid(target) not in ("0", killed))
        made_ready(target)
        assert session_state(target, "s1") == launched
        second = playing(target, SessionOrder("s2", "mario", "switch", argv=("sh", "-c", "exit 3")))
        assert second.state in ("launched", "failed")
        assert session_state(target, "s1").state == "ended"
        eventually(lambda: session_state(target, "s2").exit_code == 3)
        assert end_session(target, "s2").state == "failed"

    def test_has_a_wolf_that_offers_what_is_ordered(self, rented: Rented) -> None:
        target = rented.target
        made_ready(target)
        eventually(lambda: look_at(target).is_playing is False)
        order = SessionOrder("s1", "zelda", "switch", app=app("zelda"))
        eventually(lambda: launch_game(target, order).state == "launched")
        assert end_session(target, "s1").state == "ended"
