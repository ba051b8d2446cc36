"""The API's description is what the API does: its examples and its real answers fit it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any
from uuid import uuid4

import jsonschema
import pytest
from django.utils import timezone
from rest_framework.response import Response

from accounts.principal import Principal
from billing.services import credits, holds
from billing.services.accounts import account_of
from emulators.models import EmulatorConfig
from gamer.web.views import description
from locations.catalogue import shipped
from locations.regions import seed_regions
from tests.vms.api.asking import DALLAS, LAUNCH, SNES, SWITCH, made, post, running
from tests.vms.api.test_agent_saves import put, told
from tests.vms.api.test_agents import registered
from vms.models import VM, GameSession, SetupStep

JSON = "application/json"
READS = (
    *("/vms", "/vms/{vm_id}", "/vms/{vm_id}/status", "/vms/{vm_id}/connection", "/vms/{vm_id}/events"),
    *("/vms/{vm_id}/attempts", "/vms/{vm_id}/steps", "/vms/{vm_id}/sessions", "/sessions/{session_id}"),
    *("/launch/vm/optimal-for/{console_type}", "/launch/hostnodes/available", "/launch/hostnodes/closest"),
    *("/launch/locations/summary", "/config/providers"),
    *("/launch/{cloud}/regions/closest", "/launch/{cloud}/regions/all"),
)
HEADERS = {"X-Total-Count", "Link", "Location", "Idempotent-Replayed"}


@cache
def described() -> dict[str, Any]:
    schema: dict[str, Any] = description("gamer.urls")
    return as_json_schema(schema)


def as_json_schema(node: Any) -> Any:
    """OpenAPI 3.0's `nullable` in JSON Schema's words; objects hold what is described and nothing else."""
    if isinstance(node, list):
        return [as_json_schema(one) for one in node]
    if not isinstance(node, dict):
        return node
    plain = {name: as_json_schema(one) for name, one in node.items()}
    if "properties" in plain and plain.get("type") == "object":
        plain.setdefault("additionalProperties", False)
    if plain.pop("nullable", False) is True:
        return {"anyOf": [plain, {"type": "null"}]}
    return plain


def check(value: Any, schema: dict[str, Any]) -> None:
    jsonschema.Draft4Validator({**schema, "components": described()["components"]}).validate(value)


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in described()["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def answer_schema(path: str, method: str, status: int) -> dict[str, Any]:
    operation = described()["paths"][path][method]
    found: dict[str, Any] = operation["responses"][str(status)]["content"][JSON]["schema"]
    return found


class TestDescription:
    def test_has_an_example_of_every_answer_and_body(self):
        missing = []
        for path, method, operation in operations():
            contents = [
                answer.get("content", {}) for code, answer in operation["responses"].items() if code < "300"
            ]
            contents.append(operation.get("requestBody", {}).get("content", {}))
            if any(JSON in content and "examples" not in content[JSON] for content in contents):
                missing.append(f"{method} {path}")
        assert missing == []

    def test_has_examples_that_fit(self):
        tried = 0
        for _, _, operation in operations():
            for holder in (operation.get("requestBody", {}), *operation["responses"].values()):
                content = holder.get("content", {}).get(JSON, {})
                for example in content.get("examples", {}).values():
                    check(example["value"], content["schema"])
                    tried += 1
        assert tried > 150

    def test_tells_every_operation_in_a_sentence(self):
        assert [path for path, _, operation in operations() if not operation.get("description")] == []

    def test_lets_a_game_be_asked_by_query_string_alone(self):
        """Both together are refused: a client made from a document that requires the body could never use the query string."""
        operation = described()["paths"][LAUNCH]["post"]
        names = {one["name"] for one in operation["parameters"] if one["in"] == "query"}
        assert SWITCH.keys() <= names
        assert operation["requestBody"]["required"] is False

    def test_requires_the_bodies_that_nothing_replaces(self):
        for path, method in (
            ("/vms", "post"),
            ("/agent/saves", "put"),
            ("/saves/{slot_id}/versions", "post"),
        ):
            assert described()["paths"][path][method]["requestBody"]["required"] is True, path


class TestAnswers:
    @pytest.fixture
    def vm(self, plane, as_alice):
        vm = running(plane, as_alice)
        SetupStep.objects.create(
            attempt=vm.attempt,
            position=1,
            name="agent",
            title="Agent",
            state="done",
            updated_at=vm.updated_at,
        )
        return vm

    @pytest.mark.parametrize("who", ["as_alice", "as_sam"])
    def test_to_reads_fit(self, vm, request, who):
        client = request.getfixturevalue(who)
        seed_regions(regions=shipped())
        names = {"vm_id": vm.pk, "session_id": GameSession.objects.get().pk, "console_type": "switch"}
        names["cloud"] = "gcp"
        for path in READS:
            query = DALLAS if "closest" in path or "optimal" in path else {}
            answer = client.get(path.format(**names), query)
            assert answer.status_code == 200, path
            assert answer.json(), path
            check(answer.json(), answer_schema(path, "get", 200))

    def test_to_launches_and_acts_fit(self, plane, as_alice):
        new = post(as_alice, LAUNCH, SWITCH)
        check(new.json(), answer_schema(LAUNCH, "post", 201))
        check(post(as_alice, LAUNCH, SWITCH).json(), answer_schema(LAUNCH, "post", 200))
        check(post(as_alice, "/vms", SWITCH | {"x": 1}).json(), answer_schema("/vms", "post", 400))
        vm = made(as_alice)
        check(as_alice.delete(f"/vms/{vm.pk}").json(), answer_schema("/vms/{vm_id}", "delete", 202))


class TestRefusals:
    """Each made for real: a status that the document lacks is one that no client made from it knows."""

    def fits(self, answer: Response, path: str, method: str, status: int) -> None:
        assert answer.status_code == status, answer.content
        check(answer.json(), answer_schema(path, method, status))

    @pytest.fixture
    def poor(self, world, plane, as_alice):
        """A VM of alice's, who has no credit left."""
        vm = made(as_alice)
        holds.release(vm.pk)
        free = account_of(world.alice, timezone.now()).available_usd
        by = Principal(user=world.sam)
        credits.change(by=by, owner=world.alice, usd=-free, reason="Test", now=timezone.now())
        return vm

    @pytest.mark.parametrize("method", ["post", "put"])
    def test_of_a_start_without_credit_are_told(self, poor, as_alice, method):
        VM.objects.filter(pk=poor.pk).update(desired="stopped", phase="stopped")
        answer = getattr(as_alice, method)(f"/vms/{poor.pk}/start")
        self.fits(answer, "/vms/{vm_id}/start", method, 402)

    def test_of_a_retry_without_credit_are_told(self, poor, as_alice):
        VM.objects.filter(pk=poor.pk).update(phase="failed", next_look_at=None, error="lost")
        self.fits(post(as_alice, f"/vms/{poor.pk}/retry"), "/vms/{vm_id}/retry", "post", 402)

    def test_of_a_game_beyond_the_save_slots_are_told(self, played, as_alice, monkeypatch):
        monkeypatch.setattr("emulators.services.keeping.MOST_SLOTS", 1)
        answer = post(as_alice, f"/launch/vm/{VM.objects.get().pk}/game", {"game_id": "zelda-botw"})
        self.fits(answer, "/launch/vm/{vm_id}/game", "post", 409)

    def test_of_saves_of_no_session_or_beyond_the_room_are_told(self, played, settings):
        vm = VM.objects.get()
        agent, session = registered(vm), vm.sessions.get()
        self.fits(put(agent, told(session, session_id=uuid4())), "/agent/saves", "put", 404)
        settings.SAVES_BYTES_PER_PLAYER = 1
        self.fits(put(agent, told(session)), "/agent/saves", "put", 409)


