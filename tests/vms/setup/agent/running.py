"""The agent as the process it is, and a server that stands for PUBLIC_URL."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from tests.vms.setup.sshd import end_group
from tests.waiting import eventually
from vms.setup import bundle
from vms.setup.agent import archive
from vms.setup.agent.call import NoAnswer, call
from vms.setup.agent.config import Config, load
from vms.setup.agent.files import short_name

TOKEN = "agent-token-canary"

# Answers: (status, body), or what writes bytes to the connection by itself.
Answer = tuple[int, bytes] | Callable[[BaseHTTPRequestHandler], None]


class UnixConnection(HTTPConnection):
    """To the agent's socket, as any client of HTTP speaks."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("agent", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with short_name(self._path) as name:
            self.sock.connect(name)


class PublicUrl:
    """Keeps every request. `answers` maps the path's last word to what it answers from now on."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self.answers: dict[str, Answer] = {
            "register": (200, b'{"token": "issued-1"}'),
            "heartbeat": (200, b"{}"),
            "events": (200, b"{}"),
            "saves": (200, b'{"slot": "", "number": 1, "is_current": true}'),
        }
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        public = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                seen = {"path": self.path, "token": self.headers["Authorization"], "body": json.loads(body)}
                answer = public._asked(seen)
                if callable(answer):
                    answer(self)
                    return
                self.send_response(answer[0])
                self.send_header("Location", f"{public.url}/agent/elsewhere/heartbeat")
                self.send_header("Content-Length", str(len(answer[1])))
                self.end_headers()
                self.wfile.write(answer[1])

            def do_PUT(self) -> None:
                path, _, query = self.path.partition("?")
                content = self.rfile.read(int(self.headers["Content-Length"]))
                told = dict(parse_qsl(query))
                seen = {"path": path, "token": self.headers["Authorization"], "told": told, "body": content}
                answer = public._asked(seen)
                assert not callable(answer)
                self.send_response(answer[0])
                self.send_header("Content-Length", str(len(answer[1])))
                self.end_headers()
                self.wfile.write(answer[1])

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        return Handler

    def _asked(self, seen: dict[str, Any]) -> Answer:
        with self._lock:
            self.requests.append(seen)
            return self.answers[seen["path"].rpartition("/")[2]]

    def turn(self, answers: dict[str, Answer]) -> None:
        """Answers so from now on, and forgets what came: all that it knows of later has been answered so."""
        with self._lock:
            self.answers.update(answers)
            self.requests.clear()

    def seen(self, word: str) -> list[dict[str, Any]]:
        """The requests so far whose path ends so."""
        return [each for each in self.requests if each["path"].endswith(word)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Agent:
    """One agent's folder; `start` runs it there, as often as wanted."""

    def __init__(self, folder: Path, public_url: str = "", **settings: Any) -> None:
        self.folder = folder
        self.program = folder / "agent.pyz"
        self.program.write_bytes(bundle.archive())
        self.config_path = folder / "agent.json"
        self.log = folder / "agent.log"
        self.settings = {
            "vm_id": "vm1",
            "agent_token": TOKEN,
            "public_url": public_url,
            "state_dir": str(folder / "state"),
            "socket_path": str(folder / "run" / "agent.sock"),
            "session_command": ["sleep", "600"],
            "heartbeat_s": 0.05,
            # What ends when asked is never killed, however late it is on a busy machine.
            "grace_s": 20,
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> Config:
        return load(self.config_path)

    def start(self, *, is_awaited: bool = True) -> subprocess.Popen[bytes]:
        self.config_path.write_text(json.dumps(self.settings))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(self.program), "run", "--config", str(self.config_path)], stderr=log
            )
        if is_awaited:
            self.ask("GET", "/state")
        return self.process

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(60)
        self.process = None
        return status

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        answer = call(
            self.config.socket_path,
            self.config.agent_token,
            {"method": method, "path": path, "body": body},
            wait_s=60,
            timeout_s=60,
        )
        return answer["status"], answer["body"]

    def launch(self, session_id: str, *argv: str, **env: str) -> dict[str, Any]:
        """The session once its game has begun: an agent does not wait for ever for one that is slow to start."""
        order = {"session_id": session_id, "game_id": f"game of {session_id}", "argv": argv, "env": env}
        status, view = self.ask("POST", "/sessions", order)
        assert status in (200, 201), view
        if view["state"] == "queued":
            eventually(lambda: self.session(session_id)["state"] != "queued")
            view = self.session(session_id)
        return view

    def session(self, session_id: str) -> dict[str, Any]:
        return self.ask("GET", f"/sessions/{session_id}")[1]

    def until(self, session_id: str, state: str) -> dict[str, Any]:
        eventually(lambda: self.session(session_id)["state"] == state)
        return self.session(session_id)

    def state(self) -> dict[str, Any]:
        return self.ask("GET", "/state")[1]

    def games(self) -> dict[str, int]:
        """The started games' processes by session, ended ones included."""
        records = (self.folder / "state/sessions").glob("*/game.json")
        return {path.parent.name: int(json.loads(path.read_text())["pid"]) for path in records}

    def end(self) -> None:
        """Stop it with all it started."""
        if self.process is not None:
            self.stop(signal.SIGKILL)
        for pid in self.games().values():
            end_group(pid)


def is_silent(agent: Agent) -> bool:
    try:
        call(agent.config.socket_path, agent.config.agent_token, {"path": "/state"}, wait_s=0)
    except NoAnswer:
        return True
    return False


def packed_of(folder: Path, files: dict[str, str]) -> tuple[str, bytes]:
    """An archive of these files: its digest, and its bytes."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    target = folder.with_suffix(".tgz")
    digest, _ = archive.pack(folder, target)
    return digest, target.read_bytes()


@contextmanager
def full(*files: Path) -> Iterator[None]:
    """Nothing can be written to these, as on a full disk: where it would be written first there is a folder."""
    parts = [file.with_name(f"{file.name}.part") for file in files]
    for part in parts:
        eventually(lambda part=part: made(part))
    yield
    for part in parts:
        part.rmdir()


def made(part: Path) -> bool:
    """Not while the agent writes there."""
    try:
        part.mkdir(parents=True)
    except FileExistsError:
        return False
    return True
