"""Every endpoint asked by everybody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import transaction
from django.urls import reverse

from gamer.web.models import Allowance
from tests.permissions.endpoints import endpoints
from tests.permissions.rows import Row
from tests.permissions.scene import CALLERS, Scene
from tests.permissions.shared import db, scene
from tests.permissions.tables import ROWS

__all__ = ["db", "scene"]


def ask(caller: str, row: Row, scene: Scene) -> int:
    """The status of the answer, whose effects are undone."""
    path = reverse(row.name, kwargs=row.path(scene))
    query = f"?{urlencode(row.query)}" if row.query else ""
    body = _sent(row.body(scene)) if row.body else {}
    with transaction.atomic():
        Allowance.objects.all().delete()  # the matrix asks more often than anybody may
        answer = getattr(scene.client(caller), row.method.lower())(path + query, **body)
        transaction.set_rollback(True)
    return int(answer.status_code)


def _sent(body: Mapping[str, Any] | bytes) -> dict[str, Any]:
    """What a test client takes: bytes are an archive of saves."""
    if isinstance(body, bytes):
        return {"data": body, "content_type": "application/gzip"}
    return {"data": body, "format": "json"}


def test_has_a_row_for_every_endpoint_and_none_for_what_is_not() -> None:
    assert {(row.method, row.name) for row in ROWS} == endpoints()


def test_tells_its_rows_apart() -> None:
    assert len({str(row) for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_answers_as_its_row_says(scene: Scene, row: Row) -> None:
    assert {caller: ask(caller, row, scene) for caller in CALLERS} == row.expected
