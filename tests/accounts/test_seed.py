from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_q.models import Schedule

from accounts import doctor, keys, logins, services, tasks
from accounts.models import ApiKey, Login, Scope, User
from gamer.web.doctor import Verdict
from tests.factories import DepartmentFactory, UserFactory
from tests.world import NOON, World

pytestmark = pytest.mark.django_db
SECRET = "gk_0a1b2c3d_" + "s" * 43


@pytest.fixture
def environment(settings: Any) -> Any:
    """Sets what the operator said."""

    def change(**values: Any) -> None:
        settings.ENV = replace(settings.ENV, **values)

    change(is_production=False, admin_password="first password", demo_api_key=SECRET)
    return change


class TestSeed:
    def test_makes_an_administrator_whom_the_admin_lets_in(self, environment: Any, client: Any) -> None:
        seeded = services.seed(NOON)
        page = client.post("/admin/login/", {"username": seeded.admin_email, "password": "first password"})
        assert page.status_code == 302
        assert client.get("/admin/").status_code == 200

    def test_takes_no_player_for_the_administrator(self, environment: Any) -> None:
        (fine,) = doctor.administrator(NOON)
        player = UserFactory(email=services.ADMIN_EMAIL)
        before = player.password
        assert services.seed(NOON).demo_key is None
        player.refresh_from_db()
        assert (player.password, player.is_staff, ApiKey.objects.count()) == (before, False, 0)
        (found,) = doctor.administrator(NOON)
        assert (fine.verdict, found.verdict) == (Verdict.FINE, Verdict.WORSE)
        assert found.text == "admin@gamer.local belongs to no administrator"

    def test_makes_a_key_with_every_scope(self, environment: Any) -> None:
        seeded = services.seed(NOON)
        key = keys.key_of(SECRET, now=NOON)
        assert key == seeded.demo_key
        assert set(key.scopes) == set(Scope)
        assert key.department is None

    def test_is_safe_to_repeat(self, environment: Any, django_assert_max_num_queries: Any) -> None:
        services.seed(NOON)
        before = User.objects.get().password
        with django_assert_max_num_queries(12):
            services.seed(NOON)
        assert User.objects.get().password == before
        assert ApiKey.objects.count() == 1

    def test_follows_the_environment_in_development(self, environment: Any) -> None:
        services.seed(NOON)
        environment(admin_password="second password", demo_api_key="what I like")
        services.seed(NOON)
        assert User.objects.get().check_password("second password")
        assert keys.key_of("what I like", now=NOON).name == "Demo"
        assert ApiKey.objects.usable(NOON).count() == 1
        environment(demo_api_key=SECRET)
        services.seed(NOON)
        assert keys.key_of(SECRET, now=NOON).name == "Demo"

    def test_makes_no_key_and_changes_no_password_in_production(self, environment: Any) -> None:
        environment(is_production=True)
        services.seed(NOON)
        environment(admin_password="second password")
        services.seed(NOON)
        assert User.objects.get().check_password("first password")
        assert not ApiKey.objects.exists()

    def test_makes_nobody_without_a_password(self, environment: Any) -> None:
        environment(is_production=True, admin_password="")
        services.seed(NOON)
        assert not User.objects.exists()


class TestSweep:
    def test_is_scheduled_and_forgets_logins_that_are_long_over(self, environment: Any, world: World) -> None:
        services.seed(NOON)
        assert Schedule.objects.get(name="forget old logins").func == "accounts.tasks.sweep"
        now = timezone.now()
        logins.begin(user=world.alice, now=now - timedelta(days=40))
        kept = logins.begin(user=world.alice, now=now)
        tasks.sweep()
        assert Login.objects.count() == 1
        assert logins.login_of(kept.access, now).user == world.alice


class TestCreateApiKeyCommand:
    def call(self, *args: str) -> str:
        out = StringIO()
        call_command("create_api_key", *args, stdout=out)
        return out.getvalue().strip()

    def test_prints_the_key(self, world: World) -> None:
        secret = self.call(
            "Site",
            "--maker",
            "Sam@gamer.test",
            "--scope",
            "read",
            "--scope",
            "act_as",
            "--department",
            "Arcade",
        )
        key = keys.key_of(secret, now=NOON)
        assert (key.name, key.scopes, key.department, key.expires_at) == (
            "Site",
            ["act_as", "read"],
            world.arcade,
            None,
        )

    def test_bounds_its_life(self, world: World) -> None:
        secret = self.call("Site", "--maker", "sam@gamer.test", "--scope", "read", "--days", "2")
        assert ApiKey.objects.get(digest=keys.digest_of(secret)).expires_at is not None

    @pytest.mark.parametrize(
        ("args", "text"),
        [
            (
                ("--maker", "nobody@gamer.test", "--scope", "read"),
                "Nobody has the address .* --maker ADDRESS",
            ),
            (("--maker", "Bob@gamer.test", "--scope", "read"), "Bob@gamer.test is suspended"),
            (("--maker", "sam@gamer.test", "--scope", "read", "--department", "x"), "no department"),
            (("--maker", "alice@gamer.test", "--scope", "admin"), "Only staff"),
            (("--maker", "sam@gamer.test", "--scope", "read", "--days", "0"), "'0' is not from 1 to"),
            (("--maker", "sam@gamer.test", "--scope", "read", "--days", "99999999999"), "is not from 1 to"),
        ],
    )
    def test_says_what_is_wrong(self, world: World, args: tuple[str, ...], text: str) -> None:
        DepartmentFactory()
        type(world.bob).objects.filter(pk=world.bob.pk).update(is_active=False)
        with pytest.raises(CommandError, match=text):
            self.call("Site", *args)

    @pytest.mark.parametrize("name", ["", " ", "x" * 101])
    def test_wants_a_name_to_know_the_key_by(self, world: World, name: str) -> None:
        with pytest.raises(CommandError, match="1 to 100"):
            self.call(name, "--maker", "sam@gamer.test", "--scope", "read")
        assert not ApiKey.objects.filter(name=name).exists()
