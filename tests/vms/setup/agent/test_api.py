from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.vms.setup.agent.running import TOKEN, Agent, UnixConnection, is_silent
from vms.setup.agent.call import NoAnswer, call
from vms.setup.agent.config import BadConfig, Config, load


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """One for all: nothing here launches or stops anything."""
    agent = Agent(tmp_path_factory.mktemp("agent"))
    agent.start()
    yield agent
    agent.end()


def exchange(agent: Agent, raw: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        sock.connect(str(agent.config.socket_path))
        sock.sendall(raw)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def ask(config: Config, method: str) -> dict[str, Any]:
    request = {"method": method, "path": "/state", "body": {"a": "b" * 1000}}
    return call(config.socket_path, config.agent_token, request, wait_s=60)


def cut_off(listener: socket.socket) -> None:
    """Closing on unread bytes resets the connection."""
    with listener.accept()[0] as connection:
        connection.recv(1)


class TestState:
    def test_tells_who_and_how_it_is(self, agent: Agent) -> None:
        state = agent.state()
        assert state["vm_id"] == "vm1"
        assert state["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        assert state["uptime_s"] >= 0
        assert (state["is_registered"], state["last_heartbeat"], state["sessions"]) == (False, None, [])


class TestSocket:
    def test_is_for_its_owner_only(self, agent: Agent) -> None:
        socket_path = agent.config.socket_path
        assert socket_path.stat().st_mode & 0o777 == 0o600
        assert socket_path.parent.stat().st_mode & 0o777 == 0o700

    @pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}])
    def test_needs_the_token(self, agent: Agent, header: dict[str, str]) -> None:
        connection = UnixConnection(agent.config.socket_path, 60)
        connection.request("GET", "/state", headers=header)
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())) == (401, {"error": "wrong token"})
        connection.close()

    def test_may_lie_deeper_than_a_socket_address_is_long(
        self, make_agent: Callable[..., Agent], tmp_path: Path
    ) -> None:
        agent = make_agent(socket_path=str(tmp_path / ("d" * 100) / ("e" * 100) / "agent.sock"))
        agent.start()
        assert agent.state()["vm_id"] == "vm1"

    @pytest.mark.parametrize(
        "raw",
        [
            b"\r\n\r\n",
            b"\x00\xff\xfe\r\n\r\n",
            b"GET\r\n\r\n",
            b"BREW /state HTTP/1.1\r\n\r\n",
            b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
            b"POST /sessions HTTP/1.1\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n\r\n",
            b"POST /sessions HTTP/1.1\r\nAuthorization: Bearer "
            + TOKEN.encode()
            + b"\r\nContent-Length: -1\r\n\r\n",
            b"POST /sessions HTTP/1.1\r\nAuthorization: Bearer "
            + TOKEN.encode()
            + b"\r\nContent-Length: 999999\r\n\r\n",
        ],
    )
    def test_survives_nonsense(self, agent: Agent, raw: bytes) -> None:
        exchange(agent, raw)
        assert agent.state()["vm_id"] == "vm1"

    @pytest.mark.parametrize(
        "path", ["/", "/sessions", "/sessions/", "/sessions/nobody", "/sessions/../state"]
    )
    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    def test_knows_no_other_path(self, agent: Agent, method: str, path: str) -> None:
        assert agent.ask(method, path)[0] == 404

    def test_does_not_post_elsewhere(self, agent: Agent) -> None:
        assert agent.ask("POST", "/state", {})[0] == 404


class TestOrders:
    @pytest.mark.parametrize(
        "order",
        [
            [],
            {},
            {"session_id": ""},
            {"session_id": 7},
            {"session_id": ".."},
            {"session_id": "a/b"},
            {"session_id": "a" * 65},
            {"session_id": "a\n"},
            {"session_id": "a", "game_id": 7},
            {"session_id": "a", "argv": "ls"},
            {"session_id": "a", "argv": [1]},
            {"session_id": "a", "argv": ["a\0b"]},
            {"session_id": "a", "argv": ["x"] * 257},
            {"session_id": "a", "env": ["A=1"]},
            {"session_id": "a", "env": {"A": 1}},
            {"session_id": "a", "env": {"A=B": "1"}},
            {"session_id": "a", "env": {"": "1"}},
        ],
    )
    def test_are_refused_in_words_when_they_make_no_sense(self, agent: Agent, order: object) -> None:
        status, answer = agent.ask("POST", "/sessions", order)
        assert status == 400
        assert answer["error"]
        assert agent.state()["sessions"] == []

    def test_are_refused_when_they_are_no_json(self, agent: Agent) -> None:
        for body in (b"", b"{", b"[" * 100_000, b"\xff"):
            connection = UnixConnection(agent.config.socket_path, 60)
            connection.request("POST", "/sessions", body, {"Authorization": f"Bearer {TOKEN}"})
            response = connection.getresponse()
            assert (response.status, b"error" in response.read()) == (400, True)
            connection.close()


