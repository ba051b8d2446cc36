"""`/monitoring/vms/{id}`: what heartbeats measured, in steps, in sum, and where it is heading."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from gamer.web.models import Allowance
from monitoring import services
from monitoring.measures import NAMES, Reading, floor
from monitoring.models import Sample
from tests.bad_inputs import sweep_query
from tests.vms.api.asking import details, made, post
from tests.vms.api.test_agents import HEARTBEAT, beat, registered
from tests.vms.api.test_agents import vm as vm
from tests.vms.api.test_schema import answer_schema, check
from tests.vms.api.test_scoping import client_of_key
from vms.api.serializers.agents import measured_in

PATHS = ("metrics", "summary", "trends")


def path(vm, what: str = "metrics") -> str:
    return f"/monitoring/vms/{vm.pk}/{what}"


def told(
    vm, *values: float, every_s: int = 15, name: str = "cpu_percent", now: datetime | None = None
) -> datetime:
    """Samples up to now, the last one just taken."""
    now = now or timezone.now()
    for number, value in enumerate(reversed(values)):
        at = now - timedelta(seconds=every_s * number)
        services.record(subject=vm.pk, samples=[Reading(at, {name: value})], now=at)
    return now


class TestHeartbeats:
    def test_bring_samples_with_one_statement_more(self, vm, django_assert_num_queries):
        agent = registered(vm)
        with django_assert_num_queries(3):
            assert post(agent, HEARTBEAT, beat(metrics={})).status_code == 204
        assert not Sample.objects.exists()
        with django_assert_num_queries(4):
            assert post(agent, HEARTBEAT, beat()).status_code == 204
        sample = Sample.objects.get()
        known = {name: one for name, one in zip(NAMES, sample.numbers, strict=True) if one is not None}
        assert known == {"cpu_percent": 41.5, "load": 2.0, "games": 1.0}
        assert sample.subject == vm.pk

    def test_bring_no_sample_twice(self, vm):
        agent, body = registered(vm), beat()
        for _ in range(3):
            post(agent, HEARTBEAT, body)
        assert Sample.objects.count() == 1

    def test_with_nonsense_among_their_values_are_taken_without_it(self, vm):
        agent = registered(vm)
        assert post(agent, HEARTBEAT, beat(metrics={"cpu_percent": 1e9, "mood": 1})).status_code == 204
        assert [one for one in Sample.objects.get().numbers if one is not None] == [1.0]  # the game

    def test_that_are_refused_bring_nothing(self, vm):
        agent = registered(vm)
        bad = [{"metrics": {"load": "much"}}, {"metrics": {f"m{n}": 1 for n in range(33)}}, {"sequence": -1}]
        assert {post(agent, HEARTBEAT, beat(**one)).status_code for one in bad} == {400}
        assert not Sample.objects.exists()

    def test_of_a_hostile_machine_are_bounded(self, vm):
        agent, now = registered(vm), timezone.now()
        for number in range(50):
            Allowance.objects.all().delete()
            sent_at = (now + timedelta(milliseconds=20 * number)).isoformat()
            post(agent, HEARTBEAT, beat(sequence=10**6 + number, sent_at=sent_at))
        assert Sample.objects.filter(subject=vm.pk).count() <= 2

    @pytest.mark.parametrize(("said", "kept"), [(True, 1.0), (False, 0.0)])
    def test_tell_whether_somebody_plays(self, said, kept):
        heartbeat = {"metrics": {"load": 1.0}, "sessions": [], "activity": {"is_playing": said}}
        assert measured_in(heartbeat) == {"load": 1.0, "games": 0, "is_playing": kept}
        unknown = {**heartbeat, "activity": {"is_playing": None}}
        assert measured_in(unknown) == {"load": 1.0, "games": 0}


class TestMetrics:
    def test_are_steps_of_an_hour_by_default(self, vm, as_alice):
        told(vm, 10, 20, 30, 40)
        answer = as_alice.get(path(vm)).json()
        assert (answer["vm_id"], answer["step"], answer["aggregate"]) == (str(vm.pk), 30, "avg")
        assert list(answer["metrics"]) == list(NAMES)
        assert len(answer["times"]) == 120
        assert {len(one["values"]) for one in answer["metrics"].values()} == {120}
        values = [one for one in answer["metrics"]["cpu_percent"]["values"] if one is not None]
        assert (min(values) >= 10, max(values) <= 40, len(values) in (2, 3)) == (True, True, True)
        assert set(answer["metrics"]["gpu_percent"]["values"]) == {None}
        assert parse_datetime(answer["until"]) > timezone.now() - timedelta(seconds=30)
        assert parse_datetime(answer["times"][0]) == parse_datetime(answer["since"])

    @pytest.mark.parametrize(
        ("aggregate", "value"), [("avg", 25.0), ("min", 10.0), ("max", 40.0), ("count", 4.0)]
    )
    def test_are_what_is_asked_for(self, vm, as_alice, aggregate, value):
        told(
            vm,
            10,
            20,
            30,
            40,
            every_s=5,
            now=floor(timezone.now(), timedelta(minutes=5)) - timedelta(minutes=1),
        )
        query = {"window": 3600, "step": 300, "aggregate": aggregate, "metrics": "cpu_percent,load"}
        answer = as_alice.get(path(vm), query).json()
        assert list(answer["metrics"]) == ["cpu_percent", "load"]
        assert [one for one in answer["metrics"]["cpu_percent"]["values"] if one] == [value]

    def test_read_roll_ups_where_they_are(self, vm, as_alice):
        now = timezone.now()
        told(vm, *([50] * 180), every_s=60, now=now)
        services.roll_up(now=now)
        Sample.objects.filter(at__lt=now - timedelta(hours=1)).delete()
        for window, step in ((11_100, 300), (14_400, 3600)):
            query = {"window": window, "step": step, "aggregate": "count", "metrics": "cpu_percent"}
            assert sum(as_alice.get(path(vm), query).json()["metrics"]["cpu_percent"]["values"]) == 180

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({"window": 59}, "window"),
            ({"window": 400 * 86_400 + 1}, "window"),
            ({"window": "1h"}, "window"),
            ({"step": 7}, "step"),
            ({"step": 0}, "step"),
            ({"window": 3600, "step": 5}, "step"),  # too many
            ({"window": 86_400, "step": 30}, "step"),  # not kept so fine
            ({"window": 30 * 86_400, "step": 900}, "step"),
            ({"aggregate": "median"}, "aggregate"),
            ({"metrics": ""}, "metrics"),
            ({"metrics": "cpu_percent,mood"}, "metrics"),
            ({"metrics": "cpu_percent,"}, "metrics"),
            ({"vm": 1}, "vm"),
        ],
    )
    def test_refuse_what_cannot_be_naming_it(self, vm, as_alice, query, field):
        assert list(details(as_alice.get(path(vm), query))) == [field]

    def test_answer_every_window_with_a_step_of_their_own(self, vm, as_alice):
        for window in (60, 600, 3600, 21_600, 21_601, 86_400, 604_800, 2_592_000, 34_560_000):
            answer = as_alice.get(path(vm), {"window": window})
            assert answer.status_code == 200, (window, answer.content)
            assert 1 <= len(answer.json()["times"]) <= 500
            assert len(answer.json()["times"]) * answer.json()["step"] >= window

    def test_refuse_a_window_longer_than_anything_is_kept(self, vm, as_alice, settings):
        settings.METRICS_KEPT = {**settings.METRICS_KEPT, "hour": timedelta(days=30)}
        assert "window" in details(as_alice.get(path(vm), {"window": 31 * 86_400}))


class TestSummary:
    def test_tells_the_latest_means_and_peaks(self, vm, as_alice):
        now = told(vm, 10, 20, 60)
        told(vm, 70, name="gpu_percent", now=now - timedelta(minutes=2))
        answer = as_alice.get(path(vm, "summary")).json()
        assert answer["metrics"]["cpu_percent"] == {
            "unit": "%", "latest": 60.0, "avg": 30.0, "min": 10.0, "max": 60.0, "count": 3,
        }  # fmt: skip
        assert answer["metrics"]["gpu_percent"]["latest"] is None
        assert set(answer["metrics"]) == {"cpu_percent", "gpu_percent"}
        assert now - parse_datetime(answer["latest_at"]) < timedelta(seconds=5)

    def test_looks_only_at_its_window(self, vm, as_alice):
        now = told(vm, 10, 20)
        told(vm, 90, now=now - timedelta(minutes=30))
        assert (
            as_alice.get(path(vm, "summary"), {"window": 600}).json()["metrics"]["cpu_percent"]["max"] == 20
        )
        assert (
            as_alice.get(path(vm, "summary"), {"window": 3600}).json()["metrics"]["cpu_percent"]["max"] == 90
        )

    def test_of_a_vm_that_never_spoke_is_empty(self, vm, as_alice):
        answer = as_alice.get(path(vm, "summary")).json()
        assert (answer["latest_at"], answer["metrics"]) == (None, {})


class TestTrends:
    def test_tell_when_the_disk_is_full(self, vm, as_alice):
        values = [40 + 0.1 * number for number in range(60)]  # 6 points an hour
        now = told(vm, *values, every_s=60, name="disk_used_percent")
        answer = as_alice.get(path(vm, "trends")).json()
        trend = answer["metrics"]["disk_used_percent"]
        assert trend["slope_per_hour"] == pytest.approx(6, rel=0.05)
        assert trend["fit"] > 0.98
        hours = (parse_datetime(answer["disk_full_at"]) - now).total_seconds() / 3600
        assert hours == pytest.approx((100 - values[-1]) / 6, abs=0.6)

    @pytest.mark.parametrize("values", [[40, 40, 40, 40], [60, 50, 40, 30], [40, 50]])
    def test_tell_no_end_of_a_disk_that_does_not_fill(self, vm, as_alice, values):
        told(vm, *values, every_s=600, name="disk_used_percent")
        assert as_alice.get(path(vm, "trends")).json()["disk_full_at"] is None


class TestEveryDoor:
    @pytest.mark.parametrize("what", PATHS)
    def test_is_closed_to_strangers(self, vm, what, as_bob, as_charlie, as_reader, anyone):
        told(vm, 1, 2, 3)
        assert {client.get(path(vm, what)).status_code for client in (as_bob, as_charlie, as_reader)} == {404}
        assert anyone.get(path(vm, what)).status_code == 401
        assert registered(vm).get(path(vm, what)).status_code == 401

    @pytest.mark.parametrize("what", PATHS)
    def test_is_open_to_whom_the_vm_is(self, vm, world, what, as_alice, as_mona, as_sam, as_service):
        reader = client_of_key(maker=world.alice, scopes=["read"])
        launcher = client_of_key(maker=world.alice, scopes=["launch"])
        clients = (as_alice, as_mona, as_sam, as_service, reader)
        assert {client.get(path(vm, what)).status_code for client in clients} == {200}
        assert launcher.get(path(vm, what)).status_code == 403

    @pytest.mark.parametrize("what", PATHS)
    def test_says_nothing_of_other_vms(self, vm, as_alice, what):
        other = made(as_alice)
        told(vm, 91, 92, 93)
        assert "92" not in str(as_alice.get(path(other, what)).json().get("metrics"))

    @pytest.mark.parametrize("what", PATHS)
    def test_asks_a_bounded_number_of_queries(self, vm, as_alice, what, django_assert_max_num_queries):
        told(vm, *range(40))
        with django_assert_max_num_queries(6):
            assert as_alice.get(path(vm, what), {"window": 86_400}).status_code == 200

    @pytest.mark.parametrize("what", PATHS)
    def test_answers_odd_queries(self, vm, as_alice, what):
        right = {"window": "3600"}
        if what == "metrics":
            right |= {"step": "60", "aggregate": "max", "metrics": "load"}
        assert sweep_query(as_alice, path(vm, what), right) > 60

    @pytest.mark.parametrize("what", PATHS)
    def test_answers_as_it_is_described(self, vm, as_alice, what):
        told(vm, 1, 2, 3, every_s=120)
        described = answer_schema(f"/monitoring/vms/{{vm_id}}/{what}", "get", 200)
        check(as_alice.get(path(vm, what)).json(), described)
