"""The way of archives to the storage, and out of it: who dies where, and a storage that is away."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.urls import reverse

from accounts.principal import Principal
from emulators import health, metrics, tasks
from emulators.models import SaveArchive, SaveSlot, UnstoredArchive
from emulators.services import keeping, saves, slots, storing
from emulators.storages import SaveUnavailable
from gamer.crash import Died, dying_at
from gamer.queue.enqueue import waiting
from tests.at_once import at_once
from tests.emulators.s3 import S3
from tests.emulators.saving import brought, packed, slot_of
from tests.factories import UserFactory
from tests.world import Clock

pytestmark = pytest.mark.django_db
FOLDER = "of/players/"


@pytest.fixture
def s3(settings: Any) -> Iterator[S3]:
    """The storage of saves."""
    with S3() as store:
        settings.SAVES_URL = store.address
        yield store


@pytest.fixture
def slot(s3: S3, clock: Clock) -> SaveSlot:
    return slot_of(UserFactory(), clock())


def store(clock: Clock) -> int:
    """All that is due; how many were stored."""
    stored = 0
    while storing.store_next(clock(), clock):
        stored += 1
    return stored


def forget(clock: Clock) -> int:
    gone = 0
    while keeping.forget_next(clock()):
        gone += 1
    return gone


def text_of(slot: SaveSlot) -> bytes:
    return saves.read(saves.content_of([slot.pk])[slot.pk])


class TestStoring:
    def test_moves_what_waited_longest_first(self, slot: SaveSlot, s3: S3, clock: Clock) -> None:
        brought(slot, b"one", clock())
        brought(slot, b"two", clock.advance(seconds=1), base=1)
        assert store(clock) == 2
        assert list(s3.objects.values()) == [packed({"zelda.srm": text}) for text in (b"one", b"two")]
        assert {f"{FOLDER}{one.name}" for one in SaveArchive.objects.all()} == set(s3.objects)
        assert not UnstoredArchive.objects.exists()
        assert SaveArchive.objects.filter(stored_at=clock()).count() == 2
        assert text_of(slot) == packed({"zelda.srm": b"two"})

    @pytest.mark.parametrize("point", ["saves.before_put", "saves.after_put"])
    def test_that_dies_begins_again_once_its_turn_is_over(
        self, slot: SaveSlot, s3: S3, clock: Clock, point: str
    ) -> None:
        brought(slot, b"one", clock())
        with pytest.raises(Died), dying_at(point):
            store(clock)
        assert text_of(slot) == packed({"zelda.srm": b"one"})
        assert store(clock) == 0
        clock.now += storing.TURN
        assert store(clock) == 1
        assert len(s3.objects) == 1
        assert text_of(slot) == packed({"zelda.srm": b"one"})

    def test_waits_longer_and_longer_while_the_storage_is_away(
        self, slot: SaveSlot, s3: S3, clock: Clock
    ) -> None:
        brought(slot, b"one", clock())
        s3.status = 503
        waits = []
        for _ in range(6):
            assert store(clock) == 0
            row = UnstoredArchive.objects.get()
            waits.append((row.next_try_at - clock()).total_seconds())
            assert row.last_error
            clock.now = row.next_try_at
        assert waits == [10, 60, 300, 900, 900, 900]
        s3.status = 200
        assert store(clock) == 1

    def test_of_others_goes_on_beside_one_that_waits(self, slot: SaveSlot, s3: S3, clock: Clock) -> None:
        brought(slot, b"one", clock())
        s3.status = 503
        store(clock)
        s3.status = 200
        brought(slot, b"two", clock.advance(seconds=1), base=1)
        assert store(clock) == 1

    def test_leaves_alone_what_is_doomed(self, slot: SaveSlot, s3: S3, clock: Clock) -> None:
        brought(slot, b"one", clock())
        slots.delete(slot=slot, by=Principal(user=slot.owner), now=clock())
        assert store(clock) == 0
        assert s3.asked == []

    @pytest.mark.django_db(transaction=True)
    def test_is_done_once_by_all_who_try_at_once(self, slot: SaveSlot, s3: S3, clock: Clock) -> None:
        for n in range(4):
            brought(slot, b"%d" % n, clock(), base=n)
        found = at_once(*[partial(storing.store_next, clock(), clock)] * 8)
        assert sorted(found) == [False] * 4 + [True] * 4
        assert s3.asked.count("PUT") == 4

    def test_task_stores_what_is_due_and_ends_when_the_storage_is_away(
        self, slot: SaveSlot, s3: S3, clock: Clock
    ) -> None:
        for n in range(3):
            brought(slot, b"%d" % n, clock(), base=n)
        s3.status = 403
        tasks.store_saves()
        assert UnstoredArchive.objects.filter(tries=1).count() == 1
        s3.status = 200
        UnstoredArchive.objects.update(next_try_at=clock())
        tasks.store_saves()
        assert len(s3.objects) == 3


class TestForgetting:
    def test_deletes_what_no_version_holds_in_the_storage_and_then_its_row(
        self, slot: SaveSlot, s3: S3, clock: Clock
    ) -> None:
        brought(slot, b"one", clock())
        store(clock)
        other = slot_of(UserFactory(), clock())
        brought(other, b"other", clock())
        store(clock)
        slots.delete(slot=slot, by=Principal(user=slot.owner), now=clock())
        assert forget(clock) == 1
        assert [one.slot for one in SaveArchive.objects.all()] == [other]
        assert list(s3.objects.values()) == [packed({"zelda.srm": b"other"})]

    def test_that_dies_before_the_row_is_gone_deletes_again(
        self, slot: SaveSlot, s3: S3, clock: Clock
    ) -> None:
        brought(slot, b"one", clock())
        store(clock)
        slots.delete(slot=slot, by=Principal(user=slot.owner), now=clock())
        with pytest.raises(Died), dying_at("saves.after_delete"):
            forget(clock)
        assert (s3.objects, SaveArchive.objects.count()) == ({}, 1)
        assert forget(clock) == 1
        assert not SaveArchive.objects.exists()

    def test_waits_for_whoever_stores_it_at_this_moment(self, slot: SaveSlot, s3: S3, clock: Clock) -> None:
        """Else the object would come after its delete, and stay for ever."""
        brought(slot, b"one", clock())
        with pytest.raises(Died), dying_at("saves.after_put"):
            store(clock)
        slots.delete(slot=slot, by=Principal(user=slot.owner), now=clock())
        assert forget(clock) == 0
        clock.now += storing.TURN
        assert forget(clock) == 1
        assert (s3.objects, UnstoredArchive.objects.count()) == ({}, 0)

    def test_never_deletes_what_came_after_under_the_same_content(
        self, slot: SaveSlot, s3: S3, clock: Clock
    ) -> None:
        brought(slot, b"one", clock())
        store(clock)
        SaveSlot.objects.update(current=None)
        slot.versions.all().delete()
        keeping.doom(slot.archives.all(), clock())
        brought(slot, b"one", clock(), base=1)
        store(clock)
        assert forget(clock) == 1
        assert text_of(slot) == packed({"zelda.srm": b"one"})

    def test_ends_for_an_hour_when_the_storage_is_away(self, slot: SaveSlot, s3: S3, clock: Clock) -> None:
        brought(slot, b"one", clock())
        store(clock)
        slots.delete(slot=slot, by=Principal(user=slot.owner), now=clock())
        s3.status = 503
        with pytest.raises(SaveUnavailable):
            forget(clock)
        assert forget(clock) == 0
        clock.advance(hours=1)
        s3.status = 200
        assert forget(clock) == 1

    def test_of_one_that_fails_lets_the_others_go_first(self, slot: SaveSlot, s3: S3, clock: Clock) -> None:
        for at in (clock(), clock.advance(minutes=1)):
            doomed = slot_of(UserFactory(), at)
            brought(doomed, b"one", at)
            store(clock)
            slots.delete(slot=doomed, by=Principal(user=doomed.owner), now=at)
        first = SaveArchive.objects.order_by("doomed_at").first()
        s3.status = 503
        tasks.forget_saves()
        s3.status = 200
        tasks.forget_saves()
        assert SaveArchive.objects.get() == first
        assert not waiting(keeping.FORGET_TASK)

    def test_of_more_than_one_turn_can_do_goes_on_in_another_until_the_next_hour(
        self, slot: SaveSlot, s3: S3, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        brought(slot, b"one", clock())
        brought(slot, b"two", clock(), base=1)
        store(clock)
        slots.delete(slot=slot, by=Principal(user=slot.owner), now=clock())
        monkeypatch.setattr(tasks, "START_WITHIN_S", 0)
        tasks.forget_saves()
        assert (len(s3.objects), waiting(keeping.FORGET_TASK)) == (1, 1)
        tasks.forget_saves(1.0)
        assert (len(s3.objects), waiting(keeping.FORGET_TASK)) == (0, 1)


class TestThinning:
    @pytest.fixture(autouse=True)
    def few(self, settings: Any) -> None:
        settings.SAVES_KEPT_VERSIONS, settings.SAVES_KEPT_DAYS = 3, 4

    def test_keeps_the_newest_and_of_the_last_days_one_each(
        self, slot: SaveSlot, s3: S3, clock: Clock
    ) -> None:
        for n in range(14):  # two a day for a week
            brought(slot, b"%d" % n, clock.advance(hours=12), base=n)
        store(clock)
        assert keeping.thin(clock()) == 14 - 6
        # Of each day one is of midnight and the next one of noon; four days ago it was noon.
        assert list(slot.versions.values_list("number", flat=True)) == [14, 13, 12, 10, 8, 6]
        assert keeping.thin(clock()) == 0
        assert forget(clock) == 8
        assert len(s3.objects) == SaveArchive.objects.count() == 6

    def test_keeps_the_current_one_and_what_it_restored(
        self, slot: SaveSlot, clock: Clock, settings: Any
    ) -> None:
        settings.SAVES_KEPT_DAYS = 0
        brought(slot, b"one", clock())
        brought(slot, b"two", clock(), base=1)
        slots.restore(slot=slot, number=1, by=Principal(user=slot.owner), now=clock())
        for n in range(5):
            assert not brought(slot, b"beside %d" % n, clock(), base=1).is_current
        keeping.thin(clock())
        assert list(slot.versions.values_list("number", flat=True)) == [8, 7, 6, 3, 1]
        assert text_of(slot) == packed({"zelda.srm": b"one"})

    def test_leaves_an_archive_that_another_version_holds(
        self, slot: SaveSlot, clock: Clock, settings: Any
    ) -> None:
        settings.SAVES_KEPT_DAYS = 0
        for n, text in enumerate((b"one", b"two", b"three", b"four", b"one")):
            brought(slot, text, clock(), base=n)
        assert keeping.thin(clock()) == 2
        assert text_of(slot) == packed({"zelda.srm": b"one"})
        assert SaveArchive.objects.filter(doomed_at=None).count() == 3

    def test_goes_through_any_number_of_slots(
        self, s3: S3, clock: Clock, monkeypatch: pytest.MonkeyPatch, settings: Any
    ) -> None:
        settings.SAVES_KEPT_VERSIONS, settings.SAVES_KEPT_DAYS = 1, 0
        monkeypatch.setattr(keeping, "BATCH", 2)
        alice = UserFactory()
        for name in range(5):
            slot = slot_of(alice, clock(), save_id=f"s{name}")
            brought(slot, b"one", clock())
            brought(slot, b"two", clock(), base=1)
        assert keeping.thin(clock()) == 5
        tasks.thin_saves()


class TestHealth:
    def test_is_well_while_saves_are_on_their_way(self, slot: SaveSlot, clock: Clock) -> None:
        brought(slot, b"one", clock())
        (part,) = health.saves(clock.advance(minutes=9))
        assert (part.problem, part.figures["waiting"], part.figures["oldest_s"]) == ("", 1, 540)
        figures = {one.name: one.value for one in metrics.figures(clock())}
        size = len(packed({"zelda.srm": b"one"}))
        assert figures == {
            "saves_waiting": 1,
            "saves_waiting_bytes": size,
            "saves_waiting_oldest_seconds": 540,
        }

    def test_is_not_when_they_wait_and_says_why(
        self, slot: SaveSlot, s3: S3, clock: Clock, as_admin_key: Any
    ) -> None:
        brought(slot, b"one", clock())
        s3.status = 403
        store(clock)
        (part,) = health.saves(clock.advance(minutes=11))
        assert part.problem == (
            "a save has waited for the storage for 660 s: The storage of saves does not answer (ClientError)."
        )
        answer = as_admin_key.get(reverse("health"), {"full": "1"})
        assert answer.status_code == 503

    def test_of_nothing_is_well(self, clock: Clock, db: None) -> None:
        (part,) = health.saves(clock())
        assert (part.problem, part.figures) == ("", {"waiting": 0, "waiting_bytes": 0, "oldest_s": 0})


def test_what_repeats_is_scheduled(db: None, now: datetime) -> None:
    from django.utils.module_loading import import_string
    from django_q.models import Schedule

    keeping.seed(now)
    kept = dict(Schedule.objects.values_list("func", "minutes"))
    assert kept == {
        "emulators.tasks.store_saves": 1,
        "emulators.tasks.forget_saves": 60,
        "emulators.tasks.thin_saves": 1440,
    }
    assert all(callable(import_string(path)) for path in kept)
    assert timedelta(minutes=5) == storing.TURN
