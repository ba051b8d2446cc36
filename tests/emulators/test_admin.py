"""Staff's pages, as a browser without scripts would use them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.contrib import admin as django_admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import path

from accounts.principal import policy
from emulators.admin import consoles as pages
from emulators.facts import KnownPlace, OfferFacts
from emulators.models import Console, EmulatorConfig, Game, GpuClass, Preset, ProviderPreference
from emulators.services.configs import upsert_provider
from events.models import Event
from tests.world import NOON, client_for

pytestmark = pytest.mark.usefixtures("shipped")
CONFIGS = "/admin/emulators/emulatorconfig/"
SWITCH = f"{CONFIGS}switch/change/"
GPUS = "/admin/emulators/gpuclass/"

urlpatterns = [
    path(
        "admin/",
        (
            [
                path("preview/", lambda request: HttpResponse(), name="a_preview"),
                *django_admin.site.urls[0],
            ],
            "admin",
            "admin",
        ),
    )
]


@pytest.fixture
def client(world) -> Client:
    return client_for(world.sam)


def filled(answer) -> dict[str, object]:
    """What the page would post if nobody touched it."""
    forms = [answer.context["adminform"].form]
    for inline in answer.context["inline_admin_formsets"]:
        forms += [inline.formset.management_form, *inline.formset.forms]
    posted = {}
    for form in forms:
        for bound in form:
            value = bound.field.prepare_value(bound.value())
            if value is not None and value is not False:
                posted[bound.html_name] = value
    return posted


def listed(console="switch") -> list[tuple[int, str]]:
    rows = ProviderPreference.objects.filter(config=console).order_by("priority")
    return list(rows.values_list("priority", "provider"))


def messages(answer) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


class TestConsolePage:
    def test_untouched_changes_nothing(self, client):
        before = list(ProviderPreference.objects.order_by("pk").values())
        answer = client.post(SWITCH, filled(client.get(SWITCH)))
        assert answer.status_code == 302
        assert list(ProviderPreference.objects.order_by("pk").values()) == before
        assert not Event.objects.filter(action="update").exists()

    def test_asks_no_more_where_there_are_many_providers(self, client):
        def asked(console):
            with CaptureQueriesContext(connection) as queries:
                page = client.get(f"{CONFIGS}{console}/change/")
            return page.context["inline_admin_formsets"][0].formset.initial_form_count(), len(queries)

        ProviderPreference.objects.filter(config="gb", priority__gt=1).delete()
        asked("nes")  # whatever a process asks once
        (few, first), (many, second) = asked("gb"), asked("switch")
        assert few < many
        assert first == second

    def test_saves_console_and_order_in_one_request(self, client, world):
        posted = filled(client.get(SWITCH))
        # What the page's script writes after libvirt's row was dragged to the top: places counted from 0.
        for number, place in enumerate([1, 2, 3, 4, 5, 6, 0]):
            posted[f"preferences-{number}-priority"] = place
        posted |= {
            "max_session_hours": 5,
            "display_name": "The Switch",
            "supported_file_extensions": "NSP, .xci",
        }
        assert client.post(SWITCH, posted).status_code == 302
        assert [kind for _, kind in listed()][:3] == ["libvirt", "tensordock", "cloudypad_gcp"]
        assert [number for number, _ in listed()] == list(range(1, 8))
        config = EmulatorConfig.objects.get(pk="switch")
        assert (config.max_session_hours, config.supported_file_extensions) == (5, [".nsp", ".xci"])
        assert Console.objects.get(pk="switch").display_name == "The Switch"
        event = Event.objects.get(action="update")
        assert (event.resource_id, event.actor) == ("switch", f"user:{world.sam.handle}")
        assert LogEntry.objects.count() == 1

    def test_swaps_two_providers_in_their_rows(self, client):
        posted = filled(client.get(SWITCH))
        posted |= {"preferences-0-provider": "libvirt", "preferences-6-provider": "tensordock"}
        assert client.post(SWITCH, posted).status_code == 302
        assert (listed()[0], listed()[6]) == ((1, "libvirt"), (7, "tensordock"))

    def test_puts_a_new_row_last_and_takes_a_deleted_one_away(self, client):
        ProviderPreference.objects.filter(config="switch", provider="libvirt").delete()
        posted = filled(client.get(SWITCH))
        posted |= {
            "preferences-TOTAL_FORMS": 7,
            "preferences-6-config": "switch",
            "preferences-6-provider": "libvirt",
            "preferences-6-enabled": "on",
            "preferences-6-regions": "Texas, us-east,, Texas",
            "preferences-0-DELETE": "on",
        }
        assert client.post(SWITCH, posted).status_code == 302
        assert listed()[0] == (1, "cloudypad_gcp")
        assert listed()[-1] == (6, "libvirt")
        row = ProviderPreference.objects.get(config="switch", provider="libvirt")
        assert (row.regions, row.cost_per_hour_limit) == (["Texas", "us-east"], None)

    def test_shows_prices_with_cents(self, client):
        ProviderPreference.objects.filter(config="switch", provider="libvirt").update(
            cost_per_hour_limit=Decimal("0.125")
        )
        page = client.get(SWITCH).content.decode()
        assert 'value="2.50"' in page
        assert 'value="0.125"' in page

    def test_says_what_a_distance_is_worth_and_the_list_shows_it(self, client):
        assert (
            client.post(SWITCH, {**filled(client.get(SWITCH)), "usd_per_1000_km": "0.25"}).status_code == 302
        )
        assert EmulatorConfig.objects.get(pk="switch").usd_per_1000_km == Decimal("0.25")
        assert 'value="0.25"' in client.get(SWITCH).content.decode()
        listed = client.get(CONFIGS).content.decode()
        assert listed.count("by score ($0.25 per 1,000\N{NO-BREAK SPACE}km)") == 1
        assert client.post(SWITCH, {**filled(client.get(SWITCH)), "usd_per_1000_km": ""}).status_code == 302
        assert EmulatorConfig.objects.get(pk="switch").usd_per_1000_km is None

    def test_does_not_offer_the_memory_provider(self, client):
        assert 'value="memory"' not in client.get(SWITCH).content.decode()

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (
                {"default_preset": "advanced"},
                "Preset advanced (4 vCPUs, 8 GB RAM and a GPU) is below the console",
            ),
            (
                {"preferences-1-preset_override": "retro"},
                "Preset retro (2 vCPUs, 4 GB RAM and no GPU) is below",
            ),
            ({"preferences-1-provider": "libvirt"}, "Own hosts (libvirt) is listed twice."),
            ({"preferences-1-cost_per_hour_limit": "0"}, "A limit must be above 0"),
            (
                {"preferences-0-cost_per_hour_limit": "0.10"},
                "TensorDock&#x27;s cheapest machine for this console costs",
            ),
            ({"cost_per_hour_limit": "0.10"}, "The cheapest machine known for this console costs $0.470"),
            (
                {"preferences-0-regions": "Wonderland"},
                "TensorDock has nothing in “Wonderland”; it has machines in Canada",
            ),
            ({"usd_per_1000_km": "-1"}, "A distance cannot be worth less than nothing"),
            ({"usd_per_1000_km": "101"}, "At most 100 dollars an hour for 1,000 km"),
            ({"min_cpu": "0"}, "greater than or equal to 1"),
            ({"supported_file_extensions": ".a b"}, "a dot and small letters"),
            ({"preferences-0-provider": ""}, "This field is required."),
            ({"min_ram_gb": "32"}, "is below the console"),
        ],
    )
    def test_says_what_is_wrong_and_changes_nothing(self, client, change, words, settings):
        settings.OFFER_FACTS = "tests.emulators.test_admin.small_stock"
        before = list(ProviderPreference.objects.order_by("pk").values())
        answer = client.post(SWITCH, {**filled(client.get(SWITCH)), **change})
        assert answer.status_code == 200
        assert words in answer.content.decode()
        assert list(ProviderPreference.objects.order_by("pk").values()) == before

    def test_says_each_fault_once(self, client):
        page = client.post(
            SWITCH, {**filled(client.get(SWITCH)), "default_preset": "advanced"}
        ).content.decode()
        assert page.count("Preset advanced (4 vCPUs") == 1

    def test_takes_no_provider_away_that_somebody_added_meanwhile(self, client, world):
        ProviderPreference.objects.filter(config="switch", provider="libvirt").delete()
        posted = filled(client.get(SWITCH)) | {"max_session_hours": 5}
        upsert_provider(console="switch", provider="libvirt", changes={}, by=policy("test"), now=NOON)
        answer = client.post(SWITCH, posted)
        page = answer.content.decode()
        assert "It was changed after you opened this page" in page
        assert f'name="seen" value="{posted["seen"]}"' in page
        assert filled(answer)["max_session_hours"] == "5"
        assert "libvirt" in {kind for _, kind in listed()}
        assert EmulatorConfig.objects.get(pk="switch").max_session_hours != 5
        assert client.post(SWITCH, filled(client.get(SWITCH)) | {"max_session_hours": 5}).status_code == 302

    def test_tells_that_somebody_deleted_it_meanwhile(self, client):
        posted = filled(client.get(SWITCH))
        EmulatorConfig.objects.get(pk="switch").delete()
        answer = client.post(SWITCH, posted, follow=True)
        assert answer.status_code == 200
        assert EmulatorConfig.objects.count() == 9


def small_stock(*, provider, profile) -> OfferFacts:
    place = KnownPlace("ca-winnipeg", "Winnipeg", "Manitoba", "Canada")
    return OfferFacts(Decimal("0.47"), (place,)) if provider == "tensordock" else OfferFacts()


class TestPreview:
    def test_is_linked_where_there_is_one(self, client, settings, monkeypatch):
        settings.ROOT_URLCONF = "tests.emulators.test_admin"
        monkeypatch.setattr(pages, "PREVIEW", "admin:a_preview")
        page = client.get(SWITCH)
        assert "what would a launch pick?" in page.content.decode()
        answer = client.get(f"{CONFIGS}switch/preview/")
        assert (answer.status_code, answer["Location"]) == (302, "/admin/preview/?console=switch")

    def test_is_not_linked_where_there_is_none(self, client, monkeypatch):
        monkeypatch.setattr(pages, "PREVIEW", "admin:a_name_nobody_has")
        assert "what would a launch pick?" not in client.get(SWITCH).content.decode()
        assert client.get(f"{CONFIGS}switch/preview/").status_code == 403


class TestAddAndDelete:
    def test_adds_a_console_that_has_no_configuration(self, client):
        EmulatorConfig.objects.get(pk="gb").delete()
        answer = client.get(f"{CONFIGS}add/")
        assert [console.pk for console in answer.context["adminform"].form.fields["console"].queryset] == [
            "gb"
        ]
        posted = filled(answer) | {
            "console": "gb",
            "default_emulator": "Gambatte",
            "default_preset": "retro",
            "min_cpu": 1,
            "min_ram_gb": 2,
            "preferences-TOTAL_FORMS": 1,
            "preferences-0-provider": "libvirt",
            "preferences-0-enabled": "on",
        }
        answer = client.post(f"{CONFIGS}add/", posted)
        assert answer.status_code == 302
        assert listed("gb") == [(1, "libvirt")]
        assert Console.objects.get(pk="gb").display_name == "Game Boy"
        assert Event.objects.filter(action="create", resource_id="gb").exclude(actor="command:seed").exists()

    def test_deletes_one_with_an_event(self, client):
        assert client.post(f"{CONFIGS}gb/delete/", {"post": "yes"}).status_code == 302
        assert not EmulatorConfig.objects.filter(pk="gb").exists()
        assert Event.objects.filter(action="delete", resource_id="gb").exists()

    def test_deletes_several_with_an_event_each(self, client):
        posted = {"action": "delete_selected", "_selected_action": ["gb", "gbc"], "post": "yes"}
        assert client.post(CONFIGS, posted).status_code == 302
        assert Event.objects.filter(action="delete").count() == 2


class TestLists:
    def test_show_all_consoles_in_few_queries(self, client, django_assert_max_num_queries):
        with django_assert_max_num_queries(9):
            page = client.get(CONFIGS).content.decode()
        assert "Nintendo Switch" in page
        assert "Ryubing" in page

    @pytest.mark.parametrize("page", [CONFIGS, GPUS, "/admin/emulators/game/", "/admin/emulators/preset/"])
    def test_are_for_staff_only(self, world, page):
        client = client_for(world.alice)
        assert client.get(page).status_code == 302

    def test_find_games_by_the_beginning_of_title_or_id(self, client):
        def found(words):
            answer = client.get("/admin/emulators/game/", {"q": words})
            return {game.game_id for game in answer.context["cl"].result_list}

        assert found("mario") == found("MARIO O") == {"mario-odyssey"}
        assert found("odyssey") == set()


class TestGamePage:
    def post(self, client, **change):
        address = f"/admin/emulators/game/{Game.objects.get(game_id='mario-odyssey').pk}/change/"
        return client.post(address, {**filled(client.get(address)), **change})

    def test_saves_with_an_event(self, client):
        assert self.post(client, min_cpu=12).status_code == 302
        assert Game.objects.get(game_id="mario-odyssey").min_cpu == 12
        assert Event.objects.get(action="update").resource_id == "game:switch/mario-odyssey"

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"preset": "advanced"}, "Preset advanced (4 vCPUs, 8 GB RAM and a GPU) is below the game"),
            ({"game_id": "open-plains"}, "This console has a game with this id."),
            ({"game_id": "two words"}, "letters, digits"),
        ],
    )
    def test_says_what_is_wrong(self, client, change, words):
        answer = self.post(client, **change)
        assert (answer.status_code, words in answer.content.decode()) == (200, True)

    def test_keeps_the_file_that_a_scan_found_meanwhile(self, client):
        game = Game.objects.get(game_id="mario-odyssey")
        address = f"/admin/emulators/game/{game.pk}/change/"
        posted = {**filled(client.get(address)), "min_cpu": 12}
        Game.objects.filter(pk=game.pk).update(file="switch/mario.nsp")
        answer = client.post(address, posted)
        assert "by somebody else or by a scan" in answer.content.decode()
        assert filled(answer)["min_cpu"] == "12"
        game.refresh_from_db()
        assert (game.file, game.min_cpu == 12) == ("switch/mario.nsp", False)
        assert client.post(address, {**filled(client.get(address)), "min_cpu": 12}).status_code == 302


class TestPresetPage:
    ADDRESS = "/admin/emulators/preset/premium/change/"

    def test_saves_with_an_event_and_never_renames(self, client):
        posted = {**filled(client.get(self.ADDRESS)), "ram_gb": 24, "slug": "other"}
        assert client.post(self.ADDRESS, posted).status_code == 302
        assert Preset.objects.get(pk="premium").ram_gb == 24
        assert Event.objects.get(action="update").resource_id == "preset:premium"

    def test_says_whose_floor_it_would_fall_under(self, client):
        answer = client.post(self.ADDRESS, {**filled(client.get(self.ADDRESS)), "ram_gb": 12})
        assert "Nintendo Switch asks for it and needs at least 8 vCPUs" in answer.content.decode()

    def test_adds_another(self, client):
        posted = {"slug": "giant", "vcpus": 32, "ram_gb": 64, "disk_gb": 500, "gpus": 2}
        assert client.post("/admin/emulators/preset/add/", posted).status_code == 302
        assert Preset.objects.get(pk="giant").gpus == 2


class TestGpuPage:
    def order(self) -> list[str]:
        return list(GpuClass.objects.order_by("rank").values_list("name", flat=True))

    def dragged(self) -> dict[str, object]:
        """What the page posts after the last row was dragged to the top."""
        ids = list(GpuClass.objects.order_by("rank").values_list("pk", flat=True))
        places = {f"form-{number}-rank": (number + 1) % len(ids) for number in range(len(ids))}
        rows = {f"form-{number}-id": pk for number, pk in enumerate(ids)}
        return {
            **rows,
            **places,
            "form-TOTAL_FORMS": len(ids),
            "form-INITIAL_FORMS": len(ids),
            "_save": "Save",
        }

    def test_saves_a_dragged_order_in_one_request(self, client):
        before = self.order()
        answer = client.post(GPUS, self.dragged(), follow=True)
        assert messages(answer) == ["The order is saved, from weak to strong."]
        assert self.order() == [before[-1], *before[:-1]]

    @pytest.mark.parametrize(
        "change", [{"form-0-id": "999999"}, {"form-0-id": "x"}, {"form-TOTAL_FORMS": "7"}]
    )
    def test_refuses_an_order_of_other_rows(self, client, change):
        before = self.order()
        answer = client.post(GPUS, {**self.dragged(), **change}, follow=True)
        assert messages(answer) == ["The GPU classes have changed meanwhile; look again."]
        assert self.order() == before

    def test_refuses_staff_who_may_only_look(self, world):
        world.bob.is_staff = True
        world.bob.save()
        world.bob.user_permissions.add(Permission.objects.get(codename="view_gpuclass"))
        client = client_for(world.bob)
        before = self.order()
        client.post(GPUS, self.dragged())
        assert self.order() == before

    def test_writes_terms_as_they_are_compared(self, client):
        answer = client.post(f"{GPUS}add/", {"name": "RTX 6090", "terms": "RTX 6090, rtx6090, B-300"})
        assert answer.status_code == 302
        added = GpuClass.objects.get(name="RTX 6090")
        assert (added.terms, added.rank) == (["rtx6090", "b300"], 9)

    def test_tells_who_uses_a_class_that_shall_be_deleted(self, client):
        used = GpuClass.objects.get(name="RTX 4090")
        page = client.post(f"{GPUS}{used.pk}/delete/", {"post": "yes"}, follow=True).content.decode()
        assert GpuClass.objects.filter(pk=used.pk).exists()
        assert "Nintendo Switch" in page
