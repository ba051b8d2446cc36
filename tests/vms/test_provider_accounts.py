"""Accounts at clouds: from the environment, and from staff's words to credentials."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.conf import LazySettings
from django.test import Client

from accounts.principal import Principal
from emulators.services import seed
from events.models import Event
from locations import regions
from tests.vms.control_plane import ControlPlane
from tests.vms.providers.cloudypad_vendor import COMMAND, vendor_in
from tests.world import Clock, World
from vms import machine_types, provider_accounts
from vms.models import Attempt, MachineType, ProviderAccount, Stray
from vms.provider_accounts import AccountDraft
from vms.providers.base import Need, Unavailable
from vms.providers.memory import Fault, cloud

CANARY = "cloud-canary-81f2"


@pytest.fixture(autouse=True)
def _tool(settings: LazySettings, tmp_path: Path) -> None:
    settings.ENV = replace(settings.ENV, cloudypad_bin=COMMAND, cloudypad_home=str(tmp_path / "homes"))
    vendor_in(tmp_path / "homes")


def draft(kind: str = "cloudypad_gcp", secret: str = "", **settings: str) -> AccountDraft:
    return AccountDraft("cloud", kind, "", 90, None, None, secret, settings)


class TestSeed:
    def test_opens_an_account_for_each_cloud_the_environment_names(
        self, db: None, clock: Clock, settings: LazySettings
    ) -> None:
        clouds = {
            "cloudypad_gcp": {"project_id": "p"},
            "cloudypad_aws": {"access_key_id": "A", "secret_access_key": CANARY},
        }
        settings.ENV = replace(settings.ENV, clouds=clouds)
        provider_accounts.seed(clock())
        provider_accounts.seed(clock())
        assert {row.name: dict(row.credentials) for row in ProviderAccount.objects.all()} == {
            "gcp": {"project_id": "p"},
            "aws": {"access_key_id": "A", "secret_access_key": CANARY},
        }

    def test_replaces_what_no_key_opens(self, db: None, clock: Clock, settings: LazySettings) -> None:
        clouds = {"cloudypad_gcp": {"project_id": "p"}}
        settings.ENV = replace(settings.ENV, clouds=clouds)
        provider_accounts.seed(clock())
        settings.GAMER_KEYS = [Fernet.generate_key().decode()]
        provider_accounts.seed(clock())
        assert dict(ProviderAccount.objects.get().credentials) == {"project_id": "p"}

    @pytest.mark.parametrize(
        "real", [{"tensordock_api_token": CANARY}, {"clouds": {"cloudypad_gcp": {"project_id": "p"}}}]
    )
    def test_pauses_the_sandbox_once_there_are_real_credentials(
        self,
        db: None,
        clock: Clock,
        settings: LazySettings,
        monkeypatch: pytest.MonkeyPatch,
        real: dict[str, Any],
    ) -> None:
        monkeypatch.setenv("SANDBOX_URL", "http://127.0.0.1:9/api/v2")
        provider_accounts.seed(clock())
        sandbox = ProviderAccount.objects.get()
        assert (sandbox.name, sandbox.is_paused) == ("sandbox", False)
        settings.ENV = replace(settings.ENV, **real)
        provider_accounts.seed(clock())
        provider_accounts.seed(clock())
        sandbox.refresh_from_db()
        assert sandbox.is_paused
        event = Event.objects.about("provider_accounts", sandbox.pk).get(action="suspend")
        assert (event.actor, event.details["name"]) == ("command:seed", "sandbox")
        assert ProviderAccount.objects.exclude(pk=sandbox.pk).get().is_paused is False

    def test_opens_none_where_there_is_no_tool(self, db: None, clock: Clock, settings: LazySettings) -> None:
        settings.ENV = replace(settings.ENV, cloudypad_bin="", clouds={"cloudypad_gcp": {"project_id": "p"}})
        provider_accounts.seed(clock())
        assert not ProviderAccount.objects.filter(kind="cloudypad_gcp").exists()


class TestOpen:
    def test_names_the_account_in_the_log_of_a_call_that_failed(
        self, db: None, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Two accounts of one kind fail apart."""
        caplog.set_level(logging.INFO)
        account = ProviderAccount.objects.create(name="west", kind="memory", credentials={"cloud": "west"})
        cloud("west").switch_on(Fault.UNAVAILABLE)
        with pytest.raises(Unavailable):
            provider_accounts.open_provider(account).list()
        assert "memory west list: Unavailable" in caplog.text

    def test_gives_each_account_a_home_and_the_table_of_its_cloud(self, db: None, clock: Clock) -> None:
        regions.seed(clock())
        machine_types.seed(clock())
        rows = [
            ProviderAccount.objects.create(name=name, kind="cloudypad_aws", credentials={"clouder": "dummy"})
            for name in ("one", "other")
        ]
        tools = [provider_accounts.tool_of(row) for row in rows]
        assert len({tool.home for tool in tools if tool is not None}) == 2
        offers = provider_accounts.open_provider(rows[0]).offers(Need())
        assert {offer.order["machine_type"] for offer in offers} == {
            "g4dn.xlarge",
            "g4dn.2xlarge",
            "g5.2xlarge",
        }
        assert len(offers) == len(machine_types.products("cloudypad_aws"))

    def test_says_whether_the_account_may_have_machines(
        self, plane: ControlPlane, world: World, clock: Clock
    ) -> None:
        """By the rows: a home that is not there is made for an account without them alone."""
        attempt = plane.until(plane.launch(world.alice), "running").attempt
        account = ProviderAccount.objects.create(name="aws", kind="cloudypad_aws")

        def has_machines() -> bool:
            tool = provider_accounts.tool_of(account)
            assert tool is not None
            return tool.has_machines

        assert not has_machines()
        Attempt.objects.filter(pk=attempt.pk).update(account=account)
        assert has_machines()
        Attempt.objects.filter(pk=attempt.pk).update(gone_at=clock())
        assert not has_machines()
        Stray.objects.create(
            account=account, machine_id="m", tag="t", reason="unknown", first_seen_at=clock()
        )
        assert has_machines()


