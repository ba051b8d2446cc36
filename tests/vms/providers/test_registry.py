"""Opening a provider by its kind, and what is told of every call."""

from __future__ import annotations

import logging

import pytest

from tests.vms.providers.specs import pick, spec, tag
from vms.providers.balance import Prepaid
from vms.providers.base import Need, NoCapacity, Provider, Suspendable, Unavailable
from vms.providers.memory import Fault, MemoryCloud, MemoryProvider, cloud
from vms.providers.registry import KINDS, VERBS, open_provider
from vms.providers.tensordock import TensorDockProvider


class Calls(list[tuple[str, str, str | None]]):
    def __call__(self, kind: str, verb: str, seconds: float, error: str | None, /) -> None:
        assert seconds >= 0
        self.append((kind, verb, error))


@pytest.fixture
def vendor(request: pytest.FixtureRequest) -> MemoryCloud:
    return cloud(request.node.name)


@pytest.fixture
def credentials(request: pytest.FixtureRequest) -> dict[str, str]:
    return {"cloud": request.node.name}


class TestKinds:
    def test_are_named_by_what_they_open(self) -> None:
        assert all(kind == adapter.kind for kind, adapter in KINDS.items())
        assert {"memory", "tensordock"} <= set(KINDS)

    def test_open_as_what_they_are(self) -> None:
        provider = open_provider("tensordock", {"token": "t"}, "http://127.0.0.1:9/api/v2")
        assert isinstance(provider, TensorDockProvider)
        assert isinstance(provider, Suspendable)
        assert provider.sizes is TensorDockProvider.sizes

    def test_share_a_cloud_by_its_name(self, vendor: MemoryCloud, credentials: dict[str, str]) -> None:
        provider = open_provider("memory", credentials)
        assert isinstance(provider, MemoryProvider)
        assert provider.cloud is vendor

    def test_that_are_unknown_are_named(self) -> None:
        with pytest.raises(ValueError, match="no provider is called 'cloud9'; there are memory"):
            open_provider("cloud9", {})


class TestWatch:
    def test_tells_of_every_verb_that_ends_well(
        self, vendor: MemoryCloud, credentials: dict[str, str]
    ) -> None:
        calls = Calls()
        provider = open_provider("memory", credentials, on_call=calls)
        assert isinstance(provider, Suspendable)
        machine_id = provider.create(spec(pick(provider.offers(Need()))), tag()).machine_id
        provider.list()
        provider.get(machine_id)
        provider.stop(machine_id)
        provider.start(machine_id)
        assert isinstance(provider, Prepaid)
        assert provider.balance().usd_per_hour
        provider.delete(machine_id)
        assert {verb for _, verb, _ in calls} == set(VERBS)
        assert {(kind, error) for kind, _, error in calls} == {("memory", None)}
        assert vendor.created_total == 1

    def test_tells_the_error_and_lets_it_pass(
        self, vendor: MemoryCloud, credentials: dict[str, str], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        calls = Calls()
        provider = open_provider("memory", credentials, on_call=calls)
        vendor.switch_on(Fault.NO_CAPACITY)
        with pytest.raises(NoCapacity):
            provider.create(spec(pick(provider.offers(Need()))), tag())
        assert calls[-1] == ("memory", "create", "NoCapacity")
        assert "memory create: NoCapacity" in caplog.text

    def test_calls_a_bug_a_crash(self, credentials: dict[str, str]) -> None:
        calls = Calls()

        def broken() -> None:
            raise ZeroDivisionError

        provider = open_provider("memory", credentials, pace=broken, on_call=calls)
        with pytest.raises(ZeroDivisionError):
            provider.list()
        assert calls == [("memory", "list", "crash")]

    def test_needs_nobody_to_listen(self, credentials: dict[str, str]) -> None:
        provider: Provider = open_provider("memory", credentials)
        assert list(provider.list()) == []


class TestPace:
    def test_comes_before_the_call(self, vendor: MemoryCloud, credentials: dict[str, str]) -> None:
        def refuse() -> None:
            raise Unavailable("wait", retry_after=1)

        with pytest.raises(Unavailable):
            open_provider("memory", credentials, pace=refuse).list()
        assert vendor.calls["list"] == 0
