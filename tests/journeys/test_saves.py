"""What a player has played is there again: on the same machine, on another one, and whoever dies in between."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from accounts.models import User
from accounts.principal import policy
from emulators.models import SaveSlot
from emulators.services import saves
from events.models import Event
from gamer.crash import Died, dying_at
from tests.journeys.conftest import SandboxPlane
from tests.journeys.player import events, moonlight, on_machine, packed
from tests.vms.control_plane import story
from tests.waiting import eventually
from tests.world import World, client_of
from vms import agents, services
from vms.models import VM, GameSession

NEW_YORK = {"latitude": 40.71, "longitude": -74.0}
SEATTLE = {"latitude": 47.6, "longitude": -122.33}
# Of the agent's state: whether a version waits to be stored.
WAITING = """import glob, sys
sys.stdout.write(str(len(glob.glob("/var/lib/gamer/agent/saves/outgoing/*.json"))))
"""


@pytest.fixture
def alice(world: World) -> User:
    return world.alice


def playing(city: SandboxPlane, owner: User, **wish: Any) -> VM:
    """A VM on which the player's game runs."""
    return city.play(city.until(city.launch(owner, **wish), "running"))


def save(vm: VM, text: str, file: str = "odyssey.srm") -> None:
    moonlight(vm, "save", file=file, text=text)


def saved(vm: VM) -> dict[str, str]:
    """What the game finds on its machine."""
    found: dict[str, str] = moonlight(vm, "saved")["files"]
    return found


def end(city: SandboxPlane, vm: VM) -> None:
    services.destroy(vm=vm, by=policy("test"), now=city.clock())
    city.until(vm, "terminated", seconds=300, step=1)


def slot() -> SaveSlot:
    return SaveSlot.objects.select_related("current").get()


def numbers() -> list[tuple[int, bool]]:
    found = slot()
    return [(one.number, one.pk == found.current_id) for one in found.versions.order_by("number")]


def idle_for(city: SandboxPlane, vm: VM, minutes: int) -> None:
    """The agent says minute by minute that nobody plays."""
    for minute in range(minutes):
        agents.heartbeat(
            vm=vm,
            boot_id="boot",
            sequence=int(city.clock().timestamp()),
            sent_at=city.clock(),
            is_playing=False,
            idle_s=minute * 60.0,
            measured={},
            now=city.clock(),
        )
        city.settle(seconds=60, step=20)


class TestJourney:
    def test_from_a_launch_over_an_idle_end_to_the_same_save_elsewhere(
        self, city: SandboxPlane, alice: User, capsys: pytest.CaptureFixture[str]
    ) -> None:
        told: list[str] = []

        @contextmanager
        def step(name: str) -> Iterator[None]:
            began = time.perf_counter()
            yield
            told.append(f"{name:28} {time.perf_counter() - began:6.2f} s")

        with step("launched"):
            vm = city.until(city.launch(alice, **NEW_YORK), "running")
        with step("paired"):
            secret = moonlight(vm, "pair", client_ip="198.51.100.7")["pair_secret"]
            client = client_of(alice)
            asked = client.post(f"/vms/{vm.pk}/pairing", {"pin": "4711"}, format="json")
            assert asked.status_code == 200
            moonlight(vm, "paired", pair_secret=secret, pin="4711")
            assert client.get(f"/vms/{vm.pk}/pairing").json()["paired_clients"] == 1
        with step("playing"):
            city.play(vm)
            moonlight(vm, "stream", client_id="77")
            moonlight(vm, "resume", client_id="77")
        with step("save changed"):
            save(vm, "three moons")
            moonlight(vm, "leave", client_id="77")
        with step("idle, warned and ended"):
            idle_for(city, vm, 17)
            city.until(vm, "terminated", seconds=300, step=5)
        said = events(vm)
        assert [one for one in said if one.startswith("idle")] == ["idle_warning", "idle_end"]
        assert said.index("session_ended") < said.index("ending")
        assert not {"save_at_risk", "saves_lost"} & set(said)
        assert not city.alive_tags()
        with step("launched again elsewhere"):
            again = playing(city, alice, **SEATTLE)
        assert again.attempt.location_name != vm.attempt.location_name
        with step("the same save"):
            assert saved(again) == {"odyssey.srm": "three moons"}
        with capsys.disabled():
            sys.stdout.write("\n" + "\n".join(told) + "\n")
        end(city, again)