class TestFaults:
    @pytest.mark.parametrize(
        ("given", "field"),
        [
            (draft("cloudypad_gcp"), "settings"),
            (draft("cloudypad_gcp", project_id="p"), None),
            (draft("cloudypad_gcp", clouder="dummy"), None),
            (draft("cloudypad_gcp", project_id="p", clouder="moon"), "settings"),
            (draft("cloudypad_gcp", projekt="p"), "settings"),
            (draft("cloudypad_aws"), None),
            (draft("cloudypad_azure", tenant_id="t"), "settings"),
            (draft("cloudypad_scaleway", project_id="p"), "secret"),
            (draft("cloudypad_scaleway", CANARY, project_id="p"), None),
            (draft("cloudypad_paperspace"), "secret"),
            (draft("tensordock", CANARY, project_id="p"), "settings"),
        ],
    )
    def test_name_the_field(self, given: AccountDraft, field: str | None) -> None:
        assert [*provider_accounts.faults(given)] == ([field] if field else [])

    def test_say_that_there_is_no_tool(self, settings: LazySettings) -> None:
        settings.ENV = replace(settings.ENV, cloudypad_bin="")
        assert "CLOUDYPAD_BIN" in provider_accounts.faults(draft(project_id="p"))["kind"]


class TestChange:
    def test_replaces_settings_and_keeps_the_secret(self, world: World, clock: Clock) -> None:
        by = Principal(user=world.sam)
        made = provider_accounts.create(draft=draft(secret=CANARY, project_id="p"), by=by, now=clock())
        provider_accounts.change(account=made, draft=draft(project_id="q"), by=by, now=clock())
        made.refresh_from_db()
        assert dict(made.credentials) == {"service_account": CANARY, "project_id": "q"}
        assert provider_accounts.plain_settings(made) == {"project_id": "q"}


