"""kill -9 of our process in the middle of every verb: whoever comes next finds what the vendor did, and may ask again."""

from __future__ import annotations

import pytest

from tests.vms.providers.contract import Contract
from tests.vms.providers.harness import LATE_S, Harness, by_tag
from tests.vms.providers.specs import tag
from vms.providers.base import Machine, MachineState, Need, Provider, Suspendable


class DeathContract(Contract):
    """Needs the fixture `harness`."""

    @pytest.fixture(params=["asked", "done"])
    def moment(self, request: pytest.FixtureRequest) -> str:
        """Where the vendor stands when we die: it has heard and done nothing, or has done it and not answered."""
        return str(request.param)

    @pytest.mark.parametrize("verb", ["offers", "list", "get"])
    def test_in_a_look_keeps_nobody_else_from_looking(
        self, harness: Harness, provider: Provider, running: Machine, verb: str, moment: str
    ) -> None:
        offers = provider.offers(Need())
        harness.die_in(verb, running.machine_id, moment)
        assert provider.offers(Need()) == offers
        assert list(by_tag(provider)) == [tag()] == harness.alive()
        assert provider.get(running.machine_id).state is MachineState.RUNNING
        harness.advance(LATE_S)

    def test_in_a_create_leaves_at_most_what_its_tag_finds(
        self, harness: Harness, provider: Provider, moment: str
    ) -> None:
        harness.die_in("create", "", moment)
        harness.advance(LATE_S)
        found = by_tag(provider)
        assert list(found) == harness.alive()
        assert moment == "asked" or harness.alive() == [tag()]
        harness.advance()
        for machine in by_tag(provider).values():
            assert machine.state is MachineState.RUNNING
            provider.delete(machine.machine_id)
        harness.advance()
        assert (harness.alive(), list(provider.list())) == ([], [])

    def test_in_a_delete_leaves_it_to_be_repeated(
        self, harness: Harness, provider: Provider, running: Machine, moment: str
    ) -> None:
        harness.die_in("delete", running.machine_id, moment)
        harness.advance(LATE_S)
        provider.delete(running.machine_id)
        harness.advance()
        assert (harness.alive(), list(provider.list())) == ([], [])

    @pytest.mark.parametrize("verb", ["stop", "start"])
    def test_in_a_change_leaves_it_to_be_repeated(
        self, harness: Harness, provider: Provider, running: Machine, verb: str, moment: str
    ) -> None:
        if not isinstance(provider, Suspendable):
            return
        if verb == "start":
            provider.stop(running.machine_id)
            harness.advance()
        harness.die_in(verb, running.machine_id, moment)
        harness.advance(LATE_S)
        getattr(provider, verb)(running.machine_id)
        harness.advance()
        wanted = MachineState.STOPPED if verb == "stop" else MachineState.RUNNING
        assert provider.get(running.machine_id).state is wanted
        assert list(by_tag(provider)) == [tag()] == harness.alive()
