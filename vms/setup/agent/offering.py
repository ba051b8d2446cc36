"""One game offered by Wolf: a process of its own, which the keeper starts and ends like any game.

Nobody can push a stream to a player: what can be done is that Wolf's menu in Moonlight holds exactly this game, and that a player who is
connected already is taken into it where Wolf has lobbies. `offered.json` in the session's folder says that the game is there to play.

Whatever dies, nothing is offered twice: the app carries a name made from console, game and file, and is looked for before it is added.
One of that name with the mounts or the variables of another session is taken back first.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

from .archive import give
from .config import Config
from .files import read_json, write_json
from .games import Games
from .wolf import Wolf, WolfError

OURS = "gamer-"
# How long a Wolf that is only starting is waited for, and how often the offer is looked at afterwards.
PATIENCE_S = 90.0
RETRY_S = 0.2
LOOK_S = 5.0
LOBBY_S = 30.0
SWEEP_S = 10.0
# A container is given ten seconds to end by Docker, in which the game saves; a keeper's grace is a little less.
GONE_S = 6.0

LOOKING_S = 0.01

NO_GAME, NO_WOLF = 3, 4
KINDS = FILE, FOLDER, MISSING = 10, 11, 12
SILENT = 13


class Unplayable(Exception):
    """The game can't be offered on this machine. The text says why."""


def offer(config: Config, folder: Path) -> int:
    """Offer the app of the order in `folder` until SIGTERM, then take it back. The exit status: 0 asked to end, others say why not."""
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    app = (read_json(folder / "session.json") or {}).get("app")
    if not isinstance(app, dict):
        return NO_GAME
    wolf = Wolf(config.wolf_sockets)
    try:
        if not (_lay_out(config, app, asked) and _offered_in_time(wolf, app, asked)):
            return 0
    except Unplayable as error:
        sys.stderr.write(f"{error}\n")
        return NO_GAME
    except WolfError as error:
        sys.stderr.write(f"{error}\n")
        return NO_WOLF
    write_json(folder / "offered.json", {"name": app["name"]})
    _stay_offered(wolf, app, asked)
    with contextlib.suppress(WolfError):
        take_back(wolf, app["name"])
    _await_gone(app["name"])
    return 0


