from __future__ import annotations

import ast
import re
import secrets
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.checks import CheckMessage, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import get_commands, load_command_class
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from gamer import checks
from gamer.env import ROOT

Found = Callable[..., list[str]]


@pytest.fixture
def found(settings: Any) -> Found:
    """What the checks say about this environment with some values changed: the ids."""

    def look(check: Callable[..., list[CheckMessage]], **changes: object) -> list[str]:
        settings.ENV = replace(settings.ENV, **changes)
        return [str(message.id) for message in check()]

    return look


class TestKeys:
    def test_that_are_missing_are_named(self, found: Found, settings: Any) -> None:
        settings.ENV = replace(settings.ENV, missing=["SECRET_KEY", "GAMER_KEYS"])
        assert [message.msg for message in checks.keys(app_configs=None)] == [
            "SECRET_KEY is not set.",
            "GAMER_KEYS is not set.",
        ]

    def test_that_are_no_fernet_keys_are_numbered_but_not_shown(self, settings: Any) -> None:
        settings.GAMER_KEYS = [Fernet.generate_key().decode(), "canary"]
        (message,) = checks.keys(app_configs=None)
        assert message.msg == "Key 2 of GAMER_KEYS is not a Fernet key."
        assert "canary" not in str(message)

    def test_that_sign_must_be_long(self, settings: Any) -> None:
        settings.SECRET_KEY = "short"
        (message,) = checks.secret_key()
        assert message.id == "gamer.E008"
        assert "short" not in str(message)


