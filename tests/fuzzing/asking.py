"""Fuzzes one operation as every caller, in this process, on the real database; everything is undone after each request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.failures import FailureGroup

from gamer.env import ROOT
from tests.emulators.saving import packed
from tests.permissions.scene import Scene

# A player, the staff in person, and a service.
CALLERS = ("alice", "sam", "key:admin")
CHECKS = [
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_headers_conformance,
    schemathesis.checks.response_schema_conformance,
]
# Nobody here can be asked for a machine, the one that is there answers nobody, and nobody works in the background, which /health
# says when it has lasted; none of them is a fault.
HONEST = {"no_capacity", "provider_unavailable", "unavailable"}


class ServerFault(AssertionError):
    """An answer that blames us."""


@schemathesis.serializer("application/gzip")
def as_it_is(context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else repr(value).encode()


schemathesis.openapi.media_type(
    "application/gzip", st.sampled_from([packed({"zelda.srm": b"new"}), b"\x1f\x8b", b"", b"x" * 2000])
)


@cache
def document() -> Any:
    """The committed document, answered by the product itself."""
    found = schemathesis.openapi.from_path(Path(ROOT) / "docs" / "openapi.yaml")
    found.app = WSGIHandler()
    return found


@cache
def operations() -> dict[str, APIOperation]:
    """By their labels, in the document's order."""
    return {
        operation.label: operation
        for operation in (result.ok() for result in document().get_all_operations())
    }


@contextmanager
def one_connection() -> Iterator[None]:
    """A request does not close the connection of the transaction it is in; Django's own test client sees to it likewise."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)


def things_of(scene: Scene) -> dict[str, str]:
    """What is there, by the names of the paths' parameters: an invented id would only ever be a 404."""
    return {
        "vm_id": str(scene.vm.pk),
        "session_id": str(scene.session.pk),
        "slot_id": str(scene.save.pk),
        "number": "1",
        "project_id": str(scene.project.pk),
        "quota_id": str(scene.quota.pk),
        "key_id": str(scene.key.pk),
        "department_id": str(scene.world.arcade.pk),
        "invitation_id": str(scene.offer.pk),
        "user_id": "bob@gamer.test",
        "id": str(scene.world.alice.pk),
        "console_type": "switch",
        "cloud": "gcp",
        "budget_id": str(scene.budget.pk),
        "provider": "tensordock",
    }


def fuzz(operation: APIOperation, scene: Scene, *, examples: int) -> int:
    """Sends so many requests of an operation, each as every caller; how many were sent. Raises what the first wrong answer is."""
    things, sent = things_of(scene), 0
    strange = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        report_multiple_bugs=False,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )

    def ask(case: Case, is_there: bool) -> None:
        nonlocal sent
        if is_there:
            known = {name: things[name] for name in case.path_parameters if name in things}
            case.path_parameters.update(known)
        for caller in CALLERS:
            sent += 1
            ask_as(caller, case)

    def ask_as(caller: str, case: Case) -> None:
        with transaction.atomic(), one_connection():
            answer = case.call(headers=dict([scene.credentials(caller)]))
            transaction.set_rollback(True)
        if answer.status_code >= 500 and answer.json()["error"]["code"] not in HONEST:
            raise ServerFault(f"{caller}: {operation.label}: {answer.status_code} {answer.text[:500]}")
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as wrong:
            wrong.add_note(f"asked by {caller}")
            raise

    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        case = operation.as_strategy(generation_mode=mode)
        try:
            strange(given(case=case, is_there=st.sampled_from([True, True, False]))(ask))()
        except Unsatisfiable:
            if mode is GenerationMode.POSITIVE:
                raise
    return sent
