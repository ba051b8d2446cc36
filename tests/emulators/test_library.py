"""Games, presets and the ladder of GPU classes."""

from __future__ import annotations

import pytest

from accounts.principal import policy
from emulators import services
from emulators.models import EmulatorConfig, Game, GpuClass, Preset
from emulators.services import library
from events.models import Event
from gamer.errors import Conflict, ValidationError

pytestmark = pytest.mark.usefixtures("shipped")
BY = policy("test")


def names() -> list[str]:
    return list(GpuClass.objects.order_by("rank").values_list("name", flat=True))


class TestGame:
    def save(self, now, **values) -> Game:
        game = Game(**{"console_id": "switch", "game_id": "new-one", "title": "New One", **values})
        return library.save_game(game=game, by=BY, now=now)

    def test_is_added_with_an_event(self, now):
        self.save(now, min_cpu=10)
        assert services.profile_for(console="switch", game_id="new-one").floor.vcpus == 10
        event = Event.objects.get(resource_id="game:switch/new-one")
        assert (event.action, event.details["title"]) == ("create", "New One")

    def test_is_changed_with_an_event_of_the_difference(self, now):
        game = Game.objects.get(game_id="mario-odyssey")
        game.title = "Another"
        library.save_game(game=game, by=BY, now=now)
        event = Event.objects.get(resource_id="game:switch/mario-odyssey")
        assert (event.action, event.details) == ("update", {"title": ["Mario Odyssey", "Another"]})

    @pytest.mark.parametrize(
        "file", ["a.nes", "nes/It's $(x); 100% (World).nes", "nes/..hidden", "ポケモン.gb", ""]
    )
    def test_may_have_a_file_of_any_honest_name(self, file, now):
        assert self.save(now, file=file).file == file

    def test_of_a_known_id_is_a_conflict(self, now):
        with pytest.raises(Conflict, match="Nintendo Switch has a game mario-odyssey"):
            self.save(now, game_id="mario-odyssey")

    def test_may_have_the_id_of_another_consoles_game(self, now):
        self.save(now, console_id="wii", game_id="mario-odyssey")
        assert Game.objects.filter(game_id="mario-odyssey").count() == 2

    @pytest.mark.parametrize(
        ("values", "field", "words"),
        [
            ({"game_id": "two words"}, "game_id", "letters, digits"),
            ({"game_id": "-first"}, "game_id", "starting with a letter"),
            ({"title": ""}, "title", "blank"),
            ({"file": "../secrets"}, "file", "inside the library"),
            ({"file": "nes/../../secrets"}, "file", "inside the library"),
            ({"file": "/etc/passwd"}, "file", "inside the library"),
            ({"file": "nes/"}, "file", "inside the library"),
            ({"file": "nes/a\nb.nes"}, "file", "inside the library"),
            ({"min_cpu": 0}, "min_cpu", "greater than"),
            ({"preset_id": "advanced"}, "preset", "is below the game's floor of 8 vCPUs"),
        ],
    )
    def test_that_makes_no_sense_is_refused_in_words(self, values, field, words, now):
        with pytest.raises(ValidationError) as caught:
            self.save(now, **values)
        assert words in caught.value.details[field][0]

    def test_is_deleted_with_an_event(self, now):
        library.delete_row(row=Game.objects.get(game_id="mario-odyssey"), by=BY, now=now)
        assert Event.objects.get(action="delete").details["title"] == "Mario Odyssey"


class TestPreset:
    def test_that_falls_under_the_floor_of_a_console_is_refused(self, now):
        preset = Preset.objects.get(pk="premium")
        preset.ram_gb = 12
        with pytest.raises(ValidationError, match="Nintendo Switch asks for it and needs at least 8 vCPUs"):
            library.save_preset(preset=preset, by=BY, now=now)

    def test_grows_with_an_event(self, now):
        preset = Preset.objects.get(pk="premium")
        preset.ram_gb = 32
        library.save_preset(preset=preset, by=BY, now=now)
        assert Event.objects.get(resource_id="preset:premium").details == {"ram_gb": [16, 32]}

    def test_in_use_is_not_deleted(self, now):
        with pytest.raises(Conflict, match="retro is in use: Daily Sudoku, Game Boy"):
            library.delete_row(row=Preset.objects.get(pk="retro"), by=BY, now=now)

    def test_that_nobody_uses_is_deleted(self, now):
        spare = Preset(slug="spare", vcpus=1, ram_gb=1, disk_gb=10)
        library.save_preset(preset=spare, by=BY, now=now)
        library.delete_row(row=spare, by=BY, now=now)
        assert not Preset.objects.filter(pk="spare").exists()


class TestGpuClass:
    def test_new_stands_on_top(self, now):
        library.save_gpu_class(gpu_class=GpuClass(name="RTX 6090", terms=["rtx6090"]), by=BY, now=now)
        assert names()[-1] == "RTX 6090"

    @pytest.mark.parametrize("terms", [[], ["RTX 6090"], ["a"]])
    def test_needs_terms_as_they_are_compared(self, terms, now):
        with pytest.raises(ValidationError):
            library.save_gpu_class(gpu_class=GpuClass(name="RTX 6090", terms=terms), by=BY, now=now)

    def test_order_is_set_in_one_statement(self, now, django_assert_max_num_queries):
        ids = list(GpuClass.objects.order_by("-rank").values_list("pk", flat=True))
        before = names()
        with django_assert_max_num_queries(5):
            library.reorder_gpu_classes(ids=ids, by=BY, now=now)
        assert names() == before[::-1]
        assert list(GpuClass.objects.order_by("rank").values_list("rank", flat=True)) == list(range(1, 9))

    def test_order_of_other_classes_is_a_conflict(self, now):
        with pytest.raises(Conflict):
            library.reorder_gpu_classes(ids=[1, 2], by=BY, now=now)

    def test_moved_changes_what_a_console_accepts(self, now):
        table = services.profile_for(console="switch", game_id=None).gpus
        assert table.rank_of_model("rtx3090") < table.rank_of_class("RTX 4090")
        ids = list(GpuClass.objects.order_by("rank").values_list("pk", flat=True))
        third = GpuClass.objects.get(name="RTX 3090").pk
        ids.remove(third)
        library.reorder_gpu_classes(ids=[*ids, third], by=BY, now=now)
        table = services.profile_for(console="switch", game_id=None).gpus
        assert table.rank_of_model("rtx3090") > table.rank_of_class("RTX 4090")

    def test_in_use_is_not_deleted(self, now):
        assert EmulatorConfig.objects.filter(gpu_class__name="RTX 4090").exists()
        with pytest.raises(Conflict, match="RTX 4090 is in use: Nintendo Switch"):
            library.delete_row(row=GpuClass.objects.get(name="RTX 4090"), by=BY, now=now)
