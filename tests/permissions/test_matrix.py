"""Every endpoint asked by everybody."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from gamer.web.models import Allowance
from tests import world as worlds
from tests.permissions import scene as scenes
from tests.permissions.endpoints import endpoints
from tests.permissions.rows import Row
from tests.permissions.scene import CALLERS, Scene
from tests.permissions.tables import ROWS
from tests.vms.control_plane import prepare
from tests.world import Clock


@pytest.fixture(scope="module")
def db(django_db_setup: None, django_db_blocker: pytest.DjangoDbBlocker) -> Iterator[None]:
    """One transaction around all rows: every question is rolled back to it, and it at the end."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture(scope="module")
def scene(db: None) -> Scene:
    """Built once, because nobody changes it."""
    return scenes.build(worlds.build(), prepare(Clock(timezone.now())))


def ask(caller: str, row: Row, scene: Scene) -> int:
    """The status of the answer, whose effects are undone."""
    path = reverse(row.name, kwargs=row.path(scene))
    query = f"?{urlencode(row.query)}" if row.query else ""
    body = {"data": row.body(scene), "format": "json"} if row.body else {}
    with transaction.atomic():
        Allowance.objects.all().delete()  # the matrix asks more often than anybody may
        answer = getattr(scene.client(caller), row.method.lower())(path + query, **body)
        transaction.set_rollback(True)
    return int(answer.status_code)


def test_has_a_row_for_every_endpoint_and_none_for_what_is_not() -> None:
    assert {(row.method, row.name) for row in ROWS} == endpoints()


def test_tells_its_rows_apart() -> None:
    assert len({str(row) for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_answers_as_its_row_says(scene: Scene, row: Row) -> None:
    assert {caller: ask(caller, row, scene) for caller in CALLERS} == row.expected
