"""What stands for Wolf: its API on a unix socket, its HTTP port, its event stream; no picture, no container.

Runs inside guests, as `docker run` of Wolf's image; also by itself: `wolf.py --socket PATH --http PATH --state FOLDER [--api A|B]`.
Standard library only, no import of its neighbours.

Two versions, told apart by their description of themselves: A (2024: numbers as client ids, positional app ids, the address of
who pairs under `pin`) and B (2025: profiles and lobbies, ids as text). Both have their prototypes' manners: HTTP/1.0 with
`success` envelopes, status 500 for the client's mistakes, 404 without a body, no answer to /runners/start on success, bodies by
Content-Length only, and pending pairings that stay in the list.

What players would do is asked of the API socket: POST /stand-in/pair {client_ip, pin} (with the PIN that it shows, it is a client as
soon as Wolf is given that one), /stand-in/paired {pair_secret, pin} (is it a client now?), /stand-in/stream {client_id, app_id},
/stand-in/resume, /stand-in/pause and /stand-in/leave {client_id}. The game of the newest app can be played, too: /stand-in/save
{file, text} writes into its mount at /saves, /stand-in/saved shows what is there, and the variables it would run with.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import socketserver
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

KEEPALIVE_S = 15.0
EVENTS = "wolf::core::events::"
MAX_BODY = 4 * 1024 * 1024
PIPELINES = {
    "h264_gst_pipeline": "interpipesrc ! nvh264enc ! rtpmoonlightpay_video",
    "hevc_gst_pipeline": "interpipesrc ! nvh265enc ! rtpmoonlightpay_video",
    "av1_gst_pipeline": "",
    "opus_gst_pipeline": "interpipesrc ! opusenc ! rtpmoonlightpay_audio",
    "render_node": "/dev/dri/renderD128",
}
COMMON = (
    *(
        "/events",
        "/openapi-schema",
        "/pair/pending",
        "/pair/client",
        "/clients",
        "/apps",
        "/apps/add",
        "/apps/delete",
    ),
    *("/sessions", "/sessions/add", "/sessions/pause", "/sessions/stop", "/runners/start"),
)
ONLY_B = (
    *("/unpair/client", "/clients/settings", "/profiles", "/profiles/add", "/profiles/remove", "/lobbies"),
    *("/lobbies/create", "/lobbies/join", "/lobbies/leave", "/lobbies/stop", "/docker/images/inspect"),
)

Object = dict[str, Any]


class Refused(Exception):
    """`success: false`, with status 500 as Wolf has it even for our mistakes."""


class Wolf:
    """Everything it knows. What survives a restart is in `state`: the paired clients, as in the real one's configuration."""

    def __init__(self, state: Path, api: str) -> None:
        self.api = api
        self._file = state / "config.json"
        self._lock = threading.RLock()
        kept = json.loads(self._file.read_text()) if self._file.exists() else {}
        self.uuid: str = kept.get("uuid") or os.urandom(16).hex()
        self.clients: list[str] = kept.get("clients", [])
        self.apps: list[Object] = []
        self.sessions: list[Object] = []
        self.lobbies: list[Object] = []
        self.pending: list[Object] = []
        self.pins: dict[str, str] = {}
        self._listeners: list[queue.SimpleQueue[str]] = []
        runner = {
            "type": "docker",
            "name": "WolfTestBall",
            "image": "test-ball",
            "mounts": [],
            "env": [],
            "devices": [],
            "ports": [],
        }
        self._add_app(
            {
                "title": "Test ball",
                "start_virtual_compositor": False,
                "support_hdr": False,
                **PIPELINES,
                "runner": runner,
            }
        )
        self._keep()

    def _keep(self) -> None:
        part = self._file.with_name("config.part")
        part.write_text(json.dumps({"uuid": self.uuid, "clients": self.clients}))
        part.replace(self._file)

    # -- what it says to everybody

    def listen(self) -> queue.SimpleQueue[str]:
        heard: queue.SimpleQueue[str] = queue.SimpleQueue()
        with self._lock:
            self._listeners.append(heard)
        return heard

    def leave(self, heard: queue.SimpleQueue[str]) -> None:
        with self._lock:
            self._listeners.remove(heard)

    def hang_up(self) -> None:
        """Every stream ends, as when its process does."""
        for heard in list(self._listeners):
            heard.put("")

    def tell(self, name: str, data: Object) -> None:
        text = f"event: {EVENTS}{name}\ndata: {json.dumps(data)}\n\n"
        for heard in list(self._listeners):
            heard.put(text)

    # -- its API

    def answer(self, method: str, path: str, body: Object) -> Object:
        """Raises Refused, LookupError for a path it does not have."""
        with self._lock:
            if path.startswith("/stand-in/"):
                return self._played(path.removeprefix("/stand-in/"), body)
            if path not in COMMON and (self.api == "A" or path not in ONLY_B):
                raise LookupError(path)
            try:
                return self._reads(path) if method == "GET" else self._acts(path, body)
            except (KeyError, TypeError, ValueError, StopIteration) as error:
                raise Refused(f"{type(error).__name__}: {error}") from error

    def _reads(self, path: str) -> Object:
        if path == "/openapi-schema":
            paths = COMMON if self.api == "A" else COMMON + ONLY_B
            return {
                "openapi": "3.1.0",
                "info": {"title": "Wolf API"},
                "paths": {f"/api/v1{one}": {} for one in paths},
            }
        if path == "/pair/pending":
            address = "pin" if self.api == "A" else "client_ip"
            rows = [{"pair_secret": one["pair_secret"], address: one["client_ip"]} for one in self.pending]
            return {"success": True, "requests": rows}
        if path == "/clients":
            return {"success": True, "clients": [self._client(one) for one in self.clients]}
        rows = {"/apps": self.apps, "/sessions": self.sessions, "/lobbies": self.lobbies, "/profiles": []}[
            path
        ]
        return {"success": True, path[1:]: rows}

    def _client(self, client_id: str) -> Object:
        # The old version's ids are bare numbers.
        return {
            "client_id": int(client_id) if self.api == "A" else client_id,
            "app_state_folder": client_id,
            "settings": {},
        }

    def _acts(self, path: str, body: Object) -> Object:
        if path == "/pair/client":
            asking = [one for one in self.pending if one["pair_secret"] == body["pair_secret"]]
            if not asking:
                raise Refused("Invalid pair secret")
            self.pins[body["pair_secret"]] = str(body["pin"])
            if "pin" in asking[0]:
                self._paired(body["pair_secret"], asking[0]["pin"])
        elif path == "/unpair/client":
            self.clients.remove(str(body["client_id"]))
            self._keep()
        elif path == "/apps/add":
            for name in ("title", "runner", "h264_gst_pipeline", "opus_gst_pipeline"):
                body[name]
            self._add_app(body)
        elif path == "/apps/delete":
            self.apps.remove(next(one for one in self.apps if one["id"] == body["id"]))
        elif path in ("/sessions/stop", "/sessions/pause"):
            self._session(body["session_id"])
            if path == "/sessions/stop":
                self.sessions = [one for one in self.sessions if one["client_id"] != body["session_id"]]
            self.tell(
                "StopStreamEvent" if path == "/sessions/stop" else "PauseStreamEvent",
                {"session_id": body["session_id"]},
            )
        elif path == "/lobbies/create":
            return {"success": True, "lobby_id": self._new_lobby(body)}
        elif path in ("/lobbies/join", "/lobbies/leave"):
            self._join(body, is_in=path == "/lobbies/join")
        elif path == "/lobbies/stop":
            lobby = self._lobby(body["lobby_id"])
            self.lobbies.remove(lobby)
            self.tell("StopLobbyEvent", {"lobby_id": lobby["id"]})
        else:
            raise Refused("not played by the stand-in")
        return {"success": True}

    def _add_app(self, body: Object) -> None:
        app_id = str(len(self.apps) + 1) if self.api == "A" else str(body.get("id") or os.urandom(16).hex())
        self.apps.append({**body, "id": app_id})

    def _session(self, client_id: str) -> Object:
        return next(one for one in self.sessions if one["client_id"] == client_id)

    def _lobby(self, lobby_id: str) -> Object:
        return next(one for one in self.lobbies if one["id"] == lobby_id)

    def _new_lobby(self, body: Object) -> str:
        shown = {name: body[name] for name in ("name", "multi_user", "stop_when_everyone_leaves", "runner")}
        for name in (
            "profile_id",
            "pin",
            "video_settings",
            "audio_settings",
            "client_settings",
            "runner_state_folder",
        ):
            body[name]
        lobby = {
            **shown,
            "id": os.urandom(16).hex(),
            "started_by_profile_id": body["profile_id"],
            "pin_required": body["pin"] is not None,
            "connected_sessions": [],
        }
        self.lobbies.append(lobby)
        self.tell("CreateLobbyEvent", {"id": lobby["id"]})
        return str(lobby["id"])

    def _join(self, body: Object, *, is_in: bool) -> None:
        lobby, client_id = self._lobby(body["lobby_id"]), body["moonlight_session_id"]
        self._session(client_id)
        others = [one for one in lobby["connected_sessions"] if one != client_id]
        lobby["connected_sessions"] = [*others, client_id] if is_in else others
        self.tell(
            "JoinLobbyEvent" if is_in else "LeaveLobbyEvent",
            {"lobby_id": lobby["id"], "moonlight_session_id": client_id},
        )

    # -- what players do

    def _played(self, act: str, body: Object) -> Object:
        if act == "pair":
            secret = os.urandom(8).hex()
            shown = {"pin": str(body["pin"])} if "pin" in body else {}
            self.pending.append({"pair_secret": secret, "client_ip": body["client_ip"], **shown})
            self.tell("PairSignal", {"client_ip": body["client_ip"], "host_ip": "127.0.0.1"})
            return {"success": True, "pair_secret": secret}
        if act in ("save", "saved"):
            return self._game(body, is_writing=act == "save")
        if act == "paired":
            return {"success": True, "client_id": self._paired(body["pair_secret"], body["pin"])}
        client_id = str(body["client_id"])
        if act == "stream":
            self.sessions = [one for one in self.sessions if one["client_id"] != client_id]
            self.sessions.append(
                {
                    "client_ip": "127.0.0.1",
                    "client_id": client_id,
                    "app_id": str(body.get("app_id", "1")),
                    "video_width": 1920,
                    "video_height": 1080,
                    "video_refresh_rate": 60,
                    "audio_channel_count": 2,
                    "aes_key": os.urandom(16).hex(),
                    "aes_iv": "1",
                    "client_settings": {},
                }
            )
            self.tell("StreamSession", {"client_id": client_id, "app_id": str(body.get("app_id", "1"))})
        elif act in ("resume", "pause"):
            self._session(client_id)
            self.tell(
                "ResumeStreamEvent" if act == "resume" else "PauseStreamEvent", {"session_id": client_id}
            )
        elif act == "leave":
            self.sessions = [one for one in self.sessions if one["client_id"] != client_id]
            self.tell("StopStreamEvent", {"session_id": client_id})
        return {"success": True}

    def _game(self, body: Object, *, is_writing: bool) -> Object:
        """What the app's container would do with its saves: all it has of them is the mount."""
        app = self.apps[-1]
        mounts = [mount.split(":") for mount in app["runner"]["mounts"]]
        places = [Path(source) for source, target, _mode in mounts if target == "/saves"]
        if not places:
            raise Refused(f"{app['title']} has no saves")
        folder = places[0]
        if is_writing:
            place = folder / body["file"]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(body["text"])
        files = {
            str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()
        }
        return {"success": True, "files": files, "env": app["runner"]["env"]}

    def _paired(self, secret: str, pin: str) -> str | None:
        """Moonlight's own half: it is a client once Wolf was given the PIN that it shows. The entry stays pending, as in some versions."""
        # Every confined program loads this module, and hashlib brings OpenSSL.
        from hashlib import sha256

        if self.pins.get(secret) != pin:
            return None
        client_id = str(int(sha256(secret.encode()).hexdigest()[:15], 16))
        if client_id not in self.clients:
            self.clients.append(client_id)
            self._keep()
        return client_id

    def serverinfo(self) -> str:
        state = "SUNSHINE_SERVER_BUSY" if self.sessions else "SUNSHINE_SERVER_FREE"
        fields = {
            "hostname": "Wolf", "appversion": "7.1.431.0", "GfeVersion": "3.23.0.74", "uniqueid": self.uuid, "HttpsPort": "47984",
            "ExternalPort": "47989", "PairStatus": "0", "currentgame": "0", "state": state,
        }  # fmt: skip
        inside = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
        return f'<?xml version="1.0" encoding="utf-8"?>\n<root status_code="200">{inside}</root>'


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 32
    wolf: Wolf

    def __init__(self, path: Path, handler: type[socketserver.BaseRequestHandler], wolf: Wolf) -> None:
        self.wolf = wolf
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        # By a relative name, which is short enough for a socket however long the real path is.
        here = os.getcwd()
        os.chdir(path.parent)
        try:
            super().__init__(path.name, handler)
        finally:
            os.chdir(here)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        head = self.rfile.readline(4096).decode(errors="replace").split()
        if len(head) < 2:
            return
        length, is_chunked = 0, False
        while line := self.rfile.readline(4096).strip():
            name, _, value = line.decode(errors="replace").partition(":")
            if name.lower() == "content-length" and value.strip().isdigit():
                length = int(value)
            is_chunked = is_chunked or (name.lower() == "transfer-encoding" and "chunked" in value)
        body = self.rfile.read(min(length, MAX_BODY))
        self.reply(head[0], head[1].partition("?")[0], body, is_chunked=is_chunked)

    def reply(self, method: str, path: str, body: bytes, *, is_chunked: bool) -> None:
        raise NotImplementedError

    def send(self, status: int, text: str, kind: str = "application/json") -> None:
        content = text.encode()
        head = f"HTTP/1.0 {status} OK\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n"
        self.wfile.write(head.encode() + content)


