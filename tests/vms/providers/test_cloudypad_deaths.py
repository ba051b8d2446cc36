"""kill -9 in the middle of what the tool changes, of each process that takes part in it: the next pass repairs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gamer.env import ROOT
from tests.vms.providers.cloudypad_vendor import StandInHarness
from tests.vms.providers.harness import by_tag, parents
from tests.vms.providers.specs import spec, tag
from tests.waiting import eventually
from vms.providers.base import MachineState, Need, NotFound, Unavailable
from vms.providers.cloudypad import cli, orders
from vms.providers.cloudypad.books import MOST_TRIES, Order
from vms.providers.cloudypad.names import name_of
from vms.providers.cloudypad.provider import CloudyPadProvider

NAME = name_of(tag())
# Of the caller alone: the contract, by `contract_deaths.py`.
VICTIMS = ("runner", "tool", "runner and tool", "all")


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[StandInHarness]:
    made = StandInHarness(tmp_path)
    yield made
    made.finish()


@pytest.fixture
def provider(harness: StandInHarness) -> CloudyPadProvider:
    return harness.open()


def kill_in_the_middle(harness: StandInHarness, verb: str, victims: str) -> None:
    """Another process calls; once the tool is in the middle of it, the victims die."""
    words = json.dumps({**harness.words, "verb": verb, "machine_id": NAME})
    argv = [sys.executable, "-m", "tests.vms.providers.caller", words]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL) as caller:
        eventually(lambda: harness.is_waiting(NAME), timeout_s=60)
        tool = harness.tool_pid(NAME)
        runner = parents()[tool]
        doomed = {
            "runner": [runner],
            "tool": [tool],
            "runner and tool": [runner, tool],
            "all": [caller.pid, runner, tool],
        }
        for pid in doomed[victims]:
            os.kill(pid, signal.SIGKILL)
        if caller.pid not in doomed[victims]:
            caller.kill()


def passes(harness: StandInHarness, provider: CloudyPadProvider) -> MachineState | None:
    """The loop's looks, and time: until nothing is under way."""
    for _ in range(6):
        eventually(harness.is_quiet, timeout_s=60)
        provider.list()
        harness.advance(61)
    return by_tag(provider)[tag()].state if tag() in by_tag(provider) else None


def lock(harness: StandInHarness, name: str, pid: int) -> Path:
    """One of Pulumi's, on a machine's stack."""
    folder = harness.home.folder / "pulumi-backend/.pulumi/locks/organization/CloudyPad-dummy" / name
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f"{pid}.json"
    made.write_text(json.dumps({"pid": pid, "username": "x", "hostname": socket.gethostname()}))
    return made


def stand_up(harness: StandInHarness, provider: CloudyPadProvider) -> None:
    provider.create(spec(provider.offers(Need())[0]), tag())
    harness.advance()


@pytest.mark.parametrize("victims", VICTIMS)
class TestDeath:
    def test_in_a_create_leaves_one_machine_that_comes_to_run(
        self, harness: StandInHarness, provider: CloudyPadProvider, victims: str
    ) -> None:
        kill_in_the_middle(harness, "create", victims)
        assert passes(harness, provider) is MachineState.RUNNING
        assert harness.alive() == [tag()]

    def test_in_a_stop_leaves_a_stopped_machine(
        self, harness: StandInHarness, provider: CloudyPadProvider, victims: str
    ) -> None:
        stand_up(harness, provider)
        harness.fault("slow", ["stop"])
        kill_in_the_middle(harness, "stop", victims)
        assert passes(harness, provider) is MachineState.STOPPED
        assert harness.alive() == [tag()]

    def test_in_a_start_leaves_a_running_machine(
        self, harness: StandInHarness, provider: CloudyPadProvider, victims: str
    ) -> None:
        stand_up(harness, provider)
        provider.stop(NAME)
        harness.advance()
        kill_in_the_middle(harness, "start", victims)
        assert passes(harness, provider) is MachineState.RUNNING
        assert harness.alive() == [tag()]

    def test_in_a_delete_leaves_nothing(
        self, harness: StandInHarness, provider: CloudyPadProvider, victims: str
    ) -> None:
        stand_up(harness, provider)
        harness.fault("slow", ["destroy"])
        kill_in_the_middle(harness, "delete", victims)
        assert passes(harness, provider) is None
        assert harness.alive() == []


class TestDeathOfTheRunner:
    def test_lets_nobody_else_begin_while_its_tool_lives(
        self, harness: StandInHarness, provider: CloudyPadProvider
    ) -> None:
        stand_up(harness, provider)
        harness.fault("slow", ["stop"])
        kill_in_the_middle(harness, "stop", "runner")
        before = len(harness.calls("stop"))
        assert by_tag(provider)[tag()].state is MachineState.STOPPING
        assert len(harness.calls("stop")) == before


class TestDeathBeforeTheRunner:
    def test_leaves_an_order_that_the_next_look_begins(
        self, harness: StandInHarness, provider: CloudyPadProvider
    ) -> None:
        stand_up(harness, provider)
        with harness.home.book(NAME).changing() as page:
            page.queue.append(Order("stop", ["stop", NAME, "--wait"], 60))
        assert passes(harness, provider) is MachineState.STOPPED


