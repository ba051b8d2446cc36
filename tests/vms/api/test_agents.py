"""`/agent`: what a VM's own agent may do, and nobody else."""

from __future__ import annotations

import hashlib
import itertools
import uuid
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from django.utils import timezone
from rest_framework.test import APIClient

from emulators.models import SaveSlot
from events.models import Event
from gamer.web.models import Allowance
from monitoring.models import Sample
from tests.bad_inputs import sweep_bodies
from tests.vms.api.asking import details, made, post, running
from tests.vms.setup.agent.running import Agent
from tests.vms.setup.agent.test_saves import Console
from tests.waiting import eventually
from vms.models import VM, GameSession

REGISTER, HEARTBEAT = "/agent/register", "/agent/heartbeat"
Status = GameSession.Status
SEQUENCES = itertools.count(128_004)


def at(**delta: float) -> str:
    return (timezone.now() + timedelta(**delta)).isoformat().replace("+00:00", "Z")


def beat(**changes):
    return {
        "boot_id": "c0f1a3de-1f6b-4f5e-8d4b-0a1b2c3d4e5f",
        "sequence": next(SEQUENCES),
        "sent_at": at(),
        "sessions": [{"session_id": str(uuid.uuid4()), "state": "launched"}],
        "metrics": {"cpu_percent": 41.5, "load": 2.0},
        **changes,
    }


