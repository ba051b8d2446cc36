"""A few strange requests for every operation of the document, the same ones in every run."""

from __future__ import annotations

import pytest

from tests.fuzzing.labels import labels
from tests.permissions.scene import Scene

EXAMPLES = 2


def test_knows_every_operation_of_the_document() -> None:
    from tests.fuzzing.asking import document, operations

    paths = document().raw_schema["paths"].values()
    methods = {"get", "post", "put", "patch", "delete"}
    assert len(operations()) == sum(len(methods & path.keys()) for path in paths) > 80
    assert list(operations()) == labels()


@pytest.mark.parametrize("label", labels())
def test_every_answer_is_as_documented(scene: Scene, label: str) -> None:
    # Here and not above: only the workers that fuzz load what it takes.
    from tests.fuzzing.asking import fuzz, operations

    assert fuzz(operations()[label], scene, examples=EXAMPLES) >= 1
