"""The first start of an installation, and every later one."""

from __future__ import annotations

import pytest

from emulators import services
from emulators.models import (
    Console,
    ConsoleType,
    EmulatorConfig,
    Game,
    GpuClass,
    Preset,
    ProviderPreference,
)
from emulators.services.profiles import gpu_table
from events.models import Event
from tests.at_once import at_once

# Models as TensorDock names them (facts/tensordock.md 5), and what stands where.
LADDER = {
    "h100-sxm5-80gb": "Compute only",
    "a100-pcie-40gb": "Compute only",
    "a100-nvlink-40gb": "Compute only",
    "geforcegtx1070-pcie-8gb": "GTX 1060",
    "quadrortx4000-pcie-8gb": "T4",
    "l4-pcie-24gb": "L4/A10G",
    "v100-sxm2-16gb": "L4/A10G",
    "rtxa4000-pcie-16gb": "L4/A10G",
    "geforcertx3060-pcie-12gb": "L4/A10G",
    "geforcertx3070ti-pcie-8gb": "L4/A10G",
    "rtx4000ada-pcie-20gb": "L4/A10G",
    "rtx4000sffada-pcie-20gb": "L4/A10G",
    "quadrortx5000-pcie-16gb": "L4/A10G",
    "geforcertx3080-pcie-10gb": "RTX 3080",
    "geforcertx3080ti-pcie-12gb": "RTX 3080",
    "rtxa5000-pcie-24gb": "RTX 3080",
    "rtx4500ada-pcie-24gb": "RTX 3080",
    "a40-pcie-48gb": "RTX 3080",
    "geforcertx3090-pcie-24gb": "RTX 3090",
    "rtxa6000-pcie-48gb": "RTX 3090",
    "rtx5000ada-pcie-32gb": "RTX 3090",
    "geforcertx4090-pcie-24gb": "RTX 4090",
    "l40-pcie-48gb": "RTX 4090",
    "l40s-pcie-48gb": "RTX 4090",
    "rtx6000ada-pcie-48gb": "RTX 4090",
    "geforcertx5090-pcie-32gb": "RTX 5090",
    "Tesla T4": "T4",
    "NVIDIA A10G": "L4/A10G",
    "nvidia-l4": "L4/A10G",
}


@pytest.mark.usefixtures("shipped")
class TestFirstStart:
    def test_configures_all_ten_consoles(self):
        assert set(EmulatorConfig.objects.values_list("console", flat=True)) == set(ConsoleType.values)

    @pytest.mark.parametrize(
        ("preset", "consoles"),
        [
            ("retro", {"nes", "snes", "gb", "gbc", "gba"}),
            ("advanced", {"nds", "3ds"}),
            ("premium", {"gamecube", "wii", "switch"}),
        ],
    )
    def test_gives_each_console_the_preset_of_the_contract(self, preset, consoles):
        found = EmulatorConfig.objects.filter(default_preset=preset).values_list("console", flat=True)
        assert set(found) == consoles

    def test_sizes_the_presets_as_the_contract_does(self):
        rows = Preset.objects.values_list("slug", "vcpus", "ram_gb", "disk_gb", "gpus")
        assert set(rows) == {
            ("retro", 2, 4, 50, 0),
            ("advanced", 4, 8, 100, 1),
            ("premium", 8, 16, 200, 1),
        }

    def test_never_puts_paperspace_first_and_always_tensordock(self):
        firsts = ProviderPreference.objects.filter(priority=1).values_list("provider", flat=True)
        assert set(firsts) == {"tensordock"}

    def test_names_extensions_of_games_and_saves_for_every_console(self):
        for config in EmulatorConfig.objects.all():
            assert config.supported_file_extensions, config.pk
            assert config.save_file_extensions, config.pk
            config.full_clean()

    def test_leaves_no_limit_under_the_list_price_of_its_preset(self):
        list_price = {"retro": 0.15, "advanced": 0.35, "premium": 1.20}
        factor = {"switch": 1.3, "3ds": 1.1}
        for row in ProviderPreference.objects.filter(provider="tensordock").select_related("config"):
            price = list_price[row.config.default_preset_id] * factor.get(row.config_id, 1.0)
            assert row.cost_per_hour_limit > price

    def test_gives_every_console_a_game_to_try(self):
        assert set(Game.objects.values_list("console", flat=True)) == set(ConsoleType.values)

    @pytest.mark.parametrize("model", LADDER)
    def test_places_the_vendors_gpu_on_the_ladder(self, model):
        table = gpu_table()
        assert table.rank_of_model(model) == table.rank_of_class(LADDER[model])

    def test_says_in_the_events_what_it_made(self):
        made = Event.objects.filter(resource="emulators", action="create", actor="command:seed")
        assert set(made.values_list("resource_id", flat=True)) == set(ConsoleType.values)


class TestEveryLaterStart:
    def test_changes_nothing(self, shipped, now):
        before = list(ProviderPreference.objects.order_by("pk").values())
        assert services.seed(now) == []
        assert list(ProviderPreference.objects.order_by("pk").values()) == before
        assert Event.objects.count() == 10

    def test_keeps_what_staff_edited(self, shipped, now):
        EmulatorConfig.objects.filter(pk="switch").update(max_session_hours=3)
        Console.objects.filter(pk="switch").update(display_name="The Switch")
        Preset.objects.filter(pk="retro").update(ram_gb=6)
        GpuClass.objects.filter(name="T4").update(terms=["t4"])
        services.seed(now)
        assert EmulatorConfig.objects.get(pk="switch").max_session_hours == 3
        assert Console.objects.get(pk="switch").display_name == "The Switch"
        assert Preset.objects.get(pk="retro").ram_gb == 6
        assert GpuClass.objects.get(name="T4").terms == ["t4"]

    def test_brings_nothing_back_that_staff_deleted(self, shipped, now):
        EmulatorConfig.objects.get(pk="gb").delete()
        Game.objects.filter(console="nes").delete()
        GpuClass.objects.filter(name="RTX 5090").delete()
        ProviderPreference.objects.filter(config="wii", provider="libvirt").delete()
        services.seed(now)
        assert not EmulatorConfig.objects.filter(pk="gb").exists()
        assert not Game.objects.filter(console="nes").exists()
        assert not GpuClass.objects.filter(name="RTX 5090").exists()
        assert not ProviderPreference.objects.filter(config="wii", provider="libvirt").exists()

    def test_makes_a_console_that_was_never_there(self, shipped, now):
        Game.objects.filter(console="gb").delete()
        Console.objects.get(pk="gb").delete()
        assert services.seed(now) == ["gb"]
        assert EmulatorConfig.objects.get(pk="gb").default_emulator == "SameBoy"


@pytest.mark.django_db(transaction=True)
class TestTwoStartsAtOnce:
    def test_make_everything_once(self, now):
        # The presets are there already: their unique names alone would make the second start wait.
        services.seed(now)
        Game.objects.all().delete()
        Console.objects.all().delete()
        GpuClass.objects.all().delete()
        made = at_once(lambda: services.seed(now), lambda: services.seed(now))
        assert sorted(map(len, made)) == [0, 10]
        assert EmulatorConfig.objects.count() == 10
