"""What every provider must do with machines that are there: looks, ends, trouble, stops. The first room: `contract.py`."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator

import pytest

from tests.vms.providers.contract import Contract
from tests.vms.providers.harness import (
    LATE_S,
    LISTS_WITHOUT,
    RETRY_AFTER_S,
    Harness,
    Trouble,
    by_tag,
    listed_in_time,
)
from tests.vms.providers.specs import OTHERS, key_pair, spec, tag
from vms.providers.balance import Prepaid
from vms.providers.base import (
    BadCredentials,
    Machine,
    MachineState,
    Need,
    NoCapacity,
    NotFound,
    Offer,
    OutcomeUnknown,
    Provider,
    ProviderError,
    Suspendable,
    Unavailable,
    installation_of,
)


class LookContract(Contract):
    def test_raises_not_found_for_a_missing_machine(self, provider: Provider) -> None:
        with pytest.raises(NotFound):
            provider.get("00000000-0000-0000-0000-000000000000")

    def test_by_id_and_by_list_agree(self, provider: Provider, running: Machine) -> None:
        listed = by_tag(provider)[tag()]
        assert (listed.machine_id, listed.state) == (running.machine_id, running.state)

    def test_shows_strangers_apart(self, harness: Harness, provider: Provider, running: Machine) -> None:
        harness.plant(tag(installation=OTHERS))
        harness.plant("somebody's own machine")
        assert sorted(machine.tag for machine in provider.list()) == sorted(
            ["", running.tag, tag(installation=OTHERS)]
        )
        assert [installation_of(each) for each in by_tag(provider)].count(OTHERS) == 1

    def test_may_miss_a_new_machine_for_a_while(
        self, harness: Harness, provider: Provider, offer: Offer
    ) -> None:
        harness.trouble(Trouble.HIDDEN)
        made = provider.create(spec(offer), tag())
        assert by_tag(provider) == {}
        assert provider.get(made.machine_id).machine_id == made.machine_id
        assert listed_in_time(provider, tag(), LISTS_WITHOUT).machine_id == made.machine_id

    @pytest.mark.usefixtures("running")
    def test_never_passes_a_part_for_the_whole(self, harness: Harness, provider: Provider) -> None:
        harness.trouble(Trouble.INCOMPLETE_LIST)
        with pytest.raises(Unavailable):
            provider.list()
        harness.heal()
        assert list(by_tag(provider)) == [tag()]

    def test_sees_a_machine_that_stopped_by_itself(
        self, harness: Harness, provider: Provider, running: Machine
    ) -> None:
        harness.stop_by_itself(running.machine_id)
        assert provider.get(running.machine_id).state is MachineState.STOPPED
        assert by_tag(provider)[tag()].state is MachineState.STOPPED

    def test_sees_that_a_machine_vanished(
        self, harness: Harness, provider: Provider, running: Machine
    ) -> None:
        harness.vanish(running.machine_id)
        assert list(provider.list()) == []
        with pytest.raises(NotFound):
            provider.get(running.machine_id)

    def test_keeps_the_vendors_words_small_enough_for_a_row(
        self, provider: Provider, running: Machine
    ) -> None:
        for machine in (running, *provider.list()):
            assert 2 < len(json.dumps(dict(machine.raw))) <= 16 * 1024


class DeleteContract(Contract):
    def test_is_proven_by_absence(self, harness: Harness, provider: Provider, running: Machine) -> None:
        provider.delete(running.machine_id)
        harness.advance()
        assert (harness.alive(), list(provider.list())) == ([], [])
        with pytest.raises(NotFound):
            provider.get(running.machine_id)

    def test_may_be_repeated(self, harness: Harness, provider: Provider, running: Machine) -> None:
        provider.delete(running.machine_id)
        provider.delete(running.machine_id)
        harness.advance()
        provider.delete(running.machine_id)
        assert harness.alive() == []

    def test_of_a_missing_machine_succeeds(self, provider: Provider) -> None:
        provider.delete("00000000-0000-0000-0000-000000000000")

    def test_works_at_once_after_the_create(self, harness: Harness, provider: Provider, offer: Offer) -> None:
        provider.delete(provider.create(spec(offer), tag()).machine_id)
        harness.advance()
        assert harness.alive() == []

    def test_that_fails_says_so_and_leaves_the_machine(
        self, harness: Harness, provider: Provider, running: Machine
    ) -> None:
        harness.trouble(Trouble.DELETE_FAILS)
        for _ in range(2):
            with pytest.raises(Unavailable):
                provider.delete(running.machine_id)
        assert harness.alive() == [tag()]
        harness.heal()
        provider.delete(running.machine_id)
        harness.advance()
        assert harness.alive() == []

    def test_whose_answer_is_lost_may_be_repeated(
        self, harness: Harness, provider: Provider, running: Machine
    ) -> None:
        harness.trouble(Trouble.LOST_DELETE)
        with pytest.raises(Unavailable):
            provider.delete(running.machine_id)
        harness.advance()
        provider.delete(running.machine_id)
        assert harness.alive() == []

    def test_that_is_slow_shows_the_machine_until_it_is_gone(
        self, harness: Harness, provider: Provider, running: Machine
    ) -> None:
        harness.trouble(Trouble.SLOW_DELETE)
        provider.delete(running.machine_id)
        harness.advance()
        assert by_tag(provider)[tag()].state is MachineState.STOPPING
        provider.delete(running.machine_id)
        assert harness.alive() == [tag()]
        harness.advance(LATE_S)
        assert (harness.alive(), list(provider.list())) == ([], [])


class TroubleContract(Contract):
    """Whatever is asked while the vendor is in trouble, the error names the next move, and no secret."""

    @pytest.fixture
    def verbs(self, provider: Provider, offer: Offer, running: Machine) -> dict[str, Callable[[], object]]:
        machine_id = running.machine_id
        calls: dict[str, Callable[[], object]] = {
            "offers": lambda: provider.offers(Need()), "list": provider.list, "get": lambda: provider.get(machine_id),
            "create": lambda: provider.create(spec(offer), tag(attempt=2)), "delete": lambda: provider.delete(machine_id),
        }  # fmt: skip
        if isinstance(provider, Suspendable):
            calls["stop"] = lambda: provider.stop(machine_id)
            calls["start"] = lambda: provider.start(machine_id)
        if isinstance(provider, Prepaid):
            calls["balance"] = provider.balance
        return calls

    def test_bad_credentials_are_told_by_every_verb(
        self, harness: Harness, verbs: dict[str, Callable[[], object]]
    ) -> None:
        harness.trouble(Trouble.BAD_CREDENTIALS)
        for call in verbs.values():
            with pytest.raises(BadCredentials):
                call()

    def test_how_long_to_wait_is_told_by_every_verb(
        self, harness: Harness, verbs: dict[str, Callable[[], object]]
    ) -> None:
        harness.trouble(Trouble.UNAVAILABLE)
        for call in verbs.values():
            with pytest.raises(Unavailable) as raised:
                call()
            assert raised.value.retry_after == RETRY_AFTER_S

    def test_nonsense_is_unavailable_or_an_unknown_outcome(
        self, harness: Harness, verbs: dict[str, Callable[[], object]]
    ) -> None:
        harness.trouble(Trouble.BROKEN)
        for verb, call in verbs.items():
            with pytest.raises(OutcomeUnknown if verb == "create" else Unavailable):
                call()

    def test_shows_no_secret(
        self,
        harness: Harness,
        provider: Provider,
        verbs: dict[str, Callable[[], object]],
        running: Machine,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        shown = [repr(provider), str(vars(running) if hasattr(running, "__dict__") else running.raw)]
        for trouble in (Trouble.BAD_CREDENTIALS, Trouble.UNAVAILABLE, Trouble.BROKEN):
            harness.trouble(trouble)
            for call in verbs.values():
                with pytest.raises(ProviderError) as raised:
                    call()
                shown += [repr(raised.value), "".join(traceback.format_exception(raised.value))]
                shown += [repr(vars(each)) for each in _chain(raised.value)]
            harness.heal()
        shown += [repr(machine) for machine in provider.list()]
        shown.append(caplog.text)
        private_key = key_pair()[0].splitlines()[1]
        assert not [text for text in shown if harness.secret in text or private_key in text]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


class SuspendContract(Contract):
    """For a provider that is Suspendable."""

    @pytest.fixture
    def provider(self, harness: Harness) -> Provider:
        provider = harness.open()
        assert isinstance(provider, Suspendable)
        return provider

    def test_stops_and_starts_the_same_machine(
        self, harness: Harness, provider: Provider, running: Machine
    ) -> None:
        provider.stop(running.machine_id)
        harness.advance()
        assert provider.get(running.machine_id).state is MachineState.STOPPED
        assert harness.alive() == [tag()]
        provider.start(running.machine_id)
        harness.advance()
        again = provider.get(running.machine_id)
        assert (again.machine_id, again.state, bool(again.ip)) == (
            running.machine_id,
            MachineState.RUNNING,
            True,
        )

    def test_stop_may_be_repeated(self, harness: Harness, provider: Provider, running: Machine) -> None:
        provider.stop(running.machine_id)
        provider.stop(running.machine_id)
        harness.advance()
        provider.stop(running.machine_id)
        assert provider.get(running.machine_id).state is MachineState.STOPPED

    def test_start_may_be_repeated(self, harness: Harness, provider: Provider, running: Machine) -> None:
        provider.start(running.machine_id)
        provider.stop(running.machine_id)
        harness.advance()
        provider.start(running.machine_id)
        provider.start(running.machine_id)
        harness.advance()
        assert provider.get(running.machine_id).state is MachineState.RUNNING

    def test_start_can_find_the_capacity_gone(
        self, harness: Harness, provider: Provider, running: Machine
    ) -> None:
        provider.stop(running.machine_id)
        harness.advance()
        harness.trouble(Trouble.START_REFUSED)
        with pytest.raises(NoCapacity):
            provider.start(running.machine_id)
        assert provider.get(running.machine_id).state is MachineState.STOPPED

    @pytest.mark.parametrize("verb", ["stop", "start"])
    def test_of_a_missing_machine_is_not_found(self, provider: Provider, verb: str) -> None:
        with pytest.raises(NotFound):
            getattr(provider, verb)("00000000-0000-0000-0000-000000000000")

    def test_a_stopped_machine_is_deleted_like_any_other(
        self, harness: Harness, provider: Provider, running: Machine
    ) -> None:
        provider.stop(running.machine_id)
        harness.advance()
        provider.delete(running.machine_id)
        harness.advance()
        assert harness.alive() == []

    def test_a_stopped_machine_costs_no_more_than_a_running_one(
        self, provider: Provider, running: Machine
    ) -> None:
        assert isinstance(provider, Suspendable)
        assert running.usd_per_hour is not None
        assert 0 <= provider.stopped_usd_per_hour(running) <= running.usd_per_hour
