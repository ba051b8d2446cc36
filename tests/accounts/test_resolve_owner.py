from __future__ import annotations

import pytest

from accounts.models import DepartmentRole, Scope, User
from accounts.principal import Principal, policy
from accounts.services import resolve_owner
from gamer.errors import Conflict, GamerError, PermissionDenied, ValidationError
from tests.at_once import at_once
from tests.factories import ApiKeyFactory, DepartmentFactory, UserFactory
from tests.world import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def service(world: World) -> Principal:
    """May act as anybody of alice's department."""
    return Principal(user=world.sam, key=world.service_key)


@pytest.fixture
def everywhere(world: World) -> Principal:
    """May act as anybody: a key without department."""
    return Principal(user=world.sam, key=world.admin_key)


def refused(principal: Principal, user_id: str | None, kind: type[GamerError]) -> None:
    with pytest.raises(kind) as caught:
        resolve_owner(principal, user_id)
    if kind is not Conflict:
        assert set(caught.value.details) == {"user_id"}


class TestPerson:
    def test_owns_it_themself_named_or_not(self, world: World) -> None:
        alice = Principal(user=world.alice)
        assert resolve_owner(alice, None) == resolve_owner(alice, "alice@gamer.test") == world.alice

    @pytest.mark.parametrize("name", ["bob@gamer.test", "nobody", "", "Alice@gamer.test", "a b"])
    def test_names_nobody_else(self, world: World, name: str) -> None:
        refused(Principal(user=world.alice), name, PermissionDenied)

    def test_names_nobody_else_as_staff_either(self, world: World) -> None:
        refused(Principal(user=world.sam), "alice@gamer.test", PermissionDenied)


class TestKey:
    def test_makes_what_nobody_owns_when_it_names_nobody(self, world: World, service: Principal) -> None:
        assert resolve_owner(service, None) is None
        assert resolve_owner(Principal(user=world.sam, key=world.reader_key), None) is None

    def test_of_a_player_makes_what_its_maker_owns(self, world: World) -> None:
        for maker, department in (
            (world.charlie, None),
            (world.alice, world.arcade),
            (world.mona, world.arcade),
        ):
            key = ApiKeyFactory(maker=maker, department=department)
            assert resolve_owner(Principal(user=maker, key=key), None) == maker

    def test_names_nobody_without_act_as(self, world: World) -> None:
        refused(Principal(user=world.sam, key=world.reader_key), "player-1", PermissionDenied)

    def test_names_a_person_of_its_department(self, world: World, service: Principal) -> None:
        assert resolve_owner(service, "bob@gamer.test") == world.bob

    def test_makes_a_postpaid_user_without_password_on_first_use(
        self, world: World, service: Principal
    ) -> None:
        user = resolve_owner(service, "player-1")
        assert user is not None
        assert user.department == world.arcade
        assert user.is_postpaid
        assert not user.is_staff
        assert user.email is None
        assert not user.has_usable_password()
        assert resolve_owner(service, "player-1") == user

    def test_reaches_no_other_department(self, world: World, service: Principal) -> None:
        other = UserFactory(handle="kim", department=DepartmentFactory())
        alone = UserFactory(handle="lee")
        for user in (other, alone, world.charlie):
            made = resolve_owner(service, user.handle)
            assert made is not None
            assert made != user
            assert made.department == world.arcade

    @pytest.mark.parametrize(
        "name", ["", "x" * 65, "a b", "a/b", "é", "a\n", "\x00", "a'b", "a+b@gamer.test"]
    )
    def test_refuses_a_name_that_cannot_be(self, service: Principal, name: str) -> None:
        refused(service, name, ValidationError)

    @pytest.mark.parametrize("name", ["x" * 64, "A.b_c:d@e-1", "0"])
    def test_takes_every_name_that_can(self, service: Principal, name: str) -> None:
        user = resolve_owner(service, name)
        assert user is not None
        user.full_clean(exclude=["password"])
        assert user.handle == name

    @pytest.mark.parametrize("power", ["is_staff", "is_superuser"])
    def test_never_names_staff(
        self, world: World, service: Principal, everywhere: Principal, power: str
    ) -> None:
        UserFactory(handle="root", department=world.arcade, **{power: True})
        refused(service, "root", PermissionDenied)
        refused(everywhere, "root", PermissionDenied)

    def test_never_names_the_suspended(self, world: World, service: Principal) -> None:
        User.objects.filter(pk=world.bob.pk).update(is_active=False)
        refused(service, "bob@gamer.test", PermissionDenied)

    def test_may_be_that_of_a_departments_manager(self, world: World) -> None:
        mia = UserFactory(department=world.arcade, department_role=DepartmentRole.MANAGER)
        key = ApiKeyFactory(maker=mia, department=world.arcade, scopes=[Scope.LAUNCH, Scope.ACT_AS])
        managers = Principal(user=mia, key=key)
        assert resolve_owner(managers, "bob@gamer.test") == world.bob
        made = resolve_owner(managers, "charlie@gamer.test")  # charlie himself is of no department
        assert made is not None
        assert (made.department, made != world.charlie) == (world.arcade, True)
        UserFactory(handle="boss", department=world.arcade, is_staff=True)
        refused(managers, "boss", PermissionDenied)
        User.objects.filter(pk=mia.pk).update(department_role=DepartmentRole.MEMBER)
        key.maker.refresh_from_db()
        refused(managers, "bob@gamer.test", PermissionDenied)

    def test_loses_act_as_with_its_makers_role(self, world: World, service: Principal) -> None:
        world.service_key.maker.is_staff = False
        refused(service, "player-1", PermissionDenied)


class TestKeyWithoutDepartment:
    def test_names_anybody(self, world: World, everywhere: Principal) -> None:
        assert resolve_owner(everywhere, "charlie@gamer.test") == world.charlie
        assert resolve_owner(everywhere, "bob@gamer.test") == world.bob

    def test_makes_users_without_department(self, everywhere: Principal) -> None:
        user = resolve_owner(everywhere, "player-1")
        assert user is not None
        assert user.department is None
        assert resolve_owner(everywhere, "player-1") == user

    def test_prefers_the_user_without_department(self, world: World, everywhere: Principal) -> None:
        UserFactory(handle="kim", department=world.arcade)
        alone = UserFactory(handle="kim")
        assert resolve_owner(everywhere, "kim") == alone

    def test_does_not_guess_between_departments(self, world: World, everywhere: Principal) -> None:
        UserFactory(handle="kim", department=world.arcade)
        UserFactory(handle="kim", department=DepartmentFactory())
        refused(everywhere, "kim", Conflict)


class TestOthers:
    @pytest.mark.parametrize("principal", [policy("idle"), Principal()])
    def test_own_nothing(self, principal: Principal) -> None:
        with pytest.raises(PermissionDenied):
            resolve_owner(principal, None)


@pytest.mark.django_db(transaction=True)
class TestRace:
    @pytest.mark.parametrize("has_department", [True, False])
    def test_makes_one_user_for_many_first_uses(self, world: World, has_department: bool) -> None:
        key = ApiKeyFactory(
            maker=world.sam, scopes=[Scope.ACT_AS], department=world.arcade if has_department else None
        )
        principal = Principal(user=world.sam, key=key)
        users = at_once(*[lambda: resolve_owner(principal, "player-1")] * 8)
        assert {type(user) for user in users} == {User}
        assert len(set(users)) == 1
        assert User.objects.filter(handle="player-1").count() == 1
