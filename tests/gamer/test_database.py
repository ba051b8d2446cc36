"""How every process is connected to Postgres."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from django.db import connection

from gamer.env import ROOT
from gamer.queue.wake import Listener

GIVEN_UP = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}


@pytest.mark.django_db(transaction=True)
def test_a_server_that_vanished_is_given_up_after_a_minute() -> None:
    """By what libpq was told: Linux itself keeps a silent peer's side of a connection up for as long as that runs on this machine."""
    connection.ensure_connection()
    assert GIVEN_UP.items() <= connection.connection.info.get_parameters().items()
    with Listener("door") as listener:
        listener.wait(0)
        assert listener._raw is not None
        assert GIVEN_UP.items() <= listener._raw.info.get_parameters().items()


def test_what_the_address_says_of_it_holds() -> None:
    code = (
        "import json; from gamer import settings; print(json.dumps(settings.DATABASES['default']['OPTIONS']))"
    )
    url = "postgres://gamer@127.0.0.1:1/gamer?connect_timeout=3&sslmode=require"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "DATABASE_URL": url}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    options = json.loads(told.stdout)
    assert (options["connect_timeout"], options["tcp_user_timeout"], options["sslmode"]) == (
        3,
        60_000,
        "require",
    )
