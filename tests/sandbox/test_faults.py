"""Every fault of facts 8, seen from outside."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from sandbox.testing import SandboxServer
from tests.sandbox.vendor import Vendor
from tests.waiting import eventually

FORWARDED = {"useDedicatedIp": False, "port_forwards": [{"internal_port": 22, "external_port": 22}]}


class TestRequestFaults:
    @pytest.mark.parametrize(
        ("name", "status"),
        [
            ("401", 401),
            ("403", 403),
            ("404", 404),
            ("429", 429),
            ("500_html", 500),
            ("502", 502),
            ("503", 503),
        ],
    )
    def test_refuse_with_their_status(self, vendor: Vendor, name: str, status: int) -> None:
        vendor.server.control.fault(name, times=1, match={"path": "/instances"})
        assert vendor.send("GET", "/hostnodes").status_code == 200
        assert vendor.send("GET", "/instances").status_code == status
        assert vendor.send("GET", "/instances").status_code == 200

    def test_429_says_when_to_come_back_unless_told_not_to(self, vendor: Vendor) -> None:
        control = vendor.server.control
        control.fault("429", times=1, args={"retry_after": 7})
        control.fault("429", times=1, args={"retry_after": None})
        answers = [vendor.send("GET", "/instances") for _ in range(2)]
        assert [each.headers.get("Retry-After") for each in answers] == ["7", None]

    def test_500_is_html(self, vendor: Vendor) -> None:
        vendor.server.control.fault("500_html", times=1)
        assert vendor.send("GET", "/instances").headers["Content-Type"].startswith("text/html")

    def test_garbage_is_a_200_that_is_not_json(self, vendor: Vendor) -> None:
        vendor.server.control.fault("garbage_json", times=1)
        answer = vendor.send("GET", "/instances")
        assert answer.status_code == 200
        with pytest.raises(requests.JSONDecodeError):
            answer.json()

    def test_slow_answers_after_the_client_gave_up(self, vendor: Vendor) -> None:
        control = vendor.server.control
        control.fault("slow", times=1, args={"seconds": 60})
        vendor.hang_up("GET", "/instances")
        assert control.held() == 1
        control.advance(61)
        eventually(lambda: control.held() == 0)

    def test_late_answers_after_the_client_gave_up_what_it_did_at_once(self, vendor: Vendor) -> None:
        control = vendor.server.control
        control.fault("late", times=1, match={"method": "POST"}, args={"seconds": 60})
        vendor.hang_up("POST", "/instances", vendor.body())
        assert len(control.alive()) == 1
        control.advance(61)
        eventually(lambda: control.held() == 0)

    def test_drop_ends_without_a_word(self, vendor: Vendor) -> None:
        vendor.server.control.fault("drop", times=1)
        with pytest.raises(requests.ConnectionError):
            vendor.send("GET", "/instances")

    def test_last_until_cleared(self, vendor: Vendor) -> None:
        control = vendor.server.control
        control.fault("503")
        assert [vendor.send("GET", "/instances").status_code for _ in range(3)] == [503] * 3
        control.clear_faults("503")
        assert vendor.send("GET", "/instances").status_code == 200


class TestCreateFaults:
    @pytest.mark.parametrize(
        ("name", "args", "status", "text"),
        [
            ("stale_offer", {}, 200, "No available nodes found"),
            ("no_public_ip", {}, 200, "No available public IPs on hostnode"),
            ("balance_low", {"usd": 5}, 200, "need at least $5.00"),
            ("balance_low", {"http_status": 400}, 400, "need at least $1.00"),
            ("validation_array", {}, 400, "Invalid configuration"),
        ],
    )
    def test_refuse_and_make_nothing(
        self, vendor: Vendor, name: str, args: dict[str, Any], status: int, text: str
    ) -> None:
        vendor.server.control.fault(name, times=1, args=args)
        answer = vendor.send("POST", "/instances", vendor.body())
        assert answer.status_code == status
        assert text in answer.text
        assert vendor.server.control.alive() == []

    def test_create_then_timeout_leaves_a_machine(self, vendor: Vendor) -> None:
        vendor.server.control.fault("create_then_timeout", times=1, args={"hold_s": 60})
        vendor.hang_up("POST", "/instances", vendor.body(name="orphan"))
        assert [each["name"] for each in vendor.get("/instances")["data"]] == ["orphan"]

    def test_create_then_timeout_can_drop_the_connection(self, vendor: Vendor) -> None:
        vendor.server.control.fault("create_then_timeout", times=1, args={"drop": True})
        with pytest.raises(requests.ConnectionError):
            vendor.send("POST", "/instances", vendor.body(name="orphan"))
        assert [each["name"] for each in vendor.get("/instances")["data"]] == ["orphan"]

    def test_create_lands_late_makes_it_when_nobody_waits(self, vendor: Vendor) -> None:
        control = vendor.server.control
        control.fault("create_lands_late", times=1, args={"after_s": 90})
        with pytest.raises(requests.ConnectionError):
            vendor.send("POST", "/instances", vendor.body(name="late"))
        assert control.alive() == []
        control.advance(91)
        assert [each["name"] for each in control.alive()] == ["late"]

    def test_slow_create_answers_when_the_clock_has_moved(self, vendor: Vendor) -> None:
        control = vendor.server.control
        control.fault("slow_create", times=1, args={"seconds": 90})
        vendor.hang_up("POST", "/instances", vendor.body())
        assert control.alive() == []
        control.advance(91)
        eventually(control.alive)


class TestMachineFaults:
    def test_list_without_new_hides_it_for_some_lists(self, vendor: Vendor) -> None:
        vendor.server.control.fault("list_without_new", times=1, args={"lists": 2})
        made = vendor.create()
        assert [len(vendor.get("/instances")["data"]) for _ in range(3)] == [0, 0, 1]
        assert vendor.get(f"/instances/{made}")["id"] == made

    def test_port_remap_ignores_the_asked_port(self, vendor: Vendor) -> None:
        vendor.server.control.fault("port_remap")
        hostnode = vendor.hostnode("Dallas")
        port = hostnode["available_resources"]["available_ports"][0]
        asked = [{"internal_port": 22, "external_port": port}]
        made = vendor.create(hostnode_id=hostnode["id"], useDedicatedIp=False, port_forwards=asked)
        assert vendor.get(f"/instances/{made}")["portForwards"][0]["external_port"] != port

    def test_port_drop_forwards_nothing(self, vendor: Vendor) -> None:
        vendor.server.control.fault("port_drop")
        assert vendor.get(f"/instances/{vendor.create(**FORWARDED)}")["portForwards"] == []

    def test_never_running_stays_creating(self, vendor: Vendor) -> None:
        vendor.server.control.fault("never_running")
        made = vendor.create()
        vendor.server.control.advance(3600)
        assert vendor.get(f"/instances/{made}")["status"] == "creating"

    def test_ip_never_runs_without_address(self, vendor: Vendor) -> None:
        vendor.server.control.fault("ip_never")
        made = vendor.create()
        vendor.server.control.advance(3600)
        detail = vendor.get(f"/instances/{made}")
        assert (detail["status"], detail["ipAddress"]) == ("running", "")

    def test_stops_by_itself_after_a_while(self, vendor: Vendor) -> None:
        vendor.server.control.fault("stops_by_itself", args={"after_s": 30})
        made = vendor.create()
        vendor.server.control.advance(31)
        assert vendor.get(f"/instances/{made}")["status"] == "stopped"

    def test_vanished_is_gone_without_a_word(self, vendor: Vendor) -> None:
        vendor.server.control.fault("vanished", args={"after_s": 30})
        made = vendor.create()
        vendor.server.control.advance(31)
        assert vendor.send("GET", f"/instances/{made}").status_code == 404

    @pytest.mark.parametrize(("operation", "left"), [("vanish", []), ("stop", ["stopped"])])
    def test_can_be_made_to_happen_to_one_machine(
        self, vendor: Vendor, operation: str, left: list[str]
    ) -> None:
        control = vendor.server.control
        getattr(control, operation)(vendor.create())
        assert [each["status"] for each in control.alive()] == left


class TestActionFaults:
    def test_start_refused_keeps_it_stopped(self, vendor: Vendor) -> None:
        vendor.server.control.fault("start_refused", times=1)
        path = f"/instances/{vendor.create()}"
        vendor.send("POST", f"{path}/stop")
        assert vendor.send("POST", f"{path}/start").status_code == 400
        assert vendor.get(path)["status"] == "stopped"
        assert vendor.send("POST", f"{path}/start").status_code == 200

    def test_delete_slow_lists_it_for_longer(self, vendor: Vendor) -> None:
        vendor.server.control.fault("delete_slow", args={"seconds": 60})
        path = f"/instances/{vendor.create()}"
        assert vendor.send("DELETE", path).status_code == 200
        assert vendor.get(path)["status"] == "deleting"
        vendor.server.control.advance(61)
        assert vendor.send("GET", path).status_code == 404

    def test_delete_fails_a_number_of_times(self, vendor: Vendor) -> None:
        vendor.server.control.fault("delete_fails", times=2)
        path = f"/instances/{vendor.create()}"
        assert [vendor.send("DELETE", path).status_code for _ in range(3)] == [500, 500, 200]

    def test_delete_fails_for_an_hour(self, vendor: Vendor) -> None:
        vendor.server.control.fault("delete_fails", args={"seconds": 3600})
        path = f"/instances/{vendor.create()}"
        statuses = []
        for seconds in (0, 1800, 1801):
            vendor.server.control.advance(seconds)
            statuses.append(vendor.send("DELETE", path).status_code)
        assert statuses == [500, 500, 200]

    def test_delete_times_out_but_succeeds(self, vendor: Vendor) -> None:
        vendor.server.control.fault("delete_times_out_but_succeeds", times=1, args={"hold_s": 60})
        path = f"/instances/{vendor.create()}"
        vendor.hang_up("DELETE", path)
        assert vendor.send("DELETE", path).status_code == 404


class TestMatching:
    def test_strikes_only_what_matches(self, vendor: Vendor) -> None:
        houston = vendor.location("Houston")["id"]
        vendor.server.control.fault("stale_offer", match={"location_id": houston, "name_prefix": "a-"})
        assert vendor.create(name="a-1")
        assert vendor.create(name="b-1", location_id=houston)
        struck = vendor.send("POST", "/instances", vendor.body(name="a-2", location_id=houston))
        assert struck.json()["status"] == 400

    @pytest.mark.parametrize(
        "fault",
        [
            {"name": "unheard_of"},
            {"name": "503", "times": 0},
            {"name": "503", "match": {"gpu": "l4-pcie-24gb"}},
            {"name": "slow", "args": {"seconds": "long"}},
        ],
    )
    def test_of_nonsense_is_refused(self, sandbox: SandboxServer, fault: dict[str, Any]) -> None:
        with pytest.raises(requests.HTTPError):
            sandbox.control.fault(**fault)


class TestControl:
    def test_counts_requests_by_kind(self, vendor: Vendor) -> None:
        vendor.get(f"/instances/{vendor.create()}")
        vendor.get("/instances")
        counts = vendor.server.control.requests()
        assert (counts["GET /instances"], counts["GET /instances/{id}"], counts["POST /instances"]) == (
            1,
            1,
            1,
        )
        vendor.server.control.forget_requests()
        assert vendor.server.control.requests() == {}

    def test_reset_forgets_everything(self, vendor: Vendor) -> None:
        control = vendor.server.control
        vendor.create()
        control.fault("503")
        control.settings(balance_usd=3, list_shape="instances")
        control.reset()
        assert control.alive() == []
        assert vendor.get("/instances") == {"data": []}
        assert control.settings()["balance_usd"] == 100

    @pytest.mark.parametrize(
        "changes", [{"ip_s": -1}, {"ip_s": "soon"}, {"colour": 1}, {"list_shape": "round"}]
    )
    def test_settings_of_nonsense_are_refused(
        self, sandbox: SandboxServer, changes: dict[str, object]
    ) -> None:
        with pytest.raises(requests.HTTPError):
            sandbox.control.settings(**changes)

    def test_answers_no_foreign_name(self, sandbox: SandboxServer) -> None:
        url = sandbox.base_url.removesuffix("/api/v2") + "/control/alive"
        assert requests.get(url, headers={"Host": "evil.example"}, timeout=60).status_code == 400


class TestProcess:
    def test_ends_with_status_0_when_told_to(self) -> None:
        with SandboxServer() as other:
            with Vendor(other) as vendor:
                vendor.create()
        assert other.process.returncode == 0
