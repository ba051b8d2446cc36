"""Everything a client can get wrong gets the contract's 4xx that names the field; nothing gets a 500."""

from __future__ import annotations

import uuid
from collections import defaultdict

import pytest

from gamer.web.models import Allowance
from gamer.web.views import description
from tests.bad_inputs import ODD_TEXTS, assert_error, sweep_bodies, sweep_query
from tests.vms.api.asking import DALLAS, LAUNCH, details, made, post, running
from vms.models import VM, GameSession

WISH = {
    "console_type": "switch",
    "game_id": "mario-odyssey",
    "provider": "tensordock",
    "preset": "premium",
    "auto_stop_timeout": 900,
    "user_id": "kim",
    "user_location": {"latitude": 32.7767, "longitude": -96.797},
    "name": "den",
}
WISH_NULLABLE = {"game_id", "provider", "preset", "user_id", "user_location"}
PLAY = {
    "console_type": "switch",
    "game_id": "mario-odyssey",
    "user_id": "kim",
    "save_id": "slot-1",
    **DALLAS,
    "provider": "tensordock",
    "auto_stop_timeout": 900,
}
PLAY_NULLABLE = {"user_id", "save_id", "user_latitude", "user_longitude", "provider"}
# One change of a right wish, and the field that its refusal names.
CHANGES = [
    ({"console_type": "ps5"}, "console_type"),
    ({"console_type": "SWITCH"}, "console_type"),
    ({"console_type": ""}, "console_type"),
    ({"user_location": {"latitude": 91, "longitude": 0}}, "user_location.latitude"),
    ({"user_location": {"latitude": 0, "longitude": -180.001}}, "user_location.longitude"),
    ({"user_location": {"latitude": 0}}, "user_location.longitude"),
    ({"user_location": {"longitude": 0}}, "user_location.latitude"),
    ({"user_location": {"latitude": None, "longitude": 0}}, "user_location.latitude"),
    ({"user_location": {"latitude": 0, "longitude": 0, "altitude": 9}}, "user_location.altitude"),
    ({"user_location": {}}, "user_location.latitude"),
    ({"user_location": [1, 2]}, "user_location"),
    ({"auto_stop_timeout": 59}, "auto_stop_timeout"),
    ({"auto_stop_timeout": 86401}, "auto_stop_timeout"),
    ({"auto_stop_timeout": 0}, "auto_stop_timeout"),
    ({"auto_stop_timeout": -900}, "auto_stop_timeout"),
    ({"auto_stop_timeout": True}, "auto_stop_timeout"),
    ({"auto_stop_timeout": 900.5}, "auto_stop_timeout"),
    ({"auto_stop_timeout": "900"}, "auto_stop_timeout"),
    ({"provider": "memory"}, "provider"),
    ({"provider": "skynet"}, "provider"),
    ({"preset": "giant"}, "preset"),
    ({"preset": "retro"}, "preset"),
    ({"game_id": "../../etc/passwd"}, "game_id"),
    ({"game_id": "x" * 101}, "game_id"),
    ({"user_id": "two words"}, "user_id"),
    ({"user_id": "x" * 65}, "user_id"),
    ({"project_id": "p1"}, "project_id"),
    ({"project_id": 10**9}, "project_id"),
    ({"project_id": {"id": 1}}, "project_id"),
    ({"name": "x" * 101}, "name"),
    ({"name": "a\0b"}, "name"),
    ({"status": "running"}, "status"),
    ({"vm_id": str(uuid.uuid4())}, "vm_id"),
]
LISTS = ["/events", "/attempts", "/steps", "/sessions"]


class TestBodies:
    def test_of_a_new_vm(self, plane, as_service):
        assert sweep_bodies(as_service, "/vms", WISH, nullable=WISH_NULLABLE) > 150
        assert not VM.objects.exists()

    def test_of_a_game_launch(self, plane, as_service):
        # One coordinate alone is null beside the other, and so no position.
        sweep_bodies(as_service, LAUNCH, PLAY, nullable=PLAY_NULLABLE)
        assert not VM.objects.exists()

    def test_of_a_game_on_a_vm(self, plane, as_alice):
        vm = running(plane, as_alice)
        right = {"game_id": "zelda", "save_id": "slot-1"}
        assert sweep_bodies(as_alice, f"/launch/vm/{vm.pk}/game", right, nullable={"save_id"}) > 50
        assert GameSession.objects.count() == 1

    def test_of_a_change(self, plane, as_alice):
        vm = made(as_alice)
        right = {"name": "den", "auto_stop_timeout": 900}
        assert sweep_bodies(as_alice, f"/vms/{vm.pk}", right, method="PATCH") > 50
        vm.refresh_from_db()
        assert (vm.name, vm.auto_stop_timeout) == ("", 900)

    def test_of_a_move(self, plane, as_alice):
        vm = running(plane, as_alice)
        place = {"latitude": 32.7767, "longitude": -96.797}
        right = {"provider": "tensordock", "region": "virginia", "preset": "premium", "user_location": place}
        assert sweep_bodies(as_alice, f"/vms/{vm.pk}/move", right, nullable=set(right)) > 50
        vm.refresh_from_db()
        assert vm.moves_from_id is None

    @pytest.mark.parametrize(
        ("method", "path"),
        [("POST", "start"), ("PUT", "stop"), ("POST", "retry"), ("POST", "extend"), ("DELETE", "")],
    )
    def test_of_what_takes_none(self, plane, as_alice, method, path):
        vm = made(as_alice)
        assert sweep_bodies(as_alice, f"/vms/{vm.pk}/{path}", {}, method=method) > 10
        vm.refresh_from_db()
        assert vm.status == "creating"

    def test_of_a_sessions_end(self, plane, as_alice):
        vm = running(plane, as_alice)
        assert sweep_bodies(as_alice, f"/sessions/{vm.sessions.get().pk}", {}, method="DELETE") > 10
        assert not vm.sessions.get().is_end_wanted

    def test_name_the_field_that_is_wrong(self, plane, as_service):
        for change, field in CHANGES:
            answer = post(as_service, "/vms", {**WISH, **change})
            assert field in details(answer), change
            assert answer.json()["error"]["code"] == "validation_error", change
        assert not VM.objects.exists()

    def test_name_the_project_as_unknown(self, plane, as_service):
        for path, wish in (("/vms", WISH), (LAUNCH, PLAY)):
            assert details(post(as_service, path, {**wish, "project_id": 10**9})) == {
                "project_id": ["Unknown project."]
            }


