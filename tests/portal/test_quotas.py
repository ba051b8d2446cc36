"""`/quotas`: who reads which limits beside their use, and who sets whose."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts import quotas
from accounts.models import Quota, User
from accounts.principal import Principal
from events.models import Event
from gamer.errors import NotFound
from tests.at_once import at_once
from tests.bad_inputs import assert_error, sweep_bodies, sweep_query
from tests.factories import ProjectFactory, QuotaFactory
from tests.vms.api.asking import made
from tests.vms.control_plane import ControlPlane
from tests.world import NOON, World, client_of


def ids(client: APIClient, **query: Any) -> list[int]:
    answer = client.get("/quotas", query)
    assert answer.status_code == 200, answer.content
    return [one["quota_id"] for one in answer.json()]


class TestReading:
    def test_shows_limits_beside_their_use(
        self, plane: ControlPlane, world: World, as_alice: APIClient
    ) -> None:
        quota = QuotaFactory(user=world.alice, max_vms=3, max_usd_per_hour="1.5")
        vm = made(as_alice)
        assert as_alice.get(f"/quotas/{quota.pk}").json() == {
            "quota_id": quota.pk,
            "kind": "user",
            "user_id": "alice@gamer.test",
            "project_id": None,
            "department_id": None,
            "max_vms": 3,
            "max_gpu_vms": None,
            "max_usd_per_hour": 1.5,
            "used": {"vms": 1, "gpu_vms": 0, "usd_per_hour": float(vm.quoted_usd_per_hour)},
        }

    def test_is_of_what_holds_for_oneself(
        self, world: World, as_alice: APIClient, as_mona: APIClient, as_oscar: APIClient, as_sam: APIClient
    ) -> None:
        of_alice, of_bob = (QuotaFactory(user=one, max_vms=1) for one in (world.alice, world.bob))
        of_arcade = QuotaFactory(department=world.arcade, max_vms=9)
        of_project = QuotaFactory(project=world.tournament, max_vms=5)
        of_jam = QuotaFactory(project=world.jam, max_vms=5)
        every = [one.pk for one in (of_alice, of_bob, of_arcade, of_project, of_jam)]
        assert ids(as_alice) == [of_alice.pk, of_arcade.pk, of_project.pk]
        assert ids(as_mona) == every[:4]
        assert ids(as_oscar) == [of_jam.pk]
        assert ids(as_sam) == every
        for hidden in (of_bob, of_jam):
            for method in (as_alice.get, as_alice.patch, as_alice.delete):
                assert method(f"/quotas/{hidden.pk}").status_code == 404
        assert ids(as_alice, user_id="bob@gamer.test") == ids(as_alice, project_id=world.jam.pk) == []
        assert ids(as_sam, kind="project") == [of_project.pk, of_jam.pk]

    def test_costs_the_same_for_many(
        self, world: World, as_sam: APIClient, django_assert_max_num_queries: Any
    ) -> None:
        for number in range(15):
            owner = User.objects.create(handle=f"kim{number}")
            QuotaFactory(user=owner, max_vms=number)
            QuotaFactory(project=ProjectFactory(owner=owner), max_vms=number)
        QuotaFactory(department=world.arcade, max_vms=3)
        with django_assert_max_num_queries(6):  # who, count, rows, and what is held by kind
            assert len(ids(as_sam)) == 31

    def test_answers_every_odd_query(self, world: World, as_alice: APIClient) -> None:
        right = {"kind": "user", "user_id": "x", "project_id": "1", "department_id": "1", "limit": "3"}
        assert sweep_query(as_alice, "/quotas", right) > 100


class TestSetting:
    def limits(self, client: APIClient, **body: Any) -> Any:
        return client.post("/quotas", body)

    def test_is_the_staffs_for_all(self, world: World, as_sam: APIClient) -> None:
        for whose in (
            {"department_id": world.arcade.pk},
            {"project_id": world.jam.pk},
            {"user_id": world.charlie.handle},
        ):
            answer = self.limits(as_sam, **whose, max_vms=2, max_usd_per_hour=0.5)
            assert answer.status_code == 201, answer.content
            assert Event.objects.latest("id").details["max_usd_per_hour"] == [None, 0.5]
            assert whose.items() <= answer.json().items()
            assert as_sam.get(answer["Location"]).json() == answer.json()
        assert Quota.objects.count() == Event.objects.filter(action="quota").count() == 3

    def test_is_the_managers_for_their_people_and_projects(self, world: World, as_mona: APIClient) -> None:
        assert self.limits(as_mona, user_id="alice@gamer.test", max_vms=2).status_code == 201
        assert self.limits(as_mona, project_id=world.tournament.pk, max_vms=2).status_code == 201
        assert self.limits(as_mona, department_id=world.arcade.pk, max_vms=2).status_code == 403
        assert self.limits(as_mona, user_id="mona@gamer.test", max_vms=2).status_code == 403

    def test_finds_nobody_elses(self, world: World, as_mona: APIClient, as_alice: APIClient) -> None:
        for field, value in (
            ("user_id", "oscar@gamer.test"),
            ("user_id", "charlie@gamer.test"),
            ("project_id", world.jam.pk),
            ("department_id", world.palace.pk),
        ):
            known = self.limits(as_mona, **{field: value}, max_vms=1)
            unknown = self.limits(as_mona, **{field: "no" if field == "user_id" else 10**9}, max_vms=1)
            assert known.json() == unknown.json()
            assert (known.status_code, list(assert_error(known))) == (400, [field])
        assert self.limits(as_alice, user_id="alice@gamer.test", max_vms=9).status_code == 403
        assert self.limits(as_alice, project_id=world.tournament.pk, max_vms=9).status_code == 403
        assert not Quota.objects.exists()

    def test_by_managers_stays_below_the_departments(self, world: World, as_mona: APIClient) -> None:
        QuotaFactory(department=world.arcade, max_vms=5, max_usd_per_hour="2")
        refused = self.limits(as_mona, user_id="alice@gamer.test", max_vms=6)
        assert assert_error(refused) == {"max_vms": ["The department's own limit is 5."]}
        made_quota = self.limits(as_mona, user_id="alice@gamer.test", max_vms=5, max_usd_per_hour=2)
        path = f"/quotas/{made_quota.json()['quota_id']}"
        assert as_mona.patch(path, {"max_usd_per_hour": 2.5}).status_code == 400
        assert as_mona.patch(path, {"max_vms": None}).json()["max_vms"] is None
        assert as_mona.delete(path).status_code == 204

    def test_again_is_a_change(self, world: World, as_sam: APIClient) -> None:
        first = self.limits(as_sam, user_id="charlie@gamer.test", max_vms=2, max_gpu_vms=1).json()
        again = self.limits(as_sam, user_id="charlie@gamer.test", max_vms=3)
        assert assert_error(again) == {"quota_id": [str(first["quota_id"])]}
        changed = as_sam.patch(f"/quotas/{first['quota_id']}", {"max_vms": 3}).json()
        assert (changed["max_vms"], changed["max_gpu_vms"]) == (3, 1)
        assert Event.objects.filter(action="quota").last().details == {"max_vms": [2, 3]}

    def test_changes_what_is_named_whatever_was_read_before(self, world: World) -> None:
        by = Principal(user=world.sam)
        read = quotas.create(by=by, holder=world.alice, max_vms=1, now=NOON)
        quotas.change(by=by, quota=Quota.objects.get(), max_gpu_vms=2, now=NOON)
        after = quotas.change(by=by, quota=read, max_vms=3, now=NOON)
        assert (after.max_vms, after.max_gpu_vms) == (3, 2)
        quotas.lift(by=by, quota=read, now=NOON)
        with pytest.raises(NotFound):
            quotas.change(by=by, quota=read, max_vms=3, now=NOON)
        assert not Quota.objects.exists()

    def test_keeps_what_others_set_for_a_manager(self, world: World, as_mona: APIClient) -> None:
        QuotaFactory(department=world.arcade, max_vms=5)
        staffs = QuotaFactory(user=world.alice, max_vms=9)
        changed = as_mona.patch(f"/quotas/{staffs.pk}", {"max_gpu_vms": 1}).json()
        assert (changed["max_vms"], changed["max_gpu_vms"]) == (9, 1)

    @pytest.mark.django_db(transaction=True)
    def test_loses_nothing_of_those_who_set_at_once(self, world: World) -> None:
        def setting(**body: Any) -> Any:
            return lambda: self.limits(client_of(world.sam), user_id="bob@gamer.test", **body).status_code

        assert sorted(map(str, at_once(*[setting(max_vms=1)] * 4))) == ["201", "409", "409", "409"]
        path = f"/quotas/{Quota.objects.get().pk}"
        for number in range(2, 6):
            limits = {"max_vms": number, "max_gpu_vms": number, "max_usd_per_hour": number}
            at_once(
                *[
                    lambda name=name, value=value: client_of(world.sam).patch(path, {name: value})
                    for name, value in limits.items()
                ]
            )
            assert Quota.objects.values(*limits).get() == limits

    def test_names_one_holder(self, world: World, as_sam: APIClient) -> None:
        assert self.limits(as_sam, max_vms=2).status_code == 400
        both = self.limits(as_sam, user_id="bob@gamer.test", project_id=world.jam.pk, max_vms=2)
        assert both.status_code == 400

    def test_by_a_managers_key_is_refused(self, world: World, as_service: APIClient) -> None:
        assert self.limits(as_service, user_id="alice@gamer.test", max_vms=2).status_code == 403

    def test_ends_with_the_role(self, world: World, as_mona: APIClient) -> None:
        User.objects.filter(pk=world.mona.pk).update(department_role="member")
        quota = QuotaFactory(user=world.mona, max_vms=1)
        assert client_of(world.mona).patch(f"/quotas/{quota.pk}", {"max_vms": 9}).status_code == 403
        assert as_mona.get("/quotas").status_code == 200

    def test_refuses_every_broken_body(self, world: World, as_sam: APIClient) -> None:
        right = {"user_id": "bob@gamer.test", "max_vms": 1, "max_gpu_vms": 1, "max_usd_per_hour": 1.5}
        nullable = ("max_vms", "max_gpu_vms", "max_usd_per_hour")
        assert sweep_bodies(as_sam, "/quotas", right, nullable=nullable) > 50
        assert not Quota.objects.exists()
