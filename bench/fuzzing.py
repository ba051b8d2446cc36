"""Very many strange requests for every operation of the OpenAPI document: no 5xx, and every answer as documented."""

from __future__ import annotations

import time

from django.db import transaction
from django.utils import timezone
from schemathesis.core.failures import FailureGroup

from bench.harness import claim
from tests import world as worlds
from tests.fuzzing.asking import fuzz, operations
from tests.permissions import scene as scenes
from tests.vms.control_plane import prepare
from tests.world import Clock

EXAMPLES = 200  # of each operation, as every caller, in each of two manners: as documented, and not


def main(examples: int = EXAMPLES) -> None:
    started, asked, sent, wrong = time.perf_counter(), 0, 0, []
    with transaction.atomic():
        scene = scenes.build(worlds.build(), prepare(Clock(timezone.now())))
        for operation in operations().values():
            asked += 1
            try:
                sent += fuzz(operation, scene, examples=examples)
            except (AssertionError, FailureGroup) as error:
                notes = " ".join(getattr(error, "__notes__", []))
                wrong.append(f"{operation.label} {notes}: {str(error)[:300]}")
        transaction.set_rollback(True)
    seconds = time.perf_counter() - started
    claim(f"{sent:,} strange requests for {asked} operations", f"{seconds:.0f} s")
    claim("answers that are not as documented", str(len(wrong)), against="exactly 0", holds=not wrong)
    for one in wrong:
        claim(one, "")
