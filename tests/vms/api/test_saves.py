"""`/saves`: what a player does with their slots, over the API."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import requests
from django.db.models import ProtectedError
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Scope
from accounts.principal import Principal
from emulators.archives import digest_of, files_in
from emulators.models import SaveSlot, SaveVersion
from emulators.services import saves, storing
from events.models import Event
from gamer.web.models import Allowance
from portal.services import reinstate, suspend
from tests.bad_inputs import sweep_bodies, sweep_query
from tests.emulators.s3 import S3
from tests.emulators.saving import packed
from tests.factories import ApiKeyFactory, DepartmentFactory
from tests.vms.api.asking import details, post, running
from tests.world import client_of, client_with_key
from vms.models import GameSession

SAVES = "/saves"
SLOT = {"console_type": "snes", "game_id": "zelda", "save_id": "second"}
ONE, TWO = packed({"zelda.srm": b"one"}), packed({"zelda.srm": b"two"})


@pytest.fixture
def slot(plane, as_alice) -> str:
    """A slot of alice's that nobody plays on."""
    answer = post(as_alice, SAVES, SLOT)
    assert answer.status_code == 201, answer.content
    return answer.json()["slot_id"]


def upload(client: APIClient, slot: str, archive: bytes = ONE):
    return client.post(f"{SAVES}/{slot}/versions", archive, content_type="application/gzip")


def brought(slot: str, archive: bytes, base: int = 0):
    return saves.take(
        slot_id=slot, session_id=uuid4(), subject=str(uuid4()), base=base, digest=digest_of(archive),
        archive=archive, by="agent:0f8c2c3e", now=timezone.now(),
    )  # fmt: skip


def told(slot: str) -> list[str]:
    return list(Event.objects.about("saves", slot).order_by("id").values_list("action", flat=True))


class TestCreate:
    def test_makes_a_slot_of_ones_own(self, plane, as_alice):
        answer = post(as_alice, SAVES, {**SLOT, "clock_epoch": "2001-09-01T08:00:00Z"})
        assert answer.status_code == 201
        shown = answer.json()
        assert answer["Location"].endswith(f"/saves/{shown['slot_id']}")
        assert {name: shown[name] for name in ("user_id", "vm_id", "is_in_use", "current", "played_s")} == {
            "user_id": "alice@gamer.test", "vm_id": None, "is_in_use": False, "current": None, "played_s": 0,
        }  # fmt: skip
        assert (shown["clock_epoch"], shown["clock_at"]) == ("2001-09-01T08:00:00Z",) * 2
        assert told(shown["slot_id"]) == ["create"]

    def test_again_names_the_one_that_is_there(self, as_alice, slot):
        answer = post(as_alice, SAVES, SLOT)
        assert details(answer, 409)["slot_id"] == [slot]

    def test_makes_what_a_launch_then_finds(self, plane, as_alice, slot):
        vm = running(plane, as_alice, **SLOT)
        assert str(vm.sessions.get().slot_id) == slot
        assert as_alice.get(f"{SAVES}/{slot}").json()["is_in_use"] is True

    def test_by_a_key_says_whose(self, plane, as_service):
        assert list(details(post(as_service, SAVES, SLOT))) == ["user_id"]
        shown = post(as_service, SAVES, {**SLOT, "user_id": "user123"}).json()
        assert shown["user_id"] == "user123"

    def test_by_a_person_is_for_nobody_else(self, plane, as_alice):
        assert post(as_alice, SAVES, {**SLOT, "user_id": "bob@gamer.test"}).status_code == 403

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"console_type": "n64"}, "console_type"),
            ({"game_id": "../zelda"}, "game_id"),
            ({"save_id": "a b"}, "save_id"),
            ({"clock_epoch": "1969-12-31T23:59:59Z"}, "clock_epoch"),
            ({"clock_epoch": "2100-01-01T00:00:00Z"}, "clock_epoch"),
            ({"name": "second"}, "name"),
        ],
    )
    def test_refuses_what_cannot_be(self, plane, as_alice, change, field):
        assert list(details(post(as_alice, SAVES, {**SLOT, **change}))) == [field]

    def test_refuses_what_is_malformed(self, plane, as_alice):
        right = {**SLOT, "clock_epoch": "2001-09-01T08:00:00Z", "user_id": "alice@gamer.test"}
        assert sweep_bodies(as_alice, SAVES, right, nullable={"clock_epoch", "user_id"}) > 60


