"""`run` is the supervised service, `call` asks it; `keep` looks after one game and `offer` has Wolf offer one, both started by `run`.

`install` carries out the plan that makes the machine a console, `progress` tells how far it is; both need no running agent.

python3 agent.pyz run --config agent.json
echo '{"method": "GET", "path": "/state"}' | python3 agent.pyz call --config agent.json

Every question over SSH starts this program anew, so a command loads what it needs and nothing else.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .config import BadConfig, load

MAX_REQUEST = 512 * 1024


def main(arguments: list[str]) -> int:
    """The exit status: 0 asked to end, 1 the agent cannot work or does not answer, 2 the request or configuration is wrong."""
    chosen = _parsed(arguments)
    try:
        return COMMANDS[chosen.command](chosen)
    except BadConfig as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gamer-agent", description="Looks after the games of one machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    made = {name: commands.add_parser(name) for name in COMMANDS}
    for name in ("run", "call", "offer"):
        made[name].add_argument("--config", type=Path, required=True)
    for name in ("keep", "offer", "install", "progress"):
        made[name].add_argument("--folder", type=Path, required=True)
    made["call"].add_argument("--wait", type=float, default=0)
    made["keep"].add_argument("--grace", type=float, required=True)
    made["await-wolf"].add_argument("--socket", type=Path, required=True)
    made["await-wolf"].add_argument("--wait", type=float, required=True)
    made["progress"].add_argument("--seen", default="")
    made["progress"].add_argument("--wait", type=float, default=0)
    return parser.parse_args(arguments)


def _run(chosen: argparse.Namespace) -> int:
    from .running import run

    return run(load(chosen.config))


def _call(chosen: argparse.Namespace) -> int:
    from .call import NoAnswer, call

    config = load(chosen.config)
    try:
        request = json.loads(sys.stdin.read(MAX_REQUEST))
    except ValueError as error:
        raise BadConfig(f"a request is JSON: {error}") from error
    if not isinstance(request, dict):
        raise BadConfig("a request is a JSON object")
    try:
        json.dump(call(config, request, wait_s=chosen.wait), sys.stdout)
    except NoAnswer as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _keep(chosen: argparse.Namespace) -> int:
    from .keeper import keep

    return keep(chosen.folder, chosen.grace)


def _offer(chosen: argparse.Namespace) -> int:
    from .offering import offer

    return offer(load(chosen.config), chosen.folder)


def _install(chosen: argparse.Namespace) -> int:
    from .installer import install

    return install(chosen.folder)


def _progress(chosen: argparse.Namespace) -> int:
    from .installer import progress

    json.dump(progress(chosen.folder, seen=chosen.seen, wait_s=chosen.wait), sys.stdout)
    return 0


def _await_wolf(chosen: argparse.Namespace) -> int:
    from .wolf import await_wolf

    return 0 if await_wolf(chosen.socket, chosen.wait) else 1


COMMANDS = {
    "run": _run,
    "call": _call,
    "keep": _keep,
    "offer": _offer,
    "install": _install,
    "progress": _progress,
    "await-wolf": _await_wolf,
}
