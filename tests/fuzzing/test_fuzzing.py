"""A few strange requests for every operation of the document, the same ones in every run."""

from __future__ import annotations

import pytest
from schemathesis import APIOperation

from tests.fuzzing.asking import CALLERS, document, fuzz, operations
from tests.permissions.scene import Scene

EXAMPLES = 2


def test_knows_every_operation_of_the_document() -> None:
    paths = document().raw_schema["paths"].values()
    methods = {"get", "post", "put", "patch", "delete"}
    assert len(list(operations())) == sum(len(methods & path.keys()) for path in paths) > 80


@pytest.mark.parametrize("operation", list(operations()), ids=lambda one: one.label)
def test_every_answer_is_as_documented(scene: Scene, operation: APIOperation) -> None:
    for caller in CALLERS:
        assert fuzz(operation, caller, scene, examples=EXAMPLES) >= 1
