"""A manager's limit on a person: it is held against what is the department's, and nobody there learns of the rest."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from rest_framework.test import APIClient

from accounts import quotas
from accounts.models import Quota, User
from accounts.principal import Principal, policy
from events.models import Event
from tests.factories import ProjectFactory, QuotaFactory
from tests.vms.api.asking import details, made, post
from tests.vms.control_plane import ControlPlane
from tests.world import NOON, World, client_of
from vms.models import VM

STOPPED = {"desired": "stopped", "phase": "stopped"}
FAILED = {"desired": "gone", "phase": "failed", "error": "lost", "next_look_at": None}


@pytest.fixture
def private(plane: ControlPlane, as_charlie: APIClient) -> VM:
    """Charlie's, from before he joined Arcade."""
    return made(as_charlie)


@pytest.fixture
def charlie(world: World, private: VM) -> User:
    """Of Arcade now, with a VM of the department's beside his own."""
    User.objects.filter(pk=world.charlie.pk).update(department=world.arcade, department_role="member")
    user = User.objects.get(pk=world.charlie.pk)
    made(client_of(user), console_type="nes")
    return user


def limit(client: APIClient, who: User, **limits: Any) -> Any:
    answer = client.post("/quotas", {"user_id": who.handle, **limits})
    assert answer.status_code == 201, answer.content
    return answer.json()


class TestAManagersLimit:
    def test_counts_what_is_the_departments(self, world: World, charlie: User, as_mona: APIClient) -> None:
        hers = limit(as_mona, charlie, max_vms=2)
        assert hers["used"]["vms"] == 1
        own = client_of(charlie)
        assert own.get(f"/quotas/{hers['quota_id']}").json() == hers
        made(own, console_type="gb")
        refused = details(post(own, "/vms", {"console_type": "gba"}), 409)
        assert refused == {
            "max_vms": ["The user charlie@gamer.test in Arcade may have 2 VMs at once and has 2."]
        }

    @pytest.mark.parametrize(("columns", "act"), [(STOPPED, "start"), (FAILED, "retry")])
    def test_refuses_nothing_of_their_own(
        self, plane: ControlPlane, private: VM, charlie: User, as_mona: APIClient, columns: Any, act: str
    ) -> None:
        """Neither when it is asked for, nor when it is placed; nor where a launch goes on with it."""
        limit(as_mona, charlie, max_vms=0)
        VM.objects.filter(pk=private.pk).update(**columns)
        own = client_of(charlie)
        assert post(own, f"/vms/{private.pk}/{act}").status_code == 202
        if act == "retry":
            plane.until(private, "running")
        assert "max_vms" in details(post(own, "/vms", {"console_type": "gb"}), 409)

    def test_refuses_nothing_that_a_launch_goes_on_with(
        self, private: VM, world: World, charlie: User, as_mona: APIClient
    ) -> None:
        limit(as_mona, charlie, max_vms=0)
        QuotaFactory(department=world.arcade, max_vms=0)
        VM.objects.filter(pk=private.pk).update(**STOPPED)
        answer = post(client_of(charlie), "/launch/game", {"console_type": "snes", "game_id": "zelda"})
        assert (answer.status_code, answer.json()["vm_id"]) == (200, str(private.pk))

    def test_holds_for_what_becomes_the_departments(
        self, private: VM, world: World, charlie: User, as_mona: APIClient
    ) -> None:
        limit(as_mona, charlie, max_vms=1)
        own, path = client_of(charlie), f"/vms/{private.pk}"
        moves = {"project_id": world.tournament.pk}
        assert "max_vms" in details(own.patch(path, moves, format="json"), 409)
        Quota.objects.all().delete()
        limit(as_mona, charlie, max_vms=2)
        assert own.patch(path, moves, format="json").status_code == 200

    def test_is_whose_wrote_it_last(self, world: World, as_mona: APIClient, as_sam: APIClient) -> None:
        path = f"/quotas/{limit(as_sam, world.alice, max_vms=3)['quota_id']}"
        for client, limits, within in (
            (as_mona, {"max_gpu_vms": 1}, world.arcade), (as_sam, {"max_vms": 4}, None), (as_mona, {"max_vms": 4}, None),
        ):  # fmt: skip
            assert client.patch(path, limits, format="json").status_code == 200
            assert Quota.objects.get().within == within

    def test_stands_for_nobody_but_people(self, world: World, as_mona: APIClient) -> None:
        assert as_mona.post("/quotas", {"project_id": world.tournament.pk, "max_vms": 1}).status_code == 201
        assert Quota.objects.get().within is None
        with pytest.raises(IntegrityError, match="quota_within_of_person"), transaction.atomic():
            Quota.objects.update(within=world.arcade)

    def test_was_before_what_the_last_to_write_it_says(self, world: World) -> None:
        mona, sam = Principal(user=world.mona), Principal(user=world.sam)
        limits: dict[str, Any] = {"max_vms": 1, "now": NOON}
        hers = quotas.create(by=mona, holder=world.alice, **limits)
        changed = quotas.create(by=mona, holder=world.bob, **limits)
        quotas.change(by=sam, quota=changed, max_vms=2, now=NOON)
        of_policy = quotas.create(by=policy("test"), holder=world.charlie, **limits)
        project = quotas.create(by=mona, holder=world.tournament, **limits)
        Quota.objects.update(within=None)
        with connection.cursor() as cursor:
            cursor.execute(import_module("accounts.migrations.0003_quotas_within_departments").AS_EVENTS_TELL)
        assert list(Quota.objects.filter(within=world.arcade)) == [hers]
        assert set(Quota.objects.filter(within=None)) == {changed, of_policy, project}
        assert Event.objects.filter(action="quota", is_change=False).count() == 5