class TestList:
    @pytest.fixture
    def others(self, plane, as_alice, as_bob, slot) -> str:
        """Another console's slot of alice's, and one of bob's."""
        post(as_bob, SAVES, SLOT)
        return post(as_alice, SAVES, {**SLOT, "console_type": "switch", "game_id": "mario"}).json()["slot_id"]

    def ids(self, client, **query):
        return [one["slot_id"] for one in client.get(SAVES, query).json()]

    def test_shows_ones_own_the_newest_first(self, as_alice, slot, others):
        assert self.ids(as_alice) == [others, slot]
        assert self.ids(as_alice, console_type="snes") == self.ids(as_alice, game_id="zelda") == [slot]
        assert self.ids(as_alice, limit="1", skip="1") == [slot]

    def test_shows_staff_and_services_whose_they_ask_for(self, as_sam, as_service, slot, others):
        for client in (as_sam, as_service):
            assert len(self.ids(client)) == 3
            assert self.ids(client, user_id="alice@gamer.test") == [others, slot]

    def test_takes_as_many_statements_for_many(self, as_alice, slot, others, django_assert_max_num_queries):
        upload(as_alice, slot)
        as_alice.get(SAVES)
        with django_assert_max_num_queries(5):
            assert len(as_alice.get(SAVES).json()) == 2

    def test_never_loads_an_archive(self, as_alice, slot, django_assert_max_num_queries):
        upload(as_alice, slot)
        with django_assert_max_num_queries(9) as captured:
            as_alice.get(SAVES), as_alice.get(f"{SAVES}/{slot}/versions")
        assert not any("unstored" in one["sql"] for one in captured.captured_queries)

    def test_refuses_what_is_malformed(self, as_alice, slot):
        right = {"console_type": "snes", "game_id": "zelda", "user_id": "alice@gamer.test", "limit": "10"}
        assert sweep_query(as_alice, SAVES, right) > 10


class TestStrangers:
    """Somebody else's slot is not there."""

    def test_see_and_do_nothing(self, world, as_alice, as_bob, as_charlie, as_mona, as_reader, slot):
        upload(as_alice, slot)
        palace = ApiKeyFactory(maker=world.sam, department=DepartmentFactory(), scopes=list(Scope)[:3])
        clients = [as_bob, as_charlie, as_mona, client_with_key(palace.secret)]
        for client in clients:
            path = f"{SAVES}/{slot}"
            answers = [
                client.get(path),
                client.get(f"{path}/versions"),
                client.get(f"{path}/versions/1/download"),
                client.patch(path, {"save_id": "mine"}, format="json"),
                post(client, f"{path}/versions/1/restore"),
                upload(client, slot, TWO),
                client.delete(path),
            ]
            assert [one.status_code for one in answers] == [404] * 7
            assert client.get(SAVES).json() == []
        assert as_reader.get(SAVES).json() == []
        assert SaveVersion.objects.count() == 1

    def test_of_a_vm_without_owner_its_key_sees_them(self, plane, world, as_service, as_alice, as_sam):
        vm = running(plane, as_service)
        slot = str(vm.sessions.get().slot_id)
        shown = as_service.get(f"{SAVES}/{slot}").json()
        assert (shown["user_id"], shown["vm_id"]) == (None, str(vm.pk))
        other = ApiKeyFactory(maker=world.sam, department=world.arcade, scopes=[Scope.READ, Scope.ACT_AS])
        assert client_with_key(other.secret).get(f"{SAVES}/{slot}").status_code == 404
        assert as_alice.get(f"{SAVES}/{slot}").status_code == 404
        assert as_sam.get(f"{SAVES}/{slot}").status_code == 200


