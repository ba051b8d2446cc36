from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ

from gamer.queue.enqueue import enqueue, waiting

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


@pytest.mark.django_db
class TestWaiting:
    def test_counts_what_is_due_and_not_taken(self) -> None:
        enqueue(TASK)
        enqueue(TASK, 1)
        enqueue("tests.gamer.queue.tasks.other")
        enqueue(TASK, delay_s=600)
        assert waiting(TASK) == 2
        OrmQ.objects.update(lock=timezone.now() + timedelta(minutes=5))
        assert waiting(TASK) == 0

    def test_passes_over_what_cannot_be_read(self) -> None:
        OrmQ.objects.create(key="gamer", payload="nonsense", lock=timezone.now())
        enqueue(TASK)
        assert waiting(TASK) == 1

    def test_looks_at_the_newest_only(self) -> None:
        enqueue(TASK)
        for number in range(3):
            enqueue("tests.gamer.queue.tasks.other", number)
        assert (waiting(TASK, among=3), waiting(TASK, among=4)) == (0, 1)