def with_token(token: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def registered(vm: VM) -> APIClient:
    """The agent of a VM."""
    body = {"vm_id": str(vm.pk), "bootstrap_token": vm.agent_bootstrap.reveal()}
    answer = post(APIClient(), REGISTER, body)
    assert answer.status_code == 200, answer.content
    return with_token(answer.json()["token"])


def event(state: str, exit_code: int | None = None, **delta: float):
    return {"state": state, "at": at(**delta), "exit_code": exit_code}


@pytest.fixture
def vm(played):
    """Alice's VM with a queued game; its agent has not spoken yet."""
    vm = VM.objects.get()
    vm.sessions.update(status=Status.QUEUED, started_at=None)
    return vm


@pytest.fixture
def agent(vm):
    return registered(vm)


@pytest.fixture
def path(vm):
    """Where the agent reports the VM's game."""
    return f"/agent/sessions/{vm.sessions.get().pk}/events"


class TestRegister:
    def test_trades_the_vms_secret_for_a_token_of_which_only_a_hash_is_kept(self, vm):
        body = {"vm_id": str(vm.pk), "bootstrap_token": vm.agent_bootstrap.reveal()}
        answer = post(APIClient(), REGISTER, body)
        assert (answer.status_code, list(answer.json())) == (200, ["token"])
        assert answer["Cache-Control"] == "no-store"
        vm.refresh_from_db()
        assert vm.agent_token_digest == hashlib.sha256(answer.json()["token"].encode()).hexdigest()
        assert vm.agent_seen_at is not None

    def test_again_ends_the_token_before(self, vm, agent):
        other = registered(vm)
        assert post(agent, HEARTBEAT, beat()).status_code == 401
        assert post(other, HEARTBEAT, beat()).status_code == 204

    @pytest.mark.parametrize("wrong", ["wrong", "", "ü", "x" * 200])
    def test_with_a_wrong_secret_is_refused(self, vm, wrong):
        answer = post(APIClient(), REGISTER, {"vm_id": str(vm.pk), "bootstrap_token": wrong})
        assert answer.status_code == (400 if not wrong else 401)
        vm.refresh_from_db()
        assert vm.agent_token_digest == ""

    def test_with_another_vms_secret_is_refused(self, vm, played, as_bob):
        other = running(played, as_bob)
        body = {"vm_id": str(other.pk), "bootstrap_token": vm.agent_bootstrap.reveal()}
        assert post(APIClient(), REGISTER, body).status_code == 401

    def test_of_a_vm_that_has_ended_or_has_no_machine_is_refused(self, vm, as_bob):
        body = {"vm_id": str(vm.pk), "bootstrap_token": vm.agent_bootstrap.reveal()}
        VM.objects.filter(pk=vm.pk).update(phase="deleted", next_look_at=None)
        assert post(APIClient(), REGISTER, body).status_code == 401
        VM.objects.filter(pk=vm.pk).update(phase="requested", next_look_at=timezone.now(), attempt=None)
        assert post(APIClient(), REGISTER, body).status_code == 401
        without = made(as_bob)  # not placed yet, so without a secret
        assert post(APIClient(), REGISTER, {**body, "vm_id": str(without.pk)}).status_code == 401

    def test_is_put_off_while_no_key_opens_the_secret(self, vm, settings):
        body = {"vm_id": str(vm.pk), "bootstrap_token": vm.agent_bootstrap.reveal()}
        keys, settings.GAMER_KEYS = settings.GAMER_KEYS, [Fernet.generate_key().decode()]
        answer = post(APIClient(), REGISTER, body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
        settings.GAMER_KEYS = keys
        assert post(APIClient(), REGISTER, body).status_code == 200

    def test_is_refused_for_a_while_after_many_failures_but_not_after_successes(self, vm, settings):
        rates = settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]
        settings.REST_FRAMEWORK = {
            **settings.REST_FRAMEWORK,
            "DEFAULT_THROTTLE_RATES": {**rates, "agent_register_ip": "3/hour"},
        }
        for _ in range(4):
            registered(vm)
        wrong = {"vm_id": str(uuid.uuid4()), "bootstrap_token": "wrong"}
        answers = [post(APIClient(), REGISTER, wrong) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
        assert int(answers[-1]["Retry-After"]) > 0

    def test_refuses_what_is_malformed(self, vm):
        right = {"vm_id": str(vm.pk), "bootstrap_token": vm.agent_bootstrap.reveal()}
        assert sweep_bodies(APIClient(), REGISTER, right) > 40


class TestHeartbeat:
    def test_notes_that_the_agent_lives(self, vm, agent, django_assert_max_num_queries):
        VM.objects.filter(pk=vm.pk).update(agent_seen_at=None)
        before = VM.objects.get(pk=vm.pk).updated_at
        with django_assert_max_num_queries(4):  # who asks, their pace, the note, the sample
            assert post(agent, HEARTBEAT, beat()).status_code == 204
        vm.refresh_from_db()
        assert timezone.now() - vm.agent_seen_at < timedelta(seconds=30)
        assert vm.updated_at == before

    def test_of_an_ended_vm_is_refused(self, vm, agent):
        VM.objects.filter(pk=vm.pk).update(phase="deleted", next_look_at=None)
        assert post(agent, HEARTBEAT, beat()).status_code == 401

    def test_is_refused_once_the_machine_was_given_up(self, vm, agent):
        VM.objects.filter(pk=vm.pk).update(agent_token_digest="")
        assert post(agent, HEARTBEAT, beat()).status_code == 401

    def test_refuses_what_is_malformed(self, agent):
        right = {name: value for name, value in beat().items() if name != "sessions"}
        assert sweep_bodies(agent, HEARTBEAT, {**right, "sessions": []}) > 80

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"sent_at": at(days=2)}, "sent_at"),
            ({"sent_at": "9999-12-31T23:59:59-23:59"}, "sent_at"),
            ({"sessions": [{"session_id": "x", "state": "launched"}] * 51}, "sessions"),
            ({"sessions": [{"session_id": "x" * 65, "state": "launched"}]}, "sessions.0.session_id"),
            ({"sessions": [{"session_id": "x", "state": "flying"}]}, "sessions.0.state"),
            ({"sessions": [{"session_id": "x", "state": "launched", "argv": []}]}, "sessions.0.argv"),
            ({"metrics": {"cpu_percent": "much"}}, "metrics.cpu_percent"),
            ({"metrics": {"x" * 41: 1}}, "metrics"),
            ({"metrics": {f"m{n}": n for n in range(33)}}, "metrics"),
            ({"sequence": -1}, "sequence"),
            ({"earlier": [{"at": at(), "metrics": {}}] * 61}, "earlier"),
            ({"earlier": [{"at": "then", "metrics": {}}]}, "earlier.0.at"),
            ({"earlier": [{"at": at(), "metrics": {"load": "high"}}]}, "earlier.0.metrics.load"),
            ({"unpacked": [{"session_id": "x", "why": "y"}] * 51}, "unpacked"),
            ({"unpacked": [{"session_id": "x", "why": "y" * 201}]}, "unpacked.0.why"),
            ({"unpacked": [{"session_id": "x", "why": "y", "slot": "z"}]}, "unpacked.0.slot"),
        ],
    )
    def test_is_bounded(self, vm, agent, change, field):
        VM.objects.filter(pk=vm.pk).update(agent_seen_at=None)
        assert field in details(post(agent, HEARTBEAT, beat(**change)))
        vm.refresh_from_db()
        assert vm.agent_seen_at is None

    def test_tells_what_it_measured_while_nobody_listened(self, vm, agent):
        earlier = [{"at": at(minutes=-minutes), "metrics": {"load": 1.0}} for minutes in (70, 50, 2)]
        assert post(agent, HEARTBEAT, beat(earlier=earlier)).status_code == 204
        # What is older than an hour is not taken.
        assert Sample.objects.filter(subject=vm.pk).count() == 3

    def test_tells_once_of_saves_that_cannot_be_packed(self, vm, agent, played, as_bob):
        session, other = vm.sessions.get(), running(played, as_bob).sessions.get()
        told = [{"session_id": name, "why": "too much"} for name in ("x", str(other.pk), str(session.pk))]
        for _ in range(2):
            assert post(agent, HEARTBEAT, beat(unpacked=told)).status_code == 204
        (happened,) = Event.objects.filter(action="save_unpacked")
        assert (happened.resource_id, happened.owner_id) == (str(vm.pk), vm.owner_id)
        assert happened.details == {"session_id": str(session.pk), "why": "too much"}

    def test_has_a_pace(self, agent, paces):
        Allowance.objects.all().delete()
        codes = {post(agent, HEARTBEAT, beat()).status_code for _ in range(70)}
        assert codes == {204, 429}


