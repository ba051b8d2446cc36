"""Staff's pages for saves: found, read, brought back, through the services that everybody else goes through."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from emulators.models import SaveSlot
from emulators.services import storing
from events.models import Event
from tests.bad_inputs import ODD_TEXTS
from tests.emulators.saving import brought, packed, slot_of
from tests.factories import UserFactory
from tests.vms.control_plane import ControlPlane
from tests.world import World, client_for
from vms.models import GameSession

pytestmark = pytest.mark.django_db
LIST = "/admin/emulators/saveslot/"


@pytest.fixture
def slot(world: World) -> SaveSlot:
    """Alice's, with a current version and one that was kept beside."""
    slot, now = slot_of(world.alice, timezone.now()), timezone.now()
    brought(slot, b"one", now)
    brought(slot, b"two", now, base=1)
    brought(slot, b"late", now, base=1)
    slot.refresh_from_db()
    return slot


def text(client: Client, path: str, **query: Any) -> str:
    answer = client.get(path, query)
    assert answer.status_code == 200, (path, answer.status_code)
    return answer.content.decode()


def do(client: Client, path: str, **form: Any) -> str:
    """Asks first, as a person does, and then does it; where that leads."""
    assert "No, go back" in text(client, path)
    answer = client.post(path, form, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


class TestList:
    def test_says_how_each_slot_is(self, sam: Client, slot: SaveSlot) -> None:
        SaveSlot.objects.update(clock_epoch=datetime.fromisoformat("2020-03-20T08:00:00Z"), played_s=3600)
        shown = text(sam, LIST)
        for told in (
            "zelda",
            "the usual",
            "alice@gamer.test",
            "snes",
            "2020-03-20 09:00",
            "rests",
        ):
            assert told in shown, told

    @pytest.mark.parametrize(
        ("words", "found"),
        [("alice", 1), ("bob", 0), ("zel", 1), ("mario", 0), ("vm-1", 1), ("snes", 0), ("", 2)],
    )
    def test_is_searched_by_player_game_and_vm(
        self, sam: Client, slot: SaveSlot, words: str, found: int
    ) -> None:
        slot_of(None, timezone.now())
        SaveSlot.objects.filter(owner=None).update(game_id="metroid")
        shown = text(sam, LIST, q=words)
        assert shown.count("field-save_name") == found
        assert text(sam, LIST, q=str(slot.pk)[:13]).count("field-save_name") == 1

    def test_answers_every_odd_search(self, sam: Client, slot: SaveSlot) -> None:
        for odd in ODD_TEXTS:
            assert sam.get(LIST, {"q": odd[:500]}).status_code < 500, odd

    def test_says_what_to_do_when_there_is_nothing(self, sam: Client) -> None:
        assert "first launch" in text(sam, LIST)

    def test_takes_as_many_statements_for_many(
        self, sam: Client, slot: SaveSlot, django_assert_max_num_queries: Any
    ) -> None:
        for n in range(5):
            brought(slot_of(UserFactory(), timezone.now()), b"%d" % n, timezone.now())
        text(sam, LIST)
        with django_assert_max_num_queries(9):
            assert text(sam, LIST).count("field-save_name") == 6


class TestPage:
    def test_tells_of_every_version(self, sam: Client, slot: SaveSlot) -> None:
        shown = text(sam, f"{LIST}{slot.pk}/change/")
        labels = [" ".join(one.split()) for one in re.findall(r"<span[^>]*>([^<]*)</span>", shown)]
        assert (labels.count("current"), labels.count("kept beside")) == (1, 1)
        assert shown.count("/download/") == 3
        assert shown.count("/restore/") == 2
        assert "VM 0f8c2c3e" in shown
        assert "On its way to the storage" in shown

    def test_of_an_empty_slot_says_what_to_do(self, sam: Client, world: World) -> None:
        assert "saves by itself" in text(sam, f"{LIST}{slot_of(world.alice, timezone.now()).pk}/change/")

    def test_of_what_is_not_there_says_so(self, sam: Client, slot: SaveSlot) -> None:
        for path in ("rename", "remove", "versions/9/restore", "versions/9/download"):
            missing = "0198c0de-0000-7000-8000-000000000000"
            assert sam.get(f"{LIST}{missing}/{path}/").status_code == 404
        for path in ("versions/x/restore", "versions/99999999999/download"):
            assert sam.get(f"{LIST}{slot.pk}/{path}/").status_code == 404
        answer = sam.get(f"{LIST}{slot.pk}/versions/9/download/", follow=True)
        assert "no such version" in answer.content.decode()


class TestActs:
    def test_restore_a_version_which_is_recorded(self, sam: Client, world: World, slot: SaveSlot) -> None:
        shown = do(sam, f"{LIST}{slot.pk}/versions/3/restore/")
        assert "version 3 restored" in shown
        slot.refresh_from_db()
        assert slot.current is not None
        assert (slot.current.number, slot.current.restored_from) == (4, 3)
        event = Event.objects.about("saves", slot.pk).order_by("-id").first()
        assert event is not None
        assert (event.action, event.actor, event.owner_id) == (
            "save_restored",
            f"user:{world.sam.handle}",
            world.alice.pk,
        )

    def test_restore_nothing_while_somebody_plays(
        self, sam: Client, plane: ControlPlane, slot: SaveSlot
    ) -> None:
        vm = plane.launch(owner=slot.owner, console="snes", game_id="zelda")
        assert vm.sessions.get().slot_id == slot.pk
        assert "Somebody plays" in do(sam, f"{LIST}{slot.pk}/versions/1/restore/")
        shown = text(sam, f"{LIST}{slot.pk}/change/")
        assert "played now" in shown
        assert f"/admin/vms/vm/{vm.pk}/change/" in shown
        assert f"{LIST}{slot.pk}/change/" in text(sam, f"/admin/vms/vm/{vm.pk}/change/")

    def test_restore_no_version_that_is_not_there(self, sam: Client, slot: SaveSlot) -> None:
        assert "no such version" in do(sam, f"{LIST}{slot.pk}/versions/9/restore/")

    def test_download_a_version_which_is_recorded(self, sam: Client, world: World, slot: SaveSlot) -> None:
        while storing.store_next(timezone.now(), timezone.now):
            pass
        answer = sam.get(f"{LIST}{slot.pk}/versions/1/download/")
        assert b"".join(answer) == packed({"zelda.srm": b"one"})  # type: ignore[arg-type]
        assert answer["Content-Disposition"] == 'attachment; filename="snes-zelda-v1.tar.gz"'
        event = Event.objects.about("saves", slot.pk).order_by("-id").first()
        assert event is not None
        assert (event.action, event.details["number"]) == ("save_downloaded", 1)

    def test_rename(self, sam: Client, world: World, slot: SaveSlot) -> None:
        other = slot_of(world.alice, timezone.now(), save_id="second")
        path = f"{LIST}{slot.pk}/rename/"
        assert "slot of this name" in do(sam, path, save_id="second")
        assert "letter or digit" in do(sam, path, save_id="../x")
        assert "renamed" in do(sam, path, save_id="third")
        slot.refresh_from_db()
        assert (slot.save_id, other.save_id) == ("third", "second")
        assert 'value="third"' in text(sam, path)

    def test_set_and_reset_the_clock(self, sam: Client, slot: SaveSlot) -> None:
        SaveSlot.objects.update(played_s=60)
        path = f"{LIST}{slot.pk}/clock/"
        shown = do(sam, path, clock_epoch="2020-03-20T08:00")
        assert "2020-03-20 08:01 UTC" in shown
        assert 'value="2020-03-20T08:00"' in text(sam, path)
        assert "from 1970" in do(sam, path, clock_epoch="1960-03-20T08:00")
        assert "the real time" in do(sam, path, clock_epoch="")

    def test_delete(self, sam: Client, slot: SaveSlot) -> None:
        assert "deleted" in do(sam, f"{LIST}{slot.pk}/remove/")
        assert not SaveSlot.objects.exists()

    def test_delete_nothing_while_somebody_plays(
        self, sam: Client, plane: ControlPlane, slot: SaveSlot
    ) -> None:
        plane.launch(owner=slot.owner, console="snes", game_id="zelda")
        assert "Somebody plays" in do(sam, f"{LIST}{slot.pk}/remove/")
        GameSession.objects.update(status="ended", ended_at=timezone.now() + timedelta(seconds=1))
        assert "deleted" in do(sam, f"{LIST}{slot.pk}/remove/")

    def test_are_not_for_who_may_only_look(self, slot: SaveSlot) -> None:
        looker = UserFactory(is_staff=True)
        looker.user_permissions.add(Permission.objects.get(codename="view_saveslot"))
        client = client_for(looker)
        shown = text(client, f"{LIST}{slot.pk}/change/")
        assert "/download/" not in shown
        assert "Rename" not in shown
        for path in ("rename", "clock", "remove", "versions/1/restore", "versions/1/download"):
            for ask in (client.get, client.post):
                assert ask(f"{LIST}{slot.pk}/{path}/").status_code == 403
        assert slot.versions.count() == 3