def _await_gone(name: str) -> None:
    """Until Docker has no container of the app any more: what its game saves at the end is on the disk then."""
    docker = shutil.which("docker")
    deadline = time.monotonic() + GONE_S
    while docker is not None and time.monotonic() < deadline:
        argv = [docker, "ps", "--quiet", "--filter", f"name={name}"]
        try:
            shown = subprocess.run(
                argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=GONE_S, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return
        if not shown.stdout.strip():
            return
        time.sleep(RETRY_S)


def _offered_in_time(wolf: Wolf, app: dict[str, Any], asked: threading.Event) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            ensure_offered(wolf, app)
        except WolfError:
            if time.monotonic() >= deadline:
                raise
        else:
            return True
        if asked.wait(RETRY_S):
            return False


def _stay_offered(wolf: Wolf, app: dict[str, Any], asked: threading.Event) -> None:
    """Apps added by the API may not survive a restart of Wolf. Who was connected at the launch is brought in once."""
    has_brought = False
    while True:
        with contextlib.suppress(WolfError):
            ensure_offered(wolf, app)
            if not has_brought:
                bring_in(wolf, app)
                has_brought = True
        if asked.wait(LOOK_S):
            return


def ensure_offered(wolf: Wolf, app: dict[str, Any]) -> str:
    """Wolf's id of the app, which is added unless it is there; other apps of ours go. Raises WolfError."""
    apps = wolf.rows("/apps", "apps")
    if any(_name_of(each) == app["name"] and not _is_of(each, app) for each in apps):
        # Left of another session of this game: what is played there goes into another slot's folder, by another slot's clock.
        take_back(wolf, app["name"])
        _await_gone(app["name"])
        apps = wolf.rows("/apps", "apps")
    mine = [each for each in apps if _is_of(each, app)]
    for each in apps:
        if _name_of(each).startswith(OURS) and each not in mine[:1]:
            wolf.post("/apps/delete", {"id": str(each.get("id"))})
    if mine:
        return str(mine[0].get("id"))
    # Pipelines are Wolf's own business: copied from an app it came with.
    model = next((each for each in apps if not _name_of(each).startswith(OURS)), None)
    if model is None:
        raise WolfError("Wolf has no app whose pipelines could be copied")
    wolf.post("/apps/add", {**model, "id": app["name"], "title": app["title"], "runner": runner_of(app)})
    added = [each for each in wolf.rows("/apps", "apps") if _is_of(each, app)]
    if not added:
        raise WolfError("Wolf took the app and does not show it")
    return str(added[0].get("id"))


def bring_in(wolf: Wolf, app: dict[str, Any]) -> None:
    """Take players who are connected into the game, where this Wolf has lobbies; the others choose it in Moonlight."""
    if not (wolf.has("/lobbies/create") and wolf.has("/lobbies")):
        return
    sessions = wolf.rows("/sessions", "sessions")
    lobbies = wolf.rows("/lobbies", "lobbies")
    for lobby in lobbies:
        if str(lobby.get("name", "")).startswith(OURS) and lobby.get("name") != app["name"]:
            wolf.post("/lobbies/stop", {"lobby_id": str(lobby.get("id"))})
    if not sessions:
        return
    lobby_id = next((str(each.get("id")) for each in lobbies if each.get("name") == app["name"]), "")
    if not lobby_id:
        answer = wolf.post("/lobbies/create", _lobby_of(sessions[0], app), timeout_s=LOBBY_S)
        lobby_id = str(answer.get("lobby_id"))
    for session in sessions:
        body = {"lobby_id": lobby_id, "moonlight_session_id": str(session.get("client_id"))}
        wolf.post("/lobbies/join", body)


def take_back(wolf: Wolf, name: str) -> None:
    """End what plays the app of that name, and remove it. Raises WolfError."""
    apps = [each for each in wolf.rows("/apps", "apps") if _name_of(each) == name]
    ids = {str(each.get("id")) for each in apps}
    if wolf.has("/lobbies"):
        for lobby in wolf.rows("/lobbies", "lobbies"):
            if lobby.get("name") == name:
                wolf.post("/lobbies/stop", {"lobby_id": str(lobby.get("id"))})
    for session in wolf.rows("/sessions", "sessions"):
        if str(session.get("app_id")) in ids:
            wolf.post("/sessions/stop", {"session_id": str(session.get("client_id"))})
    for app_id in ids:
        wolf.post("/apps/delete", {"id": app_id})


def sweep(wolf: Wolf, games: Games, stop: threading.Event) -> None:
    """Until `stop`: take back what was offered by somebody who was killed."""
    while not stop.wait(SWEEP_S):
        with contextlib.suppress(WolfError):
            left = [name for name in map(_name_of, wolf.rows("/apps", "apps")) if name.startswith(OURS)]
            # In this order: a game that is launched meanwhile is not among them, or is offered again by itself.
            for name in left if games.active is None else ():
                take_back(wolf, name)


def runner_of(app: dict[str, Any]) -> dict[str, Any]:
    """Wolf's way to start the container."""
    return {
        "type": "docker",
        "name": app["name"],
        "image": app["image"],
        "mounts": list(app["mounts"]),
        "env": [f"{name}={value}" for name, value in sorted(app["env"].items())],
        "devices": [],
        "ports": [],
        "base_create_json": json.dumps({"HostConfig": app.get("host_config", {})}),
    }


def _lobby_of(session: dict[str, Any], app: dict[str, Any]) -> dict[str, Any]:
    video = {
        "width": session.get("video_width", 1920),
        "height": session.get("video_height", 1080),
        "refresh_rate": session.get("video_refresh_rate", 60),
        "wayland_render_node": "/dev/dri/renderD128",
        "runner_render_node": "/dev/dri/renderD128",
        "video_producer_buffer_caps": "video/x-raw",
    }
    return {
        "profile_id": "moonlight-profile-id",
        "name": app["name"],
        "multi_user": False,
        "pin": None,
        # Nobody watching must not keep a game, and so the machine, busy.
        "stop_when_everyone_leaves": True,
        "video_settings": video,
        "audio_settings": {"channel_count": session.get("audio_channel_count", 2)},
        "client_settings": session.get("client_settings"),
        "runner_state_folder": f"profile-data/gamer/{app['name']}",
        "runner": runner_of(app),
    }


def _lay_out(config: Config, app: dict[str, Any], asked: threading.Event) -> bool:
    """The app's files, the game under its safe name, and a folder for the saves; False when the end is asked. Raises Unplayable."""
    root = str(config.root)
    for path, content in app.get("files", {}).items():
        target = Path(root + path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
        target.chmod(0o755 if target.suffix == ".sh" else 0o644)
    for path in app.get("folders", ()):
        folder = Path(root + path)
        folder.mkdir(parents=True, exist_ok=True)
        give(folder)
    for link, source in app.get("links", {}).items():
        kind = _seen(Path(root + source), config.library_s, asked)
        if kind is None:
            return False
        if kind != FILE:
            raise Unplayable(f"the library on this machine has no file {Path(source).name!r}")
        _point(Path(root + link), Path(root + source))
    for link, source in app.get("shared", {}).items():
        kind = _seen(Path(root + source), config.library_s, asked)
        if kind is None:
            return False
        # Docker would make a folder that is not there, which it can't in a library.
        empty = Path(root + link).with_name("nothing")
        empty.mkdir(parents=True, exist_ok=True)
        _point(Path(root + link), Path(root + source) if kind == FOLDER else empty)
    return True


def _point(place: Path, found: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f"{place.name}.{os.getpid()}.part")
    part.symlink_to(found)
    os.replace(str(part), str(place))


def _seen(place: Path, patience_s: float, asked: threading.Event) -> int | None:
    """FILE, FOLDER or MISSING; None when the end is asked meanwhile. Raises Unplayable when no answer comes.

    A process of its own looks, which can be left behind: whoever waits for a mount that does not answer may not be ended, not even
    killed, and the keeper would wait for us as long.
    """
    looking = os.fork()
    if looking == 0:
        _look(place)
    deadline = time.monotonic() + patience_s
    while not asked.wait(LOOKING_S):
        ended, status = os.waitpid(looking, os.WNOHANG)
        if ended and (kind := os.WEXITSTATUS(status)) in KINDS:
            return kind
        if ended or time.monotonic() >= deadline:
            raise Unplayable("the library on this machine does not answer")
    return None


def _look(place: Path) -> NoReturn:
    """Ends this process."""
    seen = SILENT
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        mode = os.stat(str(place)).st_mode
        seen = FILE if stat.S_ISREG(mode) else FOLDER if stat.S_ISDIR(mode) else MISSING
    except (FileNotFoundError, NotADirectoryError):
        seen = MISSING
    except OSError:
        pass  # a mount whose process is gone, say
    finally:
        os._exit(seen)


def _name_of(app: dict[str, Any]) -> str:
    runner = app.get("runner")
    return str(runner.get("name", "")) if isinstance(runner, dict) else ""


def _is_of(shown: dict[str, Any], app: dict[str, Any]) -> bool:
    """Whether this is what the order makes of Wolf: the name alone is the game's, the mounts and variables are its slot's."""
    if _name_of(shown) != app["name"]:
        return False
    wanted = runner_of(app)
    return all(
        sorted(map(str, shown["runner"].get(one) or ())) == sorted(wanted[one]) for one in ("mounts", "env")
    )