class TestWhatIsHeld:
    def test_of_staffs_limit_on_a_person_is_theirs_to_see(
        self, charlie: User, as_mona: APIClient, as_service: APIClient, as_sam: APIClient
    ) -> None:
        path = f"/quotas/{limit(as_sam, charlie, max_vms=3)['quota_id']}"
        used = [
            client.get(path).json()["used"]["vms"]
            for client in (as_mona, as_service, client_of(charlie), as_sam)
        ]
        assert used == [1, 1, 2, 2]
        assert [one["used"]["vms"] for one in as_mona.get("/quotas").json()] == [1]
        own = client_of(charlie)
        made(own, console_type="gb")
        assert "max_vms" in details(post(own, "/vms", {"console_type": "gba"}), 409)

    def test_of_a_persons_own_project_is_no_keys(
        self, world: World, private: VM, charlie: User, as_service: APIClient, as_sam: APIClient
    ) -> None:
        project = ProjectFactory(owner=charlie)
        VM.objects.filter(pk=private.pk).update(project=project)
        made(client_of(charlie), console_type="gb", project_id=project.pk)
        quota = QuotaFactory(project=project, max_vms=5)
        seen = [
            client.get(f"/quotas/{quota.pk}").json()["used"]["vms"]
            for client in (as_service, client_of(charlie), as_sam)
        ]
        assert seen == [1, 2, 2]

    def test_of_a_department_and_its_projects_is_whole(
        self, plane: ControlPlane, world: World, as_alice: APIClient, as_bob: APIClient, as_service: APIClient
    ) -> None:
        made(as_alice, project_id=world.tournament.pk)
        of = [
            QuotaFactory(department=world.arcade, max_vms=9),
            QuotaFactory(project=world.tournament, max_vms=9),
        ]
        for client in (as_alice, as_bob, as_service):
            assert [client.get(f"/quotas/{one.pk}").json()["used"]["vms"] for one in of] == [1, 1]


def test_what_is_private_moves_into_ones_own_project_past_the_departments_limit(
    world: World, private: VM, charlie: User
) -> None:
    project = ProjectFactory(owner=charlie)
    QuotaFactory(department=world.arcade, max_vms=1)
    own, path = client_of(charlie), f"/vms/{private.pk}"
    assert "max_vms" in details(own.patch(path, {"project_id": world.tournament.pk}, format="json"), 409)
    assert own.patch(path, {"project_id": project.pk}, format="json").status_code == 200
    assert VM.objects.get(pk=private.pk).department is None
