from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import ProgrammingError, connection, transaction

from events.api.serializers import EventSerializer
from events.models import Event
from events.services import Happening, erase_ips, record, record_many
from gamer.context import about
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


class TestContext:
    def test_is_added_by_itself(self) -> None:
        with about(ip="203.0.113.4", request_id="r-7"):
            record(happening(1))
        record(happening(2))
        found = Event.objects.values_list("ip", "request_id")
        assert list(found) == [("203.0.113.4", "r-7"), (None, "")]


class TestKinds:
    @pytest.mark.parametrize("wrong", [{"action": "powr_off"}, {"resource": "vm"}])
    def test_that_nobody_listed_are_refused(self, wrong: dict[str, str]) -> None:
        with pytest.raises(ValueError, match=next(iter(wrong.values()))):
            record(happening(1, **wrong))
        assert not Event.objects.exists()

    def test_are_recorded_all_the_same_in_production(self, settings: Any) -> None:
        settings.REFUSE_UNLISTED_EVENTS = False
        record(happening(1, action="powr_off"))
        assert Event.objects.get().action == "powr_off"


class TestSecrets:
    def test_in_an_events_details_are_masked(self) -> None:
        text = "gk_abcd1234_" + "s" * 40
        record(happening(1, details={"why": f"refused {text}", "deep": [{"x": text}], "n": 1}))
        assert Event.objects.get().details == {"why": "refused ***", "deep": [{"x": "***"}], "n": 1}


class TestAppendOnly:
    """Held by the database, whoever writes."""

    @pytest.fixture(autouse=True)
    def _some(self) -> None:
        with about(ip="203.0.113.4"):
            record(happening(1))

    @pytest.mark.parametrize(
        "change",
        [
            {"actor": "user:mallory"},
            {"details": {}, "action": "create"},
            {"at": NOON + timedelta(days=1)},
            {"ip": "203.0.113.5"},
            {"ip": None, "actor": "user:mallory"},
            {"owner_id": 3, "ip": None},
        ],
    )
    def test_refuses_every_change(self, change: dict[str, Any]) -> None:
        with pytest.raises(ProgrammingError, match="Cannot update"), transaction.atomic():
            Event.timeline.update(**change)
        assert Event.objects.get().actor == "policy:idle"

    def test_refuses_to_delete(self) -> None:
        with pytest.raises(ProgrammingError, match="Cannot delete"), transaction.atomic():
            Event.objects.all().delete()
        with (
            pytest.raises(ProgrammingError, match="Cannot delete"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute("DELETE FROM events_event")
        assert Event.objects.count() == 1

    def test_lets_an_address_be_erased(self) -> None:
        assert Event.timeline.update(ip=None) == 1
        assert Event.objects.get().ip is None


class TestEraseIps:
    def test_forgets_addresses_after_90_days_in_batches(self, django_assert_num_queries: Any) -> None:
        with about(ip="203.0.113.4"):
            record(*[happening(number, at=NOON - timedelta(days=91)) for number in range(5)])
            record(happening(6, at=NOON - timedelta(days=89)))
        assert erase_ips(now=NOON, batch=2) == 5
        assert [event.ip for event in Event.objects.order_by("id")[:6]] == [None] * 5 + ["203.0.113.4"]
        told = Event.objects.latest("id")
        assert (told.actor, told.action, told.details) == ("policy:retention", "ips_erased", {"events": 5})

    def test_says_nothing_when_there_is_nothing_to_forget(self) -> None:
        assert erase_ips(now=NOON) == 0
        assert not Event.objects.exists()


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
        assert list(Event.objects.owned_by(1).after(second.id)) == [last]

    def test_finds_a_subject_by_its_index(self) -> None:
        record(*[happening(number) for number in range(2000)])
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE events_event")
        assert "Seq Scan" not in Event.objects.about("vms", "vm-1").explain()
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