class TestReplayedHeartbeats:
    """Within one boot numbers rise; a boot begins later than the one before."""

    def test_are_refused_and_counted(self, vm, agent):
        first = beat(sequence=5)
        assert post(agent, HEARTBEAT, first).status_code == 204
        for again in (first, beat(sequence=4), beat(sequence=5)):
            assert details(post(agent, HEARTBEAT, again), 409) == {}
        assert post(agent, HEARTBEAT, beat(sequence=6)).status_code == 204
        vm.refresh_from_db()
        assert (vm.agent_sequence, vm.agent_refusals) == (6, 3)

    def test_of_an_earlier_boot_are_refused(self, vm, agent):
        old = beat(sequence=90, sent_at=at(seconds=-60))
        post(agent, HEARTBEAT, old)
        assert post(agent, HEARTBEAT, beat(boot_id="another", sequence=1)).status_code == 204
        assert post(agent, HEARTBEAT, {**old, "sequence": 91}).status_code == 409

    def test_count_with_all_that_is_refused(self, vm, agent, path):
        assert post(agent, HEARTBEAT, beat(sent_at=at(minutes=20))).status_code == 400
        assert (
            post(agent, HEARTBEAT, beat(sessions=[{"session_id": "x", "state": "launched"}] * 51)).status_code
            == 400
        )
        assert post(agent, f"/agent/sessions/{uuid.uuid4()}/events", event("ended", 0)).status_code == 404
        vm.refresh_from_db()
        assert vm.agent_refusals == 3


class TestActivity:
    """What a heartbeat says of the player."""

    def told(self, vm, agent, sequence, **activity):
        known = {"is_playing": None, "idle_s": None, "connected": 0, "is_wolf_up": True}
        assert (
            post(agent, HEARTBEAT, beat(sequence=sequence, activity={**known, **activity})).status_code == 204
        )
        vm.refresh_from_db()
        return vm

    def test_sets_the_idle_clock_and_ends_it(self, vm, agent):
        self.told(vm, agent, 1, is_playing=False, idle_s=120.0)
        assert vm.idle_seen_at - vm.idle_since == timedelta(seconds=120)
        before = vm.last_activity
        self.told(vm, agent, 2, is_playing=True, connected=1)
        assert vm.idle_since is None
        assert vm.last_activity == vm.last_moonlight_connection != before

    def test_that_cannot_be_told_is_no_idleness(self, vm, agent):
        self.told(vm, agent, 1, is_playing=False, idle_s=120.0)
        activity = vm.last_activity
        self.told(vm, agent, 2)
        assert (vm.idle_since, vm.last_activity) == (None, activity)

    @pytest.mark.parametrize(
        "change", [{"is_playing": "no"}, {"idle_s": -1}, {"idle_s": 1e12}, {"connected": -1}, {"more": 1}]
    )
    def test_is_bounded(self, vm, agent, change):
        known = {"is_playing": False, "idle_s": 1, "connected": 0, "is_wolf_up": True}
        assert post(agent, HEARTBEAT, beat(activity={**known, **change})).status_code == 400


