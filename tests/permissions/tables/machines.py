"""VMs and what happens on them; saves; agents' doors."""

from __future__ import annotations

from tests.emulators.saving import packed
from tests.permissions.rows import (
    EVERYBODY,
    LAUNCHERS,
    READ_HER_OWN,
    READ_HERS,
    READERS,
    WRITE_HER_OWN,
    WRITE_HERS,
    Audience,
    Row,
)
from tests.permissions.scene import CALLERS, Scene


def vm(scene: Scene) -> dict[str, str]:
    return {"vm_id": str(scene.vm.pk)}


def stopped(scene: Scene) -> dict[str, str]:
    return {"vm_id": str(scene.stopped.pk)}


def failed(scene: Scene) -> dict[str, str]:
    return {"vm_id": str(scene.failed.pk)}


def session(scene: Scene) -> dict[str, str]:
    return {"session_id": str(scene.session.pk)}


def save(scene: Scene) -> dict[str, str]:
    return {"slot_id": str(scene.save.pk)}


def version(scene: Scene) -> dict[str, str]:
    return {**save(scene), "number": "1"}


# A slot is a player's, and a key of staff's that says no player's name has none to make it for.
WITHOUT_A_NAME = dict.fromkeys(("key:launch", "key:admin"), 400)

# No person and no key is a VM's agent: its token is none of theirs.
AGENTS = Audience("")
NO_AGENT = dict.fromkeys(CALLERS, 401)

ROWS = (
    Row("GET", "vms", READERS),
    Row("POST", "vms", LAUNCHERS, 201, body=lambda s: {"console_type": "snes"}),
    Row("GET", "vm", READ_HERS, path=vm),
    Row("PATCH", "vm", WRITE_HERS, path=vm, body=lambda s: {"name": "Evening"}),
    Row("DELETE", "vm", WRITE_HERS, 202, path=vm),
    *(
        Row("GET", f"vm-{part}", READ_HERS, path=vm)
        for part in ("status", "connection", "events", "attempts", "steps", "sessions")
    ),
    *(
        Row("GET", f"vm-{part}", READ_HERS, path=vm)
        for part in ("metrics", "metrics-summary", "metrics-trends")
    ),
    # The memory cloud's machines answer to nobody's question, and so the right ones hear that they are away.
    Row("GET", "vm-pairing", READ_HERS, 503, path=vm),
    Row("POST", "vm-pairing", WRITE_HERS, 503, path=vm, body=lambda s: {"request_id": "1", "pin": "1234"}),
    *(Row(method, "vm-start", WRITE_HERS, 202, path=stopped) for method in ("POST", "PUT")),
    *(Row(method, "vm-stop", WRITE_HERS, 202, path=vm) for method in ("POST", "PUT")),
    Row("POST", "vm-retry", WRITE_HERS, 202, path=failed),
    Row("POST", "vm-move", WRITE_HERS, 202, path=vm, body=lambda s: {}),
    Row("POST", "vm-extend", WRITE_HERS, 202, path=vm),
    Row("GET", "session", READ_HERS, path=session),
    Row("DELETE", "session", WRITE_HERS, 202, path=session),
    Row(
        "POST", "launch-game", LAUNCHERS, 201, body=lambda s: {"console_type": "snes", "game_id": "zelda"}
    ),
    Row("POST", "launch-on-vm", WRITE_HERS, 202, path=vm, body=lambda s: {"game_id": "zelda"}),
    Row("GET", "saves", READERS),
    Row(
        "POST", "saves", LAUNCHERS, 201, odd=WITHOUT_A_NAME,
        body=lambda s: {"console_type": "snes", "game_id": "zelda", "save_id": "third"},
    ),
    Row("GET", "save", READ_HER_OWN, path=save),
    Row("PATCH", "save", WRITE_HER_OWN, path=save, body=lambda s: {"save_id": "third"}),
    Row("DELETE", "save", WRITE_HER_OWN, 204, path=save),
    Row("GET", "save-versions", READ_HER_OWN, path=save),
    Row("POST", "save-versions", WRITE_HER_OWN, 201, path=save, body=lambda s: packed({"a": b"1"})),
    Row("GET", "save-download", READ_HER_OWN, path=version),
    Row("POST", "save-restore", WRITE_HER_OWN, 201, path=version),
    # Who knows what setup left on the machine is its agent, whoever sends it.
    Row(
        "POST", "agent-register", EVERYBODY,
        body=lambda s: {"vm_id": str(s.vm.pk), "bootstrap_token": s.vm.agent_bootstrap.reveal()},
    ),
    Row("GET", "agent-manifest", AGENTS, odd=NO_AGENT),
    Row("POST", "agent-heartbeat", AGENTS, odd=NO_AGENT, body=lambda s: {}),
    Row("PUT", "agent-saves", AGENTS, odd=NO_AGENT, body=lambda s: packed({"a": b"1"})),
    Row("POST", "agent-session-events", AGENTS, odd=NO_AGENT, path=session, body=lambda s: {}),
)  # fmt: skip