class TestValues:
    @pytest.mark.parametrize(
        ("check", "changes", "expected"),
        [
            (checks.numbers, {"stopped_keep_hours": "soon"}, ["gamer.E003"]),
            (checks.numbers, {"stopped_keep_hours": "-1"}, ["gamer.E003"]),
            (checks.numbers, {"stopped_keep_hours": "0"}, []),
            (checks.numbers, {"metrics_sample_hours": "2"}, ["gamer.E003"]),
            (checks.numbers, {"metrics_minute_days": "a week"}, ["gamer.E003"]),
            (checks.numbers, {"metrics_hour_days": "9" * 12}, ["gamer.E003"]),
            (checks.numbers, {"metrics_sample_hours": "3", "metrics_hour_days": "30"}, []),
            (checks.numbers, {"port": "0"}, ["gamer.E003"]),
            (checks.numbers, {"signup_credit_usd": "five"}, ["gamer.E003"]),
            (checks.numbers, {"signup_credit_usd": "-5"}, ["gamer.E003"]),
            (checks.numbers, {"signup_credit_usd": "nan"}, ["gamer.E003"]),
            (checks.numbers, {"signup_credit_usd": "inf"}, ["gamer.E003"]),
            (checks.numbers, {"signup_credit_usd": "2.50"}, []),
            (checks.time_zone, {"billing_time_zone": "Mars/Olympus"}, ["gamer.E023"]),
            (checks.time_zone, {"billing_time_zone": "Asia/Kolkata"}, []),
            (checks.addresses, {"tensordock_api_url": "dashboard.tensordock.com"}, ["gamer.E004"]),
            (checks.addresses, {"process": "cron"}, ["gamer.E005"]),
            (checks.credentials, {"gcp_billing_account": "1", "gcp_project_id": ""}, ["gamer.W001"]),
            (checks.credentials, {"gcp_billing_account": "1", "gcp_project_id": "p"}, []),
            (checks.credentials, {"gcp_project_id": "example.com:my-project"}, []),
            (checks.credentials, {"gcp_project_id": "My Project"}, ["gamer.E016"]),
            (checks.credentials, {"tensordock_api_token": "two words"}, ["gamer.E024"]),
            (checks.credentials, {"tensordock_api_token": "pasted\n"}, ["gamer.E024"]),
            (checks.credentials, {"tensordock_api_token": "Zx9-_.~+/="}, []),
            (checks.admin_password, {"admin_password": "letmein"}, ["gamer.W009"]),
            (checks.admin_password, {"admin_password": "gamer-sunrise-52"}, []),
            (checks.admin_password, {"admin_password": ""}, []),
            (checks.credentials, {"gcp_project_id": "projects/p/../q"}, ["gamer.E016"]),
            (checks.credentials, {"cloudypad_home": "/srv"}, ["gamer.W002"]),
            (checks.credentials, {"cloudypad_bin": "/no/such/program"}, ["gamer.E011"]),
            (checks.credentials, {"cloudypad_bin": sys.executable}, []),
            (
                checks.credentials,
                {"cloudypad_bin": "", "clouds": {"cloudypad_gcp": {}, "cloudypad_aws": {}}},
                ["gamer.W004"],
            ),
            (checks.credentials, {"cloudypad_bin": "", "clouds": {"cloudypad_gcp": {}}}, []),
            (checks.credentials, {"gcs_bucket_name": "gs://saves"}, ["gamer.E006"]),
            (checks.credentials, {"is_production": True, "demo_api_key": "gk_x"}, ["gamer.W003"]),
            (checks.credentials, {"is_production": False, "demo_api_key": "gk_x"}, []),
            (checks.urls, {"unreadable": ["EMAIL_URL", "DATABASE_URL"]}, ["gamer.E009", "gamer.E009"]),
            (checks.urls, {"database": {"ENGINE": "django.db.backends.sqlite3"}}, ["gamer.E010"]),
            (checks.urls, {"database": {"NAME": "nonsense"}}, ["gamer.E010"]),
            (checks.urls, {}, []),
        ],
    )
    def test_are_judged(
        self, check: Any, changes: dict[str, object], expected: list[str], found: Found
    ) -> None:
        assert found(check, **changes) == expected

    @pytest.mark.parametrize("value", ["gamer.example", "ftp://gamer.example", "https://"])
    def test_that_are_addresses_start_with_http_and_name_a_host(self, value: str, settings: Any) -> None:
        settings.PUBLIC_URL = value
        settings.CORS_ALLOWED_ORIGINS = [value]
        texts = [message.msg for message in checks.addresses()]
        assert [text.split()[0] for text in texts] == ["PUBLIC_URL", "CORS_ALLOWED_ORIGINS"]

    @pytest.mark.parametrize(
        ("value", "expected"), [("http://gamer.example", ["gamer.E007"]), ("https://g.example", [])]
    )
    def test_ask_for_https_in_a_deployment(self, value: str, expected: list[str], settings: Any) -> None:
        settings.PUBLIC_URL = value
        assert [message.id for message in checks.public_url()] == expected

    @pytest.mark.parametrize(("backend", "expected"), [("console", ["gamer.W008"]), ("smtp", [])])
    def test_ask_for_a_mail_server_in_a_deployment(
        self, backend: str, expected: list[str], settings: Any
    ) -> None:
        settings.EMAIL_CONFIG = {"EMAIL_BACKEND": f"django.core.mail.backends.{backend}.EmailBackend"}
        assert [message.id for message in checks.mail()] == expected


class TestDeployment:
    def test_is_clean_with_the_settings_of_production(self) -> None:
        environment = {
            "DATABASE_URL": "postgres://gamer@127.0.0.1:1/gamer",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "GAMER_KEYS": Fernet.generate_key().decode(),
            "PUBLIC_URL": "https://gamer.example",
            "EMAIL_URL": "smtp+tls://gamer:secret@mail.example:587",
            "SAVES_URL": "s3://key:secret@s3.example/saves",
            "PATH": "/usr/bin:/bin",
        }
        ended = subprocess.run(
            [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100,
        )  # fmt: skip
        assert (ended.returncode, ended.stderr) == (0, "")
        assert "no issues" in ended.stdout


class TestNetworks:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("10.1.0.0/16", []),
            ("fd00::/8", []),
            ("127.0.0.1", []),
            ("10.1.0.1/16", ["gamer.E020"]),
            ("all", ["gamer.E020"]),
        ],
    )
    def test_that_may_scrape_are_networks(self, value: str, expected: list[str], settings: Any) -> None:
        settings.METRICS_ALLOWED_NETWORKS = [value]
        assert [message.id for message in checks.networks()] == expected


