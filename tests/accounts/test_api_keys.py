from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import keys
from accounts.models import ApiKey, Scope, User
from accounts.principal import Principal
from events.models import Event
from gamer.errors import Conflict, NotAuthenticated, PermissionDenied, ValidationError
from tests.at_once import at_once
from tests.bad_inputs import assert_error
from tests.factories import ApiKeyFactory, DepartmentFactory, UserFactory
from tests.world import NOON, Clock, World, client_with_key

pytestmark = pytest.mark.django_db


def create(maker: User, **options: Any) -> tuple[ApiKey, str]:
    given = {"name": "Site", "scopes": [Scope.READ], "now": NOON, **options}
    return keys.create(by=Principal(user=maker), maker=maker, **given)


class TestCreate:
    @pytest.mark.django_db(transaction=True)
    def test_are_no_more_than_a_person_may_have_when_made_at_once(self) -> None:
        maker = UserFactory()
        ApiKeyFactory.create_batch(keys.MOST_KEYS - 1, maker=maker, scopes=[Scope.READ])

        results = at_once(*[lambda: create(maker)] * 6)
        assert sum(isinstance(one, Conflict) for one in results) == 5, results
        assert ApiKey.objects.filter(maker=maker).count() == keys.MOST_KEYS

    def test_gives_the_text_once_and_keeps_only_its_hash(self, world: World) -> None:
        key, secret = create(world.sam)
        start, prefix, rest = secret.split("_", 2)
        assert (start, prefix) == ("gk", key.prefix)
        assert len(rest) >= 43
        key.refresh_from_db()
        assert key.digest == hashlib.sha256(secret.encode()).hexdigest()
        assert rest not in str(vars(key))

    def test_is_an_event_without_the_secret(self, world: World) -> None:
        key, secret = create(world.sam)
        event = Event.objects.get()
        assert (event.actor, event.action, event.owner_id) == ("user:sam@gamer.test", "create", world.sam.pk)
        assert event.details == {"api_key": key.prefix, "name": "Site", "scopes": ["read"]}
        assert secret not in str(vars(event))

    @pytest.mark.parametrize("scope", [Scope.ACT_AS, Scope.CONFIG, Scope.BILLING, Scope.ADMIN])
    def test_gives_no_more_power_than_its_makers(self, world: World, scope: Scope) -> None:
        with pytest.raises(PermissionDenied):
            create(world.alice, scopes=[Scope.READ, scope])
        create(world.sam, scopes=[scope])

    def test_gives_players_keys_of_their_own_department_only(self, world: World) -> None:
        create(world.alice, department=world.arcade)
        with pytest.raises(PermissionDenied):
            create(world.alice, department=DepartmentFactory())
        with pytest.raises(PermissionDenied):
            create(world.charlie, department=world.arcade)

    @pytest.mark.parametrize(
        ("options", "field"),
        [({"scopes": []}, "scopes"), ({"scopes": ["root"]}, "scopes"), ({"expires_at": NOON}, "expires_at")],
    )
    def test_refuses_by_name(self, world: World, options: dict[str, Any], field: str) -> None:
        with pytest.raises(ValidationError) as caught:
            create(world.sam, **options)
        assert set(caught.value.details) == {field}


class TestKeyOf:
    def test_finds_the_key_and_its_maker_in_one_query(
        self, world: World, django_assert_num_queries: Any
    ) -> None:
        keys.key_of(world.secret_of(world.service_key), now=NOON)
        with django_assert_num_queries(1):
            key = keys.key_of(world.secret_of(world.service_key), now=NOON)
            assert (key, key.maker, key.department) == (world.service_key, world.sam, world.arcade)

    def test_notes_the_use_once_a_minute(self, clock: Clock) -> None:
        key = ApiKeyFactory()
        for seconds, noted in ((0, 0), (59, 0), (1, 60), (30, 60), (60, 150)):
            keys.key_of(key.secret, now=clock.advance(seconds=seconds))
            assert ApiKey.objects.get(pk=key.pk).last_used_at == NOON + timedelta(seconds=noted)

    def test_is_the_same_refusal_for_every_reason(self, world: World) -> None:
        def texts() -> Any:
            yield "gk_00000000_x"
            yield ""
            yield "é" * 20
            right = ApiKeyFactory()
            yield f"gk_{right.prefix}_wrong"
            yield right.secret + "x"
            yield ApiKeyFactory(expires_at=NOON).secret
            yield ApiKeyFactory(revoked_at=NOON).secret
            yield ApiKeyFactory(maker__is_active=False).secret

        messages = set()
        for text in texts():
            with pytest.raises(NotAuthenticated) as caught:
                keys.key_of(text, now=NOON)
            messages.add((caught.value.message, str(caught.value.details)))
        assert len(messages) == 1

    def test_asks_the_database_as_much_whatever_is_wrong(self, django_assert_num_queries: Any) -> None:
        key = ApiKeyFactory()
        for text in ("gk_00000000_x", f"gk_{key.prefix}_wrong", f"{key.secret}x", "x"):
            with django_assert_num_queries(1), pytest.raises(NotAuthenticated):
                keys.key_of(text, now=NOON)

    def test_is_good_until_it_expires(self, world: World) -> None:
        key = ApiKeyFactory(expires_at=NOON + timedelta(seconds=1))
        assert keys.key_of(key.secret, now=NOON) == key


class TestRevoke:
    def test_ends_a_key_once_and_for_ever(self, world: World, clock: Clock) -> None:
        sam = Principal(user=world.sam)
        keys.revoke(by=sam, key=world.service_key, now=NOON)
        keys.revoke(by=sam, key=world.service_key, now=clock.advance(days=1))
        assert world.service_key.revoked_at == NOON
        assert Event.objects.filter(action="delete").count() == 1
        with pytest.raises(NotAuthenticated):
            keys.key_of(world.secret_of(world.service_key), now=NOON)


class TestHeader:
    def test_signs_a_service_in(self, as_reader: APIClient) -> None:
        assert as_reader.get("/health?full=1").status_code != 401

    @pytest.mark.parametrize("secret", ["", "x", "gk_a_b", "gk__", "é", "\x00", "x" * 10_000])
    def test_is_refused_when_it_is_no_key(self, secret: str) -> None:
        response = client_with_key(secret).get("/health?full=1")
        assert response.status_code == 401
        assert_error(response)
        assert response.headers["WWW-Authenticate"] == "Bearer"

    def test_counts_before_other_credentials(self, as_sam: APIClient) -> None:
        assert as_sam.get("/health?full=1", HTTP_X_API_KEY="wrong").status_code == 401

    def test_is_stopped_with_its_maker(self, world: World, as_reader: APIClient) -> None:
        User.objects.filter(pk=world.sam.pk).update(is_active=False)
        assert as_reader.get("/health?full=1").status_code == 401

    def test_notes_the_use(self, world: World, as_reader: APIClient) -> None:
        as_reader.get("/health?full=1")
        used_at = ApiKey.objects.get(pk=world.reader_key.pk).last_used_at
        assert used_at is not None
        assert timezone.now() - used_at < timedelta(minutes=1)
