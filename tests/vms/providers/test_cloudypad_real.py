"""The same contract on the vendor's own tool and its cloud without machines, where CLOUDYPAD_BIN names one.

No fault can be switched on there, so what is collected is what needs none. Its runs take their own time: a stop and a start ten seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.vms.providers import contract, contract_deaths, contract_machines
from tests.vms.providers.cloudypad_vendor import UNKEPT, StandInHarness
from tests.vms.providers.harness import Trouble, parents
from tests.vms.providers.specs import spec, tag
from tests.waiting import eventually
from vms.providers.base import MachineState, Need
from vms.providers.cloudypad.cli import RealClock
from vms.providers.cloudypad.names import name_of, tag_of
from vms.providers.cloudypad.provider import CloudyPadProvider, open_cloudypad

COMMAND = os.environ.get("CLOUDYPAD_BIN", "")
RUN_S = 200

pytestmark = pytest.mark.timeout(600)


class RealHarness(StandInHarness):
    """The tool's own dummy cloud: its books are its state files."""

    def open(self, **changes: object) -> CloudyPadProvider:
        return open_cloudypad(
            "cloudypad_gcp", self.account, times=replace(UNKEPT, read=100), clock=RealClock()
        )

    def trouble(self, trouble: Trouble) -> None:
        raise NotImplementedError(f"the tool knows no {trouble}")

    def advance(self, seconds: float = 1) -> None:
        eventually(lambda: not self.busy(), timeout_s=RUN_S)

    def finish(self) -> None:
        self.advance()

    def hold(self, verb: str, moment: str) -> None:
        """The tool takes its time by itself."""

    def is_held(self, verb: str, caller: int) -> bool:
        """Whether somebody works for the caller: the tool, or who runs it."""
        return any(parent == caller for parent in parents().values())

    def alive(self) -> list[str]:
        folder = self.home.folder / "instances"
        names = [path.name for path in sorted(folder.iterdir())] if folder.exists() else []
        return [tag_of(name) or name for name in names]


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[RealHarness]:
    made = RealHarness(tmp_path, command=COMMAND)
    yield made
    made.finish()


class TestOffers(contract.Contract):
    test_have_distinct_stable_ids = contract.OffersContract.test_have_distinct_stable_ids
    test_name_their_place_in_full = contract.OffersContract.test_name_their_place_in_full


class TestSizes(contract.SizesContract):
    pass


class TestCreate(contract.Contract):
    test_needs_no_gpu = contract.CreateContract.test_needs_no_gpu
    test_costs_what_the_offer_says = contract.CreateContract.test_costs_what_the_offer_says
    test_from_eight_threads_makes_eight = contract.CreateContract.test_from_eight_threads_makes_eight

    def test_comes_to_run_with_wolf_our_key_and_the_wished_idle_stop(self, harness: RealHarness) -> None:
        provider = harness.open()
        made = provider.create(spec(provider.offers(Need())[0], idle_stop_s=777), tag())
        harness.advance()
        machine = provider.get(made.machine_id)
        assert (machine.state, machine.tag, bool(machine.ip)) == (MachineState.RUNNING, tag(), True)
        wanted = machine.raw["configuration"]["input"]
        assert wanted["autostop"] == {"enable": True, "timeoutSeconds": 777}
        assert wanted["wolf"] == {"enable": True}
        assert harness.alive() == [tag()]


class TestLook(contract.Contract):
    test_raises_not_found_for_a_missing_machine = (
        contract_machines.LookContract.test_raises_not_found_for_a_missing_machine
    )
    test_by_id_and_by_list_agree = contract_machines.LookContract.test_by_id_and_by_list_agree
    test_keeps_the_vendors_words_small_enough_for_a_row = (
        contract_machines.LookContract.test_keeps_the_vendors_words_small_enough_for_a_row
    )


class TestDelete(contract.Contract):
    test_is_proven_by_absence = contract_machines.DeleteContract.test_is_proven_by_absence
    test_of_a_missing_machine_succeeds = contract_machines.DeleteContract.test_of_a_missing_machine_succeeds
    test_works_at_once_after_the_create = contract_machines.DeleteContract.test_works_at_once_after_the_create


class TestDeath(contract_deaths.DeathContract):
    @pytest.fixture(params=["asked"])
    def moment(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)


class TestSuspend(contract.Contract):
    test_stops_and_starts_the_same_machine = (
        contract_machines.SuspendContract.test_stops_and_starts_the_same_machine
    )
    test_a_stopped_machine_is_deleted_like_any_other = (
        contract_machines.SuspendContract.test_a_stopped_machine_is_deleted_like_any_other
    )


class TestTheStandIn:
    """What our stand-in claims of the tool, asked of the tool."""

    def test_says_what_the_tool_says(self, harness: RealHarness) -> None:
        harness.open().list()
        asked = {
            argv: said(harness, *argv.split())
            for argv in (
                "list --format json",
                "get pad-a",
                "create --name x",
                "create dummy --cpu 4",
                "--version",
            )
        }
        assert asked["list --format json"][:2] == (0, "No instances found.\n")
        assert asked["get pad-a"][0] == 1
        assert "Instance named 'pad-a' does not exist." in asked["get pad-a"][1]
        assert (asked["create --name x"][0], asked["create --name x"][2][:21]) == (1, "error: unknown option")
        assert (asked["create dummy --cpu 4"][0], asked["create dummy --cpu 4"][2][:21]) == (
            1,
            "error: unknown option",
        )
        assert asked["--version"][1].strip()

    def test_names_pass_unchanged(self, harness: RealHarness) -> None:
        provider = harness.open()
        made = provider.create(spec(provider.offers(Need())[0]), tag())
        assert made.machine_id == name_of(tag())
        harness.advance()
        assert json.loads(said(harness, "list", "--format", "json")[1]) == [name_of(tag())]


def said(harness: RealHarness, *argv: str) -> tuple[int, str, str]:
    environment = harness.open()._cli.environment()
    done = subprocess.run(
        [*COMMAND.split(), *argv],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=RUN_S,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()