class TestManifest:
    def test_tells_a_machine_of_itself_and_its_games(self, vm, agent):
        answer = agent.get("/agent/manifest")
        assert answer.status_code == 200
        told = answer.json()
        session = vm.sessions.get()
        assert (told["vm_id"], told["console_type"], told["status"]) == (str(vm.pk), "switch", "running")
        assert [one["session_id"] for one in told["sessions"]] == [str(session.pk)]

    def test_is_for_agents_only(self, vm, as_sam, as_alice):
        assert {client.get("/agent/manifest").status_code for client in (as_sam, as_alice, APIClient())} == {
            401
        }


class TestSessionEvents:
    def test_move_a_game_forward(self, vm, agent, path):
        assert post(agent, path, event("launched", seconds=1)).status_code == 204
        session = vm.sessions.get()
        assert (session.status, session.ended_at) == (Status.LAUNCHED, None)
        assert session.queued_at <= session.started_at <= timezone.now()
        assert post(agent, path, event("ended", 0)).status_code == 204
        session.refresh_from_db()
        assert (session.status, session.error_text) == (Status.ENDED, "")
        assert session.ended_at >= session.started_at
        told = Event.objects.about("vms", vm.pk).filter(actor=f"agent:{vm.code}")
        assert [one.action for one in told] == ["session_launched", "session_ended"]
        assert told[0].owner_id == vm.owner_id

    @pytest.mark.parametrize(
        ("exit_code", "why"),
        [(139, "exit status 139"), (None, "the game was killed"), (-9, "exit status -9")],
    )
    def test_say_why_a_game_failed(self, vm, agent, path, exit_code, why):
        post(agent, path, event("failed", exit_code))
        assert (vm.sessions.get().status, vm.sessions.get().error_text) == (Status.FAILED, why)

    def test_say_it_in_the_machines_words(self, vm, agent, path):
        why = "the library on this machine has no file 'x.nes'"
        assert post(agent, path, {**event("failed", 3), "reason": why}).status_code == 204
        assert vm.sessions.get().error_text == why
        assert Event.objects.get(action="session_failed").details["why"] == why

    def test_say_no_secret_of_a_games_log(self, vm, agent, path, as_alice):
        line = "cannot open https://gamer:hunter2@library.test/nes: password=hunter2"
        assert post(agent, path, {**event("failed", 3), "reason": line}).status_code == 204
        told = as_alice.get(f"/vms/{vm.pk}/sessions").json()[0]["error"]
        assert told.startswith("cannot open https://***@library.test/nes")
        assert "hunter2" not in told

    @pytest.mark.parametrize("late", ["launched", "ended", "failed"])
    def test_never_move_it_back(self, vm, agent, path, late):
        post(agent, path, event("ended", 0))
        before = vm.sessions.values().get()
        assert post(agent, path, event(late)).status_code == 204
        assert vm.sessions.values().get() == before

    def test_told_twice_are_one_event(self, vm, agent, path):
        for _ in range(3):
            post(agent, path, event("launched"))
        assert Event.objects.filter(action="session_launched", actor=f"agent:{vm.code}").count() == 1

    def test_from_a_clock_that_is_behind_never_end_before_they_began(self, vm, agent, path):
        post(agent, path, event("launched", days=-3))
        post(agent, path, event("ended", 0, days=-2))
        session = vm.sessions.get()
        assert session.queued_at <= session.started_at <= session.ended_at

    def test_reach_no_other_vms_games(self, played, agent, as_bob):
        other = running(played, as_bob).sessions.get()
        before = other.status
        answer = post(agent, f"/agent/sessions/{other.pk}/events", event("ended", 0))
        assert details(answer, 404) == {}
        other.refresh_from_db()
        assert other.status == before
        assert post(agent, f"/agent/sessions/{uuid.uuid4()}/events", event("ended", 0)).status_code == 404

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"at": at(days=2)}, "at"),
            ({"at": "soon"}, "at"),
            ({"state": "queued"}, "state"),
            ({"state": "paused"}, "state"),
            ({"exit_code": 2**31}, "exit_code"),
            ({"exit_code": "0"}, "exit_code"),
            ({"log": "x"}, "log"),
            ({"reason": "x" * 501}, "reason"),
            ({"reason": 7}, "reason"),
        ],
    )
    def test_refuse_what_cannot_be(self, vm, agent, path, change, field):
        assert field in details(post(agent, path, {**event("launched"), **change}))
        assert vm.sessions.get().status == Status.QUEUED

    def test_refuse_what_is_malformed(self, agent, path):
        assert sweep_bodies(agent, path, event("launched", 0), nullable={"exit_code"}) > 40