class TestChange:
    def patch(self, client, slot, **changes):
        return client.patch(f"{SAVES}/{slot}", changes, format="json")

    def test_renames(self, plane, as_alice, slot):
        assert self.patch(as_alice, slot, save_id="third").json()["save_id"] == "third"
        assert self.patch(as_alice, slot, save_id="").json()["save_id"] == ""
        event = Event.objects.about("saves", slot).filter(action="update").order_by("id").first()
        assert event.details["save_id"] == ["second", "third"]

    def test_to_a_name_that_is_taken_is_refused(self, as_alice, as_bob, slot):
        other = post(as_alice, SAVES, {**SLOT, "save_id": "third"}).json()["slot_id"]
        assert details(self.patch(as_alice, slot, save_id="third"), 409)["slot_id"] == [other]
        assert self.patch(as_alice, slot, save_id="second").status_code == 200
        theirs = post(as_bob, SAVES, SLOT).json()["slot_id"]
        assert self.patch(as_bob, theirs, save_id="third").status_code == 200

    def test_sets_and_resets_the_clock(self, as_alice, slot):
        SaveSlot.objects.update(played_s=90)
        shown = self.patch(as_alice, slot, clock_epoch="2020-03-20T08:00:00Z").json()
        assert (shown["clock_at"], shown["save_id"]) == ("2020-03-20T08:01:30Z", "second")
        shown = self.patch(as_alice, slot, clock_epoch=None).json()
        assert (shown["clock_epoch"], shown["clock_at"], shown["played_s"]) == (None, None, 90)
        assert told(slot) == ["create", "update", "update"]
        changes = [event.details for event in Event.objects.filter(action="update").order_by("id")]
        assert changes[0]["clock_epoch"][1] == changes[1]["clock_epoch"][0] == "2020-03-20T08:00:00Z"

    def test_while_somebody_plays_leaves_the_name_and_takes_the_clock(self, plane, as_alice, slot):
        running(plane, as_alice, **SLOT)
        assert set(details(self.patch(as_alice, slot, save_id="third"), 409)) == {"session_id", "vm_id"}
        assert self.patch(as_alice, slot, clock_epoch="2020-03-20T08:00:00Z").status_code == 200
        read = {name: as_alice.get(f"{SAVES}/{slot}").json()[name] for name in ("save_id", "clock_epoch")}
        assert self.patch(as_alice, slot, **read).status_code == 200

    def test_of_nothing_is_refused(self, as_alice, slot):
        assert self.patch(as_alice, slot).status_code == 400
        assert self.patch(as_alice, slot, played_s=0).status_code == 400

    def test_refuses_what_is_malformed(self, as_alice, slot):
        right = {"save_id": "third", "clock_epoch": "2020-03-20T08:00:00Z"}
        sent = sweep_bodies(as_alice, f"{SAVES}/{slot}", right, method="PATCH", nullable={"clock_epoch"})
        assert sent > 30


class TestVersions:
    def test_lists_them_the_newest_first(self, as_alice, slot):
        brought(slot, ONE)
        brought(slot, TWO, base=1)
        brought(slot, packed({}), base=1)
        shown = as_alice.get(f"{SAVES}/{slot}/versions").json()
        assert [(one["number"], one["is_current"], one["base"]) for one in shown] == [
            (3, False, 1), (2, True, 1), (1, False, 0),
        ]  # fmt: skip
        assert shown[1]["digest"] == digest_of(TWO)
        assert shown[1]["by"] == "agent:0f8c2c3e"
        assert as_alice.get(f"{SAVES}/{slot}").json()["current"] == {
            name: shown[1][name] for name in ("number", "size", "digest", "created_at")
        }


