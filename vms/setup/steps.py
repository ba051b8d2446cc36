"""What makes a bare Linux machine one that launches games, first part: folders, the agent, and proof that it answers."""

from __future__ import annotations

from vms.setup import agent_link, bundle
from vms.setup.orders import Target
from vms.setup.plan import Impossible, Step
from vms.setup.site import STEPS, Site

OLDEST_PYTHON = (3, 8)
# How long the machine itself waits for an agent that is only starting, before the next look is left to the caller.
AGENT_START_S = 5.0

_FOLDERS = """set -eu
umask 022
mkdir -p "$1/opt/gamer" "$1/etc/gamer" "$1/etc/systemd/system" "$1$2"
umask 077
mkdir -p "$1/var/lib/gamer/agent" "$1/run/gamer"
"""


def first_plan(target: Target) -> list[Step]:
    """The steps for this target, in order."""
    sources = bundle.sources()
    agent = bundle.digest(*(name.encode() + content for name, content in sources.items()))
    content = bundle.digest(agent.encode(), bundle.config(target, ""), bundle.unit("", "", ""))
    return [
        Step("base", "Folders and Python", _base, bundle.digest(_FOLDERS.encode())),
        Step("agent", "The agent", lambda site: _agent(site, target), content),
        Step("verify", "The agent answers", lambda site: _verify(site, target)),
    ]


def _base(site: Site) -> str:
    if not site.python:
        raise Impossible("python3 is not installed")
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    version = site.shell.run([site.python, "-c", ask], check=True).stdout.decode().strip()
    if tuple(int(part) for part in version.split(".")) < OLDEST_PYTHON:
        raise Impossible(f"python3 is {version}; the agent needs 3.8 or later")
    site.shell.run(["sh", "-c", _FOLDERS, "base", site.root, STEPS], as_root=True, check=True)
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
        raise Impossible("the agent belongs to another VM")
    return f"agent {state.version}, up {state.uptime_s:.0f} s"


def _unit_status(site: Site) -> str:
    result = site.shell.run(["systemctl", "--no-pager", "status", bundle.UNIT], as_root=True)
    return result.stdout.decode(errors="replace")
