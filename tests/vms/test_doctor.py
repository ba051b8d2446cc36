"""The doctor: what is well, what is not and what to do about it, by its exit code too."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.conf import LazySettings
from django.core.management import call_command
from django.utils import timezone
from django_q.models import Schedule

from gamer.web.doctor import Finding, Verdict, program
from tests.vms.providers.cloudypad_vendor import CANARY, StandInHarness
from vms import doctor
from vms.models import Installation, ProviderAccount
from vms.providers.memory import Fault, cloud


def asked(*flags: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("doctor", *flags, stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


@pytest.fixture
def account(db: None, request: pytest.FixtureRequest) -> ProviderAccount:
    cloud(request.node.name).heal()
    return ProviderAccount.objects.create(name="mem", kind="memory", credentials={"cloud": request.node.name})


@pytest.fixture
def pads(db: None, tmp_path: Path, settings: LazySettings) -> StandInHarness:
    """The account's home is where the stand-in expects it, beside its vendor."""
    harness = StandInHarness(tmp_path)
    settings.ENV = replace(settings.ENV, cloudypad_bin=harness.account.command, cloudypad_home=str(tmp_path))
    ProviderAccount.objects.create(
        name="pads", kind="cloudypad_gcp", credentials=dict(harness.account.credentials)
    )
    return harness


class TestCommand:
    def test_finds_a_host_with_its_parts_in_order(self, account: ProviderAccount) -> None:
        code, told = asked("--json")
        found = {each["name"]: each for each in json.loads(told)["findings"]}
        assert found["database"]["text"].startswith("Postgres ")
        assert found["geocoder index"]["verdict"] == "fine"
        assert found["account mem (memory)"]["text"] == "answers; 0 machines"
        assert not {"ssh", "rclone"} & found.keys()  # machines' programs, and CloudyPad's
        assert code == ["fine", "worse", "broken"].index(json.loads(told)["verdict"])

    def test_says_what_to_do_about_refused_credentials(
        self, account: ProviderAccount, request: pytest.FixtureRequest
    ) -> None:
        cloud(request.node.name).switch_on(Fault.BAD_CREDENTIALS, times=None)
        code, told = asked()
        cloud(request.node.name).heal()
        assert code == 2
        assert "FAIL  account mem (memory): BadCredentials" in told
        assert "Give it new credentials" in told

    def test_names_what_no_key_opens(self, account: ProviderAccount, settings: LazySettings) -> None:
        assert "ok    keys: GAMER_KEYS opens every secret" in asked()[1]
        settings.GAMER_KEYS = [Fernet.generate_key().decode()]
        code, told = asked()
        assert code == 2
        assert "FAIL  keys: no key in GAMER_KEYS opens 1 of vms.ProviderAccount.credentials" in told
        assert "FAIL  account mem (memory): no key in GAMER_KEYS opens this value" in told

    def test_warns_of_switches_that_nobody_took_back(
        self, account: ProviderAccount, settings: LazySettings
    ) -> None:
        settings.DOCTOR_CHECKS = ["vms.doctor.switches"]
        assert asked() == (0, "ok    installation: takes launches, and deletes machines without a VM\n")
        Installation.objects.update(is_launching=False, is_sweep_confirmed=False)
        code, told = asked()
        assert code == 1
        assert "warn  launches: new ones are switched off\n" in told
        assert "warn  sweep: the database was moved or restored" in told
        call_command("find_orphans", "--fix", stdout=StringIO())  # as it advises
        assert "sweep" not in asked()[1]

    def test_warns_of_a_paused_account(self, account: ProviderAccount) -> None:
        ProviderAccount.objects.update(is_paused=True)
        assert doctor._account(ProviderAccount.objects.get(), timezone.now()).verdict is Verdict.WORSE

    def test_only_warns_of_a_paused_account_that_is_gone_and_holds_nothing(
        self, account: ProviderAccount, request: pytest.FixtureRequest
    ) -> None:
        """As the sandbox's after real credentials took its place."""
        cloud(request.node.name).switch_on(Fault.UNAVAILABLE, times=None)
        assert [one.verdict for one in doctor.accounts(timezone.now())] == [Verdict.BROKEN]
        ProviderAccount.objects.update(is_paused=True)
        (found,) = doctor.accounts(timezone.now())
        cloud(request.node.name).heal()
        assert found.verdict is Verdict.WORSE
        assert found.text.startswith("paused by staff and without machines; Unavailable")

    def test_says_when_nobody_does_the_work(self, account: ProviderAccount, settings: LazySettings) -> None:
        settings.DOCTOR_CHECKS = ["gamer.web.doctor.queue"]
        assert asked() == (0, "ok    queue: nothing waits\nok    scheduler: nothing waits\n")

    def test_misses_a_schedule_that_a_newer_version_brings_until_it_is_seeded(
        self, account: ProviderAccount, settings: LazySettings
    ) -> None:
        settings.DOCTOR_CHECKS = ["gamer.web.doctor.schedules"]
        call_command("seed", stdout=StringIO())
        assert set(Schedule.objects.values_list("name", flat=True)) == set(settings.SCHEDULES)
        assert asked() == (0, f"ok    schedules: all {len(settings.SCHEDULES)} are there\n")
        Schedule.objects.get(name="store saves").delete()
        Schedule.objects.filter(name="thin saves").update(repeats=0)
        code, told = asked()
        assert code == 2
        assert "FAIL  schedules: not there: store saves\n" in told
        assert "Run: manage.py seed" in told
        assert "warn  schedules: switched off: thin saves\n" in told

    def test_repeats_nothing_that_the_settings_silence(self, settings: LazySettings) -> None:
        """Else a host on which all is well would be called ill, by its exit code too."""
        settings.DOCTOR_CHECKS = ["gamer.web.doctor.environment"]
        told = asked()[1]
        assert told.startswith(("ok", "warn", "FAIL"))
        assert [each for each in settings.SILENCED_SYSTEM_CHECKS if each in told] == []

    def test_has_nothing_to_say_of_clouds_that_are_not_used(
        self, account: ProviderAccount, settings: LazySettings
    ) -> None:
        assert list(doctor.cloudypad(timezone.now())) == []
        # For the Location Finder.
        settings.ENV = replace(settings.ENV, clouds={"cloudypad_gcp": {"project_id": "p"}})
        assert list(doctor.cloudypad(timezone.now())) == []


