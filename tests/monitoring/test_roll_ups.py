"""Roll-ups: what they say equals the raw samples, whatever comes late or runs twice; and what is forgotten when."""

from __future__ import annotations

import uuid
from collections import defaultdict
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from monitoring import queries, services
from monitoring.measures import MEASURES, NAMES, POSITIONS, Reading, floor
from monitoring.models import Hour, Late, Minute, Progress, Sample
from tests.at_once import at_once
from tests.world import NOON

pytestmark = pytest.mark.django_db
VM, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def tell(
    *values: float, since: datetime = NOON, every_s: int = 15, subject=VM, now: datetime | None = None
) -> None:
    """Samples of the processor, each taken when it was measured unless `now` says otherwise."""
    for number, value in enumerate(values):
        at = since + timedelta(seconds=every_s * number)
        services.record(subject=subject, samples=[Reading(at, {"cpu_percent": value})], now=now or at)


def rolled(level, subject=VM) -> dict[datetime, tuple[float, float, float, int]]:
    place = POSITIONS["cpu_percent"]
    return {
        row.at: (row.mins[place], row.maxs[place], row.sums[place], row.counts[place])
        for row in level.objects.filter(subject=subject)
    }


def truth(step: timedelta, subject=VM) -> dict[datetime, tuple[float, float, float, int]]:
    """What roll-ups must say, from the samples themselves."""
    found = defaultdict(list)
    for sample in Sample.objects.filter(subject=subject):
        found[floor(sample.at, step)].append(sample.numbers[POSITIONS["cpu_percent"]])
    return {at: (min(v), max(v), pytest.approx(sum(v)), len(v)) for at, v in found.items()}


class TestRollUp:
    def test_makes_minutes_of_samples_two_minutes_after_their_end(self):
        tell(10, 20, 60, 30, 5)
        services.roll_up(now=NOON + timedelta(minutes=2, seconds=59))
        assert rolled(Minute) == {}
        services.roll_up(now=NOON + timedelta(minutes=3))
        assert rolled(Minute) == {NOON: (10, 60, 120, 4)}

    def test_makes_hours_of_minutes_once_the_hour_is_over(self):
        tell(*range(100), every_s=60)
        services.roll_up(now=NOON + timedelta(minutes=61))
        assert rolled(Hour) == {}
        services.roll_up(now=NOON + timedelta(minutes=62))
        assert rolled(Hour) == {NOON: (0, 59, sum(range(60)), 60)}

    def test_leaves_out_what_was_not_measured(self):
        services.record(subject=VM, samples=[Reading(NOON, {"cpu_percent": 5})], now=NOON)
        services.roll_up(now=NOON + 3 * MINUTE)
        minute = Minute.objects.get()
        others = [place for place, name in enumerate(NAMES) if name != "cpu_percent"]
        assert {(minute.mins[n], minute.maxs[n], minute.sums[n], minute.counts[n]) for n in others} == {
            (None, None, None, 0)
        }

    def test_twice_changes_nothing(self):
        tell(*range(50))
        services.roll_up(now=NOON + 20 * MINUTE)
        before = rolled(Minute)
        Progress.objects.update(until=NOON)
        services.roll_up(now=NOON + 20 * MINUTE)
        assert rolled(Minute) == before == truth(MINUTE)

    def test_goes_on_where_a_long_pause_began_a_bounded_piece_at_a_time(self):
        tell(*range(100), every_s=300)
        now = NOON + 9 * HOUR
        assert services.roll_up(now=now, most=4 * HOUR) is False
        assert Progress.objects.get(pk="minute").until == NOON + 4 * HOUR
        while not services.roll_up(now=now, most=4 * HOUR):
            pass
        assert rolled(Minute) == truth(MINUTE)
        assert rolled(Hour) == {at: row for at, row in truth(HOUR).items() if at < NOON + 8 * HOUR}

    def test_rolls_up_again_what_came_late(self):
        tell(*([50.0] * 4 * 70))
        services.roll_up(now=NOON + 75 * MINUTE)
        assert rolled(Hour)[NOON][1] == 50
        tell(99, since=NOON + timedelta(minutes=30, seconds=5), now=NOON + 80 * MINUTE)
        services.roll_up(now=NOON + 80 * MINUTE)
        assert rolled(Minute)[NOON + 30 * MINUTE] == (50, 99, 299, 5)
        assert rolled(Hour) == {NOON: (50, 99, 50 * 240 + 99, 241)}
        assert not Late.objects.exists()

    def test_keeps_minutes_whose_samples_a_crash_took(self):
        """Samples are unlogged; a late one of a minute that had more would be all that is known of it."""
        tell(*([50.0] * 4 * 70))
        services.roll_up(now=NOON + 75 * MINUTE)
        before = rolled(Minute), rolled(Hour)
        Sample.objects.all().delete()
        at = NOON + timedelta(minutes=30, seconds=5)
        tell(99, since=at, now=NOON + 80 * MINUTE)
        services.record(subject=VM, samples=[Reading(at + MINUTE, {"load": 1})], now=NOON + 80 * MINUTE)
        services.roll_up(now=NOON + 80 * MINUTE)
        known = {at: row for at, row in rolled(Minute).items() if at < NOON + 70 * MINUTE}
        assert (known, rolled(Hour)) == before
        assert not Late.objects.exists()

    @pytest.mark.django_db(transaction=True)
    def test_by_many_at_once_is_done_once(self):
        tell(*range(90), every_s=60)
        ends = at_once(*[lambda: services.roll_up(now=NOON + 95 * MINUTE)] * 4)
        assert ends == [True] * 4
        assert rolled(Minute) == truth(MINUTE)
        assert rolled(Hour) == {NOON: (0, 59, sum(range(60)), 60)}

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        told=some.lists(
            some.tuples(
                some.sampled_from([VM, OTHER]),
                some.integers(0, 2 * 3600),  # seconds from noon to its moment
                some.integers(0, 3600),  # seconds until it is told
                some.floats(0, 100, width=32),
            ),
            max_size=40,
        ),
        looks=some.lists(some.integers(0, 4 * 3600), max_size=4),
    )
    def test_equals_the_samples_whenever_it_runs_and_whatever_comes_late(self, told, looks):
        for model in (Sample, Minute, Hour, Late, Progress):
            model.objects.all().delete()
        acts = [(at_s + late_s, subject, at_s, value) for subject, at_s, late_s, value in told]
        acts += [(at_s, None, 0, 0.0) for at_s in looks]
        for now_s, subject, at_s, value in sorted(acts, key=lambda act: act[0]):
            now = NOON + timedelta(seconds=now_s)
            if subject is None:
                services.roll_up(now=now)
            else:
                reading = Reading(NOON + timedelta(seconds=at_s), {"cpu_percent": value})
                services.record(subject=subject, samples=[reading], now=now)
        end = NOON + 4 * HOUR
        services.roll_up(now=end)
        for subject in (VM, OTHER):
            assert rolled(Minute, subject) == truth(MINUTE, subject)
            assert rolled(Hour, subject) == truth(HOUR, subject)
            self.check_windows(subject, end)

    def check_windows(self, subject: uuid.UUID, end: datetime) -> None:
        """A window says the same from whichever level it is read."""
        numbers = [sample.numbers[0] for sample in Sample.objects.filter(subject=subject)]
        for step_s in (60, 300, 3600):
            span = queries.Span(
                NOON, end, timedelta(seconds=step_s), queries._level(timedelta(seconds=step_s))
            )
            said = {
                name: queries.series(subject=subject, span=span, aggregate=name).values["cpu_percent"]
                for name in queries.AGGREGATES
            }
            assert sum(said["count"]) == len(numbers)
            if numbers:
                assert min(one for one in said["min"] if one is not None) == pytest.approx(
                    min(numbers), abs=1e-3
                )
                assert max(one for one in said["max"] if one is not None) == pytest.approx(
                    max(numbers), abs=1e-3
                )