class TestUpload:
    def test_becomes_the_current_version(self, as_alice, slot):
        brought(slot, ONE)
        answer = upload(as_alice, slot, TWO)
        assert (answer.status_code, answer.json()["number"], answer.json()["is_current"]) == (201, 2, True)
        assert (answer.json()["vm_id"], answer.json()["by"]) == (None, "user:alice@gamer.test")

    def test_of_what_is_current_already_changes_nothing(self, as_alice, slot):
        brought(slot, ONE)
        answer = upload(as_alice, slot)
        assert (answer.status_code, answer.json()["number"]) == (200, 1)

    def test_while_somebody_plays_is_refused(self, plane, as_alice, slot):
        running(plane, as_alice, **SLOT)
        assert set(details(upload(as_alice, slot), 409)) == {"session_id", "vm_id"}

    @pytest.mark.parametrize("archive", [b"", b"no archive", b"\x1f\x8b\x08"])
    def test_of_what_is_no_archive_is_refused(self, as_alice, slot, archive):
        assert list(details(upload(as_alice, slot, archive))) == ["archive"]

    def test_of_another_kind_is_refused(self, as_alice, slot):
        refused = post(as_alice, f"{SAVES}/{slot}/versions", {"a": 1})
        assert (refused.status_code, refused.json()["detail"]) == (
            415,
            "Send application/gzip, and say so in Content-Type.",
        )

    def test_takes_more_than_other_bodies_may_be(self, as_alice, slot):
        assert upload(as_alice, slot, packed({"large": os.urandom(3_000_000)})).status_code == 201

    def test_past_the_players_room_is_refused(self, as_alice, slot, settings):
        settings.SAVES_BYTES_PER_PLAYER = 1000
        answer = upload(as_alice, slot, packed({"large": os.urandom(2000)}))
        assert "delete some slots" in answer.json()["detail"]
        assert answer.status_code == 409

    def test_has_a_pace(self, as_alice, slot, paces):
        Allowance.objects.all().delete()
        codes = [upload(as_alice, slot, b"no archive").status_code for _ in range(22)]
        assert codes == [400] * 20 + [429] * 2


class TestDownload:
    def fetch(self, client, slot, number=1):
        return client.get(f"{SAVES}/{slot}/versions/{number}/download")

    @pytest.mark.parametrize("is_stored", [False, True])
    def test_gives_the_archive_as_an_attachment(self, as_alice, slot, is_stored):
        brought(slot, ONE)
        if is_stored:
            assert storing.store_next(timezone.now(), timezone.now)
        answer = self.fetch(as_alice, slot)
        assert (answer.status_code, b"".join(answer)) == (200, ONE)
        assert answer["Content-Disposition"] == 'attachment; filename="snes-zelda-second-v1.tar.gz"'
        assert answer["Content-Type"] == "application/gzip"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Cache-Control"] == "no-store"
        assert not answer.has_header("Content-Encoding")

    def test_leads_to_the_bucket_that_has_it(self, as_alice, slot, settings):
        with S3() as s3:
            settings.SAVES_URL = s3.address
            brought(slot, ONE)
            storing.store_next(timezone.now(), timezone.now)
            s3.asked.clear()
            answer = self.fetch(as_alice, slot)
            assert (answer.status_code, s3.asked) == (302, [])  # nobody waits for a storage
            assert urlsplit(answer["Location"]).netloc == urlsplit(s3.url).netloc
            given = requests.get(answer["Location"], timeout=30)
            assert given.content == ONE
            assert (
                given.headers["Content-Disposition"] == 'attachment; filename="snes-zelda-second-v1.tar.gz"'
            )

    def test_is_named_so_that_no_header_breaks(self, as_alice, slot):
        SaveSlot.objects.update(game_id='ze"l\r\nda: ü', save_id="../x")
        brought(slot, ONE)
        named = self.fetch(as_alice, slot)["Content-Disposition"]
        assert re.fullmatch(r'attachment; filename="[A-Za-z0-9._-]+"', named)

    def test_of_what_comes_back_up_changes_nothing(self, as_alice, slot):
        brought(slot, ONE)
        archive = b"".join(self.fetch(as_alice, slot))
        assert [one.name for one in files_in(archive)] == ["zelda.srm"]
        assert upload(as_alice, slot, archive).status_code == 200

    @pytest.mark.parametrize("number", [2, 0, 10**17])
    def test_of_a_version_that_is_not_there(self, as_alice, slot, number):
        brought(slot, ONE)
        assert self.fetch(as_alice, slot, number).status_code == 404

    def test_of_one_that_the_storage_lost_is_unavailable(self, as_alice, slot, settings, tmp_path):
        brought(slot, ONE)
        storing.store_next(timezone.now(), timezone.now)
        settings.SAVES_URL = f"file://{tmp_path}/elsewhere"
        assert details(self.fetch(as_alice, slot), 503) == {}