class TestPlannedEnd:
    def test_takes_what_was_written_a_moment_before(self, city: SandboxPlane, alice: User) -> None:
        vm = playing(city, alice)
        save(vm, "one moon")
        end(city, vm)
        assert numbers() == [(1, True)]
        assert saves.read(saves.content_of([slot().pk])[slot().pk])
        stored = Event.objects.filter(resource="saves", action="save_stored").get()
        assert stored.owner_id == alice.pk

    def test_brings_the_same_save_back_after_a_stop(self, city: SandboxPlane, alice: User) -> None:
        vm = playing(city, alice)
        save(vm, "one moon")
        services.stop(vm=vm, by=policy("test"), now=city.clock())
        city.until(vm, "stopped", seconds=300)
        assert numbers() == [(1, True)]
        services.start(vm=vm, by=policy("test"), now=city.clock())
        city.until(vm, "running", seconds=600)
        vm = playing(city, alice)
        assert saved(vm) == {"odyssey.srm": "one moon"}
        save(vm, "two moons")
        end(city, vm)
        assert numbers() == [(1, False), (2, True)]

    def test_keeps_each_named_save_apart(self, city: SandboxPlane, alice: User) -> None:
        vm = playing(city, alice, save_id="first")
        save(vm, "mine")
        services.play(vm=vm, by=policy("test"), game_id="mario-odyssey", save_id="second", now=city.clock())
        second = vm.sessions.get(save_id="second")
        eventually(
            lambda: city.turn() is not None and GameSession.objects.get(pk=second.pk).status == "launched",
            timeout_s=60,
        )
        assert saved(vm) == {}
        save(vm, "my sister's")
        end(city, vm)
        assert SaveSlot.objects.filter(current__isnull=False).count() == 2
        again = playing(city, alice, save_id="first")
        assert saved(again) == {"odyssey.srm": "mine"}
        end(city, again)

    def test_without_a_word_from_the_machine_says_what_is_at_risk(
        self, city: SandboxPlane, alice: User
    ) -> None:
        vm = playing(city, alice)
        save(vm, "one moon")
        VM.objects.filter(pk=vm.pk).update(ssh_port=1)
        began = city.clock()
        services.destroy(vm=vm, by=policy("test"), now=began)
        city.until(vm, "terminated", seconds=300, step=2)
        assert "save_at_risk" in events(vm), story(vm)
        ending = Event.objects.about("vms", vm.pk).get(action="ending")
        assert 115 <= (ending.at - began).total_seconds() <= 130

    @pytest.mark.parametrize("point", ["part.after_call", "apply.before", "apply.inside", "apply.after"])
    def test_survives_a_death_in_between(self, city: SandboxPlane, alice: User, point: str) -> None:
        vm = playing(city, alice)
        save(vm, "one moon")
        services.destroy(vm=vm, by=policy("test"), now=city.clock())
        with dying_at(point), pytest.raises(Died):
            city.settle(seconds=60)
        city.__post_init__()
        city.until(vm, "terminated", seconds=300, step=5)
        assert numbers() == [(1, True)]
        assert not {"save_at_risk", "saves_lost"} & set(events(vm)), story(vm)


