"""The agent with a Wolf beside it, in both versions: what it offers, who plays, who is paired."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emulators.recipes import recipe_for
from tests.vms.setup.agent.playing import Playing, app, played
from tests.vms.setup.agent.running import Agent, PublicUrl
from tests.waiting import eventually
from vms.reconcile.steps.play import app_of
from vms.setup.agent import activity as activity_module
from vms.setup.agent.activity import Activity
from vms.setup.agent.archive import EMPTY
from vms.setup.agent.deadman import UNKNOWN_TIMES, DeadMan
from vms.setup.agent.offering import runner_of
from vms.setup.agent.wolf import Wolf, WolfError


@pytest.fixture(params=["A", "B"])
def wolf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Playing]:
    with played(tmp_path / "wolf", request.param) as playing:
        yield playing


@pytest.fixture
def agent(make_agent: Callable[..., Agent], wolf: Playing, tmp_path: Path) -> Agent:
    made = make_agent(root=str(tmp_path / "root"), wolf_sockets=[str(wolf.socket)])
    made.start()
    eventually(lambda: made.state()["activity"]["is_wolf_up"])
    return made


def launch(agent: Agent, session_id: str, wanted: dict[str, Any]) -> dict[str, Any]:
    status, view = agent.ask("POST", "/sessions", {"session_id": session_id, "game_id": "x", "app": wanted})
    assert status in (200, 201), view
    return view


def activity(agent: Agent) -> dict[str, Any]:
    found: dict[str, Any] = agent.state()["activity"]
    return found


class TestOffering:
    def test_puts_the_game_into_wolfs_menu_with_pipelines_of_wolfs_own(self, agent, wolf):
        launch(agent, "s1", app())
        agent.until("s1", "launched")
        (model, mine) = wolf.client.rows("/apps", "apps")
        assert mine["title"] == "Zelda"
        assert mine["h264_gst_pipeline"] == model["h264_gst_pipeline"]
        assert mine["runner"]["image"] == "retroarch:edge"
        assert mine["runner"]["env"] == ["RUN_SWAY=1"]

    def test_lays_out_its_files_and_a_folder_for_the_saves(self, agent, tmp_path):
        launch(agent, "s1", app())
        agent.until("s1", "launched")
        assert (tmp_path / "root/srv/gamer/apps/zelda/startup.sh").stat().st_mode & 0o111
        assert (tmp_path / "root/srv/gamer/saves/zelda").is_dir()

    def test_knows_the_game_by_its_safe_name_only(self, agent, wolf, tmp_path):
        source = tmp_path / "root/srv/gamer/games/nes/It's $(reboot); 100%.nes"
        source.parent.mkdir(parents=True)
        source.write_bytes(b"rom")
        links = {"/srv/gamer/roms/abc.nes": "/srv/gamer/games/nes/It's $(reboot); 100%.nes"}
        launch(agent, "s1", app(links=links))
        agent.until("s1", "launched")
        assert (tmp_path / "root/srv/gamer/roms/abc.nes").read_bytes() == b"rom"
        assert "reboot" not in str(wolf.client.rows("/apps", "apps"))

    def test_fails_in_words_when_the_library_has_no_such_file(self, agent, wolf):
        launch(agent, "s1", app(links={"/srv/gamer/roms/a.nes": "/srv/gamer/games/gone.nes"}))
        failed = agent.until("s1", "failed")
        assert failed["reason"] == "the library on this machine has no file 'gone.nes'"
        assert wolf.titles() == ["Test ball"]

    def test_fails_in_words_when_the_emulators_program_is_not_there(self, agent, tmp_path):
        made = app_of(
            recipe_for(console="switch", game_id="odyssey", emulator="Ryubing", file="switch/odyssey.nsp")
        )
        for name in ("games/switch/odyssey.nsp", "tools/ryujinx.AppImage"):
            (tmp_path / "root/srv/gamer" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "root/srv/gamer" / name).write_bytes(b"content")
        launch(agent, "s1", made)
        assert "'ryubing.AppImage'" in agent.until("s1", "failed")["reason"]
        (tmp_path / "root/srv/gamer/tools/ryubing.AppImage").write_bytes(b"content")
        launch(agent, "s2", made)
        agent.until("s2", "launched")

    def test_shows_the_librarys_system_files_or_an_empty_folder(self, agent, tmp_path):
        made = app_of(recipe_for(console="nes", game_id="castle", emulator="Mesen"))
        shown = tmp_path / "root/srv/gamer/system"
        launch(agent, "s1", made)
        agent.until("s1", "launched")
        assert list(shown.iterdir()) == []
        bios = tmp_path / "root/srv/gamer/games/system/disksys.rom"
        bios.parent.mkdir(parents=True)
        bios.write_bytes(b"bios")
        launch(agent, "s2", made)
        agent.until("s2", "launched")
        assert (shown / "disksys.rom").read_bytes() == b"bios"

    def test_is_taken_back_when_the_game_is_ended(self, agent, wolf):
        launch(agent, "s1", app())
        agent.until("s1", "launched")
        assert agent.ask("DELETE", "/sessions/s1")[1]["state"] == "ended"
        assert wolf.titles() == ["Test ball"]

    def test_switches_to_another_game(self, agent, wolf):
        launch(agent, "s1", app())
        agent.until("s1", "launched")
        launch(agent, "s2", app("mario"))
        agent.until("s2", "launched")
        assert agent.session("s1")["state"] == "ended"
        assert wolf.titles() == ["Test ball", "Mario"]

    @pytest.mark.parametrize(
        "left",
        [
            {"mounts": ["/srv/gamer/saves/another:/saves:rw"]},
            {"env": {"RUN_SWAY": "1", "FAKETIME": "another"}},
        ],
        ids=["mounts", "env"],
    )
    def test_is_not_mistaken_for_what_another_session_left(self, make_agent, wolf, tmp_path, left):
        (model,) = wolf.client.rows("/apps", "apps")
        wolf.client.post(
            "/apps/add", {**model, "id": "gamer-zelda", "title": "Zelda", "runner": runner_of(app(**left))}
        )
        wolf.does("stream", client_id="77", app_id=wolf.client.rows("/apps", "apps")[1]["id"])
        agent = make_agent(root=str(tmp_path / "root"), wolf_sockets=[str(wolf.socket)])
        agent.start()
        launch(agent, "s1", app())
        agent.until("s1", "launched")
        (_, mine) = wolf.client.rows("/apps", "apps")
        assert (mine["title"], mine["runner"]) == ("Zelda", runner_of(app()))
        assert wolf.client.rows("/sessions", "sessions") == []

    def test_survives_the_agent_and_is_never_made_twice(self, agent, wolf):
        launch(agent, "s1", app())
        agent.until("s1", "launched")
        agent.stop(signal.SIGKILL)
        agent.start()
        launch(agent, "s1", app())
        assert agent.session("s1")["state"] == "launched"
        assert wolf.titles().count("Zelda") == 1

    def test_comes_back_when_wolf_does(self, agent, wolf, monkeypatch):
        launch(agent, "s1", app())
        agent.until("s1", "launched")
        wolf.stop()
        wolf.start()
        eventually(lambda: wolf.titles() == ["Test ball", "Zelda"])

    def test_waits_for_a_wolf_that_is_only_starting(self, agent, wolf):
        wolf.stop()
        assert launch(agent, "s1", app())["state"] == "queued"
        wolf.start()
        agent.until("s1", "launched")

    def test_takes_a_connected_player_along_where_there_are_lobbies(self, agent, wolf):
        wolf.does("stream", client_id="77")
        wolf.does("resume", client_id="77")
        launch(agent, "s1", app())
        agent.until("s1", "launched")
        if wolf.api == "A":
            assert not wolf.client.has("/lobbies")
            return
        joined = eventually(
            lambda: [one for one in wolf.client.rows("/lobbies", "lobbies") if one["connected_sessions"]]
        )
        assert [(one["name"], one["connected_sessions"]) for one in joined] == [("gamer-zelda", ["77"])]
        agent.ask("DELETE", "/sessions/s1")
        assert wolf.client.rows("/lobbies", "lobbies") == []

    def test_refuses_an_app_that_is_none(self, agent):
        for wrong in ({"name": 1}, [], {**app(), "env": []}, {**app(), "mounts": ["a\0b"]}):
            status, _ = agent.ask("POST", "/sessions", {"session_id": "s1", "game_id": "x", "app": wrong})
            assert status == 400


class TestActivity:
    def test_follows_the_player(self, agent, wolf):
        assert (activity(agent)["is_playing"], activity(agent)["connected"]) == (False, 0)
        wolf.does("stream", client_id="77")
        assert activity(agent)["is_playing"] is False
        wolf.does("resume", client_id="77")
        eventually(lambda: activity(agent)["is_playing"] is True)
        assert activity(agent)["idle_s"] is None
        wolf.does("pause", client_id="77")
        eventually(lambda: activity(agent)["is_playing"] is False)
        wolf.does("resume", client_id="77")
        eventually(lambda: activity(agent)["is_playing"] is True)
        wolf.does("leave", client_id="77")
        eventually(lambda: activity(agent)["is_playing"] is False)

    def test_is_unknown_without_wolf(self, agent, wolf):
        wolf.stop()
        eventually(lambda: activity(agent)["is_playing"] is None)
        assert activity(agent)["idle_s"] is None

    def test_is_told_at_once(self, make_agent, wolf, tmp_path, public_url: PublicUrl):
        agent = make_agent(public_url.url, wolf_sockets=[str(wolf.socket)], heartbeat_s=600)
        agent.start()
        eventually(lambda: activity(agent)["is_wolf_up"] and public_url.seen("heartbeat"))
        wolf.does("stream", client_id="77")
        wolf.does("resume", client_id="77")
        eventually(lambda: public_url.seen("heartbeat")[-1]["body"]["activity"]["is_playing"] is True)


class TestPlaytime:
    def test_is_counted_while_somebody_is_connected_and_moves_the_games_clock(self, agent, wolf, tmp_path):
        clock = tmp_path / "root/srv/gamer/apps/zelda/clock"
        save = {
            "slot": "11111111-2222-3333-4444-555555555555", "folder": "/srv/gamer/saves/zelda", "base": 0, "digest": EMPTY,
            "clock": 946_684_800, "clock_file": "/srv/gamer/apps/zelda/clock",
        }  # fmt: skip
        order = {"session_id": "s1", "game_id": "x", "app": app(), "save": save}
        assert agent.ask("POST", "/sessions", order)[0] == 201
        agent.until("s1", "launched")
        wolf.does("stream", client_id="77")
        wolf.does("resume", client_id="77")
        eventually(lambda: agent.session("s1")["played_s"] >= 2)
        assert clock.read_text() == "@2000-01-01 00:00:00\n"
        # Whoever opens the game again finds it where it was left.
        wolf.does("leave", client_id="77")
        eventually(lambda: clock.read_text() > "@2000-01-01 00:00:01\n")
        played = agent.session("s1")["played_s"]
        wolf.does("stream", client_id="77")
        assert agent.session("s1")["played_s"] == played


class TestUnknownSessions:
    """After a gap in the events, a listed session may have its player or not."""

    @pytest.mark.parametrize(("packets", "is_playing"), [(None, None), (True, None), (False, False)])
    def test_are_decided_by_packets_on_the_control_port(self, wolf, packets, is_playing):
        wolf.does("stream", client_id="77")
        found = Activity(wolf.client, sniff=lambda: packets)
        found._note("", {})
        assert found.view()["is_playing"] is is_playing

    def test_are_known_from_the_next_event_on(self, wolf):
        wolf.does("stream", client_id="77")
        found = Activity(wolf.client, sniff=lambda: None)
        found._note("", {})
        assert found.view()["is_playing"] is None
        found._note("PauseStreamEvent", {"session_id": "77"})
        assert found.view()["is_playing"] is False

    def test_control_packets_are_told_by_their_port(self):
        header = bytes([0x45]) + bytes(8) + bytes([17]) + bytes(10)
        assert activity_module._is_for_control(header + (5).to_bytes(2, "big") + (47999).to_bytes(2, "big"))
        assert not activity_module._is_for_control(
            header + (47999).to_bytes(2, "big") + (5).to_bytes(2, "big")
        )
        assert not activity_module._is_for_control(b"\x45")


class TestPairing:
    def test_shows_who_waits_and_hands_over_the_pin(self, agent, wolf):
        assert agent.ask("GET", "/pairing")[1] == {"pending": [], "clients": []}
        secret = wolf.does("pair", client_ip="198.51.100.7", pin="4711")["pair_secret"]
        ((waiting,), _) = agent.ask("GET", "/pairing")[1].values()
        assert waiting["client_ip"] == "198.51.100.7"
        assert secret not in str(waiting)
        status, answer = agent.ask("POST", "/pairing", {"pin": "4711", "request_id": waiting["request_id"]})
        assert (status, answer["is_paired"]) == (200, True)
        assert agent.ask("GET", "/pairing")[1]["clients"] == [answer["client_id"]]

    def test_says_when_nobody_is_paired_by_it(self, agent, wolf):
        wolf.does("pair", client_ip="198.51.100.7")
        status, answer = agent.ask("POST", "/pairing", {"pin": "0000"})
        assert (status, answer) == (200, {"is_paired": False, "client_id": None})

    def test_gives_no_pin_to_whom_it_may_not_be_meant_for(self, agent, wolf):
        """Wolf's port is open to the world: a stranger's request may be the newest, or the next."""
        wolf.does("pair", client_ip="198.51.100.7", pin="4711")
        strange = wolf.does("pair", client_ip="203.0.113.9")["pair_secret"]
        status, answer = agent.ask("POST", "/pairing", {"pin": "4711"})
        assert status == 400
        first, second = agent.ask("GET", "/pairing")[1]["pending"]
        named = f"{first['request_id']} from 203.0.113.9, {second['request_id']} from 198.51.100.7"
        assert answer["error"].endswith(named)
        answer = agent.ask("POST", "/pairing", {"pin": "4711", "request_id": second["request_id"]})[1]
        assert answer["is_paired"]
        assert not wolf.does("paired", pair_secret=strange, pin="4711")["client_id"]

    def test_tries_all_of_one_address(self, agent, wolf):
        """Every failed try of a Moonlight makes another request, and some versions keep the old ones."""
        wolf.does("pair", client_ip="198.51.100.7", pin="4711")
        wolf.does("pair", client_ip="198.51.100.7")
        assert agent.ask("POST", "/pairing", {"pin": "4711"})[1]["is_paired"]

    @pytest.mark.parametrize(
        "body", [{}, {"pin": 4711}, {"pin": "47"}, {"pin": "4711", "request_id": "none"}, {"pin": "४७११"}]
    )
    def test_refuses_what_is_no_pin_or_for_nobody(self, agent, body):
        assert agent.ask("POST", "/pairing", body)[0] == 400

    def test_is_away_with_wolf(self, agent, wolf):
        wolf.stop()
        assert agent.ask("GET", "/pairing")[0] == 503


class TestWolf:
    def test_says_no_with_wolfs_words(self, wolf):
        with pytest.raises(WolfError, match="Invalid pair secret"):
            wolf.client.post("/pair/client", {"pair_secret": "x", "pin": "1"})

    def test_without_a_socket_says_so(self, tmp_path):
        with pytest.raises(WolfError, match="does not listen"):
            Wolf((tmp_path / "none",)).get("/apps")


class Still:
    def __init__(self, is_playing: bool | None) -> None:
        self.is_playing = is_playing

    def view(self) -> dict[str, Any]:
        return {"is_playing": self.is_playing}


class TestDeadMan:
    """Half an hour without a word, and nobody plays."""

    @pytest.mark.parametrize(
        ("minutes", "is_playing", "is_due"),
        [
            (29, False, False),
            (31, False, True),
            (31, True, False),
            (24 * 60, True, False),
            (31, None, False),
            (30 * UNKNOWN_TIMES + 1, None, True),
        ],
    )
    def test_acts_when_it_should_and_not_before(self, minutes, is_playing, is_due):
        now = [0.0]
        man = DeadMan(1800, Still(is_playing), clock=lambda: now[0])
        now[0] = minutes * 60
        assert man.is_due is is_due
        man.heard()
        assert not man.is_due

    @pytest.fixture
    def calls(self, tmp_path, monkeypatch):
        """Where the machine's `shutdown` notes its calls."""
        calls, program = tmp_path / "calls", tmp_path / "bin/shutdown"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\necho "$*" >>{calls}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
        return calls

    def test_powers_the_machine_off(self, make_agent, wolf, calls):
        agent = make_agent(wolf_sockets=[str(wolf.socket)], dead_man_s=0.4)
        agent.start(is_awaited=False)
        eventually(lambda: calls.exists() and calls.read_text().startswith("-h now"))

    def test_is_calmed_by_every_word_of_ours(self, make_agent, wolf, calls, public_url):
        # Patience for longer than a busy machine stands still.
        agent = make_agent(public_url.url, wolf_sockets=[str(wolf.socket)], dead_man_s=6)
        agent.start()
        (first,) = eventually(lambda: public_url.seen("heartbeat")[:1])

        def passed_ms() -> int:
            """Between the first of its words and the last: it numbers them so."""
            return public_url.seen("heartbeat")[-1]["body"]["sequence"] - first["body"]["sequence"]

        # It looks every 1.5 s whether it is alone.
        eventually(lambda: passed_ms() > 8000, timeout_s=60)
        assert not calls.exists()
