from __future__ import annotations

import itertools
import json
import re
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.vms.setup.agent.running import TOKEN, Agent, PublicUrl
from tests.waiting import eventually
from vms.setup.agent.session import Session

MakeAgent = Callable[..., Agent]
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def garbage(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\x16\x03\x01 this is no HTTP\r\n" * 100)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def cut_short(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"token":')
    handler.close_connection = True


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.close_connection = True
    try:
        while True:
            handler.wfile.write(b" " * 65536)
    except OSError:
        return


NONSENSE = {
    "garbage": garbage,
    "hang up": hang_up,
    "cut short": cut_short,
    "endless": endless,
    "an error page": (500, b"<html>"),
    "too busy": (429, b""),
    "a redirect": (302, b""),
}
NOT_A_TOKEN = {
    "no JSON": (200, b"<html>"),
    "not UTF-8": (200, b"\xff\xfe"),
    "nested": (200, b"[" * 60_000),
    "a list": (200, b"[]"),
    "no token": (200, b"{}"),
    "a number": (200, b'{"token": 7}'),
    "empty": (200, b'{"token": ""}'),
    "a header of its own": (200, b'{"token": "a\\r\\nX-Evil: 1"}'),
    "too long": (200, json.dumps({"token": "a" * 5000}).encode()),
}


class TestRegister:
    def test_trades_the_vms_secret_for_a_token(self, caller: Agent, public_url: PublicUrl) -> None:
        caller.start()
        eventually(lambda: public_url.seen("heartbeat"))
        assert public_url.requests[0] == {
            "path": "/agent/register",
            "token": None,
            "body": {"vm_id": "vm1", "bootstrap_token": TOKEN},
        }
        assert public_url.seen("heartbeat")[0]["token"] == "Bearer issued-1"
        assert caller.state()["is_registered"]

    def test_is_remembered_over_a_restart(self, caller: Agent, public_url: PublicUrl) -> None:
        caller.start()
        eventually(lambda: public_url.seen("heartbeat"))
        caller.stop()
        public_url.requests.clear()
        caller.start()
        eventually(lambda: public_url.seen("heartbeat"))
        assert public_url.seen("register") == []

    def test_is_done_again_for_another_secret(self, caller: Agent, public_url: PublicUrl) -> None:
        caller.start()
        eventually(lambda: public_url.seen("heartbeat"))
        caller.stop()
        public_url.requests.clear()
        caller.settings["agent_token"] = "another"
        caller.start()
        (seen,) = eventually(lambda: public_url.seen("register"))
        assert seen["body"]["bootstrap_token"] == "another"

    def test_is_done_again_when_the_token_is_refused(self, caller: Agent, public_url: PublicUrl) -> None:
        caller.start()
        eventually(lambda: public_url.seen("heartbeat"))
        public_url.answers["register"] = (200, b'{"token": "issued-2"}')
        public_url.answers["heartbeat"] = (401, b"{}")
        eventually(lambda: len(public_url.seen("register")) > 1)
        public_url.answers["heartbeat"] = (200, b"{}")
        eventually(lambda: caller.state()["last_heartbeat"]["ok"])
        assert public_url.seen("heartbeat")[-1]["token"] == "Bearer issued-2"

    def test_is_done_again_at_once_when_an_event_is_refused(
        self, caller: Agent, public_url: PublicUrl
    ) -> None:
        caller.settings["heartbeat_s"] = 3600
        caller.start()
        eventually(lambda: public_url.seen("heartbeat"))
        public_url.answers["events"] = (401, b"{}")
        caller.launch("s1")
        eventually(lambda: len(public_url.seen("register")) == 2)

    @pytest.mark.parametrize("name", [*NONSENSE, *NOT_A_TOKEN])
    def test_outlives_a_server_that_answers(self, caller: Agent, public_url: PublicUrl, name: str) -> None:
        proper = public_url.answers["register"]
        public_url.answers["register"] = {**NONSENSE, **NOT_A_TOKEN}[name]
        process = caller.start()
        eventually(lambda: len(public_url.seen("register")) > 1)
        assert not caller.state()["is_registered"]
        assert public_url.seen("heartbeat") == []
        public_url.answers["register"] = proper
        eventually(lambda: public_url.seen("heartbeat"))
        assert process.poll() is None


class TestHeartbeat:
    def test_tells_how_the_machine_and_its_sessions_are(self, caller: Agent, public_url: PublicUrl) -> None:
        caller.start()
        eventually(lambda: public_url.seen("heartbeat"))  # the first one has no means and rates
        caller.launch("s1")
        told = eventually(
            lambda: [
                each["body"] for each in public_url.seen("heartbeat")
                if [one["state"] for one in each["body"]["sessions"]] == ["launched"]
            ]
        )  # fmt: skip
        body = told[0]
        assert set(body) == {"boot_id", "sequence", "sent_at", "sessions", "metrics", "activity"}
        # It has no Wolf: whether somebody plays cannot be told.
        assert body["activity"] == {"is_playing": None, "idle_s": None, "connected": 0, "is_wolf_up": False}
        assert body["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        assert ISO.fullmatch(body["sent_at"])
        (session,) = body["sessions"]
        assert session == {"session_id": "s1", "state": "launched", "played_s": session["played_s"]}
        assert 0 <= session["played_s"] <= caller.session("s1")["played_s"]
        always = {"cpu_percent", "ram_used_mb", "disk_used_percent", "load", "received_mbps", "sent_mbps"}
        assert set(body["metrics"]) == always
        assert 0 <= body["metrics"]["cpu_percent"] <= 100
        assert body["metrics"]["ram_used_mb"] > 0
        assert 0 < body["metrics"]["disk_used_percent"] <= 100

    def test_rises_in_sequence_also_over_a_restart(self, caller: Agent, public_url: PublicUrl) -> None:
        caller.start()
        eventually(lambda: len(public_url.seen("heartbeat")) > 2)
        caller.stop()
        caller.start()
        before = len(public_url.seen("heartbeat"))
        eventually(lambda: len(public_url.seen("heartbeat")) > before)
        sequences = [each["body"]["sequence"] for each in public_url.seen("heartbeat")]
        assert sequences == sorted(set(sequences))

    @pytest.mark.parametrize("name", NONSENSE)
    def test_outlives_a_server_that_answers(self, caller: Agent, public_url: PublicUrl, name: str) -> None:
        public_url.answers["heartbeat"] = NONSENSE[name]
        process = caller.start()
        eventually(lambda: len(public_url.seen("heartbeat")) > 1)
        eventually(lambda: caller.state()["last_heartbeat"]["ok"] is False)
        assert caller.state()["last_heartbeat"]["detail"]
        public_url.answers["heartbeat"] = (204, b"")
        eventually(lambda: caller.state()["last_heartbeat"]["ok"])
        assert process.poll() is None

    def test_keeps_its_token_from_whom_it_is_sent_to(self, caller: Agent, public_url: PublicUrl) -> None:
        public_url.answers["heartbeat"] = (307, b"")
        caller.start()
        eventually(lambda: len(public_url.seen("heartbeat")) > 1)
        assert public_url.seen("elsewhere/heartbeat") == []

    def test_comes_ever_more_rarely_while_it_fails(self, caller: Agent, public_url: PublicUrl) -> None:
        public_url.answers["heartbeat"] = (500, b"")
        caller.start()
        eventually(lambda: len(public_url.seen("heartbeat")) >= 6)
        sequences = [each["body"]["sequence"] for each in public_url.seen("heartbeat")]
        # In milliseconds since boot: 50, 100, 200, 400, 800, each times a half to one; a late scheduler only adds.
        waits = [later - earlier for earlier, later in itertools.pairwise(sequences)]
        assert all(wait >= 25 * 2**number for number, wait in enumerate(waits))

    def test_goes_nowhere_without_a_public_url(self, agent: Agent) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(0.2)
            with pytest.raises(TimeoutError):
                listener.accept()
        assert agent.state()["last_heartbeat"] is None

    @pytest.mark.parametrize(
        "url", ["nonsense", "ftp://127.0.0.1", "http://", "http://127.0.0.1:99999999", "http://[::1"]
    )
    def test_outlives_an_impossible_public_url(self, make_agent: MakeAgent, url: str) -> None:
        agent = make_agent(url)
        process = agent.start()
        eventually(lambda: agent.state()["last_heartbeat"])
        assert process.poll() is None


class TestEvents:
    def test_tell_of_every_move_at_once(self, caller: Agent, public_url: PublicUrl) -> None:
        caller.settings["heartbeat_s"] = 3600
        caller.start()
        eventually(lambda: public_url.seen("heartbeat"))
        caller.launch("s1", "sh", "-c", "exit 3")
        eventually(lambda: len(public_url.seen("events")) == 2)
        first, second = public_url.seen("events")
        assert (first["path"], first["token"]) == ("/agent/sessions/s1/events", "Bearer issued-1")
        assert (first["body"]["state"], first["body"]["exit_code"]) == ("launched", None)
        assert (second["body"]["state"], second["body"]["exit_code"]) == ("failed", 3)
        assert set(first["body"]) == {"state", "at", "exit_code"}
        assert ISO.fullmatch(first["body"]["at"])
        assert second["body"]["reason"] == "exit status 3"

    def test_say_why_in_words_that_can_be_taken(self) -> None:
        """What is refused is dropped, and nobody would learn that the game failed."""
        session = Session("s1", "zelda", [], {}, "", reason="no\x00 way \ud800" + "!" * 1000)
        session.move("failed")
        reason = session.events[0]["reason"]
        assert (reason[:10], len(reason)) == ("no? way ?!", 500)

    def test_are_told_once(self, caller: Agent, public_url: PublicUrl) -> None:
        caller.start()
        caller.launch("s1", "true")
        eventually(lambda: len(public_url.seen("events")) == 2)
        told = len(public_url.seen("heartbeat"))
        eventually(lambda: len(public_url.seen("heartbeat")) > told)  # it has read the answer, and goes on
        caller.stop()
        caller.start()
        before = len(public_url.seen("heartbeat"))
        eventually(lambda: len(public_url.seen("heartbeat")) > before + 2)
        assert len(public_url.seen("events")) == 2

    def test_wait_for_a_server_that_is_away_and_for_a_restart(
        self, caller: Agent, public_url: PublicUrl
    ) -> None:
        public_url.answers["events"] = (503, b"")
        caller.start()
        caller.launch("s1", "true")
        caller.until("s1", "ended")
        eventually(lambda: public_url.seen("events"))
        caller.stop()
        # Another one: what was sent last to the first may still be on its way.
        with closing(PublicUrl()) as back:
            caller.settings["public_url"] = back.url
            caller.start()
            eventually(lambda: len(back.seen("events")) == 2)
            caller.stop()
        assert [each["body"]["state"] for each in back.seen("events")] == ["launched", "ended"]

    def test_do_not_silence_the_heartbeats_when_they_fail(self, caller: Agent, public_url: PublicUrl) -> None:
        public_url.answers["events"] = (500, b"")
        caller.start()
        caller.launch("s1")
        eventually(lambda: public_url.seen("events"))
        before = len(public_url.seen("heartbeat"))
        eventually(lambda: len(public_url.seen("heartbeat")) > before + 3)

    def test_come_more_rarely_than_heartbeats_after_some_failures(
        self, caller: Agent, public_url: PublicUrl
    ) -> None:
        public_url.answers["events"] = (500, b"")
        caller.start()
        caller.launch("s1")
        eventually(lambda: len(public_url.seen("events")) >= 5)
        words = [each["path"].rpartition("/")[2] for each in public_url.requests]
        fourth, fifth = [index for index, word in enumerate(words) if word == "events"][3:5]
        # The wait is at least 200 ms there, and one thread sends both.
        assert "heartbeat" in words[fourth:fifth]

    @pytest.mark.parametrize("status", [400, 403, 404, 409])
    def test_are_dropped_when_they_are_refused_for_good(
        self, caller: Agent, public_url: PublicUrl, status: int
    ) -> None:
        public_url.answers["events"] = (status, b"{}")
        caller.start()
        caller.launch("s1", "true")
        eventually(lambda: len(public_url.seen("events")) == 2)
        before = len(public_url.seen("heartbeat"))
        eventually(lambda: len(public_url.seen("heartbeat")) > before + 2)
        assert len(public_url.seen("events")) == 2

    def test_are_kept_for_the_last_sessions_only(self, caller: Agent, public_url: PublicUrl) -> None:
        caller.settings["public_url"] = ""
        caller.start()
        for number in range(30):
            caller.launch(f"s{number}", "no-such-program")
        caller.stop()
        caller.settings["public_url"] = public_url.url
        caller.start()
        eventually(lambda: len(public_url.seen("events")) == 20)
        told = [each["path"].split("/")[3] for each in public_url.seen("events")]
        assert told == [f"s{number}" for number in range(10, 30)]

    def test_do_not_hold_up_a_launch(self, caller: Agent, public_url: PublicUrl) -> None:
        release = threading.Event()

        def hold(handler: BaseHTTPRequestHandler) -> None:
            release.wait(20)
            hang_up(handler)

        public_url.answers["events"] = hold
        caller.start()
        caller.launch("s1", "true")
        eventually(lambda: public_url.seen("events"))
        assert caller.launch("s2")["state"] == "launched"
        release.set()


class TestLogs:
    def test_hold_no_token(self, caller: Agent, public_url: PublicUrl) -> None:
        public_url.answers["heartbeat"] = (401, b"")
        caller.start()
        eventually(lambda: len(public_url.seen("register")) > 1)
        caller.stop()
        assert TOKEN not in caller.log.read_text()
        assert "issued-1" not in caller.log.read_text()
