"""Moments are read as Postgres says them, and are in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.db import connection

from gamer.moments import MomentLoader, written

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-26 23:49:54.621522+00", datetime(2026, 11, 26, 23, 49, 54, 621522, UTC)),
        ("2026-11-26 23:49:54.5+00", datetime(2026, 11, 26, 23, 49, 54, 500000, UTC)),
        ("2026-11-26 23:49:54+05:30", datetime(2026, 11, 26, 18, 19, 54, tzinfo=UTC)),
        ("0001-01-01 00:00:00+00", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_are_read_to_the_microsecond(text: str, moment: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::timestamptz", [text])
        (found,) = cursor.fetchone()
    assert (found, found.tzinfo) == (moment, UTC)


def test_are_read_by_our_own_reader() -> None:
    connection.ensure_connection()
    oid = connection.connection.adapters.types["timestamptz"].oid
    assert connection.connection.adapters.get_loader(oid, 0) is MomentLoader


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 6, 15, 12, 0, tzinfo=UTC), "2026-06-15T12:00:00Z"),
        (
            datetime(2026, 6, 15, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=2))),
            "2026-06-15T10:00:00.000005Z",
        ),
    ],
)
def test_are_written_in_utc(moment: datetime, text: str) -> None:
    assert written(moment) == text
