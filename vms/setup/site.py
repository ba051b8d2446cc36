"""A machine as setup finds it: where its paths start, its Python, which steps are finished there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from vms.setup.ssh import CommandFailed, Shell, SshError

STEPS = "/var/lib/gamer/steps"

# A machine whose paths do not start at / (the tests' machines are folders) says by GAMER_AGENT_ROOT where they do.
_SURVEY = """import json, os, sys
root = os.environ.get("GAMER_AGENT_ROOT", "").rstrip("/")
steps = root + sys.argv[1]
finished = {name: open(os.path.join(steps, name)).read(100) for name in (os.listdir(steps) if os.path.isdir(steps) else [])}
print(json.dumps({"root": root, "python": sys.executable, "version": sys.version_info[:2], "finished": finished}))
"""
NOT_FOUND = 127


class Unfit(SshError):
    """The machine can never be set up. The text says why."""


@dataclass(frozen=True, slots=True)
class Site:
    """`python` is the path of its python3, `version` that one's. `finished` maps a step's name to the digest of what it did."""

    shell: Shell
    root: str
    python: str
    version: tuple[int, ...]
    finished: Mapping[str, str]

    def path(self, path: str) -> str:
        """An absolute path of the machine, as its commands must be told it."""
        return self.root + path

    @property
    def agent_program(self) -> str:
        return self.path("/opt/gamer/agent.pyz")

    @property
    def agent_config(self) -> str:
        return self.path("/etc/gamer/agent.json")


def survey(shell: Shell) -> Site:
    """Look once, in one round trip. Raises Unfit without python3, and what `Shell.run` raises."""
    result = shell.run(["python3", "-c", _SURVEY, STEPS])
    if result.exit_status == NOT_FOUND:
        raise Unfit("python3 is not installed")
    try:
        seen = json.loads(result.stdout)
        version = tuple(int(part) for part in seen["version"])
        return Site(shell, str(seen["root"]), str(seen["python"]), version, dict(seen["finished"]))
    except (ValueError, KeyError, TypeError) as error:
        tail = result.stderr[-200:].decode(errors="replace").strip()
        raise CommandFailed("python3", result.exit_status, tail) from error
