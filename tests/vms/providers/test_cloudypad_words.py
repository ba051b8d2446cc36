"""The tool's words, both ways: names, flags that leave no question open, errors, states, secrets."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vms.providers.cloudypad_vendor import CANARY, COMMAND, StandInHarness, account_in, product
from tests.vms.providers.specs import key_pair, spec, tag
from tests.waiting import eventually
from vms.providers.base import (
    BadCredentials,
    MachineSpec,
    MachineState,
    Need,
    NoCapacity,
    NotFound,
    Offer,
    Place,
    ProviderError,
    QuotaExceeded,
    Rejected,
    Unavailable,
    make_tag,
)
from vms.providers.cloudypad import answers, clouds
from vms.providers.cloudypad.names import SAFE, name_of, tag_of
from vms.providers.cloudypad.provider import open_cloudypad

PLAIN = "abcdefghijklmnopqrstuvwxyz0123456789"
CREDENTIALS = {
    "cloudypad_gcp": {"project_id": "my-project", "service_account": CANARY},
    "cloudypad_aws": {"access_key_id": "AKIA", "secret_access_key": CANARY},
    "cloudypad_azure": {"subscription_id": "s", "tenant_id": "t", "client_id": "c", "client_secret": CANARY},
    "cloudypad_paperspace": {"api_key": CANARY},
    "cloudypad_scaleway": {"project_id": "p", "access_key": "SCW", "secret_key": CANARY},
}
KINDS = tuple(CREDENTIALS)


class TestNames:
    @given(
        st.text(PLAIN, min_size=8, max_size=8),
        st.text(PLAIN, min_size=12, max_size=12),
        st.integers(1, 9999),
    )
    def test_fit_the_tool_and_lead_back(self, installation: str, vm: str, attempt: int) -> None:
        name = name_of(make_tag(installation, vm, attempt))
        assert SAFE.match(name)
        assert len(name) <= 36
        assert tag_of(name) == make_tag(installation, vm, attempt)

    @pytest.mark.parametrize(
        "name",
        [
            *("pad-a", "gamer", "gamer-abc-def-1", "", "gamer-zzzzzzzzz-aaaaaaaaaaaaaa-1", "../gamer"),
            *("gamer-aaaaaaaaa-zzzzzzzzzzzzzz-1", "gamer-aaaaaaaaa-aaaaaaaaaaaaaa-1\n", "gamer-aaaaaaaaa-aaaaaaaaaaaaaa-12345"),
        ],
    )  # fmt: skip
    def test_of_others_are_no_tags(self, name: str) -> None:
        assert tag_of(name) == ""

    @pytest.mark.parametrize("name", ["a b", "d1", "My-Pad", "../x", "-a", "--yes", "a/b", "a\n", ""])
    def test_that_are_unsafe_never_reach_the_tool(self, tmp_path: Path, name: str) -> None:
        harness = StandInHarness(tmp_path)
        provider = harness.open()
        for verb in (provider.get, provider.stop, provider.start):
            with pytest.raises(NotFound):
                verb(name)
        provider.delete(name)
        assert harness.calls() == []


class TestFlags:
    @pytest.mark.parametrize("kind", KINDS)
    def test_leave_no_question_open(self, tmp_path: Path, kind: str) -> None:
        """By the stand-in, which asks what the tool asks: a question ends with exit 0 and no state."""
        StandInHarness(tmp_path)
        (tmp_path / "vendor" / "clock").write_text("inf")
        key = tmp_path / "key"
        key.write_text(key_pair()[0])
        argv = argv_of(kind, key)
        done = subprocess.run(
            [*COMMAND.split(), *argv],
            env={"CLOUDYPAD_HOME": str(tmp_path / "home")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
        assert b"successfully" in done.stdout
        assert (tmp_path / "home" / "instances" / name_of(tag()) / "state.yml").exists()

    @pytest.mark.parametrize("kind", KINDS)
    def test_ask_for_wolf_the_wished_idle_stop_and_our_key(self, tmp_path: Path, kind: str) -> None:
        argv = argv_of(kind, tmp_path / "key")
        assert argv[argv.index("--streaming-server") + 1] == "wolf"
        assert argv[argv.index("--autostop-timeout") + 1] == "777"
        assert argv.count(str(tmp_path / "key")) == 1
        assert CANARY not in argv

    @pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "cloudypad_paperspace"])
    def test_keep_everything_at_a_stop(self, tmp_path: Path, kind: str) -> None:
        argv = argv_of(kind, tmp_path / "key")
        assert int(argv[argv.index("--data-disk-size") + 1]) > 0
        assert "--delete-instance-server-on-stop=no" in argv

    def test_switch_the_idle_stop_off_where_none_is_wished(self, tmp_path: Path) -> None:
        order = replace(order_of("cloudypad_gcp"), idle_stop_s=0)
        argv = clouds.GCP.create_argv("pad-a", order, CREDENTIALS["cloudypad_gcp"], None)
        assert "--autostop=no" in argv
        assert "--autostop-timeout" not in argv

    @pytest.mark.parametrize(
        ("kind", "word"),
        [
            ("cloudypad_gcp", "project_id"),
            ("cloudypad_azure", "subscription_id"),
            ("cloudypad_scaleway", "project_id"),
        ],
    )
    def test_that_the_account_cannot_fill_are_told(self, tmp_path: Path, kind: str, word: str) -> None:
        account = replace(account_in(tmp_path, [product()]), credentials={})
        with pytest.raises(BadCredentials, match=word):
            open_cloudypad(kind, account).create(order_of(kind), tag())


class TestEnvironment:
    @pytest.mark.parametrize("kind", KINDS)
    def test_carries_the_accounts_secret_and_none_of_ours(
        self, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in (
            "SECRET_KEY",
            "GAMER_KEYS",
            "DATABASE_URL",
            "TENSORDOCK_API_TOKEN",
            "PAPERSPACE_API_KEY",
        ):
            monkeypatch.setenv(name, "of-another")
        account = replace(account_in(tmp_path, []), credentials=CREDENTIALS[kind])
        provider = open_cloudypad(kind, account)
        provider._home.open()
        seen = provider._cli.environment()
        assert not {"SECRET_KEY", "GAMER_KEYS", "DATABASE_URL", "TENSORDOCK_API_TOKEN"} & seen.keys()
        assert "of-another" not in seen.values()
        files = [Path(value) for value in seen.values() if value.startswith(str(tmp_path / "home" / "gamer"))]
        assert CANARY in [*seen.values(), *(word for path in files for word in path.read_text().split())]
        assert all(path.stat().st_mode & 0o077 == 0 for path in files)


class TestErrors:
    @pytest.mark.parametrize(
        ("text", "meaning"),
        [
            ("Caused by (1): Error: Instance named 'pad-a' does not exist.", NotFound),
            ("Caused by (3): Error: googleapi: Error 503: ZONE_RESOURCE_POOL_EXHAUSTED", NoCapacity),
            ("InsufficientInstanceCapacity: We currently do not have sufficient g4dn.xlarge capacity", NoCapacity),
            ("Code=\"SkuNotAvailable\" Message=\"The requested size is currently not available\"", NoCapacity),
            ("ZonalAllocationFailed: Allocation failed", NoCapacity),
            ("scaleway-sdk-go: resource L4-1-24G is out of stock", NoCapacity),
            ("Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally.", QuotaExceeded),
            ("VcpuLimitExceeded: You have requested more vCPU capacity than your current vCPU limit", QuotaExceeded),
            ("OperationNotAllowed: Operation could not be completed as it results in exceeding approved quota", QuotaExceeded),
            ("Error: Could not load the default credentials. Browse to https://cloud.google.com", BadCredentials),
            ("CredentialsProviderError: Could not load credentials from any providers", BadCredentials),
            ("AADSTS7000215: Invalid client secret provided.", BadCredentials),
            ("Scaleway configuration is not valid. Did you configure your Scaleway credentials?", BadCredentials),
            ("AuthFailure: AWS was not able to validate the provided access credentials", BadCredentials),
            ("RequestLimitExceeded: Request limit exceeded.", Unavailable),
            ("Error: getaddrinfo ENOTFOUND compute.googleapis.com", Unavailable),
            ("spawn pulumi ENOENT", Unavailable),
            ("the stack is currently locked by 1 lock(s)", Unavailable),
            ("error: unknown option '--cpu'", Rejected),
            ("? Choose a zone:\nInstance initialization cancelled.", Rejected),
            ("Unsupported: Your requested instance type (g5.xlarge) is not supported in your requested Availability Zone", Rejected),
            ("Ansible playbook failed with exit code 2", None),
            ("", None),
        ],
    )  # fmt: skip
    def test_are_sorted_by_the_callers_next_move(
        self, text: str, meaning: type[ProviderError] | None
    ) -> None:
        assert answers.failure_in(text).meaning is meaning

    def test_are_not_read_out_of_line_numbers(self) -> None:
        """A trace is full of numbers that look like HTTP statuses."""
        trace = "ERROR src/cli/program.js:503 program\n  • main.js async main\n\tsrc/cli/main.js:401\nCaused by (1): Error: oh no"
        assert answers.failure_in(trace) == answers.Failure(None, "oh no")

    @pytest.mark.parametrize("text", ['{"retry-after": "7"}', "Retry-After: 7", "retry after 7 seconds"])
    def test_say_when_to_come_back(self, text: str) -> None:
        assert answers.failure_in(f"TooManyRequests {text}").retry_after == 7


class TestStates:
    @pytest.mark.parametrize(
        ("status", "runtime", "expected"),
        [
            (("running", True, True), "present", MachineState.RUNNING),
            (("running", True, False), "present", MachineState.PENDING),
            (("starting", True, True), "present", MachineState.PENDING),
            (("restarting", True, True), "present", MachineState.PENDING),
            (("stopping", True, True), "present", MachineState.STOPPING),
            (("stopped", True, True), "present", MachineState.STOPPED),
            (("unknown", True, False), "absent", MachineState.STOPPED),
            (("unknown", True, True), "present", MachineState.UNKNOWN),
            (("weird", True, True), "present", MachineState.UNKNOWN),
        ],
    )
    def test_are_those_of_the_tool(
        self, status: tuple[str, bool, bool], runtime: str, expected: MachineState
    ) -> None:
        server, is_provisioned, is_configured = status
        told = {
            "provision": {"input": {"runtime": {"instanceServerState": runtime}}},
            "status": {"serverStatus": server, "provisioned": is_provisioned, "configured": is_configured},
        }
        said = f"WARN a warning\n{json.dumps(told, indent=2)}\n"
        assert answers.machine_state(answers.state_in(said)) is expected

    @pytest.mark.parametrize("text", ["", "[]", "{", "{\n}", '{\n"status": 3\n}', "\x00"])
    def test_that_cannot_be_read_are_none(self, text: str) -> None:
        with pytest.raises(answers.Unreadable):
            answers.state_in(text)

    @pytest.mark.parametrize("text", ["", '["a"', '{"a": 1}', "[1]", "null"])
    def test_a_list_that_cannot_be_read_is_none(self, text: str) -> None:
        with pytest.raises(answers.Unreadable):
            answers.names_in(text)

    def test_a_list_of_nothing_is_a_sentence(self) -> None:
        assert answers.names_in("No instances found.\n") == []


class TestAMachineThatStoppedByItself:
    def test_is_stopped_at_its_cloud_too(self, tmp_path: Path) -> None:
        """A guest's shutdown alone may be billed on."""
        harness = StandInHarness(tmp_path)
        provider = harness.open()
        name = provider.create(spec(provider.offers(Need())[0]), tag()).machine_id
        harness.advance()
        harness.stop_by_itself(name)
        assert provider.get(name).state is MachineState.STOPPED
        harness.advance()
        assert harness.server(name)["stopped_by"] == "tool"
        assert provider.get(name).state is MachineState.STOPPED
        assert len(harness.calls("stop")) == 1