class TestForm:
    def test_shows_settings_and_never_the_secret(self, world: World, clock: Clock, client: Client) -> None:
        client.force_login(world.sam)
        by = Principal(user=world.sam)
        made = provider_accounts.create(
            draft=draft(secret=CANARY, project_id="my-project"), by=by, now=clock()
        )
        page = client.get(f"/admin/vms/provideraccount/{made.pk}/change/").content.decode()
        assert "project_id=my-project" in page
        assert CANARY not in page

    def test_takes_new_credentials_in_place_of_those_that_no_key_opens(
        self, world: World, clock: Clock, client: Client, settings: LazySettings
    ) -> None:
        client.force_login(world.sam)
        by = Principal(user=world.sam)
        made = provider_accounts.create(draft=draft(secret=CANARY, project_id="p"), by=by, now=clock())
        settings.GAMER_KEYS = [Fernet.generate_key().decode()]
        address = f"/admin/vms/provideraccount/{made.pk}/change/"
        assert "No key in GAMER_KEYS opens what is stored" in client.get(address).content.decode()
        form = {"base_url": "", "calls_per_minute": 90, "secret": "", "settings": "project_id=q"}
        refused = client.post(address, {**form, "settings": ""})
        assert (
            "No key in GAMER_KEYS opens what is stored"
            in refused.context["adminform"].form.errors["secret"][0]
        )
        assert client.post(address, {**form, "secret": "new"}).status_code == 302
        made.refresh_from_db()
        assert dict(made.credentials) == {"service_account": "new", "project_id": "q"}

    def test_takes_settings_alone_for_an_account_that_the_host_signs_in(
        self, world: World, clock: Clock, client: Client, settings: LazySettings
    ) -> None:
        client.force_login(world.sam)
        by = Principal(user=world.sam)
        made, other = (
            provider_accounts.create(draft=one, by=by, now=clock())
            for one in (
                draft(project_id="p"),
                replace(draft("cloudypad_scaleway", CANARY, project_id="p"), name="scaleway"),
            )
        )
        settings.GAMER_KEYS = [Fernet.generate_key().decode()]
        form = {"base_url": "", "calls_per_minute": 90, "secret": "", "settings": "project_id=q"}
        page = "/admin/vms/provideraccount/{}/change/".format
        assert client.post(page(made.pk), form).status_code == 302
        made.refresh_from_db()
        assert dict(made.credentials) == {"project_id": "q"}
        refused = client.post(page(other.pk), form)
        assert [*refused.context["adminform"].form.errors] == ["secret"]

    def test_says_that_paperspace_is_deprecated(self, world: World, client: Client) -> None:
        client.force_login(world.sam)
        page = client.get("/admin/vms/provideraccount/add/").content.decode()
        assert "Paperspace (CloudyPad), deprecated by CloudyPad" in page

    @pytest.mark.parametrize("text", ["project_id", "=p", "project_id="])
    def test_refuses_a_line_that_is_no_setting(self, world: World, client: Client, text: str) -> None:
        client.force_login(world.sam)
        form = {
            "name": "x",
            "kind": "cloudypad_gcp",
            "base_url": "",
            "calls_per_minute": 90,
            "secret": "",
            "settings": text,
        }
        answer = client.post("/admin/vms/provideraccount/add/", form)
        assert "is not of the form name=value" in answer.content.decode()
        assert not ProviderAccount.objects.exists()


class TestMachineTypesPage:
    def test_lists_what_each_is_large_enough_for_and_takes_a_change(
        self, world: World, clock: Clock, client: Client
    ) -> None:
        seed(now=clock())
        regions.seed(clock())
        machine_types.seed(clock())
        client.force_login(world.sam)
        page = client.get("/admin/vms/machinetype/").content.decode()
        assert "g2-standard-8" in page
        assert page.count("advanced, premium, retro") + page.count("retro, advanced, premium") >= 5
        row = MachineType.objects.get(name="g2-standard-8")
        form = {name: getattr(row, name) for name in machine_types.EDITED} | {
            "zones": "us-central1-b\nus-east1-b\n",
            "is_sold": "on",
        }
        answer = client.post(f"/admin/vms/machinetype/{row.pk}/change/", form)
        assert answer.status_code == 302
        row.refresh_from_db()
        assert row.zones == ["us-central1-b", "us-east1-b"]
        refused = client.post(f"/admin/vms/machinetype/{row.pk}/change/", {**form, "zones": "moon-base1-a"})
        assert "No region is known for moon-base1-a" in refused.content.decode()
