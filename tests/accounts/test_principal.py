from __future__ import annotations

import pytest

from accounts.models import ApiKey, DepartmentRole, Scope, User
from accounts.principal import Principal, command, policy
from tests.factories import ApiKeyFactory, DepartmentFactory, UserFactory
from tests.world import World

pytestmark = pytest.mark.django_db


def of_key(key: ApiKey) -> Principal:
    return Principal(user=key.maker, key=key)


def visible(principal: Principal) -> set[User]:
    return set(User.objects.visible_to(principal))


class TestLabel:
    def test_says_who_acted(self, world: World) -> None:
        assert Principal(user=world.alice).label == "user:alice@gamer.test"
        assert of_key(world.service_key).label == f"key:{world.service_key.prefix}"
        assert policy("idle").label == "policy:idle"
        assert command("seed").label == "command:seed"


class TestIdentity:
    def test_tells_namesakes_of_two_departments_apart(self, world: World) -> None:
        first, second = UserFactory(handle="kim"), UserFactory(handle="kim", department=world.arcade)
        assert Principal(user=first).identity != Principal(user=second).identity

    def test_tells_a_key_from_its_maker(self, world: World) -> None:
        assert of_key(world.admin_key).identity != Principal(user=world.sam).identity


class TestMay:
    @pytest.mark.parametrize("scope", Scope)
    def test_gives_people_what_their_role_has(self, world: World, scope: Scope) -> None:
        assert Principal(user=world.sam).may(scope)
        assert Principal(user=world.alice).may(scope) is (scope in (Scope.READ, Scope.LAUNCH))

    @pytest.mark.parametrize("scope", Scope)
    def test_gives_a_key_its_scopes_and_admin_all(self, world: World, scope: Scope) -> None:
        assert of_key(world.reader_key).may(scope) is (scope is Scope.READ)
        assert of_key(ApiKeyFactory(scopes=[Scope.ADMIN])).may(scope)

    def test_takes_from_a_key_what_its_maker_lost(self, world: World) -> None:
        world.admin_key.maker.is_staff = False
        key = of_key(world.admin_key)
        assert {scope for scope in Scope if key.may(scope)} == {Scope.READ, Scope.LAUNCH}
        assert not key.is_staff

    def test_gives_a_managers_key_a_voice_for_its_department(self, world: World) -> None:
        mia = UserFactory(department=world.arcade, department_role=DepartmentRole.MANAGER)
        scopes = [Scope.READ, Scope.LAUNCH, Scope.ACT_AS, Scope.CONFIG, Scope.BILLING]
        theirs = of_key(ApiKeyFactory(maker=mia, department=world.arcade, scopes=scopes))
        assert {scope for scope in Scope if theirs.may(scope)} == {Scope.READ, Scope.LAUNCH, Scope.ACT_AS}
        assert not theirs.is_staff
        for key in (
            ApiKeyFactory(maker=mia, scopes=scopes),
            ApiKeyFactory(maker=mia, department=DepartmentFactory(), scopes=scopes),
            ApiKeyFactory(maker=world.alice, department=world.arcade, scopes=scopes),
        ):
            assert not of_key(key).may(Scope.ACT_AS)

    def test_takes_that_voice_with_the_role(self, world: World) -> None:
        key = ApiKeyFactory(maker=world.mona, department=world.arcade, scopes=[Scope.ACT_AS])
        assert of_key(key).may(Scope.ACT_AS)
        key.maker.department_role = DepartmentRole.MEMBER
        assert not of_key(key).may(Scope.ACT_AS)
        assert not key.speaks_for_others

    def test_gives_our_own_everything_and_nobody_nothing(self) -> None:
        assert all(one.may(Scope.ADMIN) and one.is_staff for one in (policy("idle"), command("seed")))
        assert not Principal().may(Scope.READ)
        assert not Principal().is_staff


class TestVisibleTo:
    def test_shows_staff_everybody(self, world: World) -> None:
        everybody = {world.alice, world.bob, world.charlie, world.sam, world.mona, world.oscar}
        assert visible(Principal(user=world.sam)) == visible(of_key(world.admin_key)) == everybody

    def test_shows_a_person_only_themself(self, world: World) -> None:
        assert visible(Principal(user=world.alice)) == {world.alice}

    def test_shows_managers_their_departments_people(self, world: World) -> None:
        people = {world.alice, world.bob, world.mona}
        assert visible(Principal(user=world.mona)) == people
        world.alice.department_role = "manager"
        assert visible(Principal(user=world.alice)) == people
        key = ApiKeyFactory(maker=world.mona, department=world.arcade, scopes=[Scope.READ])
        assert visible(of_key(key)) == {world.mona}

    def test_shows_a_key_its_departments_players(self, world: World) -> None:
        UserFactory(department=world.arcade, is_staff=True)
        assert visible(of_key(world.service_key)) == {world.alice, world.bob, world.mona}

    def test_shows_a_key_without_department_whom_it_may_name(self, world: World) -> None:
        key = ApiKeyFactory(maker=world.sam, scopes=[Scope.ACT_AS])
        players = {world.alice, world.bob, world.charlie, world.mona, world.oscar}
        assert visible(of_key(key)) == players
        assert visible(of_key(world.reader_key)) == {world.sam}

    def test_shows_a_players_key_only_the_player(self, world: World) -> None:
        key = ApiKeyFactory(maker=world.alice, department=world.arcade, scopes=[Scope.READ])
        assert visible(of_key(key)) == {world.alice}

    def test_shows_a_managers_key_whom_it_may_name(self, world: World) -> None:
        UserFactory(department=world.arcade, is_staff=True)
        key = ApiKeyFactory(maker=world.mona, department=world.arcade, scopes=[Scope.ACT_AS])
        assert visible(of_key(key)) == {world.alice, world.bob, world.mona}
        assert visible(of_key(ApiKeyFactory(maker=world.mona, scopes=[Scope.ACT_AS]))) == {world.mona}

    def test_shows_nobody_nothing(self, world: World) -> None:
        assert visible(Principal()) == set()