class TestCall:
    def run(self, agent: Agent, request: str, wait_s: float = 0) -> subprocess.CompletedProcess[str]:
        argv = [
            sys.executable,
            str(agent.program),
            "call",
            "--config",
            str(agent.config_path),
            "--wait",
            str(wait_s),
        ]
        return subprocess.run(argv, input=request, capture_output=True, text=True, check=False)

    def test_prints_the_answer_as_json(self, agent: Agent) -> None:
        done = self.run(agent, '{"method": "GET", "path": "/sessions/nobody"}')
        assert (done.returncode, json.loads(done.stdout)["status"]) == (0, 404)

    def test_waits_for_an_agent_that_is_starting(self, make_agent: Callable[..., Agent]) -> None:
        agent = make_agent()
        agent.start(is_awaited=False)
        assert self.run(agent, '{"path": "/state"}', wait_s=60).returncode == 0

    def test_repeats_only_a_look_that_was_cut_off(self, agent: Agent, tmp_path: Path) -> None:
        config = agent.config._replace(socket_path=tmp_path / "agent.sock")
        with socket.socket(socket.AF_UNIX) as listener, ThreadPoolExecutor(1) as pool:
            listener.bind(str(config.socket_path))
            listener.listen()
            acting = pool.submit(ask, config, "POST")
            cut_off(listener)
            with pytest.raises(NoAnswer):
                acting.result(60)
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                listener.accept()
            listener.setblocking(True)
            looking = pool.submit(ask, config, "GET")
            cut_off(listener)
            with listener.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n{}")
            assert looking.result(60) == {"status": 200, "body": {}}

    def test_tells_when_nobody_listens(self, make_agent: Callable[..., Agent]) -> None:
        agent = make_agent()
        agent.start()
        agent.stop()
        assert is_silent(agent)
        done = self.run(agent, '{"path": "/state"}')
        assert (done.returncode, done.stderr) == (1, "the agent does not listen\n")

    @pytest.mark.parametrize("path", ["/state HTTP/1.1\r\nX: y", "/a b", "", "/\x00"])
    def test_sends_nothing_that_is_no_path(self, agent: Agent, path: str) -> None:
        with pytest.raises(NoAnswer, match="a method and a path"):
            agent.ask("GET", path)

    @pytest.mark.parametrize(
        "answer",
        [b"nonsense", b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n{", b"HTTP/1.0 x\r\n\r\n{}"],
    )
    def test_believes_no_half_an_answer(self, agent: Agent, tmp_path: Path, answer: bytes) -> None:
        config = agent.config._replace(socket_path=tmp_path / "agent.sock")

        def answers(listener: socket.socket) -> None:
            connection = listener.accept()[0]
            connection.recv(4096)
            connection.sendall(answer)
            connection.close()

        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(config.socket_path))
            listener.listen()
            thread = threading.Thread(target=answers, args=(listener,))
            thread.start()
            with pytest.raises(NoAnswer):
                call(config.socket_path, config.agent_token, {"path": "/state"}, wait_s=0)
            thread.join()

    @pytest.mark.parametrize("request_text", ["", "[]", "nonsense"])
    def test_refuses_what_is_no_request(self, agent: Agent, request_text: str) -> None:
        assert self.run(agent, request_text).returncode == 2


class TestConfig:
    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"vm_id": "a", "agent_token": "b", "state_dir": 1}'])
    def test_is_refused_when_it_cannot_be_used(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "agent.json"
        path.write_text(text)
        with pytest.raises(BadConfig):
            load(path)

    def test_does_not_show_its_token(self, agent: Agent) -> None:
        assert TOKEN not in repr(agent.config)


class TestCommandLine:
    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ([], "gamer-agent run | call"),
            (["dance"], "gamer-agent run | call"),
            (["keep", "--folder", "/x"], "keep: --option value for folder, grace"),
            (["run", "--config"], "run: --option value for config"),
            (["run", "--config", "/x", "--config", "/y"], "run: --option value for config"),
            (["run", "--config", "/x", "--mood", "good"], "run: --option value for config"),
            (["run", "config", "/x"], "run: --option value for config"),
            (
                ["keep", "--folder", "/x", "--grace", "long"],
                "keep: could not convert string to float: 'long'",
            ),
        ],
    )
    def test_that_is_unreadable_is_told_how_it_should_read(
        self, agent: Agent, words: list[str], said: str
    ) -> None:
        argv = [sys.executable, str(agent.program), *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)
        assert said in done.stderr
