"""Changing how a console is run."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.principal import policy
from emulators import services
from emulators.drafts import PreferenceDraft
from emulators.models import Console, EmulatorConfig, Game, GpuClass, ProviderPreference
from emulators.services import configs
from events.models import Event
from gamer.errors import Conflict, NotFound, ValidationError
from tests.at_once import at_once

pytestmark = pytest.mark.usefixtures("shipped")
BY = policy("test")


def order(console: str) -> list[tuple[int, str]]:
    rows = ProviderPreference.objects.filter(config=console).order_by("priority")
    return list(rows.values_list("priority", "provider"))


def update(console: str, now, **changes) -> EmulatorConfig:
    return configs.update_config(console=console, changes=changes, by=BY, now=now)


def upsert(console: str, provider: str, now, **changes) -> tuple[EmulatorConfig, bool]:
    return configs.upsert_provider(console=console, provider=provider, changes=changes, by=BY, now=now)


class TestUpdate:
    def test_keeps_what_is_not_named(self, now):
        before = configs.draft_of(configs.get_config(console="wii"))
        after = configs.draft_of(update("wii", now, max_session_hours=3))
        assert after.max_session_hours == 3
        assert after.preferred_providers == before.preferred_providers

    def test_replaces_the_list_of_providers_when_one_is_given(self, now):
        listed = (
            PreferenceDraft("libvirt"),
            PreferenceDraft("tensordock", cost_per_hour_limit=Decimal("1.5")),
        )
        update("wii", now, preferred_providers=listed)
        assert order("wii") == [(1, "libvirt"), (2, "tensordock")]

    def test_swaps_priorities_that_are_taken(self, now):
        listed = (PreferenceDraft("tensordock", priority=2), PreferenceDraft("libvirt", priority=1))
        update("wii", now, preferred_providers=listed)
        listed = (PreferenceDraft("tensordock", priority=1), PreferenceDraft("libvirt", priority=2))
        update("wii", now, preferred_providers=listed)
        assert order("wii") == [(1, "tensordock"), (2, "libvirt")]

    def test_of_the_same_list_in_another_order_changes_nothing(self, now):
        before = configs.draft_of(configs.get_config(console="wii")).preferred_providers
        update("wii", now, preferred_providers=before[::-1])
        assert configs.draft_of(configs.get_config(console="wii")).preferred_providers == before
        assert not Event.objects.filter(action="update").exists()

    def test_writes_extensions_with_a_dot_in_small_letters(self, now):
        config = update("gb", now, supported_file_extensions=("GB", ".gb", " zip "))
        assert config.supported_file_extensions == [".gb", ".zip"]

    def test_renames_the_console(self, now):
        update("gb", now, display_name="The grey one")
        assert Console.objects.get(pk="gb").display_name == "The grey one"

    def test_holds_from_the_next_launch_on(self, now):
        update("gb", now, default_emulator="Gambatte")
        assert services.profile_for(console="gb", game_id=None).emulator == "Gambatte"

    @pytest.mark.parametrize("worth", [None, Decimal(0), Decimal("0.25"), Decimal(100)])
    def test_says_what_a_distance_is_worth(self, now, worth):
        update("gb", now, usd_per_1000_km=Decimal(1))
        update("gb", now, usd_per_1000_km=worth)
        assert services.profile_for(console="gb").usd_per_1000_km == worth

    def test_keeps_what_a_distance_was_worth_before_and_after(self, now):
        update("gb", now, usd_per_1000_km=Decimal("0.25"))
        update("gb", now, usd_per_1000_km=None)
        told = Event.timeline.about("emulators", "gb").filter(is_change=True, details__row="console")
        changes = [one.details["changes"].get("usd_per_1000_km") for one in told.order_by("id")]
        assert changes[-2:] == [[None, 0.25], [0.25, None]]

    def test_says_in_an_event_what_changed(self, now):
        update("gb", now, max_session_hours=3, cost_per_hour_limit=Decimal("0.25"))
        event = Event.objects.get(action="update")
        assert (event.resource, event.resource_id, event.actor) == ("emulators", "gb", "policy:test")
        assert event.details == {"max_session_hours": [12, 3], "cost_per_hour_limit": ["1.000000", "0.25"]}

    def test_says_nothing_when_nothing_changed(self, now):
        update("gb", now, max_session_hours=12)
        assert not Event.objects.filter(action="update").exists()

    @pytest.mark.parametrize("console", ["gb", "atari"])
    def test_of_a_console_without_configuration_is_not_found(self, console, now):
        EmulatorConfig.objects.filter(pk="gb").delete()
        with pytest.raises(NotFound, match="console not configured"):
            update(console, now, max_session_hours=3)


class TestRefusal:
    @pytest.mark.parametrize(
        ("changes", "field", "words"),
        [
            (
                {"default_preset": "retro"},
                "default_preset",
                "Preset retro (2 vCPUs, 4 GB RAM and no GPU) is below",
            ),
            ({"default_preset": "giant"}, "default_preset", "There is no preset giant; there are"),
            ({"gpu_class": "RTX 9999"}, "gpu_class", "There is no GPU class RTX 9999; there are"),
            ({"min_cpu": 0}, "min_cpu", "greater than or equal to 1"),
            ({"min_cpu": 10**6}, "min_cpu", "less than or equal to"),
            ({"min_ram_gb": 0}, "min_ram_gb", "greater than or equal to 1"),
            ({"max_session_hours": 169}, "max_session_hours", "less than or equal to 168"),
            ({"cost_per_hour_limit": Decimal(0)}, "cost_per_hour_limit", "above 0"),
            ({"cost_per_hour_limit": Decimal("1.1234567")}, "cost_per_hour_limit", "6 decimal places"),
            ({"usd_per_1000_km": Decimal("-0.01")}, "usd_per_1000_km", "worth less than nothing"),
            ({"usd_per_1000_km": Decimal("100.01")}, "usd_per_1000_km", "At most 100 dollars an hour"),
            ({"default_emulator": ""}, "default_emulator", "cannot be blank"),
            ({"display_name": ""}, "display_name", "cannot be blank"),
            (
                {"supported_file_extensions": (".n e s",)},
                "supported_file_extensions",
                "a dot and small letters",
            ),
            (
                {"save_file_extensions": tuple(f".s{n}" for n in range(51))},
                "save_file_extensions",
                "51 items, it should contain no more than 50",
            ),
        ],
    )
    def test_names_the_field_and_says_what_is_wrong(self, changes, field, words, now):
        with pytest.raises(ValidationError) as caught:
            update("switch", now, **changes)
        assert any(words in text for text in caught.value.details[field])
        assert not Event.objects.filter(action="update").exists()

    @pytest.mark.parametrize(
        ("preference", "field", "words"),
        [
            (
                PreferenceDraft("libvirt", preset_override="advanced"),
                "preset_override",
                "is below the console's",
            ),
            (PreferenceDraft("libvirt", gpu_class="RTX 9999"), "gpu_class", "no GPU class"),
            (PreferenceDraft("tensordock"), "provider", "listed twice"),
            (PreferenceDraft("libvirt", priority=1), "priority", "TensorDock has priority 1 already"),
            (PreferenceDraft("libvirt", priority=0), "priority", "greater than or equal to 1"),
            (PreferenceDraft("hetzner"), "provider", "not a valid choice"),
            (PreferenceDraft("libvirt", cost_per_hour_limit=Decimal(-1)), "cost_per_hour_limit", "above 0"),
            (PreferenceDraft("libvirt", regions=("x" * 101,)), "regions", "at most 100 characters"),
        ],
    )
    def test_names_the_provider_by_its_place_in_the_list(self, preference, field, words, now):
        others = (PreferenceDraft("tensordock", priority=1), PreferenceDraft("cloudypad_gcp", priority=9))
        with pytest.raises(ValidationError) as caught:
            update("switch", now, preferred_providers=(others[1], others[0], preference))
        told = caught.value.details
        assert list(told) == [f"preferred_providers.2.{field}"]
        assert words in told[f"preferred_providers.2.{field}"][0]
        assert len(order("switch")) == 7

    def test_of_a_raised_floor_names_every_preset_below_it(self, now):
        ProviderPreference.objects.filter(config="nds", provider="libvirt").update(preset_override="retro")
        with pytest.raises(ValidationError) as caught:
            update("nds", now, min_ram_gb=12)
        assert set(caught.value.details) == {"default_preset", "preferred_providers.6.preset_override"}


class TestCreate:
    def test_takes_the_shipped_values_for_what_is_left_out(self, now):
        before = configs.draft_of(configs.get_config(console="3ds"))
        configs.delete_config(console="3ds", by=BY, now=now)
        config = configs.create_config(console="3ds", changes={"max_session_hours": 2}, by=BY, now=now)
        after = configs.draft_of(config)
        assert after.max_session_hours == 2
        assert after.preferred_providers == before.preferred_providers
        assert services.profile_for(console="3ds", game_id=None).max_session_hours == 2

    def test_refuses_a_console_that_is_configured(self, now):
        with pytest.raises(Conflict, match="configured already"):
            configs.create_config(console="3ds", changes={}, by=BY, now=now)

    def test_refuses_a_console_that_does_not_exist(self, now):
        with pytest.raises(ValidationError, match="no console atari"):
            configs.create_config(console="atari", changes={}, by=BY, now=now)


class TestDelete:
    def test_ends_launches_and_keeps_games(self, now):
        configs.delete_config(console="nes", by=BY, now=now)
        with pytest.raises(NotFound):
            services.profile_for(console="nes", game_id=None)
        assert Game.objects.filter(console="nes").exists()
        event = Event.objects.get(action="delete")
        assert event.details["default_emulator"] == "Mesen"

    def test_twice_is_not_found(self, now):
        configs.delete_config(console="nes", by=BY, now=now)
        with pytest.raises(NotFound):
            configs.delete_config(console="nes", by=BY, now=now)


class TestUpsert:
    def test_changes_a_listed_provider_in_its_place(self, now):
        _, is_new = upsert(
            "switch", "cloudypad_gcp", now, enabled=False, regions=("us-central", " us-central")
        )
        row = ProviderPreference.objects.get(config="switch", provider="cloudypad_gcp")
        assert (is_new, row.priority, row.enabled, row.regions) == (False, 2, False, ["us-central"])
        assert row.cost_per_hour_limit == Decimal("3.00")

    def test_adds_a_new_one_at_the_end(self, now):
        ProviderPreference.objects.filter(config="switch", provider="cloudypad_aws").delete()
        _, is_new = upsert("switch", "cloudypad_aws", now)
        assert is_new
        assert order("switch")[-1] == (8, "cloudypad_aws")

    def test_moves_whoever_is_in_the_way_down(self, now):
        upsert("switch", "libvirt", now, priority=1)
        assert order("switch")[:3] == [(1, "libvirt"), (2, "tensordock"), (3, "cloudypad_gcp")]
        assert [number for number, _ in order("switch")] == list(range(1, 8))

    def test_leaves_gaps_where_nobody_is_in_the_way(self, now):
        upsert("switch", "tensordock", now, priority=9)
        assert order("switch")[-2:] == [(7, "libvirt"), (9, "tensordock")]

    def test_names_faults_without_the_lists_index(self, now):
        with pytest.raises(ValidationError) as caught:
            upsert("switch", "libvirt", now, preset_override="retro")
        assert set(caught.value.details) == {"preset_override"}


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    """Two people at the same list: one after the other, never half of each."""

    def test_two_orders_end_as_one_of_them(self, now):
        kinds = [kind for _, kind in order("switch")]
        wanted = [kinds[3:] + kinds[:3], kinds[::-1], kinds[1:] + kinds[:1], kinds[2:] + kinds[:2]]

        def reorder(one):
            return lambda: update("switch", now, preferred_providers=tuple(map(PreferenceDraft, one)))

        at_once(*map(reorder, wanted))
        assert [number for number, _ in order("switch")] == list(range(1, 8))
        assert [kind for _, kind in order("switch")] in wanted

    def test_two_providers_for_the_first_place_both_get_in(self, now):
        def first(kind):
            return lambda: upsert("switch", kind, now, priority=1)

        at_once(first("libvirt"), first("cloudypad_aws"))
        assert {kind for _, kind in order("switch")[:2]} == {"libvirt", "cloudypad_aws"}
        assert [number for number, _ in order("switch")] == list(range(1, 8))

    def test_two_creations_make_one(self, now):
        configs.delete_config(console="switch", by=BY, now=now)

        def create():
            return configs.create_config(console="switch", changes={}, by=BY, now=now)

        results = at_once(create, create)
        assert sorted(type(result).__name__ for result in results) == ["Conflict", "EmulatorConfig"]
        assert len(order("switch")) == 7


class TestDatabase:
    """The laws that hold even against whoever passes the services by."""

    @pytest.mark.parametrize(
        "change",
        [
            {"min_cpu": 0},
            {"min_ram_gb": 5000},
            {"max_session_hours": 0},
            {"cost_per_hour_limit": 0},
            {"default_emulator": ""},
        ],
    )
    def test_refuses_a_config_that_makes_no_sense(self, change):
        with pytest.raises(IntegrityError), transaction.atomic():
            EmulatorConfig.objects.filter(pk="wii").update(**change)

    @pytest.mark.parametrize(
        "change",
        [{"priority": 0}, {"cost_per_hour_limit": -1}, {"provider": "hetzner"}, {"provider": "libvirt"}],
    )
    def test_refuses_a_preference_that_makes_no_sense(self, change):
        with pytest.raises(IntegrityError), transaction.atomic():
            ProviderPreference.objects.filter(config="wii", provider="tensordock").update(**change)

    def test_refuses_two_providers_of_one_priority_at_the_end_of_the_transaction(self):
        def both() -> None:
            with transaction.atomic():
                ProviderPreference.objects.filter(config="wii", provider="libvirt").update(priority=1)
                connection.check_constraints()

        with pytest.raises(IntegrityError), transaction.atomic():
            both()

    def test_refuses_two_games_of_one_id(self):
        with pytest.raises(IntegrityError), transaction.atomic():
            Game.objects.create(console_id="switch", game_id="mario-odyssey", title="Again")

    def test_refuses_a_gpu_class_without_terms(self):
        with pytest.raises(IntegrityError), transaction.atomic():
            GpuClass.objects.filter(name="T4").update(terms=[])
