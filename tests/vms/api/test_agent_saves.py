"""`PUT /agent/saves`: what a VM's agent may put into its player's slots, and a hostile one may not."""

from __future__ import annotations

import os
import uuid
from datetime import timedelta
from io import BytesIO
from urllib.parse import urlencode

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.principal import Principal
from emulators.archives import digest_of
from emulators.models import SaveSlot, SaveVersion
from emulators.services import saves
from events.models import Event
from gamer.web.models import Allowance
from tests.bad_inputs import assert_error, sweep_query
from tests.emulators.saving import member, packed, tar
from tests.vms.api.asking import details, post, running
from tests.vms.api.test_agents import HEARTBEAT, beat, registered
from vms import services, sessions
from vms.models import VM, GameSession
from vms.providers.memory import Fault

SAVES = "/agent/saves"
ONE = packed({"zelda.srm": b"one"})


@pytest.fixture
def vm(played):
    return VM.objects.get()


@pytest.fixture
def agent(vm):
    return registered(vm)


@pytest.fixture
def session(vm) -> GameSession:
    return vm.sessions.get()


def told(session: GameSession, archive: bytes = ONE, **changes: object) -> dict[str, object]:
    return {"session_id": session.pk, "base": 0, "digest": digest_of(archive), "played_s": 30, **changes}


def put(agent: APIClient, query: dict[str, object], archive: bytes = ONE, kind: str = "application/gzip"):
    return agent.put(f"{SAVES}?{urlencode(query)}", archive, content_type=kind)


def refusals(vm: VM) -> int:
    return VM.objects.values_list("agent_refusals", flat=True).get(pk=vm.pk)


class TestPut:
    def test_keeps_an_archive_in_the_slot_of_the_session(self, vm, agent, session, world):
        answer = put(agent, told(session))
        assert (answer.status_code, answer.json()) == (
            200,
            {"slot": str(session.slot_id), "number": 1, "is_current": True},
        )
        version = SaveVersion.objects.select_related("slot", "archive").get()
        assert (version.slot.owner, version.slot.console_id, version.slot.game_id) == (
            world.alice,
            "switch",
            "mario-odyssey",
        )
        assert (version.session_id, version.subject, version.by) == (
            session.pk,
            str(vm.pk),
            f"agent:{vm.code}",
        )
        event = Event.objects.about("saves", session.slot_id).get()
        assert (event.action, event.owner_id, event.actor) == (
            "save_stored",
            world.alice.pk,
            f"agent:{vm.code}",
        )

    def test_again_answers_the_same_and_is_no_refusal(self, vm, agent, session):
        first = put(agent, told(session)).json()
        put(agent, told(session, packed({"a": b"2"}), base=1), packed({"a": b"2"}))
        assert put(agent, told(session)).json() == {**first, "is_current": False}
        assert (SaveVersion.objects.count(), refusals(vm)) == (2, 0)

    def test_that_did_not_know_the_current_one_is_told_so(self, agent, session):
        slot = SaveSlot.objects.get()
        saves.take(
            slot_id=slot.pk, session_id=uuid.uuid4(), subject="", base=0, digest=digest_of(ONE), archive=ONE,
            by="agent:other", now=timezone.now(),
        )  # fmt: skip
        archive = packed({"zelda.srm": b"late"})
        assert put(agent, told(session, archive), archive).json()["is_current"] is False

    def test_of_a_game_that_ended_is_taken_while_its_vm_lives(self, agent, session):
        GameSession.objects.update(status="ended", ended_at=timezone.now())
        assert put(agent, told(session)).status_code == 200

    def test_counts_what_was_played(self, agent, session):
        GameSession.objects.update(started_at=timezone.now() - timedelta(hours=1))
        put(agent, told(session, played_s=1200.5))
        session.refresh_from_db()
        assert (session.played_s, SaveSlot.objects.get().played_s) == (1200, 1200)

    def test_takes_more_than_other_bodies_may_be(self, agent, session):
        archive = packed({"large": os.urandom(3_000_000)})
        assert put(agent, told(session, archive), archive).status_code == 200


