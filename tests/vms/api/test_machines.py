"""`/vms` and `/vms/{id}`, as clients see them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from emulators.models import EmulatorConfig
from events.models import Event
from tests.vms.api.asking import SNES, details, made, post, running
from vms import installation
from vms.lifecycle import STATUS, TERMINAL, Status
from vms.models import VM, Offer

pytestmark = pytest.mark.usefixtures("plane")
FIELDS = {
    *("vm_id", "name", "status", "phase", "preset", "console_type", "provider", "region", "location_name"),
    *("created_at", "updated_at", "ip_address", "wolf_port", "ssh_port", "auto_stop_timeout"),
    *("gaming_environment_ready", "cloudypad_configured", "games_mounted", "last_activity"),
    *("last_moonlight_connection", "user_id", "project_id", "hourly_cost_usd", "distance_km"),
    *("session_ends_at", "deletes_at", "error"),
}
NOBODYS = "5a3927ba-417b-4401-8164-e84af36d1729"
STAFF_FIELDS = {"provider_instance_id", "provider_metadata", "user_location"}


class TestPost:
    def test_answers_at_once_with_a_vm_that_is_being_made(self, as_alice, world):
        answer = post(as_alice, "/vms", {**SNES, "name": "attic", "auto_stop_timeout": 60})
        body = answer.json()
        assert (answer.status_code, set(body)) == (201, FIELDS)
        assert (body["status"], body["phase"], body["name"]) == ("creating", "requested", "attic")
        assert (body["console_type"], body["preset"], body["provider"]) == ("snes", "retro", None)
        assert (body["user_id"], body["auto_stop_timeout"]) == (world.alice.handle, 60)
        assert body["created_at"].endswith("Z")
        assert as_alice.get(answer["Location"]).json() == body

    def test_takes_everything_the_contract_names(self, as_service, world):
        place = {"latitude": 32.7767, "longitude": -96.797}
        wish = {
            "console_type": "switch",
            "game_id": "mario-odyssey",
            "provider": "tensordock",
            "preset": "premium",
            "auto_stop_timeout": 1800,
            "user_id": "user123",
            "user_location": place,
            "project_id": None,
            "name": "living room",
        }
        body = post(as_service, "/vms", wish).json()
        vm = VM.objects.get(pk=body["vm_id"])
        assert (body["provider"], body["preset"], body["user_id"]) == ("tensordock", "premium", "user123")
        assert {"latitude": vm.latitude, "longitude": vm.longitude} == place
        assert vm.owner.department == world.arcade
        assert vm.sessions.get().game_id == "mario-odyssey"

    def test_waits_idle_for_a_quarter_of_an_hour_unless_told(self, as_alice):
        assert post(as_alice, "/vms", SNES).json()["auto_stop_timeout"] == 900

    def test_without_a_user_belongs_to_nobody(self, as_service):
        assert post(as_service, "/vms", SNES).json()["user_id"] is None
        assert post(as_service, "/vms", SNES).status_code == 201

    def test_of_a_second_one_of_that_console_is_a_conflict_that_names_the_first(self, as_alice):
        first = post(as_alice, "/vms", SNES).json()["vm_id"]
        assert details(post(as_alice, "/vms", SNES), 409)["vm_id"] == [first]
        assert post(as_alice, "/vms", {"console_type": "nes"}).status_code == 201

    def test_names_nobody_else(self, as_alice, world):
        answer = post(as_alice, "/vms", {**SNES, "user_id": world.bob.handle})
        assert "user_id" in details(answer, 403)
        assert not VM.objects.exists()

    def test_of_a_console_without_configuration_is_not_found(self, as_alice):
        EmulatorConfig.objects.filter(pk="snes").delete()
        assert details(post(as_alice, "/vms", SNES), 404) == {"console_type": ["console not configured"]}

    def test_of_a_preset_below_the_floor_is_refused(self, as_alice):
        wish = {"console_type": "switch", "preset": "retro"}
        assert "preset" in details(post(as_alice, "/vms", wish))
        assert "preset" in details(post(as_alice, "/vms", {**wish, "preset": "giant"}))

    def test_says_per_provider_why_nobody_can_host_it(self, as_alice):
        Offer.objects.update(has_dedicated_ip=False)
        answer = post(as_alice, "/vms", SNES)
        assert answer.json()["error"]["code"] == "no_capacity"
        assert "1:1 port mapping" in details(answer, 503)["tensordock"][0]
        assert not VM.objects.exists()

    def test_of_a_provider_without_an_adapter_says_so(self, as_alice):
        answer = post(as_alice, "/vms", {**SNES, "provider": "libvirt"})
        assert details(answer, 503) == {"libvirt": ["not available"]}

    def test_waits_when_launches_are_switched_off(self, as_alice):
        installation.row()
        installation.Installation.objects.update(is_launching=False)
        answer = post(as_alice, "/vms", SNES)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")

    def test_needs_the_scope(self, anyone, as_reader):
        assert post(anyone, "/vms", SNES).status_code == 401
        assert post(as_reader, "/vms", SNES).status_code == 403


class TestGet:
    def test_shows_what_was_bought(self, plane, as_alice):
        vm = running(plane, as_alice)
        body = as_alice.get(f"/vms/{vm.pk}").json()
        assert (body["status"], body["phase"], body["provider"]) == ("running", "ready", "tensordock")
        assert (body["region"], body["location_name"]) == ("us-joplin", "Joplin, Missouri, United States")
        assert body["hourly_cost_usd"] == float(round(vm.attempt.usd_per_hour, 6)) > 0
        assert body["distance_km"] == vm.attempt.distance_km > 0
        assert (body["ip_address"], body["wolf_port"], body["ssh_port"]) == (vm.ip_address, 47999, 22)
        assert body["gaming_environment_ready"] is True
        assert body["session_ends_at"] is not None
        assert (body["error"], body["project_id"], body["deletes_at"]) == (None, None, None)

    def test_knows_an_id_in_capitals(self, plane, as_alice):
        """As Swift writes what it has read as a UUID."""
        vm = running(plane, as_alice)
        for path in ("", "/status", "/events", "/attempts"):
            shouted = as_alice.get(f"/vms/{str(vm.pk).upper()}{path}")
            assert (shouted.status_code, shouted.json()) == (200, as_alice.get(f"/vms/{vm.pk}{path}").json())
        assert as_alice.delete(f"/vms/{str(vm.pk).upper()}").status_code == 202

    def test_shows_staff_the_machine_behind_it_without_secrets(self, plane, as_sam, as_alice):
        vm = running(plane, as_alice)
        VM.objects.filter(pk=vm.pk).update(machine_raw={"status": "up", "password": "hunter2"})
        body = as_sam.get(f"/vms/{vm.pk}").json()
        assert set(body) == FIELDS | STAFF_FIELDS
        assert body["provider_instance_id"] == vm.attempt.machine_id
        assert body["provider_metadata"] == {"status": "up", "password": "***"}
        assert body["user_location"] == {"latitude": 32.7767, "longitude": -96.797}
        assert set(as_alice.get(f"/vms/{vm.pk}").json()) == FIELDS

    def test_never_shows_a_key_or_token(self, plane, as_sam, as_alice):
        vm = running(plane, as_alice)
        secrets = [vm.ssh_private_key, vm.host_private_key, vm.agent_bootstrap]
        paths = ["", "/status", "/events", "/attempts", "/steps", "/connection", "/sessions"]
        told = "".join(as_sam.get(f"/vms/{vm.pk}{path}").content.decode() for path in paths)
        told += as_sam.get("/vms").content.decode()
        assert all(secret.reveal() and secret.reveal() not in told for secret in secrets)
        assert "PRIVATE KEY" not in told
        assert "ssh-ed25519" not in told

    def test_says_in_a_code_and_a_sentence_what_went_wrong(self, as_alice):
        vm = made(as_alice)
        failed = {"phase": "failed", "next_look_at": None, "error": "no_capacity", "error_text": "Sold out."}
        VM.objects.filter(pk=vm.pk).update(**failed)
        body = as_alice.get(f"/vms/{vm.pk}").json()
        assert (body["status"], body["error"]) == ("error", {"code": "no_capacity", "message": "Sold out."})

    def test_says_when_a_stopped_one_is_deleted(self, as_alice, settings):
        vm = made(as_alice)
        since = datetime(2026, 6, 1, tzinfo=UTC)
        VM.objects.filter(pk=vm.pk).update(phase="stopped", desired="stopped", phase_since=since)
        assert as_alice.get(f"/vms/{vm.pk}").json()["deletes_at"] == "2026-06-03T00:00:00Z"
        settings.STOPPED_KEEP_HOURS = 0
        assert as_alice.get(f"/vms/{vm.pk}").json()["deletes_at"] is None

    @pytest.mark.parametrize("path", ["/vms/{}", "/vms/{}/"])
    def test_answers_with_and_without_a_slash(self, as_alice, path):
        assert as_alice.get(path.format(made(as_alice).pk)).status_code == 200

    @pytest.mark.parametrize("vm_id", [NOBODYS, "1", "x" * 300, "%00", "..", NOBODYS[:-1]])
    def test_of_what_is_not_there_is_not_found(self, as_alice, vm_id):
        answer = as_alice.get(f"/vms/{vm_id}")
        assert answer.status_code in (400, 404)
        assert answer.json()["error"]["code"] in ("not_found", "validation_error")


class TestList:
    def test_shows_ones_own_the_newest_first(self, as_alice, as_bob):
        mine = [str(made(as_alice, console_type=console).pk) for console in ("nes", "snes", "gb")]
        made(as_bob)
        answer = as_alice.get("/vms")
        assert [one["vm_id"] for one in answer.json()] == mine[::-1]
        assert answer["X-Total-Count"] == "3"
        assert set(answer.json()[0]) == FIELDS

    def test_shows_staff_the_machines_behind_them(self, as_sam, as_alice):
        made(as_alice)
        assert set(as_sam.get("/vms").json()[0]) == FIELDS | STAFF_FIELDS

    def test_pages_by_cursor_through_every_row_once(self, as_service):
        rows = {str(made(as_service).pk) for _ in range(7)}
        answer, seen = as_service.get("/vms", {"limit": 3}), []
        while True:
            seen += [one["vm_id"] for one in answer.json()]
            if "Link" not in answer:
                break
            answer = as_service.get(answer["Link"].split(">")[0].lstrip("<"))
        assert len(seen) == 7
        assert set(seen) == rows

    def test_passes_over_rows(self, as_service):
        rows = [str(made(as_service).pk) for _ in range(3)]
        answer = as_service.get("/vms", {"skip": 1, "limit": 1, "ordering": "created_at"})
        assert [one["vm_id"] for one in answer.json()] == [rows[1]]

    def test_narrows_to_each_status(self, as_sam):
        moment = timezone.now()
        rows = [
            VM(
                console_id="snes",
                desired=desired,
                phase=phase,
                next_look_at=None if phase in TERMINAL else moment,
            )
            for desired, phase in STATUS
        ]
        VM.objects.bulk_create(rows)
        for status in Status:
            answer = as_sam.get("/vms", {"status": status.value})
            wanted = {str(vm.pk) for vm in rows if vm.status is status}
            assert {one["vm_id"] for one in answer.json()} == wanted
            assert {one["status"] for one in answer.json()} == {status.value}

    def test_narrows_to_user_console_provider_and_time(self, plane, as_service, as_alice):
        bought = running(plane, as_alice)
        old = made(as_service, user_id="kim", console_type="nes")
        VM.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=2))
        wished = made(as_service, user_id="kim", provider="tensordock")
        yesterday = (timezone.now() - timedelta(days=1)).isoformat()

        def found(**query):
            return {one["vm_id"] for one in as_service.get("/vms", query).json()}

        assert found(user_id="kim") == {str(old.pk), str(wished.pk)}
        assert found(user_id="nobody") == set()
        assert found(console_type="nes") == {str(old.pk)}
        assert found(provider="tensordock") == {str(wished.pk), str(bought.pk)}
        assert found(provider="libvirt") == set()
        assert found(created_before=yesterday) == {str(old.pk)}
        assert found(created_after=yesterday, user_id="kim") == {str(wished.pk)}

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({"status": "asleep"}, "status"),
            ({"console_type": "atari"}, "console_type"),
            ({"provider": "memory"}, "provider"),
            ({"project_id": "p1"}, "project_id"),
            ({"created_after": "yesterday"}, "created_after"),
            ({"created_before": "2026-13-01"}, "created_before"),
            ({"ordering": "ssh_private_key"}, "ordering"),
            ({"limit": "201"}, "limit"),
            ({"skip": "10001"}, "skip"),
            ({"cursor": "x"}, "cursor"),
            ({"colour": "red"}, "colour"),
            ({"user_id": "x" * 65}, "user_id"),
            ({"status": ["running", "stopped"]}, "status"),
        ],
    )
    def test_refuses_and_names_the_parameter(self, as_alice, query, field):
        assert field in details(as_alice.get("/vms", query))


class TestListCosts:
    @pytest.fixture
    def many(self, plane, as_alice, world):
        """Fifty VMs, one of them with a machine."""
        bought = running(plane, as_alice)
        moment = timezone.now()
        ended = {"desired": "gone", "phase": "deleted", "next_look_at": None, "created_at": moment}
        ended["department"] = world.alice.department
        VM.objects.bulk_create(
            VM(console_id="snes", owner=world.alice, attempt=bought.attempt if n % 2 else None, **ended)
            for n in range(49)
        )

    @pytest.mark.parametrize(("who", "most"), [("as_alice", 4), ("as_sam", 4), ("as_service", 6)])
    def test_are_the_same_statements_for_fifty_as_for_one(self, many, request, who, most):
        client = request.getfixturevalue(who)

        def statements(limit):
            with CaptureQueriesContext(connection) as seen:
                assert len(client.get("/vms", {"limit": limit, "ordering": "-created_at"}).json()) == limit
            return [one["sql"] for one in seen]

        statements(1)  # a key's first use is written down
        assert len(statements(50)) <= most
        assert len(statements(50)) - len(statements(1)) in (
            0,
            1,
        )  # the usual presets, when somebody needs them

    def test_open_no_secret(self, many, as_sam):
        with CaptureQueriesContext(connection) as seen:
            as_sam.get("/vms")
        told = " ".join(one["sql"] for one in seen)
        assert '"vms_vm"."created_at"' in told
        for column in ("private_key", "agent_bootstrap", "credentials"):
            assert column not in told

    def test_follow_the_index_of_the_newest(self, many, as_sam):
        link = as_sam.get("/vms", {"limit": 10})["Link"].split(">")[0].lstrip("<")
        with CaptureQueriesContext(connection) as seen:
            as_sam.get(link)
        (page,) = [one["sql"] for one in seen if "ORDER BY" in one["sql"] and '"vms_vm"' in one["sql"]]
        with connection.cursor() as cursor:
            # On few rows Postgres would read the table whole and sort, index or not.
            for way in ("seqscan", "bitmapscan", "sort"):
                cursor.execute(f"SET LOCAL enable_{way} = off")
            cursor.execute(f"EXPLAIN {page}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
        assert "using vm_newest" in plan
        assert "Sort" not in plan


class TestPatch:
    def test_renames_and_changes_the_idle_time(self, as_alice):
        vm = made(as_alice)
        body = as_alice.patch(f"/vms/{vm.pk}", {"name": "den", "auto_stop_timeout": 3600}).json()
        assert (body["name"], body["auto_stop_timeout"]) == ("den", 3600)
        event = Event.objects.get(action="update")
        assert event.details == {"name": "den", "auto_stop_timeout": 3600}

    def test_without_changes_changes_nothing(self, as_alice):
        vm = made(as_alice)
        answer = as_alice.patch(f"/vms/{vm.pk}", {"project_id": None})
        assert answer.status_code == 200
        assert answer.json()["updated_at"] == as_alice.get(f"/vms/{vm.pk}").json()["updated_at"]
        assert not Event.objects.filter(action="update").exists()

    @pytest.mark.parametrize("name", ["status", "user_id", "console_type", "desired", "ip_address"])
    def test_changes_nothing_else(self, as_alice, name):
        assert name in details(as_alice.patch(f"/vms/{made(as_alice).pk}", {name: "x"}))


class TestDelete:
    def test_begins_the_end_and_may_be_repeated(self, plane, as_alice):
        vm = running(plane, as_alice)
        for _ in range(2):
            answer = as_alice.delete(f"/vms/{vm.pk}")
            assert (answer.status_code, answer.json()) == (202, {"message": "VM termination initiated"})
        assert as_alice.get(f"/vms/{vm.pk}").json()["status"] == "terminating"
        plane.until(vm, "terminated")
        assert as_alice.delete(f"/vms/{vm.pk}").status_code == 202
        assert not plane.cloud.alive()
        assert Event.objects.filter(action="delete_asked").count() == 1


class TestActs:
    @pytest.mark.parametrize("method", ["put", "post"])
    def test_stop_and_start_a_vm(self, plane, as_alice, method):
        vm = running(plane, as_alice)
        answer = getattr(as_alice, method)(f"/vms/{vm.pk}/stop")
        assert (answer.status_code, answer.json()) == (202, {"message": "VM stop initiated"})
        plane.until(vm, "stopped")
        answer = getattr(as_alice, method)(f"/vms/{vm.pk}/start")
        assert (answer.status_code, answer.json()) == (202, {"message": "VM start initiated"})
        plane.until(vm, "running")

    @pytest.mark.parametrize("act", ["start", "stop", "retry", "extend", "move"])
    def test_in_the_wrong_state_change_nothing(self, as_alice, act):
        vm = made(as_alice)
        answer = post(as_alice, f"/vms/{vm.pk}/{act}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_state")
        assert "creating" in answer.json()["detail"]

    @pytest.mark.parametrize("act", ["start", "stop", "retry", "extend"])
    def test_take_no_body(self, as_alice, act):
        assert "force" in details(post(as_alice, f"/vms/{made(as_alice).pk}/{act}", {"force": True}))

    def test_retry_places_a_failed_vm_anew(self, plane, as_alice):
        vm = made(as_alice)
        VM.objects.filter(pk=vm.pk).update(phase="failed", next_look_at=None, error="lost")
        answer = post(as_alice, f"/vms/{vm.pk}/retry")
        assert (answer.status_code, answer.json()) == (202, {"message": "VM retry initiated"})
        assert as_alice.get(f"/vms/{vm.pk}").json()["error"] is None
        plane.until(vm, "running")

    def test_extend_moves_the_end_by_an_hour(self, plane, as_alice):
        vm = running(plane, as_alice)
        ends_at = timezone.now() + timedelta(minutes=10)
        VM.objects.update(session_ends_at=ends_at)
        answer = post(as_alice, f"/vms/{vm.pk}/extend")
        until = ends_at + timedelta(hours=1)
        assert answer.status_code == 202
        told = answer.json()["session_ends_at"]
        assert datetime.fromisoformat(told) == until
        assert Event.objects.get(action="extend").details == {"until": told}

    def test_extend_at_the_most_there_is_is_refused(self, plane, as_alice):
        vm = running(plane, as_alice)
        VM.objects.update(session_ends_at=timezone.now() + timedelta(hours=vm.max_session_hours + 1))
        answer = post(as_alice, f"/vms/{vm.pk}/extend")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_state")

    def test_start_beside_a_live_one_of_that_console_is_a_conflict(self, plane, as_alice):
        vm = running(plane, as_alice)
        post(as_alice, f"/vms/{vm.pk}/stop")
        plane.until(vm, "stopped")
        other = made(as_alice, console_type="switch")
        assert details(post(as_alice, f"/vms/{vm.pk}/start"), 409)["vm_id"] == [str(other.pk)]

    def test_move_takes_a_vm_elsewhere(self, plane, as_alice):
        vm = running(plane, as_alice)
        answer = post(as_alice, f"/vms/{vm.pk}/move", {"provider": "tensordock", "region": "virginia"})
        assert (answer.status_code, answer.json()) == (202, {"message": "VM move initiated"})
        again = post(as_alice, f"/vms/{vm.pk}/move", {"region": "virginia"})
        assert (again.status_code, again.json()["error"]["code"]) == (400, "invalid_state")
        plane.clock.now = timezone.now()  # when it was asked
        plane.until(vm, "creating")
        plane.until(vm, "running")
        shown = as_alice.get(f"/vms/{vm.pk}").json()
        assert shown["location_name"] == "Manassas, Virginia, United States"
        tries = as_alice.get(f"/vms/{vm.pk}/attempts").json()
        assert [(one["round"], one["outcome"]) for one in tries] == [(1, "won"), (2, "won")]
        assert tries[0]["closed_at"] is not None

    def test_move_goes_to_where_the_player_is_now(self, plane, as_alice):
        vm = running(plane, as_alice)
        here = {"latitude": 52.37, "longitude": 4.9}
        assert post(as_alice, f"/vms/{vm.pk}/move", {"user_location": here}).status_code == 202
        plane.clock.now = timezone.now()  # when it was asked
        plane.until(vm, "creating")
        plane.until(vm, "running")
        assert vm.attempt.location_name.startswith("Eygelshoven")

    def test_move_to_where_nothing_fits_is_refused_with_reasons(self, plane, as_alice):
        vm = running(plane, as_alice)
        assert "tensordock" in details(post(as_alice, f"/vms/{vm.pk}/move", {"region": "Winnipeg"}), 503)
        assert list(details(post(as_alice, f"/vms/{vm.pk}/move", {"region": "Atlantis"}))) == ["region"]
        vm.refresh_from_db()
        assert (vm.phase, vm.moves_from_id) == ("ready", None)
