from __future__ import annotations

import json
import stat
from dataclasses import replace

import pytest

from tests import ports
from tests.vms.setup.agent.running import PublicUrl
from tests.vms.setup.looking import look_at, playing, session_state
from tests.vms.setup.sshd import TOKEN, Machine, end_process, is_running
from tests.waiting import eventually
from vms.setup import (
    Failed,
    NoSuchSession,
    NotYet,
    Ready,
    SessionOrder,
    StepReport,
    Target,
    Unreachable,
    end_session,
    launch_game,
    make_keypair,
    set_up,
)
from vms.setup.site import PROGRAM
from vms.setup.ssh import AuthFailed, HostKeyMismatch

STEPS = ["base", "stack", "wolf", "emulators", "saves", "clock", "monitor", "agent"]
IMAGE = "ghcr.io/games-on-whales/retroarch:edge"
# A command of each step, by program and words.
MIDDLES = {
    "base": ("modprobe", ""),
    "stack": ("docker", "info"),
    "wolf": ("docker", "pull ghcr.io/games-on-whales/wolf"),
    "emulators": ("docker", "pull ghcr.io/games-on-whales/retroarch"),
    "saves": ("chown", ""),
    "clock": ("dpkg", "-L"),
    "monitor": ("nvidia-smi", "-pm"),
    "agent": ("systemctl", "enable gamer-agent"),
}
ZELDA = SessionOrder("s1", "zelda", "switch", save_id="save-1", env={"LANG": "C"})


