from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import logins, suspensions
from accounts.models import ApiKey, User
from accounts.principal import Principal, command
from events.models import Event
from gamer.errors import Conflict, NotAuthenticated, PermissionDenied, ValidationError
from tests.factories import ApiKeyFactory, UserFactory
from tests.world import NOON, PASSWORD, Clock, World, client_with_key

pytestmark = pytest.mark.django_db


def log_in() -> int:
    body = {"email": "alice@gamer.test", "password": PASSWORD}
    return int(APIClient().post("/auth/login", body).status_code)


def suspend(by: User, user: User) -> None:
    suspensions.suspend(by=Principal(user=by), user=user, reason="chargeback", now=NOON)


class TestSuspend:
    def test_ends_everything_of_somebody_at_once(self, world: World, as_alice: APIClient) -> None:
        key = ApiKeyFactory(maker=world.alice)
        assert as_alice.get("/auth/profile").status_code == 200
        suspend(world.sam, world.alice)
        assert as_alice.get("/auth/profile").status_code == 401
        assert client_with_key(key.secret).get("/vms").status_code == 401
        assert log_in() == 401
        assert not world.alice.is_active

    def test_ends_an_admin_session(self, world: World, client: Client) -> None:
        other = UserFactory(is_staff=True)
        client.force_login(other)
        suspend(world.sam, other)
        assert client.get("/admin/").status_code == 302

    def test_leaves_others_alone(self, world: World, as_bob: APIClient) -> None:
        key = ApiKeyFactory(maker=world.bob, department=world.arcade)
        suspend(world.sam, world.alice)
        assert as_bob.get("/auth/profile").status_code == 200
        assert client_with_key(key.secret).get("/vms").status_code == 200

    def test_is_recorded_once(self, world: World, clock: Clock) -> None:
        sam, key = Principal(user=world.sam), ApiKeyFactory(maker=world.alice)
        for _ in range(2):
            suspensions.suspend(by=sam, user=world.alice, reason=" spam ", now=clock.now)
            clock.advance(days=1)
        found = [(event.action, event.details) for event in Event.objects.order_by("id")]
        assert found == [
            ("delete", {"api_key": key.prefix, "name": key.name}),
            ("suspend", {"api_keys": 1, "reason": "spam"}),
        ]
        assert ApiKey.objects.get(pk=key.pk).revoked_at == NOON

    def test_is_for_staff_and_above_administrators_for_administrators(self, world: World) -> None:
        helper = UserFactory(is_staff=True)
        for by, user in (
            (world.alice, world.bob),
            (world.alice, world.alice),
            (helper, world.sam),
        ):
            with pytest.raises(PermissionDenied):
                suspend(by, user)
        suspend(helper, world.bob)
        suspensions.suspend(by=command("suspend"), user=world.sam, reason="left", now=NOON)
        assert not world.bob.is_active
        assert not world.sam.is_active

    def test_is_not_for_oneself_and_not_without_a_reason(self, world: World) -> None:
        with pytest.raises(Conflict):
            suspend(world.sam, world.sam)
        with pytest.raises(ValidationError) as caught:
            suspensions.suspend(by=Principal(user=world.sam), user=world.bob, reason=" ", now=NOON)
        assert set(caught.value.details) == {"reason"}
        assert world.bob.is_active


class TestReinstate:
    def test_lets_somebody_in_who_begins_anew(self, world: World) -> None:
        sam, key = Principal(user=world.sam), ApiKeyFactory(maker=world.alice)
        pair = logins.begin(user=world.alice, now=timezone.now())
        suspend(world.sam, world.alice)
        for _ in range(2):
            suspensions.reinstate(by=sam, user=world.alice, now=NOON)
        assert log_in() == 200
        assert client_with_key(key.secret).get("/vms").status_code == 401
        with pytest.raises(NotAuthenticated):
            logins.login_of(pair.access, timezone.now())
        with pytest.raises(NotAuthenticated):
            logins.refresh(token=pair.refresh, ip="", now=timezone.now())
        assert Event.objects.filter(action="resume").count() == 1

    def test_brings_no_admin_session_back(self, world: World, client: Client) -> None:
        other = UserFactory(is_staff=True)
        client.force_login(other)
        suspend(world.sam, other)
        suspensions.reinstate(by=Principal(user=world.sam), user=other, now=NOON)
        assert client.get("/admin/").status_code == 302

    def test_is_for_staff(self, world: World) -> None:
        User.objects.filter(pk=world.alice.pk).update(is_active=False)
        with pytest.raises(PermissionDenied):
            suspensions.reinstate(by=Principal(user=world.bob), user=world.alice, now=NOON)