class TestRefusal:
    def test_of_another_vms_session(self, played, vm, agent, session, as_bob):
        theirs = running(played, as_bob).sessions.get()
        for stranger in (theirs.pk, uuid.uuid4()):
            assert details(put(agent, told(session, session_id=stranger)), 404) == {}
        assert (SaveVersion.objects.count(), refusals(vm)) == (0, 2)

    def test_once_the_vm_has_ended(self, vm, agent, session):
        VM.objects.filter(pk=vm.pk).update(phase="deleted", next_look_at=None)
        assert put(agent, told(session)).status_code == 401
        assert not SaveVersion.objects.exists()

    def test_once_the_machine_was_given_up(self, vm, agent, session):
        VM.objects.filter(pk=vm.pk).update(attempt=None)
        assert put(agent, told(session)).status_code == 404

    def test_of_a_slot_that_was_deleted(self, vm, agent, session):
        GameSession.objects.update(slot=None)
        assert put(agent, told(session)).status_code == 404

    @pytest.mark.parametrize(
        "archive",
        [b"no archive", tar(member("../../root/.ssh/authorized_keys", b"1")), b""],
        ids=["text", "elsewhere", "empty"],
    )
    def test_of_what_is_no_archive(self, vm, agent, session, archive):
        answer = put(agent, told(session, digest="0" * 64), archive)
        assert list(details(answer)) == ["archive"]
        assert (SaveVersion.objects.count(), refusals(vm)) == (0, 1)

    def test_of_another_digest(self, agent, session):
        assert list(details(put(agent, told(session, digest="0" * 64)))) == ["digest"]

    def test_of_another_kind_of_body(self, vm, agent, session):
        assert details(put(agent, told(session), kind="application/json"), 415) == {}
        assert refusals(vm) == 1

    def test_of_what_is_malformed(self, agent, session):
        right = {name: str(value) for name, value in told(session).items()}
        assert sweep_query(agent, SAVES, right, method="PUT") > 10

    @pytest.mark.parametrize("query", [{"base": -1}, {"played_s": "-1"}, {"digest": "0" * 63}], ids=str)
    def test_of_numbers_that_cannot_be(self, agent, session, query):
        assert list(details(put(agent, told(session, **query)))) == list(query)

    def test_of_more_than_64_mib_comes_before_it_is_read(self, vm, agent, session):
        class Endless:
            read_so_far = 0

            def read(self, size=-1):
                self.read_so_far += size
                return b"x" * size

            readline = read

        body, query = Endless(), urlencode(told(session))
        answer = agent.request(
            REQUEST_METHOD="PUT", PATH_INFO=SAVES, QUERY_STRING=query, CONTENT_TYPE="application/gzip",
            CONTENT_LENGTH=str(64 * 1024 * 1024 + 1), **{"wsgi.input": body},
        )  # fmt: skip
        assert answer.status_code == 413
        assert_error(answer)
        assert body.read_so_far <= 16_000_000  # to be polite
        assert refusals(vm) == 1

    def test_of_a_large_body_that_announces_no_length(self, agent, session):
        archive = packed({"large": os.urandom(1_500_000)})
        chunked = {
            "HTTP_TRANSFER_ENCODING": "chunked",
            "wsgi.input": BytesIO(archive),
            "wsgi.input_terminated": True,
        }
        query = urlencode(told(session, archive))
        answer = agent.request(
            REQUEST_METHOD="PUT",
            PATH_INFO=SAVES,
            QUERY_STRING=query,
            CONTENT_TYPE="application/gzip",
            **chunked,
        )
        assert answer.status_code == 413

    def test_of_too_many_at_once(self, agent, session, paces):
        Allowance.objects.all().delete()
        codes = [put(agent, told(session)).status_code for _ in range(14)]
        assert codes == [200] * 12 + [429] * 2

    def test_of_people_and_services(self, session, as_sam, as_alice, as_admin_key):
        for client in (as_sam, as_alice, as_admin_key, APIClient()):
            assert put(client, told(session)).status_code == 401


class TestManifest:
    def test_names_the_save_a_game_goes_on_with(self, played, as_alice, vm, agent, session):
        (shown,) = agent.get("/agent/manifest").json()["sessions"]
        assert shown["save"] == {"slot": str(session.slot_id), "base": 0, "digest": ""}
        put(agent, told(session))
        GameSession.objects.update(status="ended", ended_at=timezone.now())
        post(as_alice, f"/launch/vm/{vm.pk}/game", {"game_id": "mario-odyssey"})
        (shown,) = agent.get("/agent/manifest").json()["sessions"]
        assert shown["save"] == {"slot": str(session.slot_id), "base": 1, "digest": digest_of(ONE)}


