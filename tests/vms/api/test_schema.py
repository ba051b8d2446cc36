"""The API's description is what the API does: its examples and its real answers fit it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema
import pytest

from gamer.web.views import description
from locations.catalogue import shipped
from locations.regions import seed_regions
from tests.vms.api.asking import DALLAS, LAUNCH, SWITCH, made, post, running
from vms.models import GameSession, SetupStep

JSON = "application/json"
READS = (
    *("/vms", "/vms/{vm_id}", "/vms/{vm_id}/status", "/vms/{vm_id}/connection", "/vms/{vm_id}/events"),
    *("/vms/{vm_id}/attempts", "/vms/{vm_id}/steps", "/vms/{vm_id}/sessions", "/sessions/{session_id}"),
    *("/launch/vm/optimal-for/{console_type}", "/launch/hostnodes/available", "/launch/hostnodes/closest"),
    *("/launch/locations/summary", "/config/providers"),
    *("/launch/{cloud}/regions/closest", "/launch/{cloud}/regions/all"),
)
OURS = ("/vms", "/monitoring", "/sessions", "/launch", "/agent", "/config/providers")


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
        if path.startswith(OURS):
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
        assert tried > 35

    def test_tells_every_operation_in_a_sentence(self):
        assert [path for path, _, operation in operations() if not operation.get("description")] == []


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
