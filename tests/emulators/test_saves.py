"""Slots, and what becomes of an archive that a machine brings."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection
from django_q.models import OrmQ

from emulators.archives import digest_of
from emulators.models import SaveArchive, SaveSlot, SaveVersion, UnstoredArchive
from emulators.services import saves, storing
from emulators.services.saves import Taken
from events.models import Event
from gamer.errors import Conflict, NotFound, TooLarge, ValidationError
from tests.at_once import at_once
from tests.emulators.saving import brought, packed, slot_of
from tests.factories import ApiKeyFactory, UserFactory

pytestmark = pytest.mark.django_db
SESSION = uuid4()


@pytest.fixture
def alice() -> Any:
    return UserFactory(email="alice@gamer.test")


@pytest.fixture
def slot(alice: Any, now: datetime) -> SaveSlot:
    return slot_of(alice, now)


def current_of(slot: SaveSlot) -> tuple[int, bytes]:
    content = saves.content_of([slot.pk])[slot.pk]
    return content.number, saves.read(content)


def told(slot: SaveSlot) -> list[str]:
    return list(Event.objects.about("saves", slot.pk).order_by("id").values_list("action", flat=True))


class TestSlotFor:
    def test_is_made_once_for_player_console_game_and_name(self, alice: Any, now: datetime) -> None:
        one = slot_of(alice, now)
        assert slot_of(alice, now).pk == one.pk
        others = {
            slot_of(alice, now, save_id="second").pk,
            slot_of(alice, now, console="nes").pk,
            slot_of(UserFactory(), now).pk,
            slot_of(None, now).pk,
        }
        assert len(others | {one.pk}) == 5

    def test_without_an_owner_is_the_vms_and_its_keys(self, slot: SaveSlot, now: datetime) -> None:
        key = ApiKeyFactory()
        whose = {"console": "snes", "game_id": "zelda", "save_id": "", "now": now, "made_by_id": key.pk}
        mine = saves.slot_for(owner_id=None, subject="vm-1", **whose)
        other = saves.slot_for(owner_id=None, subject="vm-2", **whose)
        assert (mine.subject, mine.made_by, mine.owner) == ("vm-1", key, None)
        assert mine.pk != other.pk
        assert saves.slot_for(owner_id=slot.owner_id, subject="vm-1", **whose).made_by is None

    def test_has_a_bound(self, alice: Any, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("emulators.services.keeping.MOST_SLOTS", 2)
        slot_of(alice, now), slot_of(alice, now, save_id="second")
        with pytest.raises(Conflict, match="2 save slots"):
            slot_of(alice, now, save_id="third")
        assert slot_of(alice, now, save_id="second").pk != slot_of(UserFactory(), now).pk

    @pytest.mark.django_db(transaction=True)
    def test_is_one_for_all_who_ask_at_once(self, alice: Any, now: datetime) -> None:
        slot_of(alice, now, save_id="another")
        found = at_once(*[partial(slot_of, alice, now)] * 6)
        assert len({slot.pk for slot in found}) == 1


class TestTake:
    def test_makes_the_first_version_current(self, slot: SaveSlot, now: datetime) -> None:
        assert brought(slot, b"one", now) == Taken(1, True, True)
        assert current_of(slot) == (1, packed({"zelda.srm": b"one"}))
        assert told(slot) == ["save_stored"]

    def test_of_what_was_made_from_the_current_one_is_current(self, slot: SaveSlot, now: datetime) -> None:
        brought(slot, b"one", now)
        assert brought(slot, b"two", now, base=1) == Taken(2, True, True)

    def test_of_what_did_not_know_the_current_one_is_kept_beside(self, slot: SaveSlot, now: datetime) -> None:
        brought(slot, b"one", now)
        brought(slot, b"two, elsewhere", now, base=1)
        assert brought(slot, b"two, late", now, base=1) == Taken(3, False, True)
        assert current_of(slot)[0] == 2
        assert told(slot)[-1] == "save_conflict"
        # And what goes on from there is kept beside, too.
        assert brought(slot, b"three, late", now, base=3) == Taken(4, False, True)

    def test_again_changes_nothing(self, slot: SaveSlot, now: datetime) -> None:
        brought(slot, b"one", now)
        brought(slot, b"two", now, base=1)
        brought(slot, b"beside", now, base=1)
        before = list(SaveVersion.objects.values_list("pk")), told(slot)
        assert brought(slot, b"two", now, base=1) == Taken(2, True, False)
        assert brought(slot, b"one", now) == Taken(1, False, False)
        assert brought(slot, b"beside", now, base=1) == Taken(3, False, False)
        assert brought(slot, b"two", now, base=3) == Taken(2, True, False)
        assert (list(SaveVersion.objects.values_list("pk")), told(slot)) == before

    def test_of_one_session_goes_on_though_its_answer_was_lost(self, slot: SaveSlot, now: datetime) -> None:
        brought(slot, b"one", now, session=SESSION, played_s=60)
        assert brought(slot, b"two", now, session=SESSION, played_s=90) == Taken(2, True, True)
        # What was on its way meanwhile is older.
        assert brought(slot, b"between", now, session=SESSION, played_s=75) == Taken(3, False, True)
        assert current_of(slot)[0] == 2

    def test_of_what_was_before_is_a_new_version_of_the_same_archive(
        self, slot: SaveSlot, now: datetime
    ) -> None:
        brought(slot, b"one", now)
        brought(slot, b"two", now, base=1)
        assert brought(slot, b"one", now, base=2) == Taken(3, True, True)
        assert SaveArchive.objects.count() == 2

    def test_of_a_base_that_a_restored_database_forgot_is_kept_beside(
        self, slot: SaveSlot, now: datetime
    ) -> None:
        brought(slot, b"one", now)
        assert brought(slot, b"three", now, base=2) == Taken(2, False, True)
        assert current_of(slot)[0] == 1
        assert slot.versions.get(number=2).base == 0

    def test_refuses_a_base_that_never_was_outside_of_a_session(self, slot: SaveSlot, now: datetime) -> None:
        archive = packed({})
        with pytest.raises(ValidationError, match="base"):
            saves.take(
                slot_id=slot.pk, session_id=None, subject="", base=1, digest=digest_of(archive),
                archive=archive, by="agent:1", now=now,
            )  # fmt: skip

    def test_refuses_another_digest_than_the_contents(self, slot: SaveSlot, now: datetime) -> None:
        archive = packed({"a": b"1"})
        with pytest.raises(ValidationError, match="digest"):
            saves.take(
                slot_id=slot.pk, session_id=None, subject="", base=0, digest=digest_of(packed({})),
                archive=archive, by="agent:1", now=now,
            )  # fmt: skip
        assert not SaveVersion.objects.exists()

    def test_refuses_a_slot_that_is_gone(self, slot: SaveSlot, now: datetime) -> None:
        SaveSlot.objects.all().delete()
        with pytest.raises(NotFound):
            brought(slot, b"one", now)

    def test_hands_the_work_of_storing_over_with_its_commit(self, slot: SaveSlot, now: datetime) -> None:
        brought(slot, b"one", now)
        assert [row.task["func"] for row in OrmQ.objects.all()] == [storing.TASK]

    @pytest.mark.django_db(transaction=True)
    def test_numbers_what_comes_at_once_one_after_the_other(self, alice: Any, now: datetime) -> None:
        slot = slot_of(alice, now)
        found = at_once(*(partial(brought, slot, b"%d" % n, now) for n in range(6)))
        assert sorted(taken.number for taken in found) == [1, 2, 3, 4, 5, 6]
        assert sum(taken.is_current for taken in found) == 1

    @pytest.mark.django_db(transaction=True)
    def test_takes_what_comes_twice_at_once_once(self, alice: Any, now: datetime) -> None:
        slot = slot_of(alice, now)
        found = at_once(*[partial(brought, slot, b"one", now, session=SESSION)] * 4)
        assert sorted(taken.is_new for taken in found) == [False, False, False, True]
        assert {(taken.number, taken.is_current) for taken in found} == {(1, True)}


class TestContentOf:
    def test_of_an_empty_slot_is_nothing_but_its_clock(self, slot: SaveSlot, now: datetime) -> None:
        SaveSlot.objects.update(clock_epoch=now, played_s=90)
        found = saves.content_of([slot.pk, uuid4()])
        assert found == {slot.pk: saves.SaveContent(slot.pk, clock_at=now + timedelta(seconds=90))}

    def test_comes_from_the_storage_once_it_is_there(self, slot: SaveSlot, now: datetime) -> None:
        brought(slot, b"one", now)
        inline = saves.content_of([slot.pk])[slot.pk]
        assert storing.store_next(now, lambda: now)
        stored = saves.content_of([slot.pk])[slot.pk]
        assert (inline.content is None, stored.content) == (False, None)
        assert saves.read(inline) == saves.read(stored) == packed({"zelda.srm": b"one"})
        assert (stored.digest, stored.size) == (digest_of(saves.read(stored)), len(saves.read(stored)))

    def test_takes_two_statements_for_any_number(
        self, alice: Any, now: datetime, django_assert_num_queries: Any
    ) -> None:
        made = [slot_of(alice, now, save_id=f"s{n}") for n in range(3)]
        for slot in made[:2]:
            brought(slot, b"one", now)
        with django_assert_num_queries(1):  # and one that Django does not see
            assert len(saves.content_of([slot.pk for slot in made])) == 3


class TestStored:
    def test_says_where_each_content_went(self, slot: SaveSlot, now: datetime) -> None:
        brought(slot, b"one", now)
        brought(slot, b"two", now, base=1)
        brought(slot, b"beside", now, base=1)
        brought(slot, b"one", now, base=2)
        found = saves.stored([slot.pk])
        digests = {text: digest_of(packed({"zelda.srm": text})) for text in (b"one", b"two", b"beside")}
        assert found == {
            (slot.pk, digests[b"one"], 0): Taken(1, False, False),
            (slot.pk, digests[b"one"], None): Taken(4, True, False),
            (slot.pk, digests[b"two"], 1): Taken(2, False, False),
            (slot.pk, digests[b"beside"], 1): Taken(3, False, False),
        }
        assert saves.stored([]) == saves.stored([uuid4()]) == {}


class TestRoom:
    """What a player may store in all. Archives here are as large as their random text."""

    @pytest.fixture(autouse=True)
    def room(self, settings: Any) -> None:
        settings.SAVES_BYTES_PER_PLAYER = 40_000

    def test_is_made_from_the_oldest_that_is_not_current(
        self, alice: Any, slot: SaveSlot, now: datetime
    ) -> None:
        other = slot_of(alice, now, save_id="second")
        for n in range(3):
            brought(other, os.urandom(10_000), now + timedelta(seconds=n), base=n)
        brought(slot, os.urandom(10_000), now + timedelta(seconds=5))
        assert list(other.versions.values_list("number", flat=True)) == [3, 2]
        assert SaveArchive.objects.filter(doomed_at=None).count() == 3
        assert UnstoredArchive.objects.count() == 3  # what nobody will have needs no storing

    def test_is_refused_when_all_that_is_left_is_current(
        self, alice: Any, slot: SaveSlot, now: datetime
    ) -> None:
        for n in range(3):
            brought(slot_of(alice, now, save_id=f"s{n}"), os.urandom(10_000), now)
        with pytest.raises(Conflict, match="delete some slots"):
            brought(slot, os.urandom(10_000), now)
        assert SaveVersion.objects.count() == 3
        assert brought(slot_of(UserFactory(), now), os.urandom(10_000), now).is_current

    def test_of_vms_without_owner_is_each_ones_own(self, now: datetime) -> None:
        slot = slot_of(None, now)
        for n in range(3):
            brought(slot, os.urandom(15_000), now, base=n)
        assert slot.versions.count() == 2

    @pytest.mark.django_db(transaction=True)
    def test_is_counted_though_several_come_at_once(self, alice: Any, now: datetime) -> None:
        made = [slot_of(alice, now, save_id=f"s{n}") for n in range(6)]
        found = at_once(*(partial(brought, slot, os.urandom(10_000), now) for slot in made))
        assert sum(isinstance(one, Taken) for one in found) == 3
        assert sum(isinstance(one, Conflict) for one in found) == 3


class TestPlayed:
    def test_moves_the_clock_of_the_game(self, slot: SaveSlot, now: datetime) -> None:
        epoch = datetime(2001, 9, 1, tzinfo=UTC)
        SaveSlot.objects.update(clock_epoch=epoch)
        saves.add_played({slot.pk: 60, uuid4(): 5})
        saves.add_played({slot.pk: 30})
        slot.refresh_from_db()
        assert (slot.played_s, slot.clock_at) == (90, epoch + timedelta(seconds=90))


class TestLaws:
    """What the database refuses, whoever writes."""

    @pytest.mark.parametrize(
        "columns", [{"owner_id": None, "subject": ""}, {"subject": "vm-1"}, {"game_id": ""}], ids=str
    )
    def test_a_slot_is_somebodys_and_of_a_game(self, slot: SaveSlot, columns: dict[str, Any]) -> None:
        with pytest.raises(IntegrityError):
            SaveSlot.objects.filter(pk=slot.pk).update(**columns)

    def test_an_archive_that_a_version_holds_stays(self, slot: SaveSlot, now: datetime) -> None:
        brought(slot, b"one", now)
        UnstoredArchive.objects.all().delete()
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            with pytest.raises(IntegrityError, match="saveversion"):
                cursor.execute("DELETE FROM emulators_savearchive")


class TestLarge:
    def test_takes_one_of_many_megabytes(self, slot: SaveSlot, now: datetime) -> None:
        text = os.urandom(24 * 1024 * 1024)
        assert brought(slot, text, now) == Taken(1, True, True)
        assert current_of(slot) == (1, packed({"zelda.srm": text}))

    def test_refuses_a_larger_one(self, slot: SaveSlot, now: datetime) -> None:
        with pytest.raises(TooLarge):
            saves.take(
                slot_id=slot.pk, session_id=None, subject="", base=0, digest="0" * 64,
                archive=bytes(64 * 1024 * 1024 + 1), by="agent:1", now=now,
            )  # fmt: skip
