"""`/launch/game` and `/launch/vm/{id}/game`: who plays what, where, once."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from accounts.models import User
from emulators.models import EmulatorConfig
from gamer.web.models import IdempotencyRecord
from tests.at_once import at_once
from tests.vms.api.asking import LAUNCH, SNES, SWITCH, details, made, post, running
from tests.vms.control_plane import ControlPlane
from tests.world import client_of, client_with_key
from vms.models import VM, GameSession, ProviderAccount

MANY = 6


class TestGame:
    def test_is_launched_on_a_new_vm(self, plane, as_alice, world):
        answer = post(as_alice, LAUNCH, SWITCH)
        body = answer.json()
        assert (answer.status_code, body["status"], body["user_id"]) == (201, "creating", world.alice.handle)
        assert answer["Location"].endswith(f"/vms/{body['vm_id']}")
        vm = plane.until(VM.objects.get(), "running")
        plane.settle(seconds=3)
        assert (vm.sessions.get().game_id, vm.sessions.get().status) == ("mario-odyssey", "launched")
        assert vm.attempt.location_name == "Joplin, Missouri, United States"

    @pytest.mark.parametrize("path", [LAUNCH, LAUNCH + "/"])
    def test_may_be_asked_by_query_string(self, plane, as_alice, path):
        wish = {**SWITCH, "save_id": "slot-1", "auto_stop_timeout": 60, "provider": "tensordock"}
        answer = as_alice.post(f"{path}?{urlencode(wish)}")
        assert answer.status_code == 201, answer.content
        vm = VM.objects.get()
        assert (vm.latitude, vm.longitude, vm.auto_stop_timeout) == (32.7767, -96.797, 60)
        assert (vm.wanted_provider, vm.sessions.get().save_id) == ("tensordock", "slot-1")

    def test_may_be_asked_by_query_string_beside_an_empty_object(self, plane, as_alice):
        assert post(as_alice, f"{LAUNCH}?{urlencode(SWITCH)}", {}).status_code == 201

    def test_goes_on_with_the_usual_slot_when_none_is_named(self, plane, as_alice):
        vm = running(plane, as_alice)
        session = vm.sessions.get()
        for empty in ({}, {"save_id": ""}, {"save_id": None}):
            assert post(as_alice, LAUNCH, {**SWITCH, **empty}).status_code == 200
            answer = post(as_alice, f"/launch/vm/{vm.pk}/game", {"game_id": session.game_id, **empty})
            assert answer.json()["session_id"] == str(session.pk)
        assert as_alice.post(f"{LAUNCH}?{urlencode({**SWITCH, 'save_id': ''})}").status_code == 200
        assert (vm.sessions.get(), session.slot.save_id) == (session, "")

    def test_is_not_asked_by_both(self, plane, as_alice):
        assert "console_type" in details(post(as_alice, f"{LAUNCH}?console_type=snes", SWITCH))

    @pytest.mark.parametrize("status", ["creating", "running"])
    def test_uses_the_players_vm_again(self, plane, as_alice, world, status):
        vm = plane.launch(world.alice)
        plane.until(vm, status)
        answer = post(as_alice, LAUNCH, {**SWITCH, "game_id": "zelda"})
        assert (answer.status_code, answer.json()["vm_id"]) == (200, str(vm.pk))
        assert {one.game_id for one in vm.sessions.all()} == {"mario-odyssey", "zelda"}

    def test_starts_a_stopped_vm(self, plane, as_alice):
        vm = running(plane, as_alice)
        post(as_alice, f"/vms/{vm.pk}/stop")
        plane.until(vm, "stopped")
        answer = post(as_alice, LAUNCH, SWITCH)
        assert (answer.status_code, answer.json()["vm_id"]) == (200, str(vm.pk))
        plane.until(vm, "running")
        plane.settle(seconds=3)
        assert vm.sessions.first().status == GameSession.Status.LAUNCHED

    def test_of_the_same_game_again_is_no_second_session(self, plane, as_alice):
        post(as_alice, LAUNCH, SWITCH)
        post(as_alice, LAUNCH, SWITCH)
        assert GameSession.objects.count() == 1

    def test_for_nobody_is_always_a_new_vm(self, plane, as_service):
        assert [post(as_service, LAUNCH, SWITCH).status_code for _ in range(2)] == [201, 201]

    def test_makes_the_user_that_a_service_names_on_first_use(self, plane, as_service, world):
        first = post(as_service, LAUNCH, {**SWITCH, "user_id": "kim"})
        second = post(as_service, LAUNCH, {**SWITCH, "user_id": "kim"})
        assert (first.status_code, second.status_code) == (201, 200)
        kim = User.objects.get(handle="kim")
        assert (kim.department, kim.is_postpaid) == (world.arcade, True)

    def test_of_no_console_names_the_field(self, plane, as_alice):
        assert "console_type" in details(post(as_alice, LAUNCH, {**SWITCH, "console_type": "atari"}))

    def test_of_a_console_without_configuration_is_not_found(self, plane, as_alice):
        EmulatorConfig.objects.filter(pk="switch").delete()
        answer = post(as_alice, LAUNCH, SWITCH)
        assert details(answer, 404) == {"console_type": ["console not configured"]}
        assert answer.json()["detail"] == "console not configured"

    @pytest.mark.parametrize("missing", ["user_latitude", "user_longitude"])
    def test_with_one_coordinate_names_the_other(self, plane, as_alice, missing):
        wish = {name: value for name, value in SWITCH.items() if name != missing}
        assert missing in details(post(as_alice, LAUNCH, wish))
        assert missing in details(as_alice.post(f"{LAUNCH}?{urlencode(wish)}"))

    def test_before_the_first_offers_are_known_is_left_to_the_reconciler(self, plane, as_alice):
        plane.add_account("second", kind="tensordock")
        ProviderAccount.objects.filter(name="memory").update(is_paused=True)
        assert post(as_alice, LAUNCH, SWITCH).status_code == 201

    def test_without_any_provider_says_that_nobody_can_host_it(self, plane, as_alice):
        ProviderAccount.objects.all().delete()
        answer = post(as_alice, LAUNCH, SWITCH)
        assert answer.json()["error"]["code"] == "no_capacity"
        assert details(answer, 503)["providers"] == ["no provider account offers anything"]

    def test_takes_few_statements(self, plane, as_alice, django_assert_max_num_queries):
        as_alice.get("/billing/credits")  # the first look opens the account
        with django_assert_max_num_queries(41):
            assert post(as_alice, LAUNCH, SWITCH).status_code == 201


class TestGameOnVm:
    def test_is_queued_on_a_running_one(self, plane, as_alice):
        vm = running(plane, as_alice)
        answer = post(as_alice, f"/launch/vm/{vm.pk}/game", {"game_id": "zelda", "save_id": "slot-2"})
        session = vm.sessions.get(game_id="zelda")
        assert answer.status_code == 202
        assert answer.json() == {"message": "Game launch queued", "session_id": str(session.pk)}
        assert session.save_id == "slot-2"

    def test_is_refused_on_one_that_does_not_run(self, plane, as_alice):
        answer = post(as_alice, f"/launch/vm/{made(as_alice).pk}/game", {"game_id": "zelda"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_state")

    @pytest.mark.parametrize("game_id", [None, "", 5, "../../etc/passwd", "x" * 101, "a b", "a\0b"])
    def test_needs_a_game(self, plane, as_alice, game_id):
        assert "game_id" in details(
            post(as_alice, f"/launch/vm/{made(as_alice).pk}/game", {"game_id": game_id})
        )


class TestIdempotency:
    @pytest.mark.parametrize(("path", "wish"), [("/vms", SNES), (LAUNCH, SWITCH)])
    def test_answers_a_repeated_request_with_the_first_answer(self, plane, as_service, path, wish):
        first = post(as_service, path, wish, headers={"Idempotency-Key": "one"})
        VM.objects.update(name="renamed meanwhile")
        second = post(as_service, path, wish, headers={"Idempotency-Key": "one"})
        assert (first.status_code, second.status_code) == (201, 201)
        assert (first.json(), first["Location"]) == (second.json(), second["Location"])
        assert VM.objects.count() == 1

    def test_refuses_another_request_under_the_same_key(self, plane, as_service):
        post(as_service, "/vms", SNES, headers={"Idempotency-Key": "one"})
        other = post(as_service, "/vms", {**SNES, "name": "x"}, headers={"Idempotency-Key": "one"})
        assert other.status_code == 409
        assert post(as_service, LAUNCH, SWITCH, headers={"Idempotency-Key": "one"}).status_code == 409

    def test_keeps_the_keys_of_two_callers_apart(self, plane, as_alice, as_bob):
        answers = [
            post(client, "/vms", SNES, headers={"Idempotency-Key": "one"}) for client in (as_alice, as_bob)
        ]
        assert [answer.status_code for answer in answers] == [201, 201]
        assert VM.objects.count() == 2

    def test_keeps_no_error(self, plane, as_alice):
        ProviderAccount.objects.update(is_paused=True)
        key = {"Idempotency-Key": "one"}
        assert post(as_alice, LAUNCH, SWITCH, headers=key).status_code == 503
        assert not IdempotencyRecord.objects.exists()
        ProviderAccount.objects.update(is_paused=False)
        assert post(as_alice, LAUNCH, SWITCH, headers=key).status_code == 201


@pytest.mark.django_db(transaction=True)
class TestAtTheSameInstant:
    """Real threads on real connections: the database's law decides, not luck."""

    def test_two_launches_by_one_player_give_one_vm_that_both_answers_name(self, plane: ControlPlane, world):
        clients = [client_of(world.alice) for _ in range(MANY)]
        answers = at_once(*(lambda client=client: post(client, LAUNCH, SWITCH) for client in clients))
        assert sorted(answer.status_code for answer in answers) == [200] * (MANY - 1) + [201]
        vm = VM.objects.get()
        assert {answer.json()["vm_id"] for answer in answers} == {str(vm.pk)}
        assert GameSession.objects.count() == 1

    def test_two_launches_for_a_user_named_for_the_first_time_give_one_user_and_one_vm(
        self, plane: ControlPlane, world
    ):
        secret = world.secret_of(world.service_key)
        clients = [client_with_key(secret) for _ in range(MANY)]
        wish = {**SWITCH, "user_id": "newcomer"}
        answers = at_once(*(lambda client=client: post(client, LAUNCH, wish) for client in clients))
        assert sorted(answer.status_code for answer in answers) == [200] * (MANY - 1) + [201]
        assert VM.objects.get().owner == User.objects.get(handle="newcomer")

    def test_a_post_and_a_launch_give_one_vm(self, plane: ControlPlane, world):
        first, second = client_of(world.alice), client_of(world.alice)
        made_, launched = at_once(
            lambda: post(first, "/vms", {"console_type": "switch"}), lambda: post(second, LAUNCH, SWITCH)
        )
        vm = VM.objects.get()
        assert launched.json()["vm_id"] == str(vm.pk)
        assert (made_.status_code, launched.status_code) in {(201, 200), (409, 201)}
        if made_.status_code == 409:
            assert details(made_, 409)["vm_id"] == [str(vm.pk)]

    def test_two_posts_give_one_vm_and_a_conflict_that_names_it(self, plane: ControlPlane, world):
        clients = [client_of(world.alice) for _ in range(MANY)]
        answers = at_once(*(lambda client=client: post(client, "/vms", SNES) for client in clients))
        assert sorted(answer.status_code for answer in answers) == [201] + [409] * (MANY - 1)
        for refused in (answer for answer in answers if answer.status_code == 409):
            assert details(refused, 409)["vm_id"] == [str(VM.objects.get().pk)]

    def test_one_key_makes_one_vm_and_one_answer(self, plane: ControlPlane, world):
        secret, key = world.secret_of(world.service_key), {"Idempotency-Key": "one"}
        clients = [client_with_key(secret) for _ in range(MANY)]
        answers = at_once(
            *(lambda client=client: post(client, "/vms", SNES, headers=key) for client in clients)
        )
        assert [answer.status_code for answer in answers] == [201] * MANY
        assert len({answer.content for answer in answers}) == 1
        assert VM.objects.count() == 1