class TestCloudyPad:
    def test_asks_the_tool_for_its_version(self, pads: StandInHarness) -> None:
        found = {each.name: each for each in doctor.cloudypad(timezone.now())}
        assert found["cloudypad"] == Finding("cloudypad", Verdict.FINE, "0.45.1", "")
        assert {"pulumi", "ansible-playbook", "ssh"} <= found.keys()

    def test_asks_the_account_by_a_list(self, pads: StandInHarness) -> None:
        (found,) = doctor.accounts(timezone.now())
        assert found == Finding("account pads (cloudypad_gcp)", Verdict.FINE, "answers; 0 machines")

    def test_tells_no_secret(self, pads: StandInHarness) -> None:
        pads.fault("bad_credentials", ["list"])
        (found,) = doctor.accounts(timezone.now())
        assert found.verdict is Verdict.BROKEN
        assert CANARY not in found.text

    def test_misses_the_program(self, pads: StandInHarness, settings: LazySettings) -> None:
        settings.ENV = replace(settings.ENV, cloudypad_bin="")
        (found,) = doctor.cloudypad(timezone.now())
        assert (found.verdict, "CLOUDYPAD_BIN" in found.advice) == (Verdict.BROKEN, True)


class TestProgram:
    def test_that_is_not_there_is_told_with_what_to_do(self) -> None:
        assert program("no-such-program", "--version", advice="Install it.") == Finding(
            "no-such-program", Verdict.WORSE, "not installed", "Install it."
        )

    def test_that_is_there_says_its_version(self) -> None:
        assert program("python3", "--version", advice="").text.startswith("Python 3")
