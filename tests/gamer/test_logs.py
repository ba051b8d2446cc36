from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from cryptography.fernet import Fernet
from django.conf import settings

from gamer.context import about, present
from gamer.sealed import Sealed, SealedDict, seal
from redaction.masks import remember
from tests import log_lines
from tests.log_lines import Written, formatter

KEY = "gk_abcd1234_" + "s" * 43
AGENT = "ga_" + "0" * 32 + "_" + "t" * 43
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJsb2dpbiI6ImNhbmFyeSJ9.c2lnbmF0dXJl"
PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nY2FuYXJ5\n-----END OPENSSH PRIVATE KEY-----"


LOG = logging.getLogger("tests.written")


@pytest.fixture
def written() -> Iterator[Written]:
    LOG.setLevel(logging.INFO)
    with log_lines.written(LOG.name) as stream:
        yield stream


def line(written: Written) -> dict[str, Any]:
    return written.lines[-1]


class TestALine:
    def test_says_when_where_and_what(self, written: Written) -> None:
        LOG.warning("%s of %s", 1, 2)
        told = line(written)
        assert (told["event"], told["level"], told["logger"]) == ("1 of 2", "warning", "tests.written")
        assert told["at"].endswith("Z")

    def test_says_what_it_is_about_to_the_end_of_the_block(self, written: Written) -> None:
        with about(vm="vm-1", actor="policy:reconciler", request_id="r-1"):
            LOG.info("inside")
            assert {"vm": "vm-1", "actor": "policy:reconciler", "request_id": "r-1"}.items() <= line(
                written
            ).items()
        LOG.info("outside")
        assert not {"vm", "actor", "request_id"} & line(written).keys()

    def test_in_a_thread_says_what_was_bound_inside_of_it(self, written: Written) -> None:
        def work() -> None:
            with about(vm="vm-2"):
                LOG.info("in a thread")

        with about(vm="vm-1"):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        assert line(written)["vm"] == "vm-2"

    def test_keeps_addresses_for_events(self, written: Written) -> None:
        with about(ip="203.0.113.4"):
            assert present().ip == "203.0.113.4"
            LOG.info("x")
        assert "203.0.113.4" not in written.getvalue()

    def test_of_structlog_passes_the_same_chain(self, written: Written) -> None:
        structlog.get_logger("tests.written").info("told", token=KEY, count=3)
        assert (line(written)["event"], line(written)["token"], line(written)["count"]) == ("told", "***", 3)

    def test_is_readable_in_development(self) -> None:
        record = logging.LogRecord("a", logging.INFO, "p", 1, "queue worker ready: %d", (3,), None)
        assert "queue worker ready: 3" in formatter(is_json=False).format(record)


class TestSecrets:
    @pytest.mark.parametrize(
        "secret",
        [
            KEY,
            AGENT,
            JWT,
            "Bearer abcdefghijk",
            PRIVATE,
            "postgres://gamer:hunter2-hunter2@db/gamer",
            'password="hunter2-hunter2"',
            "token=hunter2-hunter2&x=1",
            "{'api_key': 'hunter2-hunter2'}",
            "AKIAABCDEFGHIJKLMNOP",
        ],
    )
    def test_are_masked_by_their_shape_in_text_values_and_tracebacks(
        self, secret: str, written: Written
    ) -> None:
        LOG.info("got %s", secret)
        LOG.info("got it", extra={})
        structlog.get_logger("tests.written").info("got", what=[{"deep": secret}], other=ValueError(secret))
        try:
            raise ValueError(f"refused: {secret}")
        except ValueError:
            LOG.exception("failed")
        text = written.getvalue()
        assert "Traceback" in text
        for part in (
            "hunter2-hunter2",
            "s" * 43,
            "t" * 43,
            "c2lnbmF0dXJl",
            "abcdefghijk",
            "Y2FuYXJ5",
            "AKIAABC",
        ):
            assert part not in text

    def test_that_are_sealed_are_masked_too(self, written: Written) -> None:
        token = seal("canary-text")
        LOG.info("row %s", token)
        assert token not in written.getvalue()
        assert Fernet.generate_key().decode() not in written.getvalue()

    @pytest.mark.parametrize(
        "name", ["password", "authorization", "X-Api-Key", "refresh_token", "cookie", "credentials"]
    )
    def test_are_masked_by_the_name_of_their_key(self, name: str, written: Written) -> None:
        structlog.get_logger("tests.written").info("told", headers={name: "short"})
        assert line(written)["headers"] == {name: "***"}

    def test_that_this_process_opened_are_masked_wherever_they_turn_up(self, written: Written) -> None:
        remember("vendor-word-0815")
        try:
            raise RuntimeError("401 for 'vendor-word-0815'")
        except RuntimeError:
            LOG.exception("the vendor refuses vendor-word-0815")
        assert "vendor-word-0815" not in written.getvalue()

    def test_of_ours_are_known_from_the_start(self, written: Written) -> None:
        LOG.info("%s and %s", settings.SECRET_KEY, settings.GAMER_KEYS[0])
        assert settings.SECRET_KEY not in written.getvalue()
        assert settings.GAMER_KEYS[0] not in written.getvalue()

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("DATABASE_URL", "postgres://gamer:{}@127.0.0.1:1/gamer"),
            ("EMAIL_URL", "smtp+tls://gamer:{}@mail.example:587"),
            ("GAMES_URL", "sftp://reader:{}@host/games"),
            ("GAMES_UPLOAD_URL", "sftp://writer:{}@host/games"),
            ("SAVES_URL", "s3://key:{}@s3.example/saves"),
        ],
    )
    def test_in_an_address_that_is_set_are_known_too(self, name: str, value: str) -> None:
        code = "import gamer.settings\nfrom redaction.masks import mask\nprint(mask('refused: canary-0815'))"
        environment = {**os.environ, name: value.format("canary-0815")}
        ended = subprocess.run(
            [sys.executable, "-c", code],
            cwd=settings.BASE_DIR,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert (ended.stdout, ended.stderr) == ("refused: ***\n", "")

    def test_in_memory_are_no_text(self) -> None:
        with pytest.raises(TypeError):
            json.dumps({"key": Sealed("canary-text")})
        with pytest.raises(TypeError):
            json.dumps(SealedDict(token="canary-text"))
        with pytest.raises(TypeError):
            "".join([Sealed("canary-text")])  # type: ignore[list-item]
        assert Sealed("a") == Sealed("a") != Sealed("b")
        assert Sealed("a") != "a"


class TestRemembered:
    def test_are_bounded_and_not_ordinary_words(self, written: Written) -> None:
        remember("list", "x" * 600)
        remember(*[f"throw-away-{number:04}" for number in range(600)])
        LOG.info("a list, throw-away-0599, throw-away-0001")
        assert line(written)["event"] == "a list, ***, throw-away-0001"

    def test_are_masked_as_a_whole_where_one_is_inside_another(self, written: Written) -> None:
        remember("key-0815", "the-key-0815-and-its-end")
        LOG.info("the-key-0815-and-its-end, key-0815, key")
        assert line(written)["event"] == "***, ***, key"
