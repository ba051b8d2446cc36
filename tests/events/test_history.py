from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection, transaction

from accounts.models import ApiKey, User
from emulators.models import EmulatorConfig, Preset, ProviderPreference
from emulators.services import seed
from events.models import Event
from gamer.context import about
from tests.world import NOON, World, client_for, client_with_key
from vms.models import Installation, ProviderAccount

pytestmark = pytest.mark.django_db
CANARY = "canary-0123456789-canary"


def changes(resource: str, resource_id: object) -> list[Event]:
    return list(Event.timeline.about(resource, resource_id).filter(is_change=True))


def sql(text: str, *params: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(text, params or None)


@pytest.fixture
def preset() -> Preset:
    return Preset.objects.create(slug="huge", vcpus=32, ram_gb=64, disk_gb=500, gpus=1)


@pytest.fixture
def account() -> ProviderAccount:
    return ProviderAccount.objects.create(name="vendor", kind="tensordock", credentials={"token": CANARY})


@pytest.fixture
def config() -> EmulatorConfig:
    seed(NOON)
    return EmulatorConfig.objects.get(pk="nes")


class TestARow:
    def test_is_kept_as_it_was_made(self, preset: Preset) -> None:
        (made,) = changes("emulators", "preset:huge")
        assert made.action == "row_created"
        assert made.details["row"] == "preset"
        assert made.details["changes"]["vcpus"] == [None, 32]

    def test_is_kept_before_and_after_and_only_what_changed(self, preset: Preset) -> None:
        Preset.objects.filter(pk="huge").update(vcpus=16)
        change = changes("emulators", "preset:huge")[-1]
        assert (change.action, change.details["changes"]) == ("row_changed", {"vcpus": [32, 16]})

    def test_is_kept_as_it_went(self, preset: Preset) -> None:
        preset.delete()
        gone = changes("emulators", "preset:huge")[-1]
        assert (gone.action, gone.details["changes"]["ram_gb"]) == ("row_deleted", [64, None])

    def test_that_stays_the_same_leaves_nothing(self, preset: Preset) -> None:
        preset.save()
        assert len(changes("emulators", "preset:huge")) == 1

    def test_changed_by_hand_names_the_databases_user(self, preset: Preset) -> None:
        sql("UPDATE emulators_preset SET gpus = 2 WHERE slug = 'huge'")
        change = changes("emulators", "preset:huge")[-1]
        assert change.actor.startswith("database:")
        assert change.details["changes"] == {"gpus": [1, 2]}

    def test_stands_in_the_timeline_and_not_among_what_services_told(self, preset: Preset) -> None:
        assert not Event.objects.about("emulators", "preset:huge").exists()
        assert Event.timeline.about("emulators", "preset:huge").exists()

    def test_leaves_with_a_transaction_that_is_undone(self) -> None:
        with transaction.atomic():
            Preset.objects.create(slug="never", vcpus=1, ram_gb=1, disk_gb=1)
            transaction.set_rollback(True)
        assert not changes("emulators", "preset:never")


class TestActor:
    @pytest.mark.parametrize("write", ["orm", "raw", "named", "bare"])
    def test_is_who_the_context_names(self, preset: Preset, write: str) -> None:
        with about(actor="user:sam", ip="203.0.113.9", request_id="r-1"):
            if write == "orm":
                Preset.objects.filter(pk="huge").update(vcpus=16)
            elif write == "raw":
                sql("UPDATE emulators_preset SET vcpus = %s WHERE slug = 'huge'", 16)
            elif write == "named":
                with connection.cursor() as cursor:
                    cursor.execute("UPDATE emulators_preset SET vcpus = %(n)s WHERE slug = 'huge'", {"n": 16})
            else:
                sql("UPDATE emulators_preset SET vcpus = 16 WHERE slug = 'huge'")
        change = changes("emulators", "preset:huge")[-1]
        assert (change.actor, change.ip, change.request_id) == ("user:sam", "203.0.113.9", "r-1")

    def test_is_nobody_of_an_earlier_context(self, preset: Preset) -> None:
        with about(actor="user:sam"):
            Preset.objects.filter(pk="huge").update(vcpus=16)
        # A test is one transaction; in a process every request has its own.
        sql("SELECT set_config('gamer.actor', '', true)")
        Preset.objects.filter(pk="huge").update(vcpus=8)
        assert changes("emulators", "preset:huge")[-1].actor.startswith("database:")

    def test_costs_no_further_statement(self, preset: Preset, django_assert_num_queries: Any) -> None:
        with about(actor="user:sam"), django_assert_num_queries(1):
            Preset.objects.filter(pk="huge").update(vcpus=16)

    def test_minds_no_results(self) -> None:
        with about(actor="user:sam"):
            rows = [Preset(slug=f"p{n}", vcpus=n, ram_gb=1, disk_gb=1) for n in (1, 2)]
            made = Preset.objects.bulk_create(rows)
            assert Preset.objects.filter(slug__startswith="p").update(ram_gb=3) >= 2
            group = Group.objects.create(name="Night shift")
        assert len(made) == 2
        assert group.pk == Group.objects.get(name="Night shift").pk
        assert changes("emulators", "preset:p2")[0].actor == "user:sam"

    def test_is_the_key_that_came_by_the_api(self, world: World, config: EmulatorConfig) -> None:
        client = client_with_key(world.secret_of(world.admin_key))
        answer = client.put(
            f"/config/emulators/{config.pk}",
            {**client.get(f"/config/emulators/{config.pk}").json(), "max_session_hours": 3},
            REMOTE_ADDR="203.0.113.7",
        )  # fmt: skip
        assert answer.status_code == 200, answer.json()
        change = changes("emulators", config.pk)[-1]
        told = Event.objects.about("emulators", config.pk).latest("id")
        assert change.actor == told.actor == f"key:{world.admin_key.prefix}"
        assert change.ip == told.ip == "203.0.113.7"
        assert change.request_id == told.request_id == answer.headers["X-Request-ID"]
        assert change.details["changes"]["max_session_hours"][1] == 3

    def test_is_the_person_at_the_admin(self, world: World) -> None:
        client = client_for(world.sam)
        answer = client.post(
            "/admin/accounts/department/add/", {"name": "Backroom"}, REMOTE_ADDR="203.0.113.8"
        )
        assert answer.status_code == 302
        change = Event.timeline.filter(resource="departments", is_change=True).latest("id")
        assert (change.actor, change.ip) == (f"user:{world.sam.handle}", "203.0.113.8")


class TestMachinesOwnColumns:
    def test_leave_nothing(self, account: ProviderAccount, world: World) -> None:
        before = Event.timeline.count()
        ProviderAccount.objects.update(
            call_tokens=3, failures_in_a_row=2, next_refresh_at=NOON, last_error="x", paused_why="y"
        )
        User.objects.update(last_login=NOON)
        ApiKey.objects.update(last_used_at=NOON)
        assert Event.timeline.count() == before


class TestSecrets:
    def test_say_only_that_they_were_replaced(self, account: ProviderAccount, world: World) -> None:
        ProviderAccount.objects.filter(pk=account.pk).update(credentials={"token": CANARY + "2"})
        world.alice.set_password(CANARY)
        world.alice.save()
        sql("UPDATE accounts_apikey SET digest = %s", CANARY)
        told = [change.details for change in Event.timeline.filter(is_change=True)]
        assert CANARY not in json.dumps(told)
        sealed = changes("provider_accounts", account.pk)
        assert [one.details["changes"]["credentials"] for one in sealed] == ["set", "replaced"]
        assert changes("users", world.alice.handle)[-1].details["changes"] == {"password": "replaced"}
        assert "gAAAA" not in json.dumps(told)
        assert "argon2" not in json.dumps(told)


class TestGroups:
    def test_tell_which_permission_and_whose(self, world: World) -> None:
        group = Group.objects.create(name="Operators")
        permission = Permission.objects.get(codename="view_vm")
        group.permissions.add(permission)
        world.alice.groups.add(group)
        rows = [one.details["row"] for one in changes("groups", group.pk)]
        assert rows == [
            "group Operators",
            f"permission of a group {permission.pk}",
            f"member of a group {world.alice.pk}",
        ]


class TestTheTables:
    def test_that_hold_configuration_are_all_watched(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE 'pgtrigger_history_%%'"
            )
            watched = {name for (name,) in cursor.fetchall()}
        configuration = [
            Preset, EmulatorConfig, ProviderPreference, ProviderAccount, Installation, User, ApiKey, Group,
            Group.permissions.through, User.groups.through,
        ]  # fmt: skip
        assert {model._meta.db_table for model in configuration} <= watched