class TestAMachineWhoseStopFailed:
    def test_is_stopped_again(self, tmp_path: Path) -> None:
        """The tool swallows what its cloud said, and tells a success."""
        harness = StandInHarness(tmp_path)
        provider = harness.open()
        name = provider.create(spec(provider.offers(Need())[0]), tag()).machine_id
        harness.advance()
        harness.fault("stop_fails", ["stop"])
        provider.stop(name)
        assert provider.get(name).state is MachineState.RUNNING
        eventually(lambda: provider.get(name).state is MachineState.STOPPED, timeout_s=30)
        assert len(harness.calls("stop")) == 2


class TestAMachine:
    def test_tells_its_ports_its_price_and_how_far_it_is(self, tmp_path: Path) -> None:
        harness = StandInHarness(tmp_path)
        provider = harness.open()
        made = provider.create(spec(provider.offers(Need())[0]), tag())
        assert made.raw["last_run"]["verb"] == "create"
        harness.advance()
        machine = provider.get(made.machine_id)
        assert "tcp 22" in machine.raw["open_to_everybody"]
        assert machine.usd_per_hour == Decimal("1.0625")
        assert provider.stopped_usd_per_hour(machine) == 250 * Decimal("0.0003") + Decimal("0.005")
        assert "successfully" in machine.raw["last_run"]["said"]
        harness.finish()

    def test_that_is_refused_late_says_why(self, tmp_path: Path) -> None:
        harness = StandInHarness(tmp_path)
        provider = harness.open()
        harness.fault("no_capacity_later", ["create"])
        made = provider.create(spec(provider.offers(Need())[0]), tag())
        assert made.failure is None
        harness.advance()
        assert isinstance(provider.get(made.machine_id).failure, NoCapacity)
        assert [type(machine.failure) for machine in provider.list()] == [NoCapacity]

    def test_whose_order_was_refused_leaves_nothing_behind(self, tmp_path: Path) -> None:
        """Its network, disks and address are the tool's to take away."""
        harness = StandInHarness(tmp_path)
        provider = harness.open()
        harness.fault("no_capacity", ["create"])
        with pytest.raises(NoCapacity):
            provider.create(spec(provider.offers(Need())[0]), tag())
        harness.advance()
        assert list(provider.list()) == []
        assert harness.home.books() == []
        assert len(harness.calls("destroy")) == 1

    def test_is_never_ordered_twice(self, tmp_path: Path) -> None:
        harness = StandInHarness(tmp_path)
        provider = harness.open()
        provider.create(spec(provider.offers(Need())[0]), tag())
        with pytest.raises(ProviderError, match="before"):
            provider.create(spec(provider.offers(Need())[0]), tag())
        harness.finish()
        assert len(harness.calls("create")) == 1


