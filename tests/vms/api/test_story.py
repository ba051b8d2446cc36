"""What happened to a VM: status, connection, timeline, attempts, setup steps, games."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from tests.vms.api.asking import details, made, post, running
from vms.models import VM, GameSession, SetupStep
from vms.providers.memory import Fault

pytestmark = pytest.mark.usefixtures("plane")


@pytest.fixture
def playing(plane, as_alice):
    """Alice's VM, with a game on it."""
    vm = running(plane, as_alice)
    plane.settle(seconds=3)
    return vm


class TestStatus:
    def test_is_light(self, as_alice, playing, django_assert_max_num_queries):
        VM.objects.filter(pk=playing.pk).update(phase_since=timezone.now() - timedelta(seconds=90))
        with django_assert_max_num_queries(2):  # who asks, and the VM
            body = as_alice.get(f"/vms/{playing.pk}/status").json()
        assert set(body) == {
            *("vm_id", "status", "ip_address", "uptime_seconds", "last_activity", "gaming_environment_ready"),
        }
        assert (body["status"], body["ip_address"]) == ("running", playing.ip_address)
        assert 90 <= body["uptime_seconds"] < 120
        assert body["gaming_environment_ready"] is True

    def test_of_one_that_does_not_run_has_no_uptime(self, as_alice):
        body = as_alice.get(f"/vms/{made(as_alice).pk}/status").json()
        assert (body["status"], body["uptime_seconds"], body["ip_address"]) == ("creating", None, None)


class TestConnection:
    def test_says_where_moonlight_connects(self, as_alice, playing):
        body = as_alice.get(f"/vms/{playing.pk}/connection").json()
        assert (body["is_reachable"], body["reason"]) == (True, None)
        assert (body["ip_address"], body["wolf_port"]) == (playing.ip_address, 47999)
        assert body["ports"] == {"tcp": [47984, 47989, 48010], "udp": [47999, 48100, 48200]}

    def test_says_why_it_cannot_yet(self, as_alice):
        body = as_alice.get(f"/vms/{made(as_alice).pk}/connection").json()
        assert (body["is_reachable"], body["reason"]) == (False, "The VM is creating.")


class TestEvents:
    def test_tell_the_story_in_order(self, as_alice, playing):
        answer = as_alice.get(f"/vms/{playing.pk}/events")
        told = [one["action"] for one in answer.json()]
        assert told[:3] == ["create", "session_queued", "placed"]
        assert told[-1] == "session_launched"
        price = answer.json()[2]["details"]["usd_per_hour"]
        assert price == as_alice.get(f"/vms/{playing.pk}").json()["hourly_cost_usd"] > 0
        assert answer["X-Total-Count"] == str(len(told))
        assert set(answer.json()[0]) == {
            *("id", "at", "actor", "action", "resource", "resource_id", "details"),
        }
        assert {(one["resource"], one["resource_id"]) for one in answer.json()} == {("vms", str(playing.pk))}

    def test_go_on_after_the_last_one_seen(self, as_alice, playing):
        path = f"/vms/{playing.pk}/events"
        every = as_alice.get(path).json()
        assert as_alice.get(path, {"after": every[2]["id"]}).json() == every[3:]
        assert as_alice.get(path, {"after": every[-1]["id"]}).json() == []

    @pytest.mark.parametrize("after", ["x", "-1", "1.5", "9" * 30, "1e999", "true"])
    def test_refuse_what_is_no_id(self, as_alice, after):
        assert "after" in details(as_alice.get(f"/vms/{made(as_alice).pk}/events", {"after": after}))


class TestAttempts:
    def test_say_which_offers_were_tried_and_why_each_failed(self, plane, as_alice, as_sam):
        plane.cloud.switch_on(Fault.NO_CAPACITY)
        vm = running(plane, as_alice)
        first, second = as_alice.get(f"/vms/{vm.pk}/attempts").json()
        assert (first["outcome"], first["error"]["code"]) == ("failed", "NoCapacity")
        assert "no available nodes" in first["error"]["message"]
        assert (second["outcome"], second["error"]) == ("won", None)
        assert (second["provider"], second["preset"], second["gpus"]) == ("tensordock", "premium", 1)
        assert second["hourly_cost_usd"] == float(round(vm.attempt.usd_per_hour, 6))
        assert "provider_instance_id" not in second
        assert as_sam.get(f"/vms/{vm.pk}/attempts").json()[1]["provider_instance_id"] == vm.attempt.machine_id


class TestSteps:
    def test_show_the_setup_of_the_current_machine(self, as_alice, as_sam, playing):
        moment = timezone.now()
        for position, name in enumerate(("packages", "agent")):
            SetupStep.objects.create(
                attempt=playing.attempt,
                position=position,
                name=name,
                title=name.title(),
                state="done",
                log_tail="apt said so",
                updated_at=moment,
            )
        body = as_alice.get(f"/vms/{playing.pk}/steps").json()
        assert [one["name"] for one in body] == ["packages", "agent"]
        assert set(body[0]) == {"name", "title", "state", "seconds", "updated_at"}
        assert as_sam.get(f"/vms/{playing.pk}/steps").json()[0]["log_tail"] == "apt said so"

    def test_are_none_before_there_is_a_machine(self, as_alice):
        assert as_alice.get(f"/vms/{made(as_alice).pk}/steps").json() == []


class TestSessions:
    def test_show_the_games_the_newest_first(self, plane, as_alice, playing):
        body = post(as_alice, f"/launch/vm/{playing.pk}/game", {"game_id": "zelda"}).json()
        newest, oldest = as_alice.get(f"/vms/{playing.pk}/sessions").json()
        assert (newest["session_id"], newest["status"]) == (body["session_id"], "queued")
        assert (oldest["game_id"], oldest["status"]) == ("mario-odyssey", "launched")
        assert oldest["started_at"] is not None
        plane.settle(seconds=3)
        states = [one["status"] for one in as_alice.get(f"/vms/{playing.pk}/sessions").json()]
        assert states == ["launched", "ended"]

    def test_are_found_by_their_id(self, as_alice, playing):
        session = playing.sessions.get()
        body = as_alice.get(f"/sessions/{session.pk}").json()
        assert set(body) >= {"session_id", "game_id", "save_id", "status", "started_at", "ended_at"}
        assert (body["vm_id"], body["game_id"], body["save_id"]) == (str(playing.pk), "mario-odyssey", None)
        assert as_alice.get(f"/sessions/{uuid.uuid4()}").status_code == 404

    def test_lead_to_their_saves_and_say_for_how_long_was_played(self, as_alice, playing):
        session = playing.sessions.get()
        playing.sessions.update(played_s=61)
        (slot,) = as_alice.get("/saves").json()
        for body in (
            as_alice.get(f"/sessions/{session.pk}").json(),
            *as_alice.get(f"/vms/{playing.pk}/sessions").json(),
        ):
            assert (body["slot_id"], body["played_s"]) == (slot["slot_id"], 61)
        playing.sessions.update(slot=None)
        assert as_alice.get(f"/sessions/{session.pk}").json()["slot_id"] is None

    def test_end_on_request_while_the_vm_goes_on(self, plane, as_alice, playing):
        session = playing.sessions.get()
        for _ in range(2):
            answer = as_alice.delete(f"/sessions/{session.pk}")
            assert (answer.status_code, answer.json()) == (202, {"message": "Session end initiated"})
        plane.settle(seconds=3)
        assert as_alice.get(f"/sessions/{session.pk}").json()["status"] == GameSession.Status.ENDED
        assert as_alice.get(f"/vms/{playing.pk}").json()["status"] == "running"
