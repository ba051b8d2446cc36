"""What a launch is told to ask for."""

from __future__ import annotations

from decimal import Decimal

import pytest

from emulators import services
from emulators.models import Console, EmulatorConfig, Game, GpuClass, Preset, ProviderPreference
from emulators.profile import Floor
from gamer.errors import NotFound


def preference(profile, provider):
    return next(one for one in profile.preferences if one.provider == provider)


@pytest.mark.usefixtures("shipped")
class TestConsole:
    def test_brings_its_floor_preset_and_limits(self):
        profile = services.profile_for(console="switch", game_id=None)
        assert (profile.preset, profile.floor) == ("premium", Floor(8, 16, 0, 1))
        assert profile.presets["retro"] == Floor(2, 4, 50, 0)
        assert profile.usd_per_hour_limit == Decimal("3.00")
        assert profile.emulator == "Ryubing"
        assert profile.max_session_hours == 8

    def test_asks_its_gpu_class_of_tensordock_and_own_hosts_only(self):
        profile = services.profile_for(console="switch", game_id=None)
        least = {
            kind: profile.demand(preference(profile, kind))[2]
            for kind in ("tensordock", "libvirt", "cloudypad_gcp")
        }
        rank = profile.gpus.rank_of_class("RTX 4090")
        assert least == {"tensordock": rank, "libvirt": rank, "cloudypad_gcp": 0}

    def test_asks_no_class_where_none_is_named(self):
        profile = services.profile_for(console="nes", game_id=None)
        assert profile.demand(preference(profile, "tensordock")) == ("retro", Floor(2, 4, 50, 0), 0)

    def test_lists_providers_by_priority_with_what_is_their_own(self):
        t4 = GpuClass.objects.get(name="T4")
        ProviderPreference.objects.filter(config="3ds", provider="cloudypad_gcp").update(
            gpu_class=t4, preset_override="premium", regions=["us-central", "Texas"], enabled=False
        )
        profile = services.profile_for(console="3ds", game_id=None)
        assert [one.priority for one in profile.preferences] == [1, 2, 3, 4, 5, 6, 7]
        gcp = profile.preferences[1]
        assert (gcp.provider, gcp.is_enabled, gcp.regions) == (
            "cloudypad_gcp",
            False,
            ("us-central", "Texas"),
        )
        assert profile.demand(gcp) == ("premium", Floor(8, 16, 200, 1), t4.rank)

    def test_is_read_anew_every_time(self):
        services.profile_for(console="gba", game_id=None)
        EmulatorConfig.objects.filter(pk="gba").update(max_session_hours=2)
        Preset.objects.filter(pk="retro").update(ram_gb=6)
        profile = services.profile_for(console="gba", game_id=None)
        assert (profile.max_session_hours, profile.presets["retro"].ram_gb) == (2, 6)

    @pytest.mark.parametrize("console", ["atari", ""])
    def test_that_nobody_knows_is_not_found(self, console):
        with pytest.raises(NotFound, match="console not configured"):
            services.profile_for(console=console, game_id=None)

    def test_without_configuration_is_not_found(self):
        EmulatorConfig.objects.filter(pk="gb").delete()
        assert Console.objects.filter(pk="gb").exists()
        with pytest.raises(NotFound, match="console not configured"):
            services.profile_for(console="gb", game_id=None)

    def test_costs_five_queries_at_most(self, django_assert_max_num_queries):
        with django_assert_max_num_queries(5):
            services.profile_for(console="switch", game_id="mario-odyssey")


@pytest.mark.usefixtures("shipped")
class TestGame:
    def add(self, **values) -> None:
        Game.objects.create(console_id="nds", game_id="demanding", title="Demanding", **values)

    def test_that_nobody_knows_has_its_consoles_values(self):
        assert services.profile_for(console="switch", game_id="never-heard-of") == services.profile_for(
            console="switch", game_id=None
        )

    def test_of_another_console_is_unknown(self):
        assert services.profile_for(console="wii", game_id="farm-letters") == services.profile_for(
            console="wii", game_id=None
        )

    def test_raises_the_floor(self):
        self.add(min_cpu=6, min_ram_gb=2, requires_gpu=True)
        assert services.profile_for(console="nds", game_id="demanding").floor == Floor(6, 4, 0, 1)

    def test_never_lowers_it(self):
        Game.objects.filter(game_id="mario-odyssey").update(min_cpu=1, min_ram_gb=1, requires_gpu=False)
        profile = services.profile_for(console="switch", game_id="mario-odyssey")
        assert profile.floor == Floor(8, 16, 0, 1)

    def test_chooses_its_own_preset_at_every_provider(self):
        ProviderPreference.objects.filter(config="nds", provider="tensordock").update(
            preset_override="premium"
        )
        profile = services.profile_for(console="nds", game_id="daily-sudoku")
        assert profile.demand(preference(profile, "tensordock"))[0] == "retro"
        assert profile.demand(preference(profile, "libvirt"))[0] == "retro"

    def test_chooses_its_own_gpu_class_wherever_one_is_asked(self):
        ProviderPreference.objects.filter(config="switch", provider="cloudypad_aws").update(
            gpu_class=GpuClass.objects.get(name="T4")
        )
        profile = services.profile_for(console="switch", game_id="farm-letters")
        rank = profile.gpus.rank_of_class("RTX 3080")
        least = {one.provider: profile.demand(one)[2] for one in profile.preferences}
        assert least["tensordock"] == least["libvirt"] == least["cloudypad_aws"] == rank
        assert least["cloudypad_gcp"] == 0

    def test_chooses_its_own_emulator(self):
        self.add(emulator="DeSmuME")
        assert services.profile_for(console="nds", game_id="demanding").emulator == "DeSmuME"
