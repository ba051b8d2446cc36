"""A player before Moonlight: what they do reaches the Wolf of their machine; and a look at what happened."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from typing import Any

from events.models import Event
from vms.models import VM
from vms.reconcile.outcome import Subject
from vms.reconcile.steps.setup import target_of
from vms.setup import agent_link, connect
from vms.setup.ssh import Shell

# What a player's Moonlight does, asked of the machine's own Wolf.
PLAYER = """import http.client, json, socket, sys
act, body = sys.argv[1], sys.argv[2].encode()
sock = socket.socket(socket.AF_UNIX)
sock.connect("/run/wolf/wolf.sock")
sock.sendall(b"POST /api/v1/stand-in/%s HTTP/1.0\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (act.encode(), len(body), body))
answer = http.client.HTTPResponse(sock)
answer.begin()
sys.stdout.write(answer.read().decode())
"""
# What Wolf's menu holds, a title a line.
APPS = """import http.client, json, socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect("/run/wolf/wolf.sock")
sock.sendall(b"GET /api/v1/apps HTTP/1.0\\r\\n\\r\\n")
answer = http.client.HTTPResponse(sock)
answer.begin()
sys.stdout.write("\\n".join(one["title"] for one in json.loads(answer.read())["apps"]))
"""


def shell_of(vm: VM) -> AbstractContextManager[Shell]:
    vm.refresh_from_db()
    target = target_of(Subject(vm, vm.attempt, [], []))
    return connect(target.address, target.private_key, target.host_public_key)


def on_machine(vm: VM, *argv: str) -> bytes:
    with shell_of(vm) as shell:
        return shell.run(argv, as_root=True, check=True, timeout_s=60).stdout


def packed(vm: VM) -> int:
    """How many versions wait on the machine, once its agent has packed what games wrote: by itself it looks twice a minute."""
    with shell_of(vm) as shell:
        told = agent_link.ask(shell, "POST", "/saves/flush", {}, timeout_s=60)
    return sum(len(slot["pending"]) for slot in told["saves"])


def is_playing(vm: VM) -> bool | None:
    """What the machine's agent has heard of from Wolf by now."""
    with shell_of(vm) as shell:
        return agent_link.state(shell).is_playing


def moonlight(vm: VM, act: str, **body: Any) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(on_machine(vm, "python3", "-c", PLAYER, act, json.dumps(body)))
    return answer


def events(vm: VM) -> list[str]:
    return [one.action for one in Event.objects.about("vms", vm.pk).order_by("id")]
