"""The vendor's API when nothing is wrong (facts 2)."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.testing import SandboxServer
from tests.sandbox.vendor import RTX4090, SSH_KEY, Vendor


class TestToken:
    def test_is_not_needed_for_locations(self, sandbox: SandboxServer) -> None:
        with Vendor(sandbox, token="wrong") as stranger:
            assert stranger.send("GET", "/locations").status_code == 200

    @pytest.mark.parametrize("path", ["/hostnodes", "/instances", "/secrets"])
    def test_is_needed_elsewhere(self, sandbox: SandboxServer, path: str) -> None:
        with Vendor(sandbox, token="wrong") as stranger:
            answer = stranger.send("GET", path)
        assert (answer.status_code, list(answer.json())) == (401, ["error"])

    def test_can_be_tested(self, vendor: Vendor) -> None:
        assert vendor.send("POST", "/auth/test").status_code == 200


class TestLocations:
    def test_are_many_real_cities_with_prices(self, vendor: Vendor) -> None:
        locations = vendor.get("/locations")["data"]["locations"]
        assert len(locations) >= 25
        assert len({each["country"] for each in locations}) >= 12
        dallas = vendor.location("Dallas")
        assert (dallas["stateprovince"], dallas["country"]) == ("Texas", "United States")
        gpu = next(each for each in dallas["gpus"] if each["v0Name"] == RTX4090)
        assert gpu["price_per_hr"] == 0.39
        assert gpu["pricing"] == {"per_vcpu_hr": 0.003, "per_gb_ram_hr": 0.002, "per_gb_storage_hr": 0.00005}
        assert gpu["network_features"]["dedicated_ip_available"] is True

    def test_some_have_a_4090_and_no_dedicated_ip(self, vendor: Vendor) -> None:
        gpu = next(each for each in vendor.location("Fort Worth")["gpus"] if each["v0Name"] == RTX4090)
        assert gpu["network_features"]["dedicated_ip_available"] is False

    def test_keep_their_ids_over_a_reset(self, vendor: Vendor) -> None:
        before = vendor.location("Houston")["id"]
        vendor.server.control.reset()
        assert vendor.location("Houston")["id"] == before


class TestHostnodes:
    def test_name_their_location_by_uuid(self, vendor: Vendor) -> None:
        hostnode = vendor.hostnode("Dallas")
        assert hostnode["location"]["uuid"] == hostnode["location_id"] == vendor.location("Dallas")["id"]
        assert vendor.get(f"/hostnodes/{hostnode['id']}")["data"] == hostnode

    def test_without_gpu_cost_more_per_vcpu(self, vendor: Vendor) -> None:
        assert vendor.hostnode("Dallas", gpu=None)["pricing"]["per_vcpu_hr"] == 0.012

    @pytest.mark.parametrize(
        ("query", "holds"),
        [
            (f"gpu={RTX4090}", lambda free: any(each["v0Name"] == RTX4090 for each in free["gpus"])),
            ("minRamGb=300", lambda free: free["ram_gb"] >= 300),
            ("minVcpu=100", lambda free: free["vcpu_count"] >= 100),
        ],
    )
    def test_are_filtered(self, vendor: Vendor, query: str, holds: Any) -> None:
        listed = vendor.get(f"/hostnodes?{query}")["data"]["hostnodes"]
        assert 0 < len(listed) < len(vendor.get("/hostnodes")["data"]["hostnodes"])
        assert all(holds(each["available_resources"]) for each in listed)

    def test_that_do_not_exist_are_404(self, vendor: Vendor) -> None:
        assert vendor.send("GET", "/hostnodes/none").status_code == 404


class TestCreate:
    def test_answers_with_id_name_and_a_status_not_to_be_trusted(self, vendor: Vendor) -> None:
        answer = vendor.send("POST", "/instances", vendor.body(name="mine")).json()["data"]
        assert {**answer, "id": ""} == {
            "type": "virtualmachine",
            "id": "",
            "name": "mine",
            "status": "running",
        }

    def test_costs_the_sum_of_its_parts(self, vendor: Vendor) -> None:
        detail = vendor.get(f"/instances/{vendor.create()}")
        assert detail["rateHourly"] == pytest.approx(0.39 + 8 * 0.003 + 16 * 0.002 + 200 * 0.00005)
        assert detail["resources"]["gpus"] == {RTX4090: {"count": 1, "v0Name": RTX4090}}

    def test_needs_no_gpu_on_a_pinned_hostnode(self, vendor: Vendor) -> None:
        hostnode = vendor.hostnode("Dallas", gpu=None)
        sizes = {"vcpu_count": 2, "ram_gb": 4, "storage_gb": 100}
        made = vendor.create(hostnode_id=hostnode["id"], resources=sizes)
        rate = 2 * 0.012 + 4 * 0.002 + 100 * 0.00005
        assert vendor.get(f"/instances/{made}")["rateHourly"] == pytest.approx(rate)

    def test_maps_forwarded_ports_to_others_at_a_location(self, vendor: Vendor) -> None:
        made = vendor.create(useDedicatedIp=False, port_forwards=[{"internal_port": 22, "external_port": 22}])
        (forward,) = vendor.get(f"/instances/{made}")["portForwards"]
        assert forward["internal_port"] == 22
        assert forward["external_port"] > 20000

    def test_keeps_the_asked_port_on_a_pinned_hostnode(self, vendor: Vendor) -> None:
        hostnode = vendor.hostnode("Dallas")
        port = hostnode["available_resources"]["available_ports"][3]
        asked = [{"internal_port": 22, "external_port": port}]
        made = vendor.create(hostnode_id=hostnode["id"], useDedicatedIp=False, port_forwards=asked)
        assert vendor.get(f"/instances/{made}")["portForwards"] == asked
        assert port not in vendor.hostnode("Dallas")["available_resources"]["available_ports"]
        refused = vendor.send(
            "POST",
            "/instances",
            vendor.body(hostnode_id=hostnode["id"], useDedicatedIp=False, port_forwards=asked),
        )
        assert refused.status_code == 400

    def test_drops_the_forwards_at_joplin(self, vendor: Vendor) -> None:
        made = vendor.create(
            location_id=vendor.location("Joplin")["id"],
            useDedicatedIp=False,
            port_forwards=[{"internal_port": 22, "external_port": 0}],
        )
        detail = vendor.get(f"/instances/{made}")
        assert detail["ipAddress"]
        assert detail["portForwards"] == []

    def test_takes_a_stored_ssh_key(self, vendor: Vendor) -> None:
        attributes = {"type": "SSHKEY", "name": "laptop", "value": SSH_KEY}
        made = vendor.send("POST", "/secrets", {"data": {"type": "secret", "attributes": attributes}}).json()
        assert vendor.create(ssh_key=None, ssh_key_id=made["data"]["id"])

    def test_refuses_ubuntu_without_a_way_in(self, vendor: Vendor) -> None:
        answer = vendor.send("POST", "/instances", vendor.body(useDedicatedIp=False))
        assert (answer.status_code, answer.json()["error"]) == (
            400,
            "SSH port (22) must be forwarded for Ubuntu VMs",
        )

    def test_makes_windows_without_key_and_ssh(self, vendor: Vendor) -> None:
        assert vendor.create(image="windows10", ssh_key=None, useDedicatedIp=False)

    @pytest.mark.parametrize(
        ("changes", "path"),
        [
            ({"name": None}, ["name"]),
            ({"type": "container"}, ["type"]),
            ({"image": "debian12"}, ["image"]),
            ({"hostnode_id": "also"}, ["location_id"]),
            ({"location_id": None}, ["location_id"]),
            ({"ssh_key": None}, ["ssh_key"]),
            ({"ssh_key_id": "also"}, ["ssh_key"]),
            ({"resources": {"vcpu_count": 3, "ram_gb": 16, "storage_gb": 100}}, ["resources", "vcpu_count"]),
            ({"resources": {"vcpu_count": 4, "ram_gb": 12, "storage_gb": 100}}, ["resources", "ram_gb"]),
            ({"resources": {"vcpu_count": 4, "ram_gb": 16, "storage_gb": 50}}, ["resources", "storage_gb"]),
            ({"resources": {"vcpu_count": 4, "ram_gb": 16, "storage_gb": 120}}, ["resources", "storage_gb"]),
            ({"resources": {"vcpu_count": 4, "ram_gb": 16, "storage_gb": 100}}, ["resources", "gpus"]),
            (
                {"resources": {"vcpu_count": 4, "ram_gb": 16, "storage_gb": 100, "gpus": [RTX4090]}},
                ["resources", "gpus"],
            ),
            ({"cloud_init": "#cloud-config"}, ["cloud_init"]),
            ({"cloud_init": {"users": []}}, ["cloud_init"]),
            ({"cloud_init": {"runcmd": [1]}}, ["cloud_init", "runcmd", 0]),
            (
                {"cloud_init": {"write_files": [{"path": "/a", "content": "", "encoding": "b64"}]}},
                ["cloud_init", "write_files", 0],
            ),
            ({"port_forwards": [{"internal_port": 22, "external_port": 70000}]}, ["port_forwards", 0]),
        ],
    )
    def test_names_what_is_invalid_in_a_bare_array(
        self, vendor: Vendor, changes: dict[str, object], path: list[str | int]
    ) -> None:
        answer = vendor.send("POST", "/instances", vendor.body(**{"location_id": "any", **changes}))
        assert answer.status_code == 400
        problems = answer.json()
        assert [*("data", "attributes"), *path] in [each["path"] for each in problems]
        assert {"code", "message", "path"} == set(problems[0])
        assert vendor.server.control.alive() == []

    def test_refuses_what_is_not_json(self, vendor: Vendor) -> None:
        answer = vendor.session.post(vendor.server.base_url + "/instances", data="{", timeout=60)
        assert answer.status_code == 400


class TestBoot:
    def test_passes_from_creating_to_running_with_the_address_in_between(self, vendor: Vendor) -> None:
        control = vendor.server.control
        control.settings(ip_s=100, running_s=200)
        path = f"/instances/{vendor.create()}"
        seen = [vendor.get(path)]
        for seconds in (150, 100):
            control.advance(seconds)
            seen.append(vendor.get(path))
        assert [each["status"] for each in seen] == ["creating", "creating", "running"]
        assert [bool(each["ipAddress"]) for each in seen] == [False, True, True]

    def test_is_over_at_once_without_delays(self, vendor: Vendor) -> None:
        detail = vendor.get(f"/instances/{vendor.create()}")
        assert detail["status"] == "running"
        assert detail["ipAddress"].startswith("127.")


class TestList:
    def test_is_a_flat_array_unless_told_otherwise(self, vendor: Vendor) -> None:
        made = vendor.create(name="mine")
        (listed,) = vendor.get("/instances")["data"]
        assert (listed["id"], listed["name"], listed["status"]) == (made, "mine", "running")
        assert listed["ipAddress"] == vendor.get(f"/instances/{made}")["ipAddress"]

    @pytest.mark.parametrize("shape", ["instances", "attributes.instances"])
    def test_has_two_nested_shapes(self, vendor: Vendor, shape: str) -> None:
        made = vendor.create(name="mine")
        vendor.server.control.settings(list_shape=shape)
        found = vendor.get("/instances")["data"]
        for key in shape.split("."):
            found = found[key]
        assert found == [
            {"type": "virtualmachine", "id": made, "attributes": {"name": "mine", "status": "running"}}
        ]


class TestStopAndStart:
    def test_pass_through_stopping_and_starting(self, vendor: Vendor) -> None:
        control = vendor.server.control
        control.settings(stop_s=1000, start_s=1000)
        path = f"/instances/{vendor.create()}"
        answered, seen = [], []
        for verb in ("stop", "start"):
            answered.append(vendor.send("POST", f"{path}/{verb}").json()["data"]["attributes"]["status"])
            seen.append(vendor.get(path)["status"])
            control.advance(1000)
            seen.append(vendor.get(path)["status"])
        assert answered == ["stopping", "starting"]
        assert seen == ["stopping", "stopped", "starting", "running"]

    def test_start_of_a_running_one_is_refused(self, vendor: Vendor) -> None:
        answer = vendor.send("POST", f"/instances/{vendor.create()}/start")
        assert answer.status_code == 409
        assert "already running" in answer.json()["error"]

    def test_stop_of_a_stopped_one_is_refused(self, vendor: Vendor) -> None:
        path = f"/instances/{vendor.create()}"
        vendor.send("POST", f"{path}/stop")
        assert vendor.send("POST", f"{path}/stop").status_code == 409

    def test_released_gives_the_gpu_to_others_and_may_not_get_it_back(self, vendor: Vendor) -> None:
        vendor.server.control.settings(stopped_status="stoppeddisassociated")
        path = f"/instances/{vendor.create()}"
        vendor.send("POST", f"{path}/stop")
        assert vendor.get(path)["status"] == "stoppeddisassociated"
        assert vendor.get(path)["ipAddress"] == ""
        everything = {**vendor.body()["data"]["attributes"]["resources"], "gpus": {RTX4090: {"count": 4}}}
        other = vendor.create(resources=everything)
        assert vendor.send("POST", f"{path}/start").status_code == 400
        vendor.send("DELETE", f"/instances/{other}")
        assert vendor.send("POST", f"{path}/start").status_code == 200
        assert vendor.get(path)["status"] == "running"
        assert vendor.get(path)["ipAddress"]


class TestDelete:
    def test_succeeds_and_is_404_afterwards(self, vendor: Vendor) -> None:
        path = f"/instances/{vendor.create()}"
        answer = vendor.send("DELETE", path)
        assert (answer.status_code, answer.json()["data"]["type"]) == (200, "success")
        assert vendor.send("DELETE", path).status_code == 404
        assert vendor.send("GET", path).json() == {"error": "Virtual machine not found"}
        assert vendor.server.control.alive() == []


class TestModify:
    def test_resizes_only_what_is_stopped(self, vendor: Vendor) -> None:
        path = f"/instances/{vendor.create()}"
        assert vendor.send("PUT", f"{path}/modify", {"cpuCores": 16}).status_code == 400
        vendor.send("POST", f"{path}/stop")
        assert vendor.send("PUT", f"{path}/modify", {"cpuCores": 16, "diskGb": 300}).status_code == 200
        assert vendor.get(path)["resources"]["vcpu_count"] == 16
        assert vendor.hostnode("Dallas")["available_resources"]["vcpu_count"] == 96 - 16

    @pytest.mark.parametrize("body", [{"diskGb": 150}, {"gpus": {"gpuV0Name": RTX4090, "count": 0}}])
    def test_never_shrinks_the_disk_nor_drops_the_gpu(self, vendor: Vendor, body: dict[str, object]) -> None:
        path = f"/instances/{vendor.create()}"
        vendor.send("POST", f"{path}/stop")
        assert vendor.send("PUT", f"{path}/modify", body).status_code == 400


class TestSecrets:
    def test_show_the_value_of_ssh_keys_only(self, vendor: Vendor) -> None:
        ids = {}
        for kind in ("SSHKEY", "GENERIC"):
            attributes = {"type": kind, "name": kind.lower(), "value": "text"}
            answer = vendor.send("POST", "/secrets", {"data": {"type": "secret", "attributes": attributes}})
            ids[kind] = answer.json()["data"]["id"]
        assert vendor.get(f"/secrets/{ids['SSHKEY']}")["data"]["value"] == "text"
        assert "value" not in vendor.get(f"/secrets/{ids['GENERIC']}")["data"]
        assert len(vendor.get("/secrets")["data"]["secrets"]) == 2
        assert vendor.send("PATCH", f"/secrets/{ids['SSHKEY']}").status_code == 405
        assert vendor.send("DELETE", f"/secrets/{ids['SSHKEY']}").status_code == 200
        assert vendor.send("GET", f"/secrets/{ids['SSHKEY']}").status_code == 404


class TestStock:
    def test_is_taken_by_a_create_and_given_back_by_a_delete(self, vendor: Vendor) -> None:
        before = vendor.hostnode("Dallas")
        made = vendor.create()
        during = vendor.hostnode("Dallas")["available_resources"]
        assert (
            during["gpus"][0]["availableCount"]
            == before["available_resources"]["gpus"][0]["availableCount"] - 1
        )
        assert during["vcpu_count"] == before["available_resources"]["vcpu_count"] - 8
        vendor.send("DELETE", f"/instances/{made}")
        assert vendor.hostnode("Dallas") == before

    @pytest.mark.parametrize("status", ["stopped", "stoppeddisassociated"])
    def test_comes_back_whole_when_a_stopped_one_is_deleted(self, vendor: Vendor, status: str) -> None:
        vendor.server.control.settings(stopped_status=status)
        before = vendor.get("/hostnodes")
        path = f"/instances/{vendor.create()}"
        vendor.send("POST", f"{path}/stop")
        vendor.send("DELETE", path)
        assert vendor.get("/hostnodes") == before

    def test_runs_out_inside_a_200(self, vendor: Vendor) -> None:
        for _ in range(2):
            vendor.create(location_id=vendor.location("Sydney")["id"])
        sydney = vendor.send("GET", "/locations").json()["data"]["locations"]
        assert "Sydney" not in [each["city"] for each in sydney]
        gone = next(
            each["location_id"]
            for each in vendor.get("/hostnodes")["data"]["hostnodes"]
            if each["location"]["city"] == "Sydney"
        )
        answer = vendor.send("POST", "/instances", vendor.body(location_id=gone))
        assert answer.status_code == 200
        assert answer.json() == {"status": 400, "error": "No available nodes found"}

    def test_of_public_ips_runs_out_too(self, vendor: Vendor) -> None:
        answer = vendor.send(
            "POST", "/instances", vendor.body(location_id=vendor.location("Fort Worth")["id"])
        )
        assert answer.json() == {"status": 400, "error": "No available public IPs on hostnode"}


class TestRateLimit:
    def test_is_100_requests_in_a_minute(self, vendor: Vendor) -> None:
        statuses = [vendor.send("GET", "/instances").status_code for _ in range(101)]
        assert statuses == [200] * 100 + [429]
        refused = vendor.send("GET", "/instances")
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        vendor.server.control.advance(61)
        assert vendor.send("GET", "/instances").status_code == 200

    def test_can_be_lifted(self, vendor: Vendor) -> None:
        vendor.server.control.settings(rate_limit=False)
        assert {vendor.send("GET", "/instances").status_code for _ in range(110)} == {200}


class TestBalance:
    def test_runs_down_by_what_everything_costs(self, vendor: Vendor) -> None:
        control = vendor.server.control
        vendor.create()
        control.advance(10 * 3600)
        assert control.settings()["balance_usd"] == pytest.approx(100 - 10 * 0.456, abs=0.01)

    def test_of_a_released_machine_pays_its_disk_only(self, vendor: Vendor) -> None:
        control = vendor.server.control
        control.settings(stopped_status="stoppeddisassociated")
        vendor.send("POST", f"/instances/{vendor.create()}/stop")
        assert control.settings()["usd_per_hour"] == pytest.approx(200 * 0.00005)

    def test_below_a_dollar_buys_nothing(self, vendor: Vendor) -> None:
        vendor.server.control.settings(balance_usd=0.5)
        answer = vendor.send("POST", "/instances", vendor.body())
        assert answer.status_code == 200
        assert "need at least $1.00" in answer.json()["error"]

    def test_below_zero_stops_everything_and_four_days_later_deletes_it(self, vendor: Vendor) -> None:
        control = vendor.server.control
        vendor.create()
        control.settings(balance_usd=0.1)
        control.advance(3600)
        assert [each["status"] for each in control.alive()] == ["stopped"]
        control.advance(97 * 3600)
        assert control.alive() == []
