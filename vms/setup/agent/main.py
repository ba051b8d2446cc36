"""`run` is the supervised service, `call` asks it; `keep` looks after one game and `offer` has Wolf offer one, both started by `run`.

`install` carries out the plan that makes the machine a console, `progress` tells how far it is; both need no running agent.

python3 agent.pyz run --config agent.json
echo '{"method": "GET", "path": "/state"}' | python3 agent.pyz call --config agent.json

Every question over SSH starts this program anew, so a command loads what it needs and nothing else.
"""

from __future__ import annotations

import json
import sys

from .files import BadConfig, read_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MAX_REQUEST = 512 * 1024
# The options that are numbers.
SECONDS = {"grace", "wait"}


class BadCommand(Exception):
    """The command line cannot be read."""


def main(arguments: list[str]) -> int:
    """The exit status: 0 asked to end, 1 the agent cannot work or does not answer, 2 command line, request or configuration is wrong."""
    try:
        command, options = _parsed(arguments)
        return command(**options)
    except (BadCommand, BadConfig) as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _parsed(arguments: list[str]) -> tuple[Callable[..., int], dict[str, Any]]:
    """The command and its options. Raises BadCommand. Not by argparse: to load that takes as long as a question does."""
    name, words = "".join(arguments[:1]), arguments[1:]
    if name not in COMMANDS:
        raise BadCommand(f"gamer-agent {' | '.join(COMMANDS)} --option value…")
    command, needed, known = COMMANDS[name]
    pairs = zip(words[::2], words[1::2])  # noqa: B905 - Python 3.8 knows no strictness
    options = {word[2:]: value for word, value in pairs if word.startswith("--")}
    if len(options) * 2 != len(words) or not needed <= options.keys() <= needed | known:
        raise BadCommand(f"gamer-agent {name}: --option value for {', '.join(sorted(needed | known))}")
    try:
        seconds = {option: float(options[option]) for option in SECONDS & options.keys()}
    except ValueError as error:
        raise BadCommand(f"gamer-agent {name}: {error}") from error
    return command, {**options, **seconds}


def _run(config: str) -> int:
    from pathlib import Path

    from .config import load
    from .running import run

    return run(load(Path(config)))


def _call(config: str, wait: float = 0) -> int:
    from .call import NoAnswer, call

    known = read_json(config)
    if known is None or not {"socket_path", "agent_token"} <= known.keys():
        raise BadConfig(f"{config} holds no configuration")
    try:
        request = json.loads(sys.stdin.read(MAX_REQUEST))
    except ValueError as error:
        raise BadConfig(f"a request is JSON: {error}") from error
    if not isinstance(request, dict):
        raise BadConfig("a request is a JSON object")
    try:
        answer = call(str(known["socket_path"]), str(known["agent_token"]), request, wait_s=wait)
        json.dump(answer, sys.stdout)
    except NoAnswer as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _keep(folder: str, grace: float) -> int:
    from pathlib import Path

    from .keeper import keep

    return keep(Path(folder), grace)


def _offer(config: str, folder: str) -> int:
    from pathlib import Path

    from .config import load
    from .offering import offer

    return offer(load(Path(config)), Path(folder))


def _install(folder: str) -> int:
    from pathlib import Path

    from .installer import install

    return install(Path(folder))


def _progress(folder: str, seen: str = "", wait: float = 0) -> int:
    from .progress import progress

    json.dump(progress(folder, seen=seen, wait_s=wait), sys.stdout)
    return 0


def _await_wolf(socket: str, wait: float) -> int:
    from pathlib import Path

    from .wolf import await_wolf

    return 0 if await_wolf(Path(socket), wait) else 1


# By name: what does it, the options it must be given, and those it may.
COMMANDS: dict[str, tuple[Callable[..., int], set[str], set[str]]] = {
    "run": (_run, {"config"}, set()),
    "call": (_call, {"config"}, {"wait"}),
    "keep": (_keep, {"folder", "grace"}, set()),
    "offer": (_offer, {"config", "folder"}, set()),
    "install": (_install, {"folder"}, set()),
    "progress": (_progress, {"folder"}, {"seen", "wait"}),
    "await-wolf": (_await_wolf, {"socket", "wait"}, set()),
}