class TestRegistration:
    def test_gives_no_two_checks_one_id(self) -> None:
        """Or who silences one by its id silences the other."""
        owners: dict[str, set[str]] = defaultdict(set)
        for path in ROOT.glob("*/checks.py"):
            for function in ast.parse(path.read_text()).body:
                for code in re.findall(r"gamer\.[EW]\d{3}", ast.dump(function)):
                    owners[code].add(f"{path.parent.name}.{getattr(function, 'name', '')}")
        assert len(owners) > 20
        assert {code: names for code, names in owners.items() if len(names) > 1} == {}

    def test_makes_manage_py_check_run_them_all(self, settings: Any) -> None:
        settings.ENV = replace(
            settings.ENV,
            missing=["GAMER_KEYS"],
            unreadable=["EMAIL_URL"],
            port="x",
            process="x",
            gcs_bucket_name="a/b",
        )
        ids = {message.id for message in run_checks()}
        assert {"gamer.E001", "gamer.E003", "gamer.E005", "gamer.E006", "gamer.E009"} <= ids


@pytest.mark.django_db
class TestHistory:
    def look(self) -> list[CheckMessage]:
        return run_checks(tags=["database"], databases=["default"])

    def test_of_a_migrated_database_is_whole(self) -> None:
        assert self.look() == []

    def test_that_ends_between_joined_migrations_is_told_the_way(self) -> None:
        MigrationRecorder(connection).record_unapplied("vms", "0017_archived")
        (found,) = self.look()
        assert found.id == "gamer.E025"
        assert "lacks vms.0017_archived, joined into vms.0001_providers" in found.msg
        assert "`git log -1 -- vms/migrations/0017_archived.py`" in str(found.hint)

    def test_that_ends_between_ours_goes_on(self) -> None:
        """As after a start that was interrupted: nothing of the next one is there."""
        for name in {name for _, name in import_module("vms.migrations.0002_vms").Migration.replaces}:
            MigrationRecorder(connection).record_unapplied("vms", name)
        assert self.look() == []


class TestCommands:
    def test_of_ours_are_preceded_by_the_checks_of_the_environment_and_import_no_pages_for_more(self) -> None:
        ours = {
            name: tuple(load_command_class(app, name).requires_system_checks)
            for name, app in get_commands().items()
            if (ROOT / app.partition(".")[0]).is_dir()
        }
        # These two say themselves what is wrong.
        assert ours.pop("billing_alerts") == ours.pop("doctor") == ()
        assert len(ours) > 10
        assert set(ours.values()) == {(checks.ENVIRONMENT,)}


class TestDemand:
    def test_lets_a_sound_environment_pass(self) -> None:
        checks.demand()

    def test_refuses_a_server_without_keys_in_words(self, settings: Any) -> None:
        settings.ENV = replace(settings.ENV, missing=["SECRET_KEY"])
        with pytest.raises(ImproperlyConfigured, match="SECRET_KEY is not set"):
            checks.demand()

    @pytest.mark.parametrize("server", [["gunicorn", "gamer.wsgi"], ["uvicorn", "gamer.asgi:application"]])
    def test_keeps_servers_from_starting_without_keys(self, server: list[str]) -> None:
        environment = {"DATABASE_URL": "postgres://gamer@127.0.0.1:1/gamer", "PATH": "/usr/bin:/bin"}
        where = ["--bind", "127.0.0.1:0"] if server[0] == "gunicorn" else ["--port", "0"]
        ended = subprocess.run(
            [sys.executable, "-m", *server, *where],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert ended.returncode != 0
        assert "SECRET_KEY is not set." in ended.stderr
        assert "GAMER_KEYS is not set." in ended.stderr
