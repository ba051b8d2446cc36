"""Azure and Scaleway: the tool waits for them for a minute, and does not see a machine that shut itself down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.vms.providers.cloudypad_vendor import StandInHarness
from tests.vms.providers.harness import by_tag
from tests.vms.providers.specs import spec, tag
from vms.providers.base import MachineState, Need, Unavailable
from vms.providers.cloudypad.names import name_of
from vms.providers.cloudypad.provider import CloudyPadProvider

NAME = name_of(tag())
CREDENTIALS = {"cloudypad_azure": {"subscription_id": "s"}, "cloudypad_scaleway": {"project_id": "p"}}


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[StandInHarness]:
    made = StandInHarness(tmp_path)
    yield made
    made.finish()


@pytest.fixture(params=CREDENTIALS)
def provider(request: pytest.FixtureRequest, harness: StandInHarness) -> CloudyPadProvider:
    """With a machine that runs."""
    harness.account = replace(harness.account, credentials=CREDENTIALS[request.param])
    opened = harness.open(kind=request.param)
    opened.create(spec(opened.offers(Need())[0]), tag())
    harness.advance()
    return opened


class TestStart:
    @pytest.fixture(autouse=True)
    def stopped(self, harness: StandInHarness, provider: CloudyPadProvider) -> None:
        provider.stop(NAME)
        harness.advance()

    def test_that_outlasts_the_tools_patience_has_not_failed(
        self, harness: StandInHarness, provider: CloudyPadProvider
    ) -> None:
        harness.fault("slow", ["start"])
        provider.start(NAME)
        for seconds, state in ((150, MachineState.PENDING), (60, MachineState.RUNNING)):
            harness.advance(seconds)
            assert harness.busy() == []
            machine = by_tag(provider)[tag()]
            assert (machine.state, machine.failure) == (state, None)

    def test_that_left_the_machine_stopped_has_failed(
        self, harness: StandInHarness, provider: CloudyPadProvider
    ) -> None:
        harness.fault("start_fails_later", ["start"])
        provider.start(NAME)
        harness.advance()
        machine = by_tag(provider)[tag()]
        assert (machine.state, type(machine.failure)) == (MachineState.STOPPED, Unavailable)
        assert "wheel" in str(machine.failure)


class TestAMachineThatShutItselfDown:
    def test_is_started_to_be_stopped_at_its_cloud(
        self, harness: StandInHarness, provider: CloudyPadProvider
    ) -> None:
        harness.stop_by_itself(NAME)
        assert provider.get(NAME).state is MachineState.UNKNOWN
        provider.stop(NAME)
        assert by_tag(provider)[tag()].state is MachineState.STOPPING
        harness.advance()
        machine = by_tag(provider)[tag()]
        assert (machine.state, machine.failure) == (MachineState.STOPPED, None)
        assert harness.server(NAME)["stopped_by"] == "tool"
        verbs = [argv[0] for argv in harness.calls() if argv[0] in ("start", "stop")]
        assert verbs == ["start", "stop"]

    def test_may_be_asked_to_stop_again_meanwhile(
        self, harness: StandInHarness, provider: CloudyPadProvider
    ) -> None:
        harness.stop_by_itself(NAME)
        provider.stop(NAME)
        provider.stop(NAME)
        harness.advance()
        assert provider.get(NAME).state is MachineState.STOPPED
        assert len(harness.calls("stop")) == 1