class TestWhilePlaying:
    def test_saves_are_fetched_where_no_push_arrives(self, city: SandboxPlane, alice: User) -> None:
        vm = playing(city, alice)
        save(vm, "one moon")
        assert packed(vm) == 1
        city.settle(seconds=70, step=5)
        assert numbers() == [(1, True)], story(vm)
        # The next look tells the machine, and it forgets.
        city.settle(seconds=70, step=5)
        assert on_machine(vm, "python3", "-c", WAITING) == b"0"
        end(city, vm)
        assert numbers() == [(1, True)]

    def test_a_death_after_the_fetch_takes_nothing_twice(self, city: SandboxPlane, alice: User) -> None:
        vm = playing(city, alice)
        save(vm, "one moon")
        assert packed(vm) == 1
        with dying_at("watch.after_call"), pytest.raises(Died):
            city.settle(seconds=90, step=5)
        city.__post_init__()
        city.settle(seconds=150, step=5)
        assert numbers() == [(1, True)]
        end(city, vm)

    @pytest.mark.parametrize("point", ["play.before_delivery", "play.after_call"])
    def test_a_death_at_the_launch_delivers_it_all_the_same(
        self, city: SandboxPlane, alice: User, point: str
    ) -> None:
        first = playing(city, alice)
        save(first, "one moon")
        end(city, first)
        with dying_at(point), pytest.raises(Died):
            playing(city, alice)
        city.__post_init__()
        vm = playing(city, alice)
        assert saved(vm) == {"odyssey.srm": "one moon"}
        assert GameSession.objects.get(vm=vm).base == 1
        end(city, vm)

    def test_nothing_newer_is_overwritten_by_a_machine_that_does_not_know_it(
        self, city: SandboxPlane, alice: User
    ) -> None:
        vm = playing(city, alice)
        save(vm, "mine")
        assert packed(vm) == 1
        city.settle(seconds=70, step=5)
        session = vm.sessions.get()
        # Restored meanwhile by somebody, say: a version that this machine never saw.
        other = playing(city, User.objects.get(email="bob@gamer.test"))
        save(other, "elsewhere")
        end(city, other)
        (theirs,) = SaveSlot.objects.exclude(pk=session.slot_id)
        archive = saves.read(saves.content_of([theirs.pk])[theirs.pk])
        saves.take(
            slot_id=session.slot_id, session_id=None, subject="", base=1, digest=theirs.current.archive.digest,
            archive=archive, by="test", now=city.clock(),
        )  # fmt: skip
        save(vm, "mine, later")
        end(city, vm)
        mine = SaveSlot.objects.get(pk=session.slot_id)
        assert mine.current.archive.digest == theirs.current.archive.digest
        assert mine.versions.count() == 3

    def test_a_vanished_machine_says_that_saves_are_lost(self, city: SandboxPlane, alice: User) -> None:
        vm = playing(city, alice)
        city.control.vanish(vm.attempt.machine_id)
        city.until(vm, "error", seconds=600, step=5)
        assert "saves_lost" in events(vm)


class TestClock:
    def test_of_the_slot_is_the_games(self, city: SandboxPlane, alice: User) -> None:
        first = playing(city, alice)
        end(city, first)
        SaveSlot.objects.update(clock_epoch=datetime(2000, 1, 1, tzinfo=UTC), played_s=3600)
        vm = playing(city, alice)
        env = dict(one.split("=", 1) for one in moonlight(vm, "saved")["env"])
        assert env["FAKETIME_TIMESTAMP_FILE"] == "/gamer/clock"
        session = vm.sessions.get()
        place = f"/srv/gamer/apps/{env['GAMER_RECIPE']}"
        assert on_machine(vm, "cat", f"{place}/clock") == b"@2000-01-01 01:00:00\n"
        assert b"env LD_PRELOAD=/tools/libfaketimeMT.so.1 " in on_machine(vm, "cat", f"{place}/startup.sh")
        assert session.status == "launched"
        end(city, vm)


class TestHostileMachine:
    def test_brings_nothing_into_a_slot_that_is_not_its_players(
        self, city: SandboxPlane, alice: User
    ) -> None:
        vm = playing(city, alice)
        save(vm, "forged")
        assert packed(vm) == 1
        other = SaveSlot.objects.create(
            owner=User.objects.get(email="bob@gamer.test"), console_id="switch", game_id="mario-odyssey"
        )
        rename(vm, str(other.pk))
        city.settle(seconds=70, step=5)
        vm.refresh_from_db()
        assert not other.versions.exists()
        assert vm.agent_refusals == 1
        assert "save_refused" in events(vm)
        end(city, vm)


# Gives what waits another slot's name.
RENAME = """import glob, json, os, sys
for path in glob.glob("/var/lib/gamer/agent/saves/outgoing/*.json"):
    told = json.load(open(path))
    former = path[:-5]
    told["slot"] = sys.argv[1]
    later = os.path.dirname(path) + "/%s-%s" % (sys.argv[1], told["digest"])
    os.rename(former + ".tgz", later + ".tgz")
    os.remove(path)
    json.dump(told, open(later + ".json", "w"))
for path in glob.glob("/var/lib/gamer/agent/saves/slots/*.json"):
    told = json.load(open(path))
    told["slot"] = sys.argv[1]
    os.remove(path)
    json.dump(told, open(os.path.dirname(path) + "/%s.json" % sys.argv[1], "w"))
"""


def rename(vm: VM, slot_id: str) -> None:
    on_machine(vm, "python3", "-c", RENAME, slot_id)
