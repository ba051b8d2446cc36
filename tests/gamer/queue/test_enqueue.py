from __future__ import annotations

import pytest
from django.db import transaction
from django_q.models import OrmQ

from gamer.queue.enqueue import enqueue

TASK = "tests.gamer.queue.tasks.note"


@pytest.mark.django_db
class TestEnqueue:
    def test_leaves_a_row_that_names_the_task_and_its_arguments(self) -> None:
        enqueue(TASK, "id-1", 2, True, None, group="mail")
        (row,) = OrmQ.objects.all()
        assert (row.func(), row.args(), row.group()) == (TASK, ("id-1", 2, True, None), "mail")

    @pytest.mark.parametrize("thing", [object(), ["id-1"], {"id": 1}, b"id"])
    def test_refuses_what_is_not_a_plain_value(self, thing: object) -> None:
        with pytest.raises(TypeError, match="takes ids and plain values"):
            enqueue(TASK, thing)  # type: ignore[arg-type]
        assert not OrmQ.objects.exists()

    def test_is_undone_with_its_transaction(self) -> None:
        with transaction.atomic():
            enqueue(TASK, "id-1")
            transaction.set_rollback(True)
        assert not OrmQ.objects.exists()