class ApiHandler(_Handler):
    def reply(self, method: str, path: str, body: bytes, *, is_chunked: bool) -> None:
        name = path.removeprefix("/api/v1")
        if is_chunked:
            self.send(500, json.dumps({"success": False, "error": "chunked encoding is not supported"}))
        elif method == "GET" and name == "/events":
            self._stream()
        elif name == "/runners/start":
            self.connection.recv(1)  # on success there is no answer at all
        else:
            self._answer(method, name, body)

    def _answer(self, method: str, name: str, body: bytes) -> None:
        try:
            given = json.loads(body or b"{}")
            self.send(200, json.dumps(self.server.wolf.answer(method, name, given)))
        except LookupError:
            self.send(404, "")
        except (Refused, ValueError, AttributeError) as error:
            self.send(500, json.dumps({"success": False, "error": str(error)}))

    def _stream(self) -> None:
        heard = self.server.wolf.listen()
        try:
            self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            while True:
                try:
                    text = heard.get(timeout=KEEPALIVE_S)
                except queue.Empty:
                    text = ":keepalive\n\n"
                if not text:
                    return
                self.wfile.write(text.encode())
        finally:
            self.server.wolf.leave(heard)


class HttpHandler(_Handler):
    """What the world sees on port 47989: /serverinfo, and the page where a PIN can be given by hand."""

    def reply(self, method: str, path: str, body: bytes, *, is_chunked: bool) -> None:
        if path == "/serverinfo":
            self.send(200, self.server.wolf.serverinfo(), "application/xml")
        elif method == "POST" and path == "/pin/":
            given = json.loads(body)
            try:
                self.server.wolf.answer(
                    "POST", "/pair/client", {"pair_secret": given["secret"], "pin": given["pin"]}
                )
                self.send(200, "OK", "text/plain")
            except Refused:
                self.send(400, "Invalid pin", "text/plain")
        else:
            self.send(404, "", "text/plain")


def serve(sockets: Path, http: Path, state: Path, api: str) -> Callable[[], None]:
    """Serves in threads until the function it returns is called."""
    for folder in (sockets.parent, http.parent, state):
        folder.mkdir(parents=True, exist_ok=True)
    wolf = Wolf(state, api)
    servers = [_Server(sockets, ApiHandler, wolf), _Server(http, HttpHandler, wolf)]
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def end() -> None:
        wolf.hang_up()
        for server in servers:
            server.shutdown()
            server.server_close()

    return end


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="wolf")
    for name in ("socket", "http", "state"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--api", choices=("A", "B"), default="B")
    chosen = parser.parse_args(argv)
    serve(chosen.socket, chosen.http, chosen.state, chosen.api)
    threading.Event().wait()
    return 0


if __name__ == "__main__":
    main()