class TestDeathEachTime:
    def test_ends_in_an_error_that_says_so(
        self, harness: StandInHarness, provider: CloudyPadProvider
    ) -> None:
        harness.fault("die_made", ["create"], None)
        with pytest.raises(Exception, match="cut off"):
            provider.create(spec(provider.offers(Need())[0]), tag())
        for _ in range(MOST_TRIES + 1):
            eventually(harness.is_quiet, timeout_s=60)
            machine = by_tag(provider)[tag()]
        assert isinstance(machine.failure, Unavailable)
        assert len(harness.calls("deploy")) == MOST_TRIES - 1
        provider.delete(NAME)
        harness.advance()
        assert harness.alive() == []


class TestTheToolsOwnLock:
    """Pulumi's, in its own layout: the stand-in, like the tool, has no flag that lifts it at a delete."""

    def test_that_a_death_left_behind_is_lifted(
        self, harness: StandInHarness, provider: CloudyPadProvider
    ) -> None:
        """By somebody outside our sight, so that no page of ours tells of it."""
        stand_up(harness, provider)
        with subprocess.Popen(["true"]) as dead:
            lock(harness, NAME, dead.pid)
        other = lock(harness, "gamer-other", dead.pid)
        provider.delete(NAME)
        assert harness.alive() == []
        with pytest.raises(NotFound):
            provider.get(NAME)
        assert other.exists()

    def test_of_a_pulumi_that_lives_is_respected(
        self, harness: StandInHarness, provider: CloudyPadProvider, tmp_path: Path
    ) -> None:
        """It outlives a tool that is killed, and two at once would break what they write."""
        stand_up(harness, provider)
        (tmp_path / "pulumi").symlink_to(str(shutil.which("sleep")))
        with subprocess.Popen([str(tmp_path / "pulumi"), "600"]) as pulumi:
            try:
                held = lock(harness, NAME, pulumi.pid)
                eventually(lambda: "pulumi" in Path(f"/proc/{pulumi.pid}/comm").read_text())
                with pytest.raises(Unavailable, match="locked"):
                    provider.delete(NAME)
                assert (held.exists(), harness.alive()) == (True, [tag()])
            finally:
                pulumi.kill()
        provider.delete(NAME)
        assert harness.alive() == []

    def test_that_an_overdue_create_left_is_lifted_for_the_delete_behind_it(
        self, harness: StandInHarness
    ) -> None:
        hasty = cli.Times(names=0, status=0, probe=0, create_watch=60, act_watch=60, create_limit=5)
        harness.fault("never_runs", ["create"])
        provider = harness.open(times=hasty)
        stand_up(harness, provider)
        provider.delete(NAME)
        eventually(lambda: not harness.busy(), timeout_s=60)
        assert (harness.alive(), list(provider.list())) == ([], [])


class TestOrders:
    def test_of_one_machine_are_carried_out_one_after_the_other(
        self, harness: StandInHarness, provider: CloudyPadProvider
    ) -> None:
        provider.create(spec(provider.offers(Need())[0]), tag())
        provider.stop(NAME)
        provider.start(NAME)
        provider.stop(NAME)
        assert harness.calls("stop") == []
        for _ in range(3):
            harness.advance()
        assert [argv[0] for argv in harness.calls() if argv[0] in ("create", "stop", "start")] == [
            *("create", "stop", "start", "stop"),
        ]
        assert provider.get(NAME).state is MachineState.STOPPED

    def test_that_take_too_long_are_ended_and_said_so(self, harness: StandInHarness) -> None:
        hasty = cli.Times(names=0, status=0, probe=0, create_watch=60, act_watch=60, create_limit=5)
        harness.fault("never_runs", ["create"])
        provider = harness.open(times=hasty)
        provider.create(spec(provider.offers(Need())[0]), tag())
        eventually(lambda: not harness.busy(), timeout_s=60)
        machine = provider.get(NAME)
        assert isinstance(machine.failure, Unavailable)
        assert "limit" in str(machine.failure)
        assert orders.words_of(harness.home.book(NAME)) == ""


class TestALookThatTookItsTime:
    def test_stops_no_machine_that_was_started_meanwhile(
        self, harness: StandInHarness, provider: CloudyPadProvider
    ) -> None:
        """It saw the page before the start, and the machine after it: as one that a stop had not reached."""
        stand_up(harness, provider)
        provider.stop(NAME)
        harness.hold("get", "")
        with ThreadPoolExecutor(1) as pool:
            look = pool.submit(harness.open().get, NAME)
            eventually(lambda: harness.is_held("get", 0))
            provider.start(NAME)
            harness.advance(61)
            assert look.result().state is MachineState.RUNNING
        eventually(lambda: not harness.busy(), timeout_s=60)
        assert provider.get(NAME).state is MachineState.RUNNING
        assert len(harness.calls("stop")) == 1
