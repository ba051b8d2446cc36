"""Someone else's row is not there: not by its id, not nested, not by a filter, not by an act."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from accounts.models import Scope
from tests.factories import ApiKeyFactory, DepartmentFactory, QuotaFactory
from tests.vms.api.asking import SNES, made, post, running
from tests.world import World, client_with_key
from vms import models
from vms.models import VM, GameSession

NESTED = ["", "/status", "/connection", "/events", "/attempts", "/steps", "/sessions"]
ACTS = ["start", "stop", "retry", "extend", "move"]


@pytest.fixture(params=[0, 1000], ids=["many people", "few people"])
def vm(plane, as_alice, request, monkeypatch) -> VM:
    """Alice's VM, with a game. A key's people are asked for in two ways, by how many they are."""
    monkeypatch.setattr(models, "MOST_NAMED", request.param)
    return running(plane, as_alice)


def client_of_key(**columns) -> APIClient:
    scopes = [Scope.READ, Scope.LAUNCH, Scope.ACT_AS]
    return client_with_key(ApiKeyFactory(**{"scopes": scopes, **columns}).secret)


def strangers(world: World, as_bob, as_charlie, as_reader) -> dict[str, APIClient]:
    """Everybody who may not see what is alice's."""
    return {
        "a colleague": as_bob,
        "an outsider": as_charlie,
        "a key of another department": client_of_key(maker=world.sam, department=DepartmentFactory()),
        "a key of the staff that names nobody": as_reader,
        "a key that a colleague made": client_of_key(maker=world.bob, department=world.arcade),
        "a key that an outsider made": client_of_key(maker=world.charlie, scopes=[Scope.READ, Scope.LAUNCH]),
    }


def sees(client: APIClient, vm: VM) -> set[bool]:
    """The answers of every way there is to look."""
    session = GameSession.objects.get(vm=vm)
    paths = [f"/vms/{vm.pk}{path}" for path in NESTED] + [f"/sessions/{session.pk}"]
    answers = [client.get(path) for path in paths]
    assert {answer.status_code for answer in answers} <= {200, 404}
    queries = [{}, {"user_id": vm.owner.handle}, {"console_type": "switch"}, {"status": "running"}]
    listed = [{one["vm_id"] for one in client.get("/vms", query).json()} for query in queries]
    return {answer.status_code == 200 for answer in answers} | {str(vm.pk) in ids for ids in listed}


class TestStrangers:
    def test_see_nothing(self, vm, world, as_bob, as_charlie, as_reader):
        clients = strangers(world, as_bob, as_charlie, as_reader)
        assert {who: sees(client, vm) for who, client in clients.items()} == {who: {False} for who in clients}

    def test_count_nothing(self, vm, as_bob):
        assert as_bob.get("/vms")["X-Total-Count"] == "0"

    def test_change_nothing(self, vm, world, as_bob, as_charlie, as_reader):
        before = VM.objects.values().get(pk=vm.pk)
        session = GameSession.objects.get(vm=vm)
        clients = strangers(world, as_bob, as_charlie, as_reader)
        clients.pop("a key of the staff that names nobody")  # it may not write at all
        for client in clients.values():
            answers = [post(client, f"/vms/{vm.pk}/{act}") for act in ACTS]
            answers += [client.patch(f"/vms/{vm.pk}", {"name": "mine"}), client.delete(f"/vms/{vm.pk}")]
            answers += [client.delete(f"/sessions/{session.pk}")]
            answers += [post(client, f"/launch/vm/{vm.pk}/game", {"game_id": "zelda"})]
            assert {answer.status_code for answer in answers} == {404}
        assert VM.objects.values().get(pk=vm.pk) == before
        assert GameSession.objects.get().is_end_wanted is False


class TestThoseWhoMay:
    def test_see_everything_of_it(self, vm, world, as_alice, as_sam, as_service, as_admin_key):
        clients = [
            *(as_alice, as_sam, as_service, as_admin_key),
            client_of_key(maker=world.sam),  # of no department: names any player
            client_of_key(maker=world.alice, scopes=[Scope.READ]),
        ]
        assert [sees(client, vm) for client in clients] == [{True}] * len(clients)

    def test_see_what_their_key_made_for_nobody(self, plane, world, as_service, as_sam, as_alice):
        vm = made(as_service)
        other = client_of_key(maker=world.sam, department=world.arcade)
        codes = [client.get(f"/vms/{vm.pk}").status_code for client in (as_service, as_sam, as_alice, other)]
        assert codes == [200, 200, 404, 404]


class TestScopes:
    def test_of_a_player_launch_within_their_own_limits(self, plane, world, as_charlie):
        """A key that names nobody has no more power than its maker: ours pays for keys of staff alone."""
        client = client_of_key(maker=world.charlie, scopes=[Scope.READ, Scope.LAUNCH])
        QuotaFactory(user=world.charlie, max_vms=1)
        vm = made(client)
        assert vm.owner == world.charlie
        assert as_charlie.get(f"/vms/{vm.pk}").status_code == 200
        assert post(client, "/vms", {"console_type": "nes"}).status_code == 409

    def test_reading_needs_read_and_acting_needs_launch(self, vm, world):
        reader = client_of_key(maker=world.alice, scopes=[Scope.READ])
        launcher = client_of_key(maker=world.alice, scopes=[Scope.LAUNCH])
        assert reader.get(f"/vms/{vm.pk}").status_code == 200
        assert reader.delete(f"/vms/{vm.pk}").status_code == 403
        assert launcher.get(f"/vms/{vm.pk}").status_code == 403
        assert post(launcher, f"/vms/{vm.pk}/stop").status_code == 202

    def test_naming_a_user_needs_act_as(self, plane, world):
        key = client_of_key(maker=world.sam, department=world.arcade, scopes=[Scope.READ, Scope.LAUNCH])
        assert post(key, "/vms", {**SNES, "user_id": "kim"}).status_code == 403

    def test_nobody_acts_as_staff(self, plane, as_admin_key, world):
        assert post(as_admin_key, "/vms", {**SNES, "user_id": world.sam.handle}).status_code == 403
