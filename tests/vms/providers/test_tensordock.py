"""TensorDock keeps the seam's contract, over real HTTP against the sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from sandbox.testing import SandboxServer
from tests.vms.providers import contract, contract_deaths, contract_machines
from tests.vms.providers.harness import LATE_S, LISTS_WITHOUT, RETRY_AFTER_S, Harness, Trouble, by_tag
from tests.vms.providers.specs import pick, spec, tag
from tests.waiting import eventually
from vms.providers.base import MachineState, Need, NoCapacity, OutcomeUnknown, Rejected, Unavailable
from vms.providers.tensordock import TensorDockProvider
from vms.providers.tensordock.client import Client, Timeouts
from vms.providers.tensordock.orders import attributes_of

QUICK = Timeouts(backoff=0)

FAULTS: dict[Trouble, tuple[str, dict[str, Any]]] = {
    Trouble.NO_CAPACITY: ("stale_offer", {"times": 1}),
    Trouble.QUOTA_EXCEEDED: ("balance_low", {"times": 1}),
    Trouble.REJECTED: ("validation_array", {"times": 1}),
    Trouble.BAD_CREDENTIALS: ("401", {}),
    Trouble.UNAVAILABLE: ("429", {"args": {"retry_after": RETRY_AFTER_S}}),
    Trouble.BROKEN: ("garbage_json", {}),
    Trouble.LOST_MADE: ("create_then_timeout", {"times": 1, "args": {"drop": True}}),
    Trouble.LOST_UNMADE: ("drop", {"times": 1, "match": {"method": "POST", "path": "/instances"}}),
    Trouble.LOST_LATE: ("create_lands_late", {"times": 1, "args": {"after_s": LATE_S, "hold_s": 0}}),
    Trouble.HIDDEN: ("list_without_new", {"times": 1, "args": {"lists": LISTS_WITHOUT}}),
    Trouble.INCOMPLETE_LIST: ("garbage_json", {"match": {"method": "GET", "path": "/instances"}}),
    Trouble.NEVER_RUNS: ("never_running", {"times": 1}),
    Trouble.NEVER_IP: ("ip_never", {"times": 1}),
    Trouble.DELETE_FAILS: ("delete_fails", {}),
    Trouble.LOST_DELETE: ("delete_times_out_but_succeeds", {"times": 1, "args": {"drop": True}}),
    Trouble.SLOW_DELETE: ("delete_slow", {"times": 1, "args": {"seconds": LATE_S}}),
    Trouble.START_REFUSED: ("start_refused", {"times": 1}),
}


# What a verb asks of the vendor: the request that is held.
REQUESTS = {
    "offers": {"method": "GET", "path": "/locations"},
    "list": {"method": "GET", "path": "/instances"},
    "get": {"method": "GET", "path": "/instances/"},
    "create": {"method": "POST", "path": "/instances"},
    "delete": {"method": "DELETE"},
    "stop": {"method": "POST", "path": "/instances/"},
    "start": {"method": "POST", "path": "/instances/"},
}


class SandboxHarness(Harness):
    def __init__(self, server: SandboxServer) -> None:
        self.server = server
        self.secret = server.token

    def open(self, **changes: Any) -> TensorDockProvider:
        return TensorDockProvider(self.server.token, self.server.base_url, **{"timeouts": QUICK, **changes})

    def trouble(self, trouble: Trouble) -> None:
        name, how = FAULTS[trouble]
        self.server.control.fault(name, **how)

    @property
    def words(self) -> Mapping[str, str]:
        return {"kind": "tensordock", "token": self.server.token, "base_url": self.server.base_url}

    def hold(self, verb: str, moment: str) -> None:
        name = {"asked": "slow", "done": "late"}[moment]
        self.server.control.fault(name, times=1, match=REQUESTS[verb], args={"seconds": LATE_S})

    def is_held(self, verb: str, caller: int) -> bool:
        return self.server.control.held() == 1

    def heal(self) -> None:
        self.server.control.clear_faults()

    def advance(self, seconds: float = 1) -> None:
        self.server.control.advance(seconds)

    def alive(self) -> list[str]:
        return [each["name"] for each in self.server.control.alive()]

    def plant(self, name: str) -> None:
        offer = pick(self.open().offers(Need()))
        attributes = attributes_of(spec(offer), tag()) | {"name": name}
        Client(self.server.token, self.server.base_url).create(attributes)

    def stop_by_itself(self, machine_id: str) -> None:
        self.server.control.stop(machine_id)

    def vanish(self, machine_id: str) -> None:
        self.server.control.vanish(machine_id)


@pytest.fixture
def harness(sandbox: SandboxServer) -> SandboxHarness:
    return SandboxHarness(sandbox)


class TestOffers(contract.OffersContract):
    pass


class TestSizes(contract.SizesContract):
    pass


class TestCreate(contract.CreateContract):
    pass


class TestLook(contract_machines.LookContract):
    pass


class TestDelete(contract_machines.DeleteContract):
    pass


class TestTrouble(contract_machines.TroubleContract):
    pass


class TestDeath(contract_deaths.DeathContract):
    pass


class TestSuspend(contract_machines.SuspendContract):
    pass


@pytest.fixture
def provider(harness: SandboxHarness) -> TensorDockProvider:
    return harness.open()


class TestPlaces:
    def test_are_many_cities_with_readable_regions(self, provider: TensorDockProvider) -> None:
        places = {each.place for each in provider.offers(Need())}
        assert len(places) >= 25
        assert "united-states-texas-dallas" in {place.region for place in places}


class TestDedicatedIp:
    def test_is_ordered_when_fixed_ports_are_needed(
        self, sandbox: SandboxServer, provider: TensorDockProvider
    ) -> None:
        offer = pick(provider.offers(Need()))
        with_ports = provider.create(spec(offer), tag(1)).machine_id
        without = provider.create(spec(offer, tcp_ports=(), udp_ports=()), tag(2)).machine_id
        sandbox.control.advance(1)
        one, other = provider.get(with_ports), provider.get(without)
        assert one.ip != other.ip
        assert (other.ssh_port != 22, bool(other.raw["portForwards"])) == (True, True)

    def test_that_ran_out_is_no_capacity(self, sandbox: SandboxServer, provider: TensorDockProvider) -> None:
        sandbox.control.fault("no_public_ip", times=1)
        with pytest.raises(NoCapacity, match="public IP"):
            provider.create(spec(pick(provider.offers(Need()))), tag())
        assert sandbox.control.alive() == []


class TestHostnodes:
    def test_sell_machines_without_gpu_and_forward_a_port_of_theirs(
        self, sandbox: SandboxServer, provider: TensorDockProvider
    ) -> None:
        offer = pick(provider.offers(Need()), gpus=0)
        made = provider.create(spec(offer, tcp_ports=(), udp_ports=()), tag())
        sandbox.control.advance(1)
        machine = provider.get(made.machine_id)
        assert (machine.state, machine.ssh_port in offer.order["ports"]) == (MachineState.RUNNING, True)


class TestListShapes:
    @pytest.mark.parametrize("shape", ["flat", "instances", "attributes.instances"])
    def test_all_mean_the_same(
        self, sandbox: SandboxServer, provider: TensorDockProvider, shape: str
    ) -> None:
        sandbox.control.settings(list_shape=shape)
        assert by_tag(provider) == {}
        made = provider.create(spec(pick(provider.offers(Need()))), tag())
        sandbox.control.advance(1)
        machine = by_tag(provider)[tag()]
        assert (machine.machine_id, machine.state) == (made.machine_id, MachineState.RUNNING)


class TestStop:
    def test_of_a_machine_that_releases_its_gpu_leaves_the_disk_to_pay(
        self, sandbox: SandboxServer, provider: TensorDockProvider
    ) -> None:
        sandbox.control.settings(stopped_status="stoppeddisassociated")
        machine_id = provider.create(spec(pick(provider.offers(Need()))), tag()).machine_id
        sandbox.control.advance(1)
        running = provider.get(machine_id)
        assert provider.stopped_usd_per_hour(running) == running.usd_per_hour
        provider.stop(machine_id)
        sandbox.control.advance(1)
        stopped = provider.get(machine_id)
        (books,) = sandbox.control.alive()
        assert stopped.state is MachineState.STOPPED
        assert stopped.usd_per_hour is not None
        assert books["usd_per_hour"] <= provider.stopped_usd_per_hour(stopped) < stopped.usd_per_hour / 4

    def test_of_a_machine_that_starts_is_carried_out(
        self, sandbox: SandboxServer, harness: SandboxHarness
    ) -> None:
        sandbox.control.settings(running_s=1000.0, start_s=1000.0)
        provider = harness.open()
        machine_id = provider.create(spec(pick(provider.offers(Need()))), tag()).machine_id
        with pytest.raises(Unavailable, match="creating"):
            provider.stop(machine_id)
        sandbox.control.advance(1000)
        provider.stop(machine_id)
        sandbox.control.advance(1)
        provider.start(machine_id)
        provider.stop(machine_id)
        sandbox.control.advance(1)
        assert provider.get(machine_id).state is MachineState.STOPPED

    def test_not_ended_makes_a_start_wait(self, sandbox: SandboxServer, provider: TensorDockProvider) -> None:
        machine_id = provider.create(spec(pick(provider.offers(Need()))), tag()).machine_id
        sandbox.control.advance(1)
        sandbox.control.settings(stop_s=1000.0)
        provider.stop(machine_id)
        with pytest.raises(Unavailable, match="stopping"):
            provider.start(machine_id)


class TestTimeOuts:
    def test_of_a_create_leave_its_outcome_unknown(
        self, sandbox: SandboxServer, harness: SandboxHarness
    ) -> None:
        sandbox.control.fault("create_then_timeout", args={"hold_s": 300})
        provider = harness.open(timeouts=Timeouts(create=0.2))
        offer = pick(provider.offers(Need()))

        def is_made() -> bool:
            with pytest.raises(OutcomeUnknown, match="no answer"):
                provider.create(spec(offer), tag())
            return list(by_tag(provider)) == [tag()]

        eventually(is_made)  # a request that is given up before it is read is none

    def test_of_a_delete_may_have_deleted(self, sandbox: SandboxServer, harness: SandboxHarness) -> None:
        provider = harness.open(timeouts=Timeouts(act=2))
        machine_id = provider.create(spec(pick(provider.offers(Need()))), tag()).machine_id
        sandbox.control.fault("delete_times_out_but_succeeds", times=1, args={"hold_s": 300})
        with pytest.raises(Unavailable):
            provider.delete(machine_id)
        sandbox.control.advance(1)
        assert sandbox.control.alive() == []

    def test_of_a_read_are_tried_again_within_its_bound(
        self, sandbox: SandboxServer, harness: SandboxHarness
    ) -> None:
        sandbox.control.fault("slow", times=1, match={"path": "/instances"}, args={"seconds": 300})
        provider = harness.open(timeouts=Timeouts(attempt=2, backoff=0))
        assert list(provider.list()) == []
        assert sandbox.control.requests()["GET /instances"] == 2


class TestRetries:
    @pytest.mark.parametrize("fault", ["500_html", "502", "503", "garbage_json", "drop"])
    def test_of_a_read_outlive_two_failures(
        self, sandbox: SandboxServer, provider: TensorDockProvider, fault: str
    ) -> None:
        sandbox.control.fault(fault, times=2, match={"path": "/instances"})
        assert list(provider.list()) == []

    def test_of_a_read_end(self, sandbox: SandboxServer, provider: TensorDockProvider) -> None:
        sandbox.control.fault("500_html", match={"path": "/instances"})
        with pytest.raises(Unavailable, match="500"):
            provider.list()
        assert sandbox.control.requests() == {"GET /instances": 3}

    @pytest.mark.parametrize("fault", ["500_html", "502", "503", "garbage_json", "drop"])
    def test_never_come_after_a_create(
        self, sandbox: SandboxServer, provider: TensorDockProvider, fault: str
    ) -> None:
        offer = pick(provider.offers(Need()))
        sandbox.control.forget_requests()
        sandbox.control.fault(fault, times=1, match={"method": "POST"})
        with pytest.raises(OutcomeUnknown):
            provider.create(spec(offer), tag())
        assert sandbox.control.requests() == {"POST /instances": 1}

    def test_do_not_press_a_vendor_that_asked_for_patience(
        self, sandbox: SandboxServer, provider: TensorDockProvider
    ) -> None:
        sandbox.control.settings(rate_limit=True, requests_per_minute=1)
        provider.list()
        with pytest.raises(Unavailable) as raised:
            provider.list()
        assert raised.value.retry_after is not None
        assert 1 <= raised.value.retry_after <= 60
        assert sandbox.control.requests() == {"GET /instances": 2}


class TestPace:
    def test_is_kept_before_every_request_and_every_further_try(
        self, sandbox: SandboxServer, harness: SandboxHarness
    ) -> None:
        calls: list[int] = []
        provider = harness.open(pace=lambda: calls.append(1))
        sandbox.control.fault("502", times=1, match={"path": "/locations"})
        offer = pick(provider.offers(Need()))
        machine_id = provider.create(spec(offer), tag()).machine_id
        provider.list()
        provider.delete(machine_id)
        assert len(calls) == sum(sandbox.control.requests().values()) == 6

    def test_that_refuses_sends_nothing(self, sandbox: SandboxServer, harness: SandboxHarness) -> None:
        def refuse() -> None:
            raise Unavailable("no token left", retry_after=3)

        with pytest.raises(Unavailable, match="no token left"):
            harness.open(pace=refuse).list()
        assert sandbox.control.requests() == {}


class TestRejection:
    def test_names_the_field(self, provider: TensorDockProvider) -> None:
        with pytest.raises(Rejected, match=r"resources\.vcpu_count"):
            provider.create(spec(pick(provider.offers(Need())), vcpus=3), tag())
