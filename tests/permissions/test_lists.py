"""No list, filter, order or page tells a stranger of what is alice's: asked of everything that is read without an id."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import transaction
from django.urls import reverse

from tests.permissions.rows import Row, nothing
from tests.permissions.scene import Scene
from tests.permissions.shared import db, scene
from tests.permissions.tables import ROWS
from tests.vms.api.asking import details

__all__ = ["db", "scene"]

# Not a key of the staff that acts as anybody (of no department): it names every player.
STRANGERS = ("charlie", "oscar", "palace:all", "key:read")
BY_USER = {"vms", "saves"}  # lists with that filter
KNOW_HER = ("alice", "sam", "key:admin")
LISTS = [row for row in ROWS if row.method == "GET" and row.path is nothing]


def marks_of(scene: Scene) -> set[str]:
    """What an answer about her things would hold."""
    rows = (scene.vm, scene.stopped, scene.failed, scene.session, scene.save, scene.offer)
    return {*(str(row.pk) for row in rows), "alice@gamer.test", scene.project.name, scene.key.prefix}


def queries(scene: Scene, row: Row) -> list[dict[str, Any]]:
    """Everything that any list may be asked for; a list that has no such filter refuses it."""
    filters: list[dict[str, Any]] = [
        {},
        {"user_id": "alice@gamer.test"},
        {"project_id": scene.project.pk},
        {"department_id": scene.world.arcade.pk},
        {"console_type": "switch"},
        {"status": "running"},
        {"state": "open"},
        {"resource": "vms", "resource_id": str(scene.vm.pk)},
        *({"ordering": order} for order in ("created_at", "-created_at", "name", "id", "user_id")),
        {"limit": 200},
        {"after": 0},
        {"q": "alice"},
        {"available": "true"},
        {"search": "alice"},
    ]
    return [{**row.query, **one} for one in filters]


def told(caller: str, row: Row, scene: Scene) -> set[str]:
    """Which marks come out of a path, whatever it is asked."""
    client, path, found = scene.client(caller), reverse(row.name), set()
    for query in queries(scene, row):
        answer = client.get(f"{path}?{urlencode(query)}")
        if answer.status_code == 200:
            text = answer.content.decode() + answer.headers.get("Link", "")
            found |= {mark for mark in marks_of(scene) if mark in text and mark not in query.values()}
            found |= {"counted"} if "user_id" in query and row.name in BY_USER and _counts(answer) else set()
        if query == row.query and "X-Total-Count" not in answer.headers:
            break  # no list, or none for them
    return found


def _counts(answer: Any) -> bool:
    return answer.headers.get("X-Total-Count", "0") != "0"


@pytest.mark.parametrize("row", [row for row in ROWS if row.method == "GET"], ids=str)
def test_refuses_a_filter_that_it_does_not_have(scene: Scene, row: Row) -> None:
    """Passed over, it would look as if it had narrowed the list."""
    with transaction.atomic():
        path, client = reverse(row.name, kwargs=row.path(scene)), scene.client("sam")
        if "X-Total-Count" in client.get(path, row.query).headers:
            assert set(details(client.get(path, {**row.query, "colour": "red"}))) == {"colour"}
        transaction.set_rollback(True)


@pytest.mark.parametrize("row", LISTS, ids=str)
def test_tells_strangers_nothing_of_her(scene: Scene, row: Row) -> None:
    with transaction.atomic():
        assert {caller: told(caller, row, scene) for caller in STRANGERS} == {one: set() for one in STRANGERS}
        transaction.set_rollback(True)


def test_would_notice(scene: Scene) -> None:
    """Her VMs are told to who may know, by the same questions."""
    (row,) = (row for row in LISTS if row.name == "vms")
    with transaction.atomic():
        for caller in KNOW_HER:
            assert {str(scene.vm.pk), str(scene.stopped.pk), "counted"} <= told(caller, row, scene)
        transaction.set_rollback(True)
