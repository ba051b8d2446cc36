"""A machine as setup finds it: where its paths start, its Python and its system."""

from __future__ import annotations

from dataclasses import dataclass

from redaction.masks import legible
from vms.setup import heard
from vms.setup.ssh import CommandFailed, Shell, SshError

PROGRAM, AGENT_STATE = "/opt/gamer/agent.pyz", "/var/lib/gamer/agent"
CONFIG = "/etc/gamer/agent.json"
# For a machine's Python: all that runs there needs the standard library alone, and starts sooner where nothing else is looked for.
ALONE = "-IS"

# A machine whose paths do not start at / (the tests' machines are folders) says by this variable where they do.
ROOT = "GAMER_AGENT_ROOT"

_SURVEY = """import json, os, shutil, sys
root = os.environ.get("GAMER_AGENT_ROOT", "").rstrip("/")
release = {}
if os.path.exists(root + "/etc/os-release"):
    for line in open(root + "/etc/os-release", errors="replace"):
        name, _, value = line.strip().partition("=")
        release[name] = value.strip('"')
print(json.dumps({
    "root": root, "python": sys.executable, "version": sys.version_info[:2],
    "system": "%s %s" % (release.get("ID", ""), release.get("VERSION_ID", "")), "has_driver": shutil.which("nvidia-smi") is not None,
}))
"""
NOT_FOUND = 127


class Unfit(SshError):
    """The machine can never be set up. The text says why."""


@dataclass(frozen=True, slots=True)
class Site:
    """`python` is the path of its python3, `version` that one's. `system` is like `ubuntu 24.04`, as os-release(5) says.

    `has_driver`: NVIDIA's driver is installed.
    """

    shell: Shell
    root: str
    python: str
    version: tuple[int, ...]
    system: str = ""
    has_driver: bool = False

    def path(self, path: str) -> str:
        """An absolute path of the machine, as its commands must be told it."""
        return self.root + path

    @property
    def agent_program(self) -> str:
        return self.path(PROGRAM)

    def arrived(self, digest: str) -> str:
        """Where the agent looks for a version of saves that is brought to the machine."""
        return self.path(f"{AGENT_STATE}/saves/incoming/{digest}.tgz")

    @property
    def agent_config(self) -> str:
        return self.path(CONFIG)


def survey(shell: Shell) -> Site:
    """Look once, in one round trip. Raises Unfit without python3, and what `Shell.run` raises."""
    result = shell.run(["python3", ALONE, "-c", _SURVEY])
    if result.exit_status == NOT_FOUND:
        raise Unfit("python3 is not installed")
    try:
        seen = heard.read(result.stdout)
        version = tuple(int(part) for part in seen["version"])
        return Site(
            shell,
            str(seen["root"]),
            str(seen["python"]),
            version,
            str(seen["system"]),
            bool(seen["has_driver"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        tail = legible(result.stderr[-200:].decode(errors="replace")).strip()
        raise CommandFailed("python3", result.exit_status, tail) from error
