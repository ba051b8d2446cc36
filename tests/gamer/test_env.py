from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest
from cryptography.fernet import Fernet

from gamer import env
from gamer.dev.embedded import Cluster

URL = "postgres://somebody:word@db.example:6432/gamer?sslmode=require"
KEYS = (
    "DATABASE_URL",
    "SECRET_KEY",
    "GAMER_KEYS",
    "PUBLIC_URL",
    "ALLOWED_HOSTS",
    "ADMIN_PASSWORD",
    "DEMO_API_KEY",
)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine on which nothing is set, with a state directory of its own; the directory."""
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(env, "STATE_DIR", tmp_path / "state")
    return tmp_path / "state"


class TestDevelopment:
    def test_uses_the_embedded_postgres_over_its_socket(self) -> None:
        found = env.read()
        assert not found.is_production
        assert found.database["HOST"] == str(Cluster.of(env.ROOT).socket_dir)
        assert found.missing == []

    def test_makes_its_keys_once_and_for_its_owner_only(self, bare: Path) -> None:
        first, second = env.read(), env.read()
        assert (first.secret_key, first.gamer_keys) == (second.secret_key, second.gamer_keys)
        assert (first.admin_password, first.demo_api_key) == (second.admin_password, second.demo_api_key)
        Fernet(first.gamer_keys[0])
        assert (bare / "keys.json").stat().st_mode & 0o077 == 0

    def test_makes_one_set_of_keys_however_many_start_at_once(self, bare: Path) -> None:
        found: list[dict[str, str]] = []
        starters = [Thread(target=lambda: found.append(env.kept_keys())) for _ in range(8)]
        for starter in starters:
            starter.start()
        for starter in starters:
            starter.join()
        assert [keys for keys in found if keys != found[0]] == []
        assert [path.name for path in bare.iterdir()] == ["keys.json"]
        assert json.loads((bare / "keys.json").read_text()) == found[0]

    def test_prefers_what_it_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ADMIN_PASSWORD", "told")
        assert env.read().admin_password == "told"

    def test_is_also_make_run_on_a_given_database(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATABASE_URL", URL)
        monkeypatch.setattr(env, "IS_SUPERVISED", True)
        found = env.read()
        assert not found.is_production
        assert found.database["HOST"] == "db.example"
        assert found.demo_api_key


class TestProduction:
    @pytest.fixture(autouse=True)
    def given(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATABASE_URL", URL)

    def test_is_having_a_database_of_ones_own(self) -> None:
        found = env.read()
        assert found.is_production
        expected = {
            "NAME": "gamer",
            "USER": "somebody",
            "PASSWORD": "word",
            "HOST": "db.example",
            "PORT": 6432,
        }
        assert expected.items() <= found.database.items()
        assert found.database["OPTIONS"] == {"sslmode": "require"}

    @pytest.mark.parametrize("value", [None, "", " ", ",,"])
    def test_lists_missing_keys_and_makes_none(
        self, value: str | None, bare: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if value is not None:
            monkeypatch.setenv("GAMER_KEYS", value)
            monkeypatch.setenv("SECRET_KEY", value)
        found = env.read()
        assert found.missing == ["SECRET_KEY", "GAMER_KEYS"]
        assert not bare.exists()
        Fernet(found.gamer_keys[0])  # so that the checks can run and refuse
        assert (found.admin_password, found.demo_api_key) == ("", "")

    def test_reads_several_sealing_keys_in_their_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GAMER_KEYS", "new,old")
        assert env.read().gamer_keys == ["new", "old"]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("EMAIL_URL", "nonsense"),
            ("EMAIL_URL", "http://host"),
            ("DATABASE_URL", "postgres://h:99999999/x"),
        ],
    )
    def test_lists_what_it_cannot_read(self, name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(name, value)
        assert env.read().unreadable == [name]

    @pytest.mark.parametrize(
        ("public_url", "hosts"),
        [
            ("https://gamer.example/", ["gamer.example"]),
            ("https://gamer.example:8443", ["gamer.example"]),
            ("", []),
        ],
    )
    def test_answers_to_the_name_of_its_public_address(
        self, public_url: str, hosts: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PUBLIC_URL", public_url)
        assert env.read().allowed_hosts == hosts

    def test_reads_a_sockets_directory_as_host(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATABASE_URL", "postgres://gamer@%2Fvar%2Frun%2Fpg/gamer")
        assert env.read().database["HOST"] == "/var/run/pg"


class TestKindOfProcess:
    @pytest.mark.parametrize(
        ("command", "kind"), [("qworker", "worker"), ("reconciler", "reconciler"), ("migrate", "command")]
    )
    def test_follows_the_command(self, command: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """How long connections are kept depends on it, also for a worker that is started by hand."""
        monkeypatch.setenv("DATABASE_URL", URL)
        monkeypatch.delenv("GAMER_PROCESS", raising=False)
        code = (
            "import sys, django.core.management as m; m.execute_from_command_line = lambda argv: None;"
            f"sys.argv = ['manage.py', {command!r}]; import manage; manage.main();"
            "import os; print(os.environ['GAMER_PROCESS'])"
        )
        said = subprocess.run(
            [sys.executable, "-c", code], cwd=env.ROOT, capture_output=True, text=True, check=True
        )
        assert said.stdout.strip() == kind


class TestSaves:
    def test_lie_under_the_state_directory_unless_told_otherwise(
        self, bare: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SAVES_URL", raising=False)
        assert env.read().saves_url == f"file://{bare}/saves"
        monkeypatch.setenv("SAVES_URL", "s3://key:secret@s3.example/saves")
        assert env.read().saves_url == "s3://key:secret@s3.example/saves"

    @pytest.mark.parametrize(
        ("url", "password"),
        [
            ("s3://key:se%2Fcret@s3.example/saves", "se/cret"),
            ("gs://saves", ""),
            ("s3://key:x@host:port/", ""),
        ],
    )
    def test_have_a_password_that_no_log_shows(self, url: str, password: str) -> None:
        assert env.password_of(url) == password
