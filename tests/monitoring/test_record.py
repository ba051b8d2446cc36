"""Taking samples: what is kept, what is refused and counted, and that repeats change nothing."""

from __future__ import annotations

import math
import uuid
from datetime import timedelta

import pytest

from gamer import tallies
from gamer.web.models import Tally
from monitoring.measures import LATE, MOST_SAMPLES, NAMES, POSITIONS, Reading
from monitoring.models import Late, Sample
from monitoring.services import record
from tests.world import NOON

pytestmark = pytest.mark.django_db
VM = uuid.UUID("0f8c2c3e-7a54-4f0f-9d0e-6b7c1d2e3f40")


def reading(at=NOON, **values: float) -> Reading:
    return Reading(at, values or {"cpu_percent": 41.5})


def taken(*samples: Reading, now=NOON, subject=VM):
    return record(subject=subject, samples=samples, now=now)


class TestSamples:
    def test_are_kept_by_position_in_one_statement(self, django_assert_num_queries):
        values = {"cpu_percent": 41.5, "disk_used_percent": 38.0, "load": 0.25}
        with django_assert_num_queries(1):
            assert taken(Reading(NOON, values)).taken == 1
        sample = Sample.objects.get()
        assert (sample.subject, sample.at, len(sample.numbers)) == (VM, NOON, len(NAMES))
        assert {name: sample.numbers[POSITIONS[name]] for name in values} == values
        assert sample.numbers.count(None) == len(NAMES) - len(values)

    def test_of_one_subject_are_not_anothers(self):
        taken(reading())
        assert taken(reading(), subject=uuid.uuid4()).taken == 1

    def test_told_again_change_nothing_and_are_counted(self):
        batch = [reading(NOON - timedelta(seconds=15 * n), load=n) for n in range(4)]
        assert taken(*batch).taken == 4
        before = list(Sample.objects.order_by("at").values_list("at", "numbers"))
        again = taken(*(reading(one.at, load=99) for one in batch), now=NOON + timedelta(minutes=1))
        assert (again.taken, again.refused) == (0, {"again": 4})
        assert list(Sample.objects.order_by("at").values_list("at", "numbers")) == before

    def test_that_come_faster_than_every_five_seconds_are_one(self):
        results = [taken(reading(NOON + timedelta(seconds=n))) for n in range(60)]
        assert sum(one.taken for one in results) == Sample.objects.count() == 12

    @pytest.mark.parametrize(
        ("at", "reason"),
        [
            (NOON + timedelta(minutes=5, seconds=1), "future"),
            (NOON + timedelta(days=9000), "future"),
            (NOON - LATE - timedelta(seconds=1), "old"),
        ],
    )
    def test_of_another_time_are_refused(self, at, reason):
        assert taken(reading(at)).refused == {reason: 1}
        assert not Sample.objects.exists()

    def test_at_the_edges_of_the_time_are_taken(self):
        assert taken(reading(NOON + timedelta(minutes=5)), reading(NOON - LATE)).taken == 2

    def test_beyond_the_most_are_refused(self):
        many = [reading(NOON - timedelta(seconds=5 * n)) for n in range(MOST_SAMPLES + 3)]
        told = taken(*many)
        assert (told.taken, told.refused) == (MOST_SAMPLES, {"many": 3})

    @pytest.mark.parametrize(
        "values",
        [
            {"cpu_percent": 100.1},
            {"cpu_percent": -0.1},
            {"load": math.nan},
            {"load": math.inf},
            {"gpu_celsius": 1e30},
        ],
    )
    def test_lose_values_that_cannot_be(self, values):
        told = taken(Reading(NOON, {"ram_used_mb": 3120, **values}))
        assert (told.taken, told.refused) == (1, {"impossible": 1})
        numbers = Sample.objects.get().numbers
        assert [number for number in numbers if number is not None] == [3120]

    def test_lose_values_nobody_knows(self):
        assert taken(reading(load=1, temper=7, mood=8)).refused == {"unknown": 2}

    def test_with_nothing_left_are_refused(self):
        assert taken(reading(mood=8)).refused == {"unknown": 1, "empty": 1}
        assert taken(Reading(NOON, {})).refused == {"empty": 1}
        assert not Sample.objects.exists()

    def test_that_are_refused_are_counted_for_operators(self):
        tallies.flush()
        before = {row.labels["reason"]: row.value for row in Tally.objects.filter(name="samples_refused")}
        taken(reading(NOON + timedelta(days=1)), reading(NOON - timedelta(days=1)))
        tallies.flush()
        after = {row.labels["reason"]: row.value for row in Tally.objects.filter(name="samples_refused")}
        assert {reason: after[reason] - before.get(reason, 0) for reason in ("future", "old")} == {
            "future": 1,
            "old": 1,
        }

    def test_that_come_late_mark_their_minute(self):
        taken(reading(NOON - timedelta(seconds=59)))
        assert not Late.objects.exists()
        taken(
            reading(NOON - timedelta(minutes=10, seconds=5)),
            reading(NOON - timedelta(minutes=10, seconds=20)),
        )
        assert [one.at for one in Late.objects.all()] == [NOON - timedelta(minutes=11)]


def test_the_order_of_measures_is_what_rows_say_and_only_grows():
    assert NAMES[:13] == (
        *(
            "cpu_percent",
            "ram_used_mb",
            "disk_used_percent",
            "load",
            "received_mbps",
            "sent_mbps",
            "gpu_percent",
        ),
        *("gpu_ram_used_mb", "gpu_ram_mb", "gpu_celsius", "gpu_encoder_percent", "games", "is_playing"),
    )
