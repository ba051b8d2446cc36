"""`run`: the supervised service, whose threads look after games, saves, activity and what is told to the control plane."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import threading
import time
from typing import Any

from . import VERSION
from .activity import Activity
from .api import Server
from .config import Config
from .deadman import DeadMan
from .files import boot_id, make_private
from .games import Games
from .offering import sweep
from .playtime import Playtime
from .pushing import Pusher
from .saves import Saves
from .uplink import Uplink
from .watching import Changes
from .wolf import Wolf

# How soon the socket's loop sees that it shall end.
POLL_S = 0.05
WATCH_AGAIN_S = 10.0


def run(config: Config) -> int:
    """Serve until SIGTERM. The game stays: a restart of the agent must not end it."""
    stop = threading.Event()
    faults: list[str] = []

    def give_up(failed: threading.ExceptHookArgs) -> None:
        # Half an agent is worse than none: end, and let the supervisor start a whole one.
        faults.append(failed.exc_type.__name__)
        sys.excepthook(failed.exc_type, failed.exc_value or failed.exc_type(), failed.exc_traceback)
        stop.set()

    threading.excepthook = give_up
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    make_private(config.state_dir)
    lock = os.open(str(config.state_dir / "lock"), os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write("another agent runs with this state\n")
        return 1
    sessions, changes = config.state_dir / "sessions", Changes()
    playtime = Playtime(sessions, config.root)
    saves = Saves(
        config.state_dir / "saves",
        config.root,
        playtime.total_s,
        quiet_s=config.save_quiet_s,
        interval_s=config.save_interval_s,
    )
    games = Games(
        sessions,
        grace_s=config.grace_s,
        default_argv=config.session_command,
        saves=saves,
        playtime=playtime,
        moved=changes.poke,
        config_path=config.path,
    )
    wolf = Wolf(config.wolf_sockets)
    activity = Activity(wolf, wake=games.wake)
    dead_man = DeadMan(config.dead_man_s, activity)
    uplink = Uplink(config, games, saves, activity, dead_man.heard)
    describe = _describer(config, uplink, activity)
    with Server(
        config.socket_path, config.agent_token, games, saves, describe, wolf, dead_man.heard
    ) as server:
        _start(server.serve_forever, POLL_S)
        _start(games.watch, stop)
        _start(playtime.watch, games, activity, stop)
        _start(_watch_saves, saves, games, changes, stop)
        if config.wolf_sockets:
            _start(activity.watch, stop)
            _start(sweep, wolf, games, stop)
        if config.dead_man_s:
            _start(dead_man.watch, stop)
        if config.public_url:
            _start(uplink.run, stop)
            _start(Pusher(config, saves, uplink).run, stop)
        stop.wait()
        server.shutdown()
    return 1 if faults else 0


def _start(target: Any, *arguments: Any) -> None:
    threading.Thread(target=target, args=arguments, daemon=True).start()


def _watch_saves(saves: Saves, games: Games, changes: Changes, stop: threading.Event) -> None:
    while not stop.is_set():
        session = games.active
        active = session.session_id if session is not None else None
        try:
            wait_s = saves.look(active)
        except OSError as error:
            # A full disk, say: heartbeats and games go on, and so does the look.
            sys.stderr.write(f"saves: {error}\n")
            wait_s = WATCH_AGAIN_S
        changes.wait(saves.folder_of(active), wait_s)


def _describer(config: Config, uplink: Uplink, activity: Activity) -> Any:
    started = time.monotonic()

    def describe() -> dict[str, Any]:
        return {
            "version": VERSION,
            "vm_id": config.vm_id,
            "boot_id": boot_id(),
            "uptime_s": round(time.monotonic() - started, 1),
            "is_registered": uplink.is_registered,
            "last_heartbeat": uplink.last_heartbeat,
            "activity": activity.view(),
        }

    return describe
