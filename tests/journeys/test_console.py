"""From "answers SSH" to "the player is in the game", on the sandbox: a real SSH server, a Wolf that is played, and the API in front."""

from __future__ import annotations

import pytest

from accounts.principal import policy
from events.models import Event
from gamer.crash import Died, dying_at
from tests.journeys.conftest import SandboxPlane
from tests.journeys.player import APPS, events, is_playing, moonlight, on_machine
from tests.vms.control_plane import story
from tests.waiting import eventually
from tests.world import World, client_of
from vms import agents, services, streaming
from vms.models import VM, SetupStep

STEPS = ["base", "stack", "wolf", "emulators", "saves", "clock", "monitor", "agent", "verify", "reach"]


@pytest.fixture
def vm(city: SandboxPlane) -> VM:
    return city.until(city.launch(), "running")


class TestReady:
    def test_means_that_wolf_answers_where_moonlight_will_ask(self, city: SandboxPlane, vm: VM) -> None:
        assert streaming.unreachable_because(vm.ip_address) == ""
        steps = {step.name: step.state for step in SetupStep.objects.filter(attempt=vm.attempt)}
        assert steps == dict.fromkeys(STEPS, "done")
        assert vm.games_mounted is False

    def test_says_what_it_does_without_and_until_when(
        self, city: SandboxPlane, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("vms.setup.plan.PAUSES_S", ())
        monkeypatch.setattr("vms.setup.drivers.wolf.CLOCK_LIBRARY", "missing.so")
        vm = city.until(city.launch(), "running")
        (told,) = Event.objects.about("vms", vm.pk).filter(action="setup_warning")
        assert told.details["step"] == "clock"
        assert told.details["text"].startswith("Game clock could not be set up.")
        assert "the next start of the machine tries again" in told.details["text"]

    def test_is_waited_for_while_wolf_does_not(
        self, city: SandboxPlane, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(streaming.unreachable_because, "__defaults__", (1,))
        vm = city.until(city.launch(), "configuring")
        given_up = vm.attempt
        city.until(vm, "creating", seconds=2400, step=30)
        given_up.refresh_from_db()
        assert given_up.error_class == "Overdue"
        assert given_up.error_text.endswith("It was at the step reach."), story(vm)


class TestDeath:
    @pytest.mark.parametrize("point", ["setup.before", "setup.after", "play.after_call"])
    def test_of_whoever_sets_up_and_launches_costs_time_and_nothing_else(
        self, city: SandboxPlane, point: str
    ) -> None:
        vm = city.launch()
        with dying_at(point), pytest.raises(Died):
            city.settle(seconds=120)
        city.__post_init__()
        city.play(city.until(vm, "running", seconds=600))
        titles = on_machine(vm, "python3", "-c", APPS).split(b"\n")
        assert len(titles) == 2, titles
        assert city.alive_tags() == {vm.attempt.tag}


class TestPlaying:
    def test_begins_with_the_pairing_and_the_game_in_the_menu(
        self, city: SandboxPlane, vm: VM, world: World
    ) -> None:
        staff = client_of(world.sam)
        pairing = f"/vms/{vm.pk}/pairing"
        assert staff.get(pairing).json() == {"pending": [], "paired_clients": 0}
        early = staff.post(pairing, {"pin": "4711"}, format="json")
        assert early.json()["error"]["details"] == {"request_id": ["no such request waits for a PIN"]}
        secret = moonlight(vm, "pair", client_ip="198.51.100.7")["pair_secret"]
        (waiting,) = staff.get(pairing).json()["pending"]
        assert waiting["client_ip"] == "198.51.100.7"
        wrong = staff.post(pairing, {"pin": "12"}, format="json")
        assert wrong.status_code == 400
        asked = {"pin": "4711", "request_id": waiting["request_id"]}
        assert staff.post(pairing, asked, format="json").json() == {"is_paired": False}
        assert moonlight(vm, "paired", pair_secret=secret, pin="4711")["client_id"]
        assert staff.get(pairing).json()["paired_clients"] == 1
        city.play(vm)
        assert vm.sessions.get().status == "launched", story(vm)

    def test_is_seen_over_ssh_where_no_heartbeat_arrives(self, city: SandboxPlane, vm: VM) -> None:
        city.settle(seconds=5)
        moonlight(vm, "stream", client_id="77")
        moonlight(vm, "resume", client_id="77")
        eventually(lambda: is_playing(vm) is True)
        city.settle(seconds=150, step=10)
        vm.refresh_from_db()
        assert vm.last_moonlight_connection is not None
        assert vm.idle_since is None
        moonlight(vm, "leave", client_id="77")
        eventually(lambda: is_playing(vm) is False)
        city.settle(seconds=150, step=10)
        vm.refresh_from_db()
        assert vm.idle_since is not None

    def test_ends_by_itself_when_nobody_plays(self, city: SandboxPlane, vm: VM) -> None:
        city.settle(seconds=5)

        def idle(seconds: float) -> None:
            agents.heartbeat(
                vm=vm,
                boot_id="boot",
                sequence=int(city.clock().timestamp()),
                sent_at=city.clock(),
                is_playing=False,
                measured={},
                idle_s=seconds,
                now=city.clock(),
            )

        for minute in range(17):
            idle(minute * 60)
            city.settle(seconds=60, step=20)
        city.until(vm, "terminated", seconds=300, step=5)
        assert [one for one in events(vm) if one.startswith("idle")] == ["idle_warning", "idle_end"]
        assert not city.alive_tags()

    def test_goes_on_when_it_is_extended(self, city: SandboxPlane, vm: VM) -> None:
        before = vm.session_ends_at
        services.extend(vm=vm, by=policy("test"), now=city.clock.advance(minutes=1))
        vm.refresh_from_db()
        assert vm.session_ends_at > before
        assert vm.last_activity == city.clock()

    def test_takes_another_game(self, city: SandboxPlane, vm: VM) -> None:
        city.settle(seconds=5)
        services.launch_on(vm=vm, by=policy("test"), game_id="open-plains", now=city.clock())
        eventually(
            lambda: (
                city.turn() is not None
                and vm.sessions.filter(status="launched", game_id="open-plains").exists()
            )
        )
        assert [one.status for one in vm.sessions.order_by("queued_at")] == ["ended", "launched"]


class TestPlannedEnd:
    """The game is ended first, so that it saves; two minutes are waited for that, no longer."""

    @pytest.fixture
    def playing(self, city: SandboxPlane, vm: VM) -> VM:
        return city.play(vm)

    def test_ends_the_game_before_the_machine(self, city: SandboxPlane, playing: VM) -> None:
        services.destroy(vm=playing, by=policy("test"), now=city.clock())
        city.until(playing, "terminated", seconds=300, step=2)
        told = events(playing)
        assert told.index("session_ended") < told.index("ending")
        assert playing.sessions.get().error_text == "the machine is ending"

    def test_survives_a_death_in_between(self, city: SandboxPlane, playing: VM) -> None:
        services.destroy(vm=playing, by=policy("test"), now=city.clock())
        with dying_at("part.after_call"), pytest.raises(Died):
            city.settle(seconds=60)
        city.__post_init__()
        city.until(playing, "terminated", seconds=300, step=5)
        assert not city.alive_tags()

    def test_does_not_wait_for_ever(self, city: SandboxPlane, playing: VM) -> None:
        VM.objects.filter(pk=playing.pk).update(ssh_port=1)
        services.destroy(vm=playing, by=policy("test"), now=city.clock())
        city.until(playing, "terminated", seconds=300, step=5)
        assert "save_at_risk" in events(playing), story(playing)