class TestQueries:
    def test_of_the_list(self, plane, as_sam):
        right = {
            "user_id": "kim",
            "status": "running",
            "console_type": "switch",
            "provider": "tensordock",
            "created_after": "2026-01-01T00:00:00Z",
            "created_before": "2026-12-31",
            "ordering": "-created_at",
            "limit": "10",
            "skip": "0",
        }
        assert sweep_query(as_sam, "/vms", right) > 300
        assert sweep_query(as_sam, "/vms", {"cursor": "x"}) > 50

    @pytest.mark.parametrize("path", LISTS)
    def test_of_nested_lists(self, plane, as_alice, path):
        vm = made(as_alice)
        right = {"limit": "10", "skip": "0", **({"after": "0"} if path == "/events" else {})}
        sweep_query(as_alice, f"/vms/{vm.pk}{path}", right)

    def test_of_a_game_launch(self, plane, as_alice):
        right = {name: str(value) for name, value in PLAY.items() if name != "user_id"}
        sweep_query(as_alice, LAUNCH, right, method="POST")

    @pytest.mark.parametrize(
        ("path", "right"),
        [
            ("/launch/vm/optimal-for/switch", {"user_latitude": "1", "user_longitude": "2", "limit": "3"}),
            ("/launch/hostnodes/available", {"min_gpu_count": "1", "console_type": "switch"}),
            (
                "/launch/hostnodes/closest",
                {"user_latitude": "1", "user_longitude": "2", "limit": "3", "min_gpu_count": "1"},
            ),
        ],
    )
    def test_of_discovery(self, plane, as_alice, path, right):
        sweep_query(as_alice, path, right)

    def test_with_a_cursor_of_another_list_or_ordering(self, plane, as_service):
        for _ in range(3):
            made(as_service)
        link = as_service.get("/vms", {"limit": 1})["Link"].split(">")[0].lstrip("<")
        assert "cursor" in details(as_service.get(f"{link}&ordering=created_at"))
        cursor = link.partition("cursor=")[2].partition("&")[0]
        assert "cursor" in details(as_service.get(f"/vms?cursor={cursor[:-2]}xx"))
        vm = VM.objects.first()
        assert "cursor" in details(as_service.get(f"/vms/{vm.pk}/events?cursor={cursor}"))


class TestPaths:
    @pytest.mark.parametrize(
        "path",
        [
            "/vms/{}",
            *("/vms/{}/status", "/vms/{}/events", "/vms/{}/sessions"),
            "/sessions/{}",
            "/launch/vm/optimal-for/{}",
        ],
    )
    def test_with_odd_ids_are_answered(self, plane, as_sam, path):
        odd = [text.replace("\ufffd", "%FF") for text in ODD_TEXTS if text.strip("./ \x00")]
        for text in [*odd, str(uuid.uuid4()).upper(), "{}", "%2e%2e", "a%00b", "%", "%ZZ", "🎮"]:
            answer = as_sam.get(path.format(text))
            assert answer.status_code in (400, 404), text[:40]
            assert_error(answer, text[:40])

    def test_with_odd_ids_change_nothing(self, plane, as_sam):
        for text in ("x", "0", str(uuid.uuid4()), "%00", "' or 1=1"):
            Allowance.objects.all().delete()
            for method in ("DELETE", "PATCH", "POST"):
                assert as_sam.generic(method, f"/vms/{text}").status_code in (400, 404, 405)
            assert post(as_sam, f"/vms/{text}/start").status_code in (400, 404)
            assert post(as_sam, f"/launch/vm/{text}/game", {"game_id": "x"}).status_code in (400, 404)


class TestMethods:
    def test_that_are_none_of_a_path_are_refused(self, plane, as_sam):
        vm = running(plane, as_sam)
        named = {"vm_id": vm.pk, "session_id": vm.sessions.get().pk, "console_type": "switch"}
        values = defaultdict(lambda: 1, {**named, "invitation_id": vm.pk, "slot_id": vm.pk})
        for path, known in description("gamer.urls")["paths"].items():
            others = {"OPTIONS", "TRACE", "PURGE", "GET", "POST", "PUT", "PATCH", "DELETE"}
            for method in others - {one.upper() for one in known}:
                Allowance.objects.all().delete()
                answer = as_sam.generic(method, path.format_map(values))
                # Agents alone may be told what there is for agents.
                wanted = 401 if path.startswith("/agent") and path != "/agent/register" else 405
                assert answer.status_code == wanted, (method, path)
                assert_error(answer, f"{method} {path}")
