from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction

from events.api.serializers import EventSerializer
from events.models import Event
from events.services import Happening, record, record_many
from tests.world import NOON

pytestmark = pytest.mark.django_db


def happening(number: int, **fields: Any) -> Happening:
    given = {
        "at": NOON,
        "actor": "policy:idle",
        "action": "power_off",
        "resource": "vms",
        "resource_id": f"vm-{number}",
    }
    return Happening(**{**given, **fields})


class TestRecord:
    def test_writes_all_in_order_in_one_statement(self, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(1):
            record(*[happening(number, owner_id=number, details={"n": number}) for number in range(5)])
        found = list(Event.objects.values_list("resource_id", "owner_id", "details"))
        assert found == [(f"vm-{number}", number, {"n": number}) for number in range(5)]

    def test_is_undone_with_what_happened(self) -> None:
        with transaction.atomic():
            record(happening(1))
            transaction.set_rollback(True)
        assert not Event.objects.exists()

    def test_writes_nothing_for_nothing(self, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(0):
            record_many([])


class TestQuerySet:
    def test_reads_as_a_sentence(self) -> None:
        record(
            happening(1, owner_id=1, department_id=7),
            happening(2, owner_id=1),
            happening(1, owner_id=2, resource="users"),
            happening(1, owner_id=1),
        )
        first, second, third, last = Event.objects.all()
        assert list(Event.objects.about("vms", "vm-1")) == [first, last]
        assert list(Event.objects.about("vms", "vm-1").after(first.id)) == [last]
        assert list(Event.objects.owned_by(2)) == [third]
        assert list(Event.objects.within(7)) == [first]
        assert list(Event.objects.owned_by(1).after(second.id)) == [last]

    def test_finds_a_subject_by_its_index(self) -> None:
        record(*[happening(number) for number in range(2000)])
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE events_event")
        assert "event_subject" in Event.objects.about("vms", "vm-1").explain()
        assert "event_resource_id" in Event.objects.filter(resource_id__startswith="vm-19").explain()


class TestSerializer:
    def test_has_the_contracts_fields(self) -> None:
        record(happening(1, owner_id=1, details={"reason": "idle"}))
        event = Event.objects.get()
        assert EventSerializer(event).data == {
            "id": event.id,
            "at": "2026-06-15T12:00:00Z",
            "actor": "policy:idle",
            "action": "power_off",
            "resource": "vms",
            "resource_id": "vm-1",
            "details": {"reason": "idle"},
        }
