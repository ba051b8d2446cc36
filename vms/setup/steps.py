"""What makes a bare Linux machine one that launches games, first part: folders, the agent, and proof that it answers."""

from __future__ import annotations

from vms.setup import agent_link, bundle
from vms.setup.orders import Target
from vms.setup.plan import Step
from vms.setup.site import STEPS, Site, Unfit

OLDEST_PYTHON = (3, 8)
# How long the machine itself waits for an agent that is only starting, before the next look is left to the caller.
AGENT_START_S = 5.0

_FOLDERS = """import os, sys
os.umask(0o022)
for path in sys.argv[2:]:
    os.makedirs(sys.argv[1] + path, exist_ok=True)
"""
FOLDERS = ("/opt/gamer", "/etc/gamer", "/etc/systemd/system", STEPS)


def first_plan(target: Target) -> list[Step]:
    """The steps for this target, in order."""
    sources = bundle.sources()
    agent = bundle.digest(*(name.encode() + content for name, content in sources.items()))
    content = bundle.digest(agent.encode(), bundle.config(target, ""), bundle.unit("", "", ""))
    return [
        Step(
            "base",
            "Folders and Python",
            _base,
            bundle.digest(_FOLDERS.encode(), *(path.encode() for path in FOLDERS)),
        ),
        Step("agent", "The agent", lambda site: _agent(site, target), content),
        Step("verify", "The agent answers", lambda site: _verify(site, target)),
    ]


def _base(site: Site) -> str:
    version = ".".join(str(part) for part in site.version)
    if site.version < OLDEST_PYTHON:
        raise Unfit(f"python3 is {version}; the agent needs 3.8 or later")
    site.shell.run([site.python, "-c", _FOLDERS, site.root, *FOLDERS], as_root=True, check=True)
    return f"Python {version}"


def _agent(site: Site, target: Target) -> str:
    unit = bundle.unit(site.python, site.agent_program, site.agent_config)
    put = site.shell.put
    put(site.agent_program, bundle.archive(), mode=0o644, as_root=True)
    put(site.agent_config, bundle.config(target, site.root), mode=0o600, as_root=True)
    put(site.path(f"/etc/systemd/system/{bundle.UNIT}"), unit, mode=0o644, as_root=True)
    log = ""
    # A restart, not a start: it may run already, older than these files. The game does not notice.
    for verb in (["daemon-reload"], ["enable", bundle.UNIT], ["restart", bundle.UNIT]):
        result = site.shell.run(["systemctl", *verb], as_root=True, check=True)
        log += (result.stdout + result.stderr).decode(errors="replace")
    return log


def _verify(site: Site, target: Target) -> str:
    try:
        state = agent_link.state(site, wait_s=AGENT_START_S)
    except agent_link.AgentSilent as error:
        raise agent_link.AgentSilent(f"{error}\n{_unit_status(site)}") from error
    if state.vm_id != target.vm_id:
        raise Unfit("the agent belongs to another VM")
    return f"agent {state.version}, up {state.uptime_s:.0f} s"


def _unit_status(site: Site) -> str:
    result = site.shell.run(["systemctl", "--no-pager", "status", bundle.UNIT], as_root=True)
    return result.stdout.decode(errors="replace")