class TestToken:
    @pytest.mark.parametrize(
        "token", ["", "x", "ga_", f"ga_{'0' * 32}_{'A' * 43}", "gk_abcd_secret", "ga_" + "x" * 5000]
    )
    def test_that_is_none_is_refused(self, vm, path, token):
        for where, body in ((HEARTBEAT, beat()), (path, event("ended", 0))):
            answer = post(with_token(token), where, body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "not_authenticated")
            assert answer["WWW-Authenticate"] == "Bearer"

    def test_of_people_and_services_reaches_no_agents_path(self, vm, path, as_sam, as_alice, as_admin_key):
        for client in (as_sam, as_alice, as_admin_key, APIClient()):
            assert post(client, HEARTBEAT, beat()).status_code == 401
            assert post(client, path, event("ended", 0)).status_code == 401
        assert vm.sessions.get().status == Status.QUEUED

    def test_of_an_agent_reaches_nothing_else(self, vm, agent):
        paths = ["/vms", f"/vms/{vm.pk}", f"/sessions/{vm.sessions.get().pk}", "/games", "/health?full=1"]
        assert {agent.get(one).status_code for one in paths} == {401}
        assert agent.delete(f"/vms/{vm.pk}").status_code == 401
        assert post(agent, "/launch/game", {}).status_code == 401

    def test_is_shown_to_nobody(self, vm, agent, as_sam):
        vm.refresh_from_db()
        shown = (
            as_sam.get(f"/vms/{vm.pk}").content.decode() + as_sam.get(f"/vms/{vm.pk}/events").content.decode()
        )
        assert vm.agent_token_digest not in shown
        assert vm.agent_bootstrap.reveal() not in shown


@pytest.mark.django_db(transaction=True)
class TestTheRealAgent:
    def test_registers_beats_and_tells_what_became_of_its_game(self, vm, live_server, tmp_path):
        secret, session = vm.agent_bootstrap.reveal(), str(vm.sessions.get().pk)
        program = Agent(tmp_path, live_server.url, vm_id=str(vm.pk), agent_token=secret, heartbeat_s=1)
        try:
            program.start()
            eventually(lambda: VM.objects.get(pk=vm.pk).agent_token_digest)
            program.launch(session, "true")
            eventually(lambda: vm.sessions.get().status == Status.ENDED)
            eventually(lambda: (program.state()["last_heartbeat"] or {}).get("ok"))
        finally:
            program.end()
        told = Event.objects.about("vms", vm.pk).filter(actor=f"agent:{vm.code}")
        assert [one.action for one in told] == ["session_launched", "session_ended"]

    def test_pushes_what_its_game_has_saved(self, vm, live_server, tmp_path):
        secret, session = vm.agent_bootstrap.reveal(), vm.sessions.get()
        settings = {"vm_id": str(vm.pk), "agent_token": secret, "heartbeat_s": 1}
        program = Console(tmp_path, live_server.url, **settings)
        try:
            program.start()
            program.play(str(session.pk), slot=str(session.slot_id))
            program.write("three moons")
            eventually(lambda: session.slot.versions.exists(), timeout_s=45)
            eventually(lambda: program.waiting() == [])
            program.write("four moons")
            eventually(lambda: session.slot.versions.count() == 2, timeout_s=45)
            eventually(lambda: program.slot(str(session.slot_id))["base"] == 2)
        finally:
            program.end()
        current = SaveSlot.objects.get(pk=session.slot_id).current
        assert (current.number, current.base, current.by) == (2, 1, f"agent:{vm.code}")