class TestPlayed:
    """A session's report is the whole of it: repeats and latecomers change nothing."""

    @pytest.fixture(autouse=True)
    def for_hours(self, session) -> None:
        GameSession.objects.update(status="launched", started_at=timezone.now() - timedelta(hours=3))

    def beat(self, agent, session, seconds):
        one = {"session_id": str(session.pk), "state": "launched", "played_s": seconds}
        assert post(agent, HEARTBEAT, beat(sessions=[one])).status_code == 204
        session.refresh_from_db()
        return session.played_s, SaveSlot.objects.get().played_s

    def test_grows_with_heartbeats_by_the_minute(self, agent, session):
        assert [self.beat(agent, session, seconds) for seconds in (59.9, 60.4, 75.0, 75.0, 30.0, 121.0)] == [
            (0, 0), (60, 60), (60, 60), (60, 60), (60, 60), (121, 121),
        ]  # fmt: skip

    def test_is_no_more_than_the_session_lasts(self, agent, session):
        played, _ = self.beat(agent, session, 20 * 86_400)
        assert 3 * 3600 <= played < 3 * 3600 + 60

    def test_costs_a_heartbeat_one_look_when_there_is_nothing_new(
        self, agent, session, django_assert_max_num_queries
    ):
        self.beat(agent, session, 60)
        one = {"session_id": str(session.pk), "state": "launched", "played_s": 61.0}
        with django_assert_max_num_queries(6):
            post(agent, HEARTBEAT, beat(sessions=[one]))

    @pytest.mark.parametrize(
        "name", ["x", "9A1D6F0C-3B52-4C8E-A7F4-1E2D3C4B5A69", "9a1d6f0c-3b52-4c8e-a7f4-1e2d3c4b5a69"]
    )
    def test_of_what_is_no_session_here_is_passed_over(self, agent, name):
        one = {"session_id": name, "state": "launched", "played_s": 600.0}
        assert post(agent, HEARTBEAT, beat(sessions=[one])).status_code == 204
        assert SaveSlot.objects.get().played_s == 0

    def test_of_another_vms_session_is_passed_over(self, played, vm, session, as_bob):
        other = running(played, as_bob)
        sessions.note_played(vm_id=other.pk, played={session.pk: 600.0}, now=timezone.now())
        assert SaveSlot.objects.get(pk=session.slot_id).played_s == 0

    def test_adds_up_over_the_sessions_of_a_slot(self, played, world, vm, session, as_alice):
        GameSession.objects.filter(pk=session.pk).update(status="ended", ended_at=timezone.now())
        post(as_alice, f"/launch/vm/{vm.pk}/game", {"game_id": "mario-odyssey"})
        second = vm.sessions.exclude(pk=session.pk).get()
        now = second.queued_at + timedelta(hours=1)
        for _ in range(2):
            sessions.note_played(vm_id=vm.pk, played={session.pk: 100.0, second.pk: 200.0}, now=now)
        assert SaveSlot.objects.get().played_s == 300

    def test_goes_on_without_a_slot(self, vm, session):
        GameSession.objects.update(slot=None)
        sessions.note_played(vm_id=vm.pk, played={session.pk: 100.0}, now=timezone.now())
        session.refresh_from_db()
        assert (session.played_s, SaveSlot.objects.get().played_s) == (100, 0)


class TestSlots:
    """Where a launch finds its slot."""

    def test_of_a_player_is_the_same_on_every_vm(self, played, world, vm, session, as_alice):
        services.destroy(vm=vm, by=Principal(user=world.alice), now=played.clock())
        played.until(vm, "terminated")
        again = running(played, as_alice)
        assert again.pk != vm.pk
        assert again.sessions.get().slot_id == session.slot_id

    def test_of_a_vm_without_owner_is_its_own(self, plane, as_service):
        one, other = (running(plane, as_service).sessions.get() for _ in range(2))
        assert one.slot_id != other.slot_id
        assert (one.slot.owner, one.slot.subject) == (None, str(one.vm_id))

    def test_of_a_retry_is_the_one_that_was_asked_for(self, plane, world, as_alice):
        fault = plane.cloud.switch_on(Fault.REJECTED, times=None)
        wish = {"console_type": "snes", "game_id": "zelda", "save_id": "second"}
        vm = VM.objects.get(pk=post(as_alice, "/launch/game", wish).json()["vm_id"])
        plane.until(vm, "error")
        plane.cloud.switch_off(fault)
        assert post(as_alice, f"/vms/{vm.pk}/retry").status_code == 202
        assert set(vm.sessions.values_list("save_id", "slot__save_id")) == {("second", "second")}
        assert vm.sessions.count() == 2