class TestHeaders:
    def told(self, answer: Response, path: str, method: str) -> set[str]:
        """Those of a real answer, each documented, and with them all that the document promises."""
        known = described()["paths"][path][method]["responses"][str(answer.status_code)].get("headers", {})
        parts = described()["components"]["headers"]
        resolved = {name: parts[name] if "$ref" in one else one for name, one in known.items()}
        sent = HEADERS & set(answer.headers)
        assert sent <= set(resolved), path
        assert {name for name, one in resolved.items() if one.get("required")} <= sent, path
        return sent

    def test_of_pages_are_told(self, plane, as_alice):
        made(as_alice), made(as_alice, console_type="nes")
        assert self.told(as_alice.get("/vms", {"limit": 1}), "/vms", "get") == {"X-Total-Count", "Link"}
        assert self.told(as_alice.get("/vms"), "/vms", "get") == {"X-Total-Count"}

    @pytest.mark.parametrize("path", [LAUNCH, "/vms"])
    def test_of_what_is_sent_twice_are_told(self, plane, as_alice, path):
        key = {"headers": {"Idempotency-Key": "one"}}
        first, second = (post(as_alice, path, SWITCH if path == LAUNCH else SNES, **key) for _ in range(2))
        assert self.told(first, path, "post") == {"Location"}
        assert self.told(second, path, "post") == {"Location", "Idempotent-Replayed"}

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/projects", {"name": "Speedruns"}),
            ("/api-keys", {"name": "My script", "scopes": ["read"]}),
            ("/saves", {"console_type": "snes", "game_id": "zelda", "save_id": "second"}),
            ("/config/emulators", {"console_type": "snes"}),
        ],
    )
    def test_of_what_was_made_are_told(self, plane, as_sam, path, body):
        EmulatorConfig.objects.filter(console="snes").delete()
        answer = post(as_sam, path, body)
        assert answer.status_code == 201, answer.content
        assert self.told(answer, path, "post") == {"Location"}