class Reports:
    """Keeps what `set_up` reports; `act_at` maps a step's name to what happens when it is heard of before it is done."""

    def __init__(self) -> None:
        self.all: list[StepReport] = []
        self.act_at: dict[str, object] = {}

    def __call__(self, report: StepReport) -> None:
        self.all.append(report)
        act = self.act_at.get(report.name)
        if report.state != "done" and callable(act):
            act()

    def states(self) -> list[tuple[str, str]]:
        return [(report.name, report.state) for report in self.all]


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed step is tried twice again, at once."""
    monkeypatch.setattr("vms.setup.plan.PAUSES_S", (0.01, 0.01))


def begin(target: Target, report: Reports, monkeypatch: pytest.MonkeyPatch) -> None:
    """One look that begins the work and leaves it alone: another one, before it runs, would begin it once more."""
    with monkeypatch.context() as hasty:
        hasty.setattr("vms.setup.machine.LOOK_S", 0)
        assert isinstance(set_up(target, report), NotYet)


def setup_state(machine: Machine) -> dict[str, dict[str, object]]:
    """What the installer has written down, by step."""
    found = machine.path("var/lib/gamer/setup").glob("*.json")
    return {path.stem: json.loads(path.read_text()) for path in found if path.stem != "plan"}


class TestSetUp:
    def test_makes_a_bare_machine_ready(self, machine: Machine, reports: Reports) -> None:
        outcome = set_up(machine.target(), reports)
        assert isinstance(outcome, Ready)
        assert outcome.agent.vm_id == "vm1"
        assert [name for name, state in reports.states() if state == "done"] == [*STEPS, "verify"]
        assert all(report.seconds is not None for report in reports.all if report.state == "done")
        assert [call for call in machine.calls("systemctl") if "restart" in call] == [
            "systemctl restart gamer-setup.service",
            "systemctl restart docker",
            "systemctl restart gamer-wolf.service",
            "systemctl restart gamer-agent.service",
        ]
        eventually(lambda: look_at(machine.target()).is_playing is False)

    def test_keeps_the_secret_from_other_users_of_the_machine(
        self, machine: Machine, reports: Reports
    ) -> None:
        set_up(machine.target(), reports)
        # Until nothing comes and goes any more.
        eventually(lambda: machine.agent_pid() and not machine.pid_of("gamer-setup.service"))
        holders = [
            path
            for path in machine.root.rglob("*")
            if path.is_file() and not path.is_socket() and TOKEN.encode() in path.read_bytes()
        ]
        # In the plan it is written in base64.
        assert [path.name for path in holders] == ["agent.json"]
        private = [holders[0], *machine.path("var/lib/gamer/setup").iterdir()]
        assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
        assert stat.S_IMODE(machine.path("var/lib/gamer/setup").stat().st_mode) == 0o700

    def test_is_harmless_to_repeat(self, machine: Machine, reports: Reports) -> None:
        set_up(machine.target(), reports)
        agent, calls = eventually(machine.agent_pid), machine.calls()
        reports.all.clear()
        assert isinstance(set_up(machine.target(), reports), Ready)
        assert [name for name, state in reports.states() if state == "done"] == [*STEPS, "verify"]
        assert machine.agent_pid() == agent
        assert machine.calls() == calls

    def test_follows_what_is_under_way_without_beginning_it_again(
        self, machine: Machine, reports: Reports, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        machine.path("modprobe.hangs").touch()
        begin(machine.target(), reports, monkeypatch)
        eventually(lambda: machine.calls("modprobe"))
        monkeypatch.setattr("vms.setup.machine.LOOK_S", 0.5)
        for _ in range(2):
            outcome = set_up(machine.target(), reports)
            assert isinstance(outcome, NotYet)
        assert outcome.step == "base"
        assert ("base", "running") in reports.states()
        assert len(machine.calls("modprobe")) == 1

    @pytest.mark.parametrize("step", STEPS)
    @pytest.mark.parametrize("victim", ["installer", "machine"])
    def test_is_gone_on_with_after_a_death_in_the_middle_of(
        self, machine: Machine, reports: Reports, monkeypatch: pytest.MonkeyPatch, victim: str, step: str
    ) -> None:
        program, words = MIDDLES[step]
        target = replace(machine.target(), has_gpu=True, images=(IMAGE,))
        machine.hang(program, words)

        def times() -> int:
            """How often it has come to the middle of the step."""
            return (
                sum(words in call for call in machine.calls(program)) if step in setup_state(machine) else 0
            )

        begin(target, reports, monkeypatch)
        eventually(lambda: times() == 1, timeout_s=60)
        if victim == "machine":
            machine.lose_power()
            assert isinstance(set_up(target, reports), NotYet)
        machine.heal(program)
        if victim == "machine":
            machine.start()
        else:
            end_process(machine.pid_of("gamer-setup.service"))
            # It is started again by the machine: who looks before might begin it as well.
            eventually(lambda: times() > 1)
        assert isinstance(set_up(target, reports), Ready)
        assert {name: one["tries"] for name, one in setup_state(machine).items()} == dict.fromkeys(STEPS, 0)
        # What was done before is not done again.
        assert len(machine.calls("modprobe")) == (2 if step == "base" else 1)
        assert len(machine.calls("chown")) == (2 if step == "saves" else 1)

    def test_mends_what_an_apt_left_that_was_killed(self, machine: Machine, reports: Reports) -> None:
        machine.interrupt_apt()
        assert isinstance(set_up(replace(machine.target(), has_gpu=True), reports), Ready)
        assert {name: one["tries"] for name, one in setup_state(machine).items()} == dict.fromkeys(STEPS, 0)
        plan = json.loads(machine.path("var/lib/gamer/setup/plan.json").read_text())
        using_apt = [step for step in plan["steps"] if "apt-get" in str(step["commands"])]
        assert [step["name"] for step in using_apt] == ["base", "stack", "emulators", "clock"]
        # Any of them may have been killed in the middle, so each begins with it.
        assert all("dpkg --configure -a" in str(step["commands"][0]) for step in using_apt)

    def test_is_not_kept_up_by_a_dpkg_that_others_use(self, machine: Machine, reports: Reports) -> None:
        machine.fail("dpkg", "dpkg frontend lock was locked by another process", "--configure")
        outcome = set_up(machine.target(), reports)
        assert isinstance(outcome, Ready)
        assert outcome.left_out == ()

    @pytest.mark.parametrize("step", ["base", "stack", "wolf", "emulators", "agent"])
    def test_fails_with_the_name_of(self, machine: Machine, reports: Reports, step: str) -> None:
        program, words = MIDDLES[step]
        machine.fail(program, "it is broken", words)
        target = replace(machine.target(), images=(IMAGE,))
        outcome = eventually(
            lambda: next((one for one in [set_up(target, reports)] if isinstance(one, Failed)), None),
            timeout_s=60,
        )
        assert outcome.step == step
        assert "it is broken" in outcome.reason

    @pytest.mark.parametrize("step", STEPS)
    def test_is_gone_on_with_after_the_connection_died_in(
        self, machine: Machine, reports: Reports, step: str
    ) -> None:
        program, words = MIDDLES[step]
        target = replace(machine.target(), has_gpu=True, images=(IMAGE,))
        machine.hold(program, words)

        def drop() -> None:
            machine.drop_connections()
            machine.heal(program)

        reports.act_at[step] = drop
        outcomes = [set_up(target, reports)]
        while isinstance(outcomes[-1], NotYet):
            outcomes.append(set_up(target, reports))
        assert isinstance(outcomes[-1], Ready)
        assert len(outcomes) > 1
        assert machine.calls("systemctl").count("systemctl restart gamer-setup.service") == 1

    def test_does_a_changed_step_again_and_the_game_plays_on(
        self, machine: Machine, reports: Reports
    ) -> None:
        set_up(machine.target(), reports)
        launched = playing(machine.target(), ZELDA)
        (game,) = machine.game_pids()
        renewed = replace(machine.target(), agent_token="renewed")
        assert isinstance(set_up(renewed, reports), Ready)
        assert json.loads(machine.path("etc/gamer/agent.json").read_text())["agent_token"] == "renewed"
        assert session_state(renewed, "s1") == launched
        assert is_running(game)

    def test_waits_for_a_machine_that_does_not_answer_yet(self, machine: Machine, reports: Reports) -> None:
        address = replace(machine.address, port=ports.free())
        outcome = set_up(replace(machine.target(), address=address), reports)
        assert isinstance(outcome, NotYet)
        assert outcome.retry_s > 0
        assert reports.all == []

    def test_waits_for_a_key_that_is_not_in_place_yet(self, machine: Machine, reports: Reports) -> None:
        target = replace(machine.target(), private_key=make_keypair().private_openssh)
        assert isinstance(set_up(target, reports), NotYet)

    def test_never_talks_to_another_machine(self, machine: Machine, reports: Reports) -> None:
        target = replace(machine.target(), host_public_key=make_keypair().public_line)
        outcome = set_up(target, reports)
        assert isinstance(outcome, Failed)
        assert outcome.step == "connect"
        assert list(machine.root.iterdir()) == []

    @pytest.mark.parametrize(
        ("python3", "outcome"),
        [
            ("exit 127", Failed("connect", "python3 is not installed")),
            (
                'echo \'{"root": "", "python": "/usr/bin/python3", "version": [3, 7], "system": "", "has_driver": false}\'',
                Failed("connect", "python3 is 3.7; the agent needs 3.8 or later"),
            ),
        ],
        ids=["none", "too old"],
    )
    def test_fails_in_words_without_its_python(
        self, machine: Machine, reports: Reports, python3: str, outcome: Failed
    ) -> None:
        (machine.bin / "python3").write_text(f"#!/bin/sh\n{python3}\n")
        assert set_up(machine.target(), reports) == outcome

    def test_comes_back_to_a_python_that_talks_nonsense(self, machine: Machine, reports: Reports) -> None:
        (machine.bin / "python3").write_text("#!/bin/sh\necho nonsense\n")
        assert isinstance(set_up(machine.target(), reports), NotYet)

    @pytest.mark.parametrize("invented", [1000, 0], ids=["more", "fewer"])
    def test_hears_of_no_other_steps_than_it_ordered(
        self, machine: Machine, reports: Reports, monkeypatch: pytest.MonkeyPatch, invented: int
    ) -> None:
        """Each becomes a row, written while the batch's other machines wait; this machine has new names each time."""
        set_up(machine.target(), reports)
        said = {
            "digest": json.loads(machine.path("var/lib/gamer/setup/plan.json").read_text())["digest"],
            "is_running": True,
            "version": "",
        }
        one = {
            "title": "",
            "state": "running",
            "seconds": None,
            "is_over": False,
            "log_tail": "",
            "error": "",
        }
        machine.path(PROGRAM[1:]).write_text(
            f"import json, uuid\nstep = {one!r}\n"
            f"steps = [dict(step, name=str(uuid.uuid4())) for _ in range({invented})]\n"
            f"print(json.dumps(dict({said!r}, steps=steps)))"
        )
        reports.all.clear()
        monkeypatch.setattr("vms.setup.machine.LOOK_S", 0.1)
        outcome = set_up(machine.target(), reports)
        assert isinstance(outcome, NotYet)
        assert "the installer" in outcome.reason
        assert reports.all == []

    def test_tries_a_failed_step_again_and_then_fails_with_its_name(
        self, machine: Machine, reports: Reports
    ) -> None:
        machine.fail("docker", f"no bus for {TOKEN}\n")
        outcome = set_up(machine.target(), reports)
        assert isinstance(outcome, Failed)
        assert outcome.step == "stack"
        assert "no bus for ***" in outcome.reason
        assert TOKEN not in repr(reports.all)
        assert machine.calls("docker") == ["docker info"] * 3
        assert setup_state(machine)["stack"]["tries"] == 3
        assert "wolf" not in setup_state(machine)

    def test_gets_over_a_step_that_failed_for_a_while(
        self, machine: Machine, reports: Reports, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("vms.setup.plan.PAUSES_S", (0.1,) * 200)
        machine.fail("docker", "not yet")

        def heal() -> None:
            eventually(lambda: len(machine.calls("docker")) > 1)
            machine.heal("docker")

        reports.act_at["stack"] = heal
        eventually(lambda: isinstance(set_up(machine.target(), reports), Ready), timeout_s=60)
        assert setup_state(machine)["stack"]["tries"] > 1

    def test_puts_the_library_of_the_games_clock_where_containers_see_it(
        self, machine: Machine, reports: Reports
    ) -> None:
        set_up(machine.target(), reports)
        assert machine.path("srv/gamer/tools/libfaketimeMT.so.1").read_text() == "fake time"

    def test_leaves_out_an_optional_step_that_fails(self, machine: Machine, reports: Reports) -> None:
        machine.fail("chown", "read-only file system")
        outcome = set_up(machine.target(), reports)
        assert isinstance(outcome, Ready)
        assert [report.name for report in outcome.left_out] == ["saves"]
        assert "read-only file system" in outcome.left_out[0].log_tail

    def test_waits_less_for_what_a_console_can_do_without(
        self, machine: Machine, reports: Reports, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("vms.setup.plan.PAUSES_S", (0.01,) * 4)
        machine.fail("chown", "read-only file system")
        assert isinstance(set_up(machine.target(), reports), Ready)
        assert setup_state(machine)["saves"]["tries"] == 3

    def test_tries_what_it_left_out_again_after_the_next_start(
        self, machine: Machine, reports: Reports
    ) -> None:
        machine.fail("chown", "read-only file system")
        set_up(machine.target(), reports)
        machine.heal("chown")
        outcome = set_up(machine.target(), reports)
        assert isinstance(outcome, Ready)
        assert [report.name for report in outcome.left_out] == ["saves"]
        # The kernel's name of this boot is what it is; the record is of an earlier one.
        record = machine.path("var/lib/gamer/setup/saves.json")
        record.write_text(json.dumps({**json.loads(record.read_text()), "boot_id": "before"}))
        outcome = set_up(machine.target(), reports)
        assert isinstance(outcome, Ready)
        assert outcome.left_out == ()
        assert len(machine.calls("docker")) == len(set(machine.calls("docker")))

    def test_adds_only_what_is_ours_to_a_machine_that_arrives_configured(
        self, machine: Machine, reports: Reports
    ) -> None:
        target = replace(machine.target(), is_configured=True, images=(IMAGE,), cores=("mesen",))
        assert isinstance(set_up(target, reports), Ready)
        assert set(setup_state(machine)) == {"emulators", "saves", "clock", "monitor", "agent"}
        assert machine.calls("docker") == [f"docker pull {IMAGE}"]
        assert any("mesen_libretro.so.zip" in call for call in machine.calls("curl"))

    def test_asks_for_the_gpus_runtime_where_there_is_a_gpu(self, machine: Machine, reports: Reports) -> None:
        assert isinstance(set_up(replace(machine.target(), has_gpu=True), reports), Ready)
        assert "nvidia-ctk runtime configure --runtime=docker" in machine.calls()
        (run,) = machine.calls("docker run"[:6])[-1:]
        assert "--gpus=all" in run

    def test_fetches_what_the_emulators_need(self, machine: Machine, reports: Reports) -> None:
        target = replace(machine.target(), images=(IMAGE,), cores=("mesen",))
        assert isinstance(set_up(target, reports), Ready)
        assert f"docker pull {IMAGE}" in machine.calls()
        core, pads = machine.calls("curl")[-2:]
        assert core.endswith("/mesen_libretro.so.zip")
        assert pads.endswith(
            "/tools/autoconfig.zip https://buildbot.libretro.com/assets/frontend/autoconfig.zip"
        )

    def test_starts_wolf_again_when_it_dies(self, machine: Machine, reports: Reports) -> None:
        set_up(machine.target(), reports)
        killed = eventually(lambda: machine.pid_of("gamer-wolf.service"))
        end_process(killed)
        eventually(lambda: machine.pid_of("gamer-wolf.service") not in (0, killed))
        eventually(lambda: look_at(machine.target()).is_playing is False)

    def test_waits_for_an_agent_that_does_not_come_up(
        self, machine: Machine, reports: Reports, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        set_up(machine.target(), reports)
        machine.path("etc/gamer/agent.json").write_text("{}")
        end_process(eventually(machine.agent_pid))
        monkeypatch.setattr("vms.setup.machine.AGENT_START_S", 0.1)
        outcome = set_up(machine.target(), reports)
        assert isinstance(outcome, NotYet)
        assert "agent" in outcome.reason

    def test_leaves_when_its_time_is_up(
        self, machine: Machine, reports: Reports, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("vms.setup.machine.LOOK_S", 0)
        outcome = set_up(machine.target(), reports)
        assert isinstance(outcome, NotYet)
        assert outcome.retry_s == 0
        assert reports.all == []

    def test_lets_the_agent_register(self, machine: Machine, reports: Reports, public_url: PublicUrl) -> None:
        set_up(machine.target(public_url.url), reports)
        eventually(lambda: public_url.seen("heartbeat"))
        assert public_url.requests[0]["body"] == {"vm_id": "vm1", "bootstrap_token": TOKEN}

    def test_shows_no_secret_of_its_target(self, machine: Machine) -> None:
        target = machine.target()
        assert target.agent_token not in repr(target)
        assert "PRIVATE" not in repr(target)


class TestAfterSetUp:
    @pytest.fixture(autouse=True)
    def _ready(self, machine: Machine, reports: Reports) -> None:
        assert isinstance(set_up(machine.target(), reports), Ready)

    def test_a_game_is_launched_once(self, machine: Machine) -> None:
        launched = playing(machine.target(), ZELDA)
        assert (launched.session_id, launched.game_id, launched.state) == ("s1", "zelda", "launched")
        assert launch_game(machine.target(), ZELDA) == launched
        assert session_state(machine.target(), "s1") == launched
        assert len(machine.game_pids()) == 1

    def test_a_game_knows_what_it_is(self, machine: Machine) -> None:
        seen = machine.path("seen")
        launch_game(
            machine.target(), replace(ZELDA, argv=("sh", "-c", f"env >{seen}.part; mv {seen}.part {seen}"))
        )
        eventually(lambda: session_state(machine.target(), "s1").state == "ended")
        env = dict(line.split("=", 1) for line in seen.read_text().splitlines())
        assert env["GAMER_SESSION_ID"] == "s1"
        assert env["GAMER_GAME_ID"] == "zelda"
        assert env["GAMER_CONSOLE"] == "switch"
        assert env["GAMER_SAVE_ID"] == "save-1"
        assert env["LANG"] == "C"

    def test_another_game_replaces_the_first(self, machine: Machine) -> None:
        launch_game(machine.target(), ZELDA)
        second = playing(machine.target(), replace(ZELDA, session_id="s2", game_id="mario"))
        assert second.state == "launched"
        assert session_state(machine.target(), "s1").state == "ended"

    def test_a_session_can_be_ended_again_and_again(self, machine: Machine) -> None:
        launch_game(machine.target(), ZELDA)
        ended = end_session(machine.target(), "s1")
        assert (ended.state, ended.reason) == ("ended", "ended on request")
        assert end_session(machine.target(), "s1") == ended
        assert end_session(machine.target(), "never").state == "ended"

    def test_an_unknown_session_is_told_apart(self, machine: Machine) -> None:
        with pytest.raises(NoSuchSession):
            session_state(machine.target(), "never")

    def test_a_game_survives_the_death_of_the_agent(self, machine: Machine) -> None:
        launched = playing(machine.target(), ZELDA)
        (game,) = machine.game_pids()
        agent = eventually(machine.agent_pid)
        end_process(agent)
        eventually(lambda: machine.agent_pid() not in (0, agent))
        eventually(lambda: isinstance(set_up(machine.target(), Reports()), Ready))
        assert session_state(machine.target(), "s1") == launched
        assert launch_game(machine.target(), ZELDA) == launched
        assert machine.game_pids() == [game]

    def test_each_failure_keeps_its_name(self, machine: Machine) -> None:
        target = machine.target()
        with pytest.raises(Unreachable):
            launch_game(replace(target, address=replace(target.address, port=ports.free())), ZELDA)
        with pytest.raises(AuthFailed):
            launch_game(replace(target, private_key=make_keypair().private_openssh), ZELDA)
        with pytest.raises(HostKeyMismatch):
            launch_game(replace(target, host_public_key=make_keypair().public_line), ZELDA)
