"""`/config/emulators`, `/config/presets` and `/games`, as clients see them."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from emulators import services
from emulators.models import EmulatorConfig, Game, LibraryFile, ProviderPreference
from events.models import Event
from tests.at_once import at_once
from tests.world import client_of

pytestmark = pytest.mark.usefixtures("shipped")
EMULATORS = "/config/emulators"
SWITCH = f"{EMULATORS}/switch"
FIELDS = {
    *("console_type", "display_name", "default_emulator", "default_preset", "min_cpu", "min_ram_gb"),
    *("requires_gpu", "gpu_class", "cost_per_hour_limit", "usd_per_1000_km", "max_session_hours"),
    *("supported_file_extensions", "save_file_extensions", "preferred_providers"),
}
PREFERENCE_FIELDS = {
    *("provider", "priority", "enabled", "preset_override", "cost_per_hour_limit", "regions", "gpu_class"),
}


def details(answer, status=400):
    assert answer.status_code == status, answer.content
    body = answer.json()
    assert body["detail"] == body["error"]["message"]
    return body["error"]["details"]


class TestWho:
    @pytest.mark.parametrize("path", [EMULATORS, SWITCH, "/config/presets", "/games"])
    def test_reads_must_say_who_they_are(self, anyone, as_alice, as_service, path):
        assert anyone.get(path).status_code == 401
        assert as_alice.get(path).status_code == 200
        assert as_service.get(path).status_code == 200

    @pytest.mark.parametrize(
        ("method", "path"),
        [("post", EMULATORS), ("put", SWITCH), ("delete", SWITCH), ("post", f"{SWITCH}/providers")],
    )
    def test_writes_need_staff_or_the_scope(self, anyone, as_alice, as_service, as_reader, method, path):
        assert getattr(anyone, method)(path, {}, format="json").status_code == 401
        for client in (as_alice, as_service, as_reader):
            assert getattr(client, method)(path, {}, format="json").status_code == 403
        assert Event.objects.exclude(action="create").count() == 0

    def test_writes_are_signed_by_who_made_them(self, as_sam, as_admin_key, world):
        as_sam.put(SWITCH, {"max_session_hours": 2}, format="json")
        as_admin_key.put(SWITCH, {"max_session_hours": 3}, format="json")
        actors = Event.objects.filter(action="update").values_list("actor", flat=True)
        assert list(actors) == [f"user:{world.sam.handle}", f"key:{world.admin_key.prefix}"]


class TestList:
    @pytest.mark.parametrize("path", [EMULATORS, EMULATORS + "/"])
    def test_shows_every_console_in_order(self, as_alice, path):
        answer = as_alice.get(path)
        shown = [one["console_type"] for one in answer.json()]
        assert shown == ["nes", "snes", "gb", "gbc", "gba", "nds", "3ds", "gamecube", "wii", "switch"]
        assert answer["X-Total-Count"] == "10"

    def test_pages_through_all_of_them(self, as_alice):
        first = as_alice.get(EMULATORS, {"limit": 6})
        rest = as_alice.get(first["Link"].split(">")[0].lstrip("<"))
        assert len(first.json() + rest.json()) == 10

    def test_takes_as_many_queries_for_ten_as_for_one(self, as_alice):
        def count(limit):
            with CaptureQueriesContext(connection) as seen:
                as_alice.get(EMULATORS, {"limit": limit})
            return len(seen)

        assert count(10) == count(1) <= 6


class TestGet:
    def test_shows_exactly_the_fields_of_the_contract(self, as_alice):
        body = as_alice.get(SWITCH).json()
        assert set(body) == FIELDS
        assert set(body["preferred_providers"][0]) == PREFERENCE_FIELDS

    def test_shows_money_as_numbers_and_providers_by_priority(self, as_alice):
        body = as_alice.get(SWITCH).json()
        assert (body["cost_per_hour_limit"], body["gpu_class"]) == (3.0, "RTX 4090")
        assert body["preferred_providers"][0]["cost_per_hour_limit"] == 2.5
        assert [one["priority"] for one in body["preferred_providers"]] == [1, 2, 3, 4, 5, 6, 7]

    @pytest.mark.parametrize("console", ["atari", "gb"])
    def test_of_what_is_not_configured_is_not_found(self, as_alice, console):
        EmulatorConfig.objects.filter(pk="gb").delete()
        assert (
            "console not configured" in details(as_alice.get(f"{EMULATORS}/{console}"), 404)["console_type"]
        )


class TestPut:
    def test_takes_back_what_get_gave(self, as_sam):
        body = as_sam.get(SWITCH).json()
        answer = as_sam.put(SWITCH, body, format="json")
        assert (answer.status_code, answer.json()) == (200, body)
        assert not Event.objects.filter(action="update").exists()

    def test_changes_what_is_named_from_the_next_launch_on(self, as_sam):
        before = as_sam.get(SWITCH).json()
        change = {"max_session_hours": 2, "cost_per_hour_limit": None}
        assert as_sam.put(SWITCH, change, format="json").json() == {**before, **change}
        assert services.profile_for(console="switch", game_id=None).max_session_hours == 2

    def test_chooses_between_priorities_and_a_score(self, as_sam):
        assert as_sam.get(SWITCH).json()["usd_per_1000_km"] is None
        for worth in (0.25, 0, None):
            body = as_sam.put(SWITCH, {"usd_per_1000_km": worth}, format="json").json()
            assert body["usd_per_1000_km"] == worth

    def test_replaces_the_list_of_providers(self, as_sam):
        listed = [{"provider": "libvirt"}, {"provider": "tensordock", "cost_per_hour_limit": 1.25}]
        body = as_sam.put(SWITCH, {"preferred_providers": listed}, format="json").json()
        shown = [
            (one["priority"], one["provider"], one["cost_per_hour_limit"])
            for one in body["preferred_providers"]
        ]
        assert shown == [(1, "libvirt", None), (2, "tensordock", 1.25)]

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"colour": "red"}, "colour"),
            ({"console_type": "wii"}, "console_type"),
            ({"console_type": "atari"}, "console_type"),
            ({"min_cpu": 0}, "min_cpu"),
            ({"usd_per_1000_km": -1}, "usd_per_1000_km"),
            ({"usd_per_1000_km": 100.5}, "usd_per_1000_km"),
            ({"usd_per_1000_km": "0.25"}, "usd_per_1000_km"),
            ({"usd_per_1000_km": 1e300}, "usd_per_1000_km"),
            ({"min_cpu": "8"}, "min_cpu"),
            ({"min_cpu": 10**30}, "min_cpu"),
            ({"min_cpu": None}, "min_cpu"),
            ({"requires_gpu": "yes"}, "requires_gpu"),
            ({"max_session_hours": 1000}, "max_session_hours"),
            ({"cost_per_hour_limit": 0}, "cost_per_hour_limit"),
            ({"cost_per_hour_limit": -1}, "cost_per_hour_limit"),
            ({"cost_per_hour_limit": 1e9}, "cost_per_hour_limit"),
            ({"default_preset": "retro"}, "default_preset"),
            ({"default_preset": "giant"}, "default_preset"),
            ({"default_preset": "nul\0"}, "default_preset"),
            ({"gpu_class": "RTX 9999"}, "gpu_class"),
            ({"display_name": ""}, "display_name"),
            ({"supported_file_extensions": ".nsp"}, "supported_file_extensions"),
            ({"supported_file_extensions": ["../.."]}, "supported_file_extensions"),
            ({"supported_file_extensions": [None]}, "supported_file_extensions.0"),
            ({"preferred_providers": {}}, "preferred_providers"),
            ({"preferred_providers": [{}]}, "preferred_providers.0.provider"),
            ({"preferred_providers": [{"provider": "memory"}]}, "preferred_providers.0.provider"),
            ({"preferred_providers": [{"provider": "libvirt", "zone": 1}]}, "preferred_providers.0.zone"),
            (
                {"preferred_providers": [{"provider": "libvirt", "priority": 0}]},
                "preferred_providers.0.priority",
            ),
            (
                {"preferred_providers": [{"provider": "libvirt"}, {"provider": "libvirt"}]},
                "preferred_providers.1.provider",
            ),
            (
                {"preferred_providers": [{"provider": "libvirt", "regions": ["x" * 101]}]},
                "preferred_providers.0.regions.0",
            ),
            (
                {"preferred_providers": [{"provider": "libvirt", "preset_override": "retro"}]},
                "preferred_providers.0.preset_override",
            ),
        ],
    )
    def test_refuses_and_names_the_field(self, as_sam, change, field):
        before = as_sam.get(SWITCH).json()
        assert field in details(as_sam.put(SWITCH, change, format="json"))
        assert as_sam.get(SWITCH).json() == before

    @pytest.mark.parametrize("body", ["[]", '"text"', "5", "null", "{", "{}{}"])
    def test_refuses_what_is_no_object(self, as_sam, body):
        assert as_sam.put(SWITCH, body, content_type="application/json").status_code == 400

    def test_of_what_is_not_configured_is_not_found(self, as_sam):
        assert as_sam.put(f"{EMULATORS}/atari", {"min_cpu": 1}, format="json").status_code == 404


class TestPost:
    def test_configures_a_console_anew(self, as_sam):
        shipped = as_sam.get(SWITCH).json()
        as_sam.delete(SWITCH)
        answer = as_sam.post(EMULATORS, {"console_type": "switch", "max_session_hours": 2}, format="json")
        assert (answer.status_code, answer.json()) == (201, {**shipped, "max_session_hours": 2})
        assert as_sam.get(answer["Location"]).json() == answer.json()

    def test_of_a_configured_console_is_a_conflict(self, as_sam):
        answer = as_sam.post(EMULATORS, {"console_type": "switch"}, format="json")
        assert answer.json()["error"]["code"] == "conflict"
        assert "console_type" in details(answer, 409)

    @pytest.mark.parametrize(
        "body", [{}, {"console_type": "atari"}, {"console_type": ""}, {"console_type": 3}]
    )
    def test_must_name_a_console_that_exists(self, as_sam, body):
        assert "console_type" in details(as_sam.post(EMULATORS, body, format="json"))


class TestDelete:
    def test_says_so_and_ends_launches(self, as_sam):
        answer = as_sam.delete(SWITCH)
        assert (answer.status_code, answer.json()) == (200, {"message": "Emulator configuration deleted"})
        assert as_sam.get(SWITCH).status_code == 404
        assert as_sam.delete(SWITCH).status_code == 404


class TestProviders:
    PATH = f"{SWITCH}/providers"

    def test_changes_a_listed_one(self, as_sam):
        change = {"provider": "cloudypad_gcp", "enabled": False, "regions": ["us-central", "us-east"]}
        answer = as_sam.post(self.PATH, change, format="json")
        assert answer.status_code == 200
        assert answer.json()["preferred_providers"][1] == {
            **change,
            "priority": 2,
            "preset_override": None,
            "cost_per_hour_limit": 3.0,
            "gpu_class": None,
        }

    def test_adds_a_new_one_where_it_is_told(self, as_sam):
        ProviderPreference.objects.filter(config="switch", provider="libvirt").delete()
        answer = as_sam.post(self.PATH, {"provider": "libvirt", "priority": 1}, format="json")
        assert answer.status_code == 201
        shown = [one["provider"] for one in answer.json()["preferred_providers"]]
        assert shown[:2] == ["libvirt", "tensordock"]

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({}, "provider"),
            ({"provider": "hetzner"}, "provider"),
            ({"provider": "memory"}, "provider"),
            ({"provider": "libvirt", "speed": 1}, "speed"),
            ({"provider": "libvirt", "priority": "first"}, "priority"),
            ({"provider": "libvirt", "priority": 1001}, "priority"),
            ({"provider": "libvirt", "preset_override": "advanced"}, "preset_override"),
            ({"provider": "libvirt", "cost_per_hour_limit": 0}, "cost_per_hour_limit"),
            ({"provider": "libvirt", "gpu_class": "Voodoo"}, "gpu_class"),
        ],
    )
    def test_refuses_and_names_the_field(self, as_sam, change, field):
        assert field in details(as_sam.post(self.PATH, change, format="json"))

    def test_of_what_is_not_configured_are_not_found(self, as_sam):
        answer = as_sam.post(f"{EMULATORS}/atari/providers", {"provider": "libvirt"}, format="json")
        assert answer.status_code == 404

    @pytest.mark.django_db(transaction=True)
    def test_of_many_clients_at_once_all_get_in(self, world):
        kinds = ("libvirt", "cloudypad_aws", "cloudypad_gcp")
        clients = [client_of(world.sam) for _ in kinds]
        answers = at_once(
            *(
                lambda kind=kind, client=client: (
                    client.post(self.PATH, {"provider": kind, "priority": 1}, format="json").status_code
                )
                for kind, client in zip(kinds, clients, strict=True)
            )
        )
        assert answers == [200, 200, 200]
        rows = ProviderPreference.objects.filter(config="switch").order_by("priority")
        assert set(rows.values_list("provider", flat=True)[:3]) == set(kinds)
        assert list(rows.values_list("priority", flat=True)) == list(range(1, 8))


class TestPresets:
    def test_are_listed_from_small_to_large(self, as_alice):
        answer = as_alice.get("/config/presets")
        assert answer.json() == [
            {"name": "retro", "vcpus": 2, "ram_gb": 4, "disk_gb": 50, "gpus": 0},
            {"name": "advanced", "vcpus": 4, "ram_gb": 8, "disk_gb": 100, "gpus": 1},
            {"name": "premium", "vcpus": 8, "ram_gb": 16, "disk_gb": 200, "gpus": 1},
        ]


class TestGames:
    def test_are_listed_by_title(self, as_alice):
        titles = [game["title"] for game in as_alice.get("/games").json()]
        assert titles == sorted(titles)
        assert len(titles) == Game.objects.count()

    def test_say_what_they_ask_for_themselves(self, as_alice):
        (game,) = as_alice.get("/games", {"q": "farm-let"}).json()
        assert game == {
            "game_id": "farm-letters",
            "console_type": "switch",
            "title": "Farm Letters",
            "available": None,
            "preset": None,
            "min_cpu": None,
            "min_ram_gb": None,
            "requires_gpu": False,
            "gpu_class": "RTX 3080",
            "emulator": "",
        }

    def test_say_whether_their_file_is_there_as_far_as_anybody_looked(self, as_alice, now):
        for game_id, since in (("bowling-night", None), ("orbit-runner", now)):
            Game.objects.filter(game_id=game_id).update(file=f"wii/{game_id}.iso")
            LibraryFile.objects.create(path=f"wii/{game_id}.iso", console_id="wii", missing_since=since)
        Game.objects.filter(game_id="party-planet").update(file="gamecube/unseen.iso")

        def ids(**query: str) -> set[str]:
            return {game["game_id"] for game in as_alice.get("/games", query).json()}

        assert ids(available="true") == {"bowling-night"}
        assert ids(available="false") == {"orbit-runner"}
        assert ids(available="true", console="nes") == set()
        told = {game["game_id"]: game["available"] for game in as_alice.get("/games").json()}
        assert (told["bowling-night"], told["orbit-runner"]) == (True, False)
        assert told["party-planet"] is told["haunted-manor"] is None

    @pytest.mark.parametrize(
        ("query", "ids"),
        [
            ({"console": "wii"}, {"bowling-night", "orbit-runner"}),
            ({"q": "ODYSSEY"}, {"mario-odyssey"}),
            ({"q": "runner", "console": "wii"}, {"orbit-runner"}),
            ({"q": "100%"}, set()),
            ({"q": "_"}, set()),
            ({"q": "zzz"}, set()),
        ],
    )
    def test_are_found_by_console_and_words(self, as_alice, query, ids):
        assert {game["game_id"] for game in as_alice.get("/games", query).json()} == ids

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({"console": "atari"}, "console"),
            ({"q": "nul\0"}, "q"),
            ({"q": "x" * 101}, "q"),
            ({"available": "perhaps"}, "available"),
            ({"colour": "red"}, "colour"),
            ({"limit": "0"}, "limit"),
        ],
    )
    def test_are_not_found_by_nonsense(self, as_alice, query, field):
        assert field in details(as_alice.get("/games", query))

    def test_are_paged(self, as_alice):
        first = as_alice.get("/games", {"limit": 10, "q": "a"})
        rest = as_alice.get(first["Link"].split(">")[0].lstrip("<"))
        ids = [game["game_id"] for game in first.json() + rest.json()]
        assert len(ids) == len(set(ids)) == int(first["X-Total-Count"])

    def test_take_as_many_queries_for_many_as_for_one(self, as_alice):
        def count(limit):
            with CaptureQueriesContext(connection) as seen:
                as_alice.get("/games", {"limit": limit})
            return len(seen)

        assert count(20) == count(1) <= 5