class TestRestore:
    def restore(self, client, slot, number):
        return post(client, f"{SAVES}/{slot}/versions/{number}/restore")

    def test_makes_an_older_content_current_as_a_new_version(self, as_alice, slot):
        brought(slot, ONE)
        brought(slot, TWO, base=1)
        shown = self.restore(as_alice, slot, 1).json()
        assert (shown["number"], shown["is_current"], shown["restored_from"], shown["base"]) == (
            3,
            True,
            1,
            2,
        )
        assert shown["digest"] == digest_of(ONE)
        assert told(slot)[-1] == "save_restored"
        # What a machine made of it goes on.
        assert brought(slot, packed({"a": b"3"}), base=3).is_current

    def test_brings_back_what_was_kept_beside(self, as_alice, slot):
        brought(slot, ONE)
        brought(slot, TWO, base=1)
        assert not brought(slot, packed({"late": b"1"}), base=1).is_current
        assert self.restore(as_alice, slot, 3).json()["number"] == 4
        assert as_alice.get(f"{SAVES}/{slot}").json()["current"]["digest"] == digest_of(
            packed({"late": b"1"})
        )

    def test_again_changes_nothing(self, as_alice, slot):
        brought(slot, ONE)
        brought(slot, TWO, base=1)
        assert [self.restore(as_alice, slot, 1).json()["number"] for _ in range(3)] == [3, 3, 3]
        assert self.restore(as_alice, slot, 3).json()["number"] == 3

    def test_while_somebody_plays_is_refused(self, plane, as_alice, slot):
        brought(slot, ONE)
        brought(slot, TWO, base=1)
        running(plane, as_alice, **SLOT)
        assert set(details(self.restore(as_alice, slot, 1), 409)) == {"session_id", "vm_id"}

    @pytest.mark.parametrize("number", [2, 10**17])
    def test_of_a_version_that_is_not_there(self, as_alice, slot, number):
        brought(slot, ONE)
        assert self.restore(as_alice, slot, number).status_code == 404


class TestDelete:
    def test_forgets_the_slot_and_leaves_the_history_of_games(self, plane, as_alice, slot):
        brought(slot, ONE)
        vm = running(plane, as_alice, **SLOT)
        session = vm.sessions.get()
        GameSession.objects.update(status="ended", ended_at=timezone.now())
        assert as_alice.delete(f"{SAVES}/{slot}").status_code == 204
        assert as_alice.get(f"{SAVES}/{slot}").status_code == 404
        session.refresh_from_db()
        assert (session.slot, session.save_id) == (None, "second")
        assert told(slot)[-1] == "delete"

    def test_while_somebody_plays_is_refused(self, plane, as_alice, slot):
        vm = running(plane, as_alice, **SLOT)
        GameSession.objects.create(
            vm=vm,
            game_id="zelda",
            slot_id=slot,
            status="ended",
            queued_at=timezone.now() - timedelta(hours=1),
        )
        assert set(details(as_alice.delete(f"{SAVES}/{slot}"), 409)) == {"session_id", "vm_id"}
        assert vm.sessions.filter(slot=slot).count() == 2

    def test_of_what_is_gone_is_not_there(self, as_alice, slot):
        as_alice.delete(f"{SAVES}/{slot}")
        assert as_alice.delete(f"{SAVES}/{slot}").status_code == 404


class TestOwner:
    """What becomes of saves when something becomes of their player."""

    def test_that_is_suspended_keeps_them_out_of_their_own_reach(self, world, as_alice, as_sam, slot):
        brought(slot, ONE)
        suspend(by=Principal(user=world.sam), user=world.alice, reason="spam", now=timezone.now())
        assert as_alice.get(f"{SAVES}/{slot}").status_code == 401
        assert b"".join(as_sam.get(f"{SAVES}/{slot}/versions/1/download")) == ONE
        taken = Event.objects.about("saves", slot).order_by("-id").first()
        assert (taken.action, taken.actor) == ("save_downloaded", f"user:{world.sam.handle}")
        reinstate(by=Principal(user=world.sam), user=world.alice, now=timezone.now())
        assert client_of(world.alice).get(f"{SAVES}/{slot}").status_code == 200

    def test_with_saves_is_not_deleted(self, world, slot):
        with pytest.raises(ProtectedError):
            world.alice.delete()

    def test_downloads_their_own_without_a_word(self, as_alice, slot):
        brought(slot, ONE)
        as_alice.get(f"{SAVES}/{slot}/versions/1/download")
        assert "save_downloaded" not in told(slot)
