"""The verbs of systemctl, answered by the guest's first process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.guests.units import NoUnit, Unit, Units, is_yes

Reply = Callable[[int, str], None]
SSH = ("ssh", "ssh.service", "ssh.socket", "sshd", "sshd.service")


@dataclass
class Call:
    """A command line, read: `verb`, unit names, `options` with their values ("" where they have none)."""

    verb: str = ""
    names: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)
    properties: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, argv: list[str]) -> Call:
        call, rest = cls(), list(argv)
        while rest:
            word = rest.pop(0)
            if word in ("-p", "--property", "-P") and rest:
                call.properties += rest.pop(0).split(",")
                if word == "-P":
                    call.options["--value"] = ""
            elif word.startswith("--property="):
                call.properties += word.removeprefix("--property=").split(",")
            elif word.startswith("-"):
                name, _, value = word.partition("=")
                call.options[name] = value
            elif not call.verb:
                call.verb = word
            else:
                call.names.append(word)
        return call


def answer(units: Units, argv: list[str], now: float, reply: Reply, restart_ssh: Callable[[], None]) -> None:
    """Carries the call out and replies with exit status and output, at once or when a stop has ended.

    sshd is the sandbox's own: it always runs, and is only ever restarted.
    """
    call = Call.read(argv)
    if names_ssh := [name for name in call.names if name in SSH]:
        if "restart" in call.verb or "reload" in call.verb:
            restart_ssh()
        call.names = [name for name in call.names if name not in SSH]
        if not call.names:
            reply(0, "active\n" * len(names_ssh) if call.verb == "is-active" else "")
            return
    try:
        found = [units.unit(name) for name in call.names]
    except NoUnit as missing:
        is_query = call.verb in ("is-active", "is-enabled", "is-failed")
        text = "inactive\n" if is_query else f"Unit {missing} not found.\n"
        reply(4 if is_query else 5, text)
        return
    match call.verb:
        case "daemon-reload" | "daemon-reexec":
            units.reload()
            reply(0, "")
        case "start":
            _start(units, found, now, reply)
        case "stop":
            _stop(units, found, now, reply)
        case "restart" | "reload-or-restart" | "try-restart":
            _stop(units, found, now, lambda _status, _text: _start(units, found, now, reply))
        case "enable":
            for unit in found:
                units.enable(unit)
            _start(units, found if "--now" in call.options else [], now, reply)
        case "disable":
            for unit in found:
                units.disable(unit)
            _stop(units, found if "--now" in call.options else [], now, reply)
        case "reset-failed":
            for unit in found or units.all():
                unit.state = "inactive" if unit.state == "failed" else unit.state
            reply(0, "")
        case _:
            _ask(units, call, found, reply)


def _start(units: Units, found: list[Unit], now: float, reply: Reply) -> None:
    for unit in found:
        units.start(unit, now)
    failed = [unit for unit in found if unit.state == "failed"]
    text = "".join(f"Job for {unit.name} failed.\n" for unit in failed)
    running = [unit for unit in found if unit.is_oneshot and unit.pid]
    if not running:
        reply(5 if failed else 0, text)
        return
    left = len(running)

    def one_ended() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            reply(5 if any(unit.state == "failed" for unit in found) else 0, text)

    for unit in running:
        unit.waiting.append(one_ended)


def _stop(units: Units, found: list[Unit], now: float, reply: Reply) -> None:
    left = len(found)
    if not left:
        reply(0, "")
        return

    def one_ended() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            reply(0, "")

    for unit in found:
        units.stop(unit, now, one_ended)


def _ask(units: Units, call: Call, found: list[Unit], reply: Reply) -> None:
    match call.verb:
        case "is-active":
            is_active = all(unit.state == "active" for unit in found)
            reply(0 if is_active else 3, "".join(f"{unit.state}\n" for unit in found))
        case "is-failed":
            has_failed = any(unit.state == "failed" for unit in found)
            reply(0 if has_failed else 1, "".join(f"{unit.state}\n" for unit in found))
        case "is-enabled":
            are = [units.is_enabled(unit) for unit in found]
            reply(0 if all(are) else 1, "".join("enabled\n" if each else "disabled\n" for each in are))
        case "is-system-running":
            reply(0, "running\n")
        case "status":
            reply(0 if all(unit.state == "active" for unit in found) else 3, "".join(map(_status, found)))
        case "show":
            reply(0, "\n".join(_shown(unit, call) for unit in found))
        case "list-units" | "":
            reply(0, "".join(f"{unit.name} loaded {unit.state}\n" for unit in units.all()))
        case _:
            reply(2, f"Unknown command verb {json.dumps(call.verb)}, in a guest of the sandbox.\n")


def _status(unit: Unit) -> str:
    lines = [f"{unit.name} - {unit.last('Description', unit.name)}", f"   Active: {unit.state}"]
    if unit.pid:
        lines.append(f" Main PID: {unit.pid}")
    return "\n".join(lines) + "\n"


def _shown(unit: Unit, call: Call) -> str:
    values = {
        "Id": unit.name,
        "LoadState": "loaded",
        "ActiveState": unit.state,
        "SubState": "running" if unit.pid else "dead",
        "MainPID": str(unit.pid),
        "NRestarts": str(unit.restarts),
        "ExecMainStatus": str(unit.status),
        "Result": "exit-code" if unit.state == "failed" else "success",
        "RemainAfterExit": "yes" if is_yes(unit.last("RemainAfterExit")) else "no",
    }
    wanted = call.properties or list(values)
    if "--value" in call.options:
        return "".join(f"{values.get(name, '')}\n" for name in wanted)
    return "".join(f"{name}={values.get(name, '')}\n" for name in wanted)
