"""We are away for an hour, in small: the agent as the process it is, told by its configuration how long a minute is.

A failed heartbeat stands for a minute here. Half an hour of patience is dead_man_s: longer than a busy machine stands still, or the
agent would be alone before a test says so.
"""

from __future__ import annotations

import hashlib
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from emulators import archives
from tests.vms.setup.agent.playing import Playing, app
from tests.vms.setup.agent.running import Answer, PublicUrl
from tests.vms.setup.agent.test_saves import FOLDER, SLOT, Console
from tests.waiting import eventually
from vms.setup.agent.activity import CONTROL_PORT
from vms.setup.agent.archive import EMPTY
from vms.setup.agent.backlog import MOST

MINUTE_S, PATIENCE_S = 0.2, 6.0
AWAY: Answer = (503, b"")
HERE: dict[str, Answer] = {
    "register": (200, b'{"token": "issued-1"}'),
    "heartbeat": (200, b"{}"),
    "events": (200, b"{}"),
    "saves": (200, b'{"number": 1, "is_current": true}'),
}


class Service:
    """The other end of the agents, which comes and goes."""

    def __init__(self, public_url: PublicUrl) -> None:
        self.public_url = public_url

    def leave(self) -> None:
        self.public_url.turn(dict.fromkeys(HERE, AWAY))

    def come_back(self) -> None:
        self.public_url.turn(HERE)

    def was_missed(self, times: int) -> bool:
        return len(self.public_url.seen("heartbeat")) >= times


@pytest.fixture
def service(public_url: PublicUrl) -> Service:
    public_url.answers.update(HERE)
    return Service(public_url)


@pytest.fixture
def shutdowns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the machine's `shutdown` notes its calls."""
    calls, program = tmp_path / "calls", tmp_path / "bin/shutdown"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$*" >>{calls}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return calls


@pytest.fixture
def console(service: Service, wolf: Playing, shutdowns: Path, tmp_path: Path) -> Iterator[Console]:
    """A machine on which somebody plays, which we have just heard of."""
    console = Console(
        tmp_path,
        service.public_url.url,
        wolf_sockets=[str(wolf.socket)],
        heartbeat_s=MINUTE_S,
        backoff_s=MINUTE_S,
        dead_man_s=PATIENCE_S,
    )
    console.start()
    eventually(lambda: console.state()["activity"]["is_wolf_up"])  # from here on it hears who comes
    save = {"slot": SLOT, "folder": FOLDER, "base": 0, "digest": EMPTY, "clock": None}
    order = {"session_id": "s1", "game_id": "zelda", "app": app(), "save": save}
    assert console.ask("POST", "/sessions", order)[0] == 201
    console.until("s1", "launched")
    wolf.does("stream", client_id="77")
    wolf.does("resume", client_id="77")
    eventually(lambda: console.state()["activity"]["is_playing"] and service.public_url.seen("events"))
    yield console
    console.end()


@contextmanager
def control_traffic() -> Iterator[None]:
    """What a client that streams sends all the time: an agent that has just started goes by it."""
    over = threading.Event()

    def talk() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as moonlight:
            while not over.wait(0.02):
                moonlight.sendto(b"input", ("127.0.0.1", CONTROL_PORT))

    talking = threading.Thread(target=talk)
    talking.start()
    yield
    over.set()
    talking.join()


def is_playing(console: Console, wolf: Playing) -> bool:
    return console.session("s1")["state"] == "launched" and wolf.titles() == ["Test ball", "Zelda"]


def pushed(public_url: PublicUrl) -> list[dict[str, Any]]:
    return public_url.seen("/agent/saves")


class TestAnHourWithoutUs:
    def test_loses_no_save_and_no_player(
        self, console: Console, service: Service, wolf: Playing, shutdowns: Path
    ) -> None:
        service.leave()
        for number in range(3):
            console.write(f"moon {number}")
            console.one(f"moon {number}")
        with control_traffic():
            # Killed in the middle of it, and started again by the machine.
            console.stop(signal.SIGKILL)
            console.start()
            eventually(lambda: service.was_missed(60), timeout_s=60)
            assert is_playing(console, wolf)
            assert not shutdowns.exists()
            service.come_back()
        (seen,) = eventually(lambda: pushed(service.public_url))
        (file,) = archives.files_in(seen["body"])
        assert (file.name, file.sha256) == ("zelda.srm", hashlib.sha256(b"moon 2").hexdigest())
        eventually(lambda: console.slot()["base"] == 1)
        assert console.waiting() == []
        assert is_playing(console, wolf)

    def test_tells_afterwards_how_the_machine_was(self, console: Console, service: Service) -> None:
        service.leave()
        eventually(lambda: service.was_missed(MOST + 20), timeout_s=60)
        console.stop(signal.SIGKILL)
        last = service.public_url.seen("heartbeat")[-1]["body"]["sent_at"]
        console.start()
        eventually(lambda: service.was_missed(MOST + 25), timeout_s=60)
        service.come_back()
        first = eventually(lambda: service.public_url.seen("heartbeat"))[0]["body"]
        # The newest of what fits; the server takes what is no older than an hour.
        assert len(first["earlier"]) == MOST
        moments = [one["at"] for one in first["earlier"]]
        assert moments == sorted(moments)
        assert moments[0] < last < moments[-1] < first["sent_at"]
        assert all("ram_used_mb" in one["metrics"] for one in first["earlier"])
        eventually(lambda: "earlier" not in service.public_url.seen("heartbeat")[-1]["body"])

    def test_tells_afterwards_what_became_of_the_game(self, console: Console, service: Service) -> None:
        service.leave()
        console.ask("DELETE", "/sessions/s1")
        eventually(lambda: service.was_missed(10), timeout_s=60)
        service.come_back()
        (told,) = eventually(lambda: service.public_url.seen("events"))
        assert told["body"]["state"] == "ended"


class TestDeadManSwitch:
    def test_spares_who_plays_and_acts_when_they_have_left(
        self, console: Console, service: Service, wolf: Playing, shutdowns: Path
    ) -> None:
        service.leave()
        eventually(lambda: service.was_missed(60), timeout_s=60)
        assert not shutdowns.exists()
        wolf.does("leave", client_id="77")
        eventually(lambda: shutdowns.exists() and shutdowns.read_text().startswith("-h now"), timeout_s=60)

    def test_does_not_act_before_its_time(
        self, console: Console, service: Service, wolf: Playing, shutdowns: Path, tmp_path: Path
    ) -> None:
        wolf.does("leave", client_id="77")
        heard = tmp_path / "heard"
        eventually(lambda: console.state()["activity"]["is_playing"] is False)
        service.leave()
        heard.touch()
        # Asking it is a word from us; from here on it is alone.
        console.state()
        eventually(shutdowns.exists, timeout_s=60)
        assert shutdowns.stat().st_mtime - heard.stat().st_mtime >= PATIENCE_S - 0.5

    def test_is_calmed_when_we_are_back_in_time(
        self, console: Console, service: Service, wolf: Playing, shutdowns: Path
    ) -> None:
        wolf.does("leave", client_id="77")
        for _ in range(15):
            service.leave()
            eventually(lambda: service.was_missed(3), timeout_s=60)
            service.come_back()
            eventually(lambda: service.public_url.seen("heartbeat"))
        assert not shutdowns.exists()
