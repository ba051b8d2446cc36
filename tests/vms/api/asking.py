"""What the tests of this package ask again and again."""

from __future__ import annotations

from typing import Any

from rest_framework.response import Response
from rest_framework.test import APIClient

from tests.vms.control_plane import ControlPlane
from vms.models import VM

DALLAS = {"user_latitude": 32.7767, "user_longitude": -96.797}
LAUNCH = "/launch/game"
SWITCH = {"console_type": "switch", "game_id": "mario-odyssey", **DALLAS}
SNES = {"console_type": "snes"}


def post(client: APIClient, path: str, body: Any = None, **headers: Any) -> Response:
    return client.post(path, {} if body is None else body, format="json", **headers)


def made(client: APIClient, **wish: Any) -> VM:
    """The row of a VM made by POST /vms."""
    answer = post(client, "/vms", {**SNES, **wish})
    assert answer.status_code == 201, answer.content
    return VM.objects.get(pk=answer.json()["vm_id"])


def details(answer: Response, status: int = 400) -> dict[str, list[str]]:
    """The details of a refusal."""
    assert answer.status_code == status, answer.content
    body = answer.json()
    assert body["detail"] == body["error"]["message"]
    found: dict[str, list[str]] = body["error"]["details"]
    return found


def run_ahead(plane: ControlPlane) -> None:
    """So far that the real time does not catch up in a test: what runs from here on has cost nothing yet by the views' clock."""
    plane.clock.advance(minutes=2)


def running(plane: ControlPlane, client: APIClient, **wish: Any) -> VM:
    """The row of a VM made by POST /launch/game, once it runs."""
    answer = post(client, LAUNCH, {**SWITCH, **wish})
    assert answer.status_code in (200, 201), answer.content
    return plane.until(VM.objects.get(pk=answer.json()["vm_id"]), "running")