class TestTheHome:
    def test_is_closed_to_others_and_keeps_no_secret_of_a_run(self, tmp_path: Path) -> None:
        harness = StandInHarness(tmp_path)
        provider = harness.open()
        offer = provider.offers(Need())[0]
        harness.fault("bad_credentials", ["create"])
        with pytest.raises(BadCredentials):
            provider.create(spec(offer), tag())
        provider.create(spec(offer), tag(2))
        harness.finish()
        assert harness.home.folder.stat().st_mode & 0o077 == 0
        secrets = harness.home.folder / "gamer" / "secrets"
        kept = [path for path in (harness.home.folder / "gamer").rglob("*") if path.is_file()]
        private = key_pair()[0].splitlines()[1]
        assert not [
            path
            for path in kept
            if secrets not in path.parents and (CANARY in path.read_text() or private in path.read_text())
        ]

    def test_tells_the_tool_to_report_to_nobody(self, tmp_path: Path) -> None:
        harness = StandInHarness(tmp_path)
        harness.open().list()
        config = (harness.home.folder / "config.yml").read_text()
        assert config.startswith('version: "1"')
        assert "collectionMethod: none" in config


class TestAProgramThatIsNotThere:
    @pytest.mark.parametrize("command", ["", "/nonexistent/cloudypad --quietly"])
    def test_is_unavailable(self, tmp_path: Path, command: str) -> None:
        provider = StandInHarness(tmp_path, command=command).open()
        for ask in (lambda: provider.offers(Need()), provider.list):
            with pytest.raises(Unavailable, match="CLOUDYPAD_BIN"):
                ask()


def order_of(kind: str) -> MachineSpec:
    sold = product(data_disk_gb=0, root_disk_gb=250) if kind == "cloudypad_paperspace" else product()
    offer = replace(offer_of(), order=sold.order)
    return replace(spec(offer), idle_stop_s=777)


def offer_of() -> Offer:
    return Offer(
        "x", Place("us"), max_gpus=1, max_vcpus=8, max_ram_gb=32, max_disk_gb=200, has_dedicated_ip=True
    )


def argv_of(kind: str, key: Path) -> list[str]:
    return clouds.CLOUDS[kind].create_argv(name_of(tag()), order_of(kind), CREDENTIALS[kind], key)