class TestForgetting:
    @pytest.fixture(autouse=True)
    def kept(self, settings):
        settings.METRICS_KEPT = {"sample": 3 * HOUR, "minute": timedelta(days=1), "hour": timedelta(days=30)}

    def counts(self) -> tuple[int, int, int]:
        return Sample.objects.count(), Minute.objects.count(), Hour.objects.count()

    def test_takes_each_level_after_its_own_time(self):
        tell(*range(10), every_s=600)
        services.roll_up(now=NOON + 3 * HOUR)
        assert self.counts() == (10, 10, 2)
        services.forget(now=NOON + 3 * HOUR + 30 * MINUTE)
        assert self.counts() == (7, 10, 2)
        services.roll_up(now=NOON + timedelta(days=1))
        services.forget(now=NOON + timedelta(days=1, hours=1))
        assert self.counts() == (0, 4, 2)
        services.roll_up(now=NOON + timedelta(days=31))
        services.forget(now=NOON + timedelta(days=30, hours=1))
        assert self.counts() == (0, 0, 1)

    def test_waits_for_the_next_level(self):
        tell(*range(10), every_s=600)
        services.roll_up(now=NOON + 30 * MINUTE)
        services.forget(now=NOON + timedelta(days=9))
        assert Sample.objects.filter(at__gte=NOON + 28 * MINUTE).count() == 7
        assert Minute.objects.count() == 3

    def test_is_done_in_batches_of_a_bounded_number(self, monkeypatch, django_assert_num_queries):
        monkeypatch.setattr(services, "BATCH", 4)
        tell(*range(10), every_s=60)
        services.roll_up(now=NOON + 3 * HOUR)
        with django_assert_num_queries(1 + 2):
            assert services.forget(now=NOON + 5 * HOUR, most=7) == 7
        assert services.forget(now=NOON + 5 * HOUR) == 3


class TestDemo:
    def test_shows_a_month_of_plausible_values_and_stays_the_same_when_repeated(self):
        now, spans = NOON, []
        for days in (1, 20):
            since = NOON - timedelta(days=days, minutes=7)
            assert services.seed_demo(subject=VM, since=since, until=since + 2 * HOUR, now=now) == 120
            assert services.seed_demo(subject=VM, since=since, until=since + 2 * HOUR, now=now) == 0
            spans.append(
                queries.span(window=timedelta(days=days + 1), step=HOUR if days == 1 else None, now=now)
            )
        for span in spans:
            known = queries.series(subject=VM, span=span)
            for measure in MEASURES:
                values = [one for one in known.values[measure.name] if one is not None]
                assert values, measure.name
                assert measure.low <= min(values) <= max(values) <= measure.high
        assert Hour.objects.count() == 6

    def test_leaves_alone_what_may_still_be_told(self):
        assert services.seed_demo(subject=VM, since=NOON - 2 * HOUR, until=NOON, now=NOON) == 60
        assert not Minute.objects.filter(at__gte=NOON - HOUR).exists()


def test_seeding_twice_is_seeding_once():
    from django_q.models import Schedule

    for _ in range(2):
        services.seed(NOON)
    assert dict(Schedule.objects.values_list("func", "minutes")) == {
        "monitoring.tasks.roll_up": 1,
        "monitoring.tasks.forget": 10,
    }
