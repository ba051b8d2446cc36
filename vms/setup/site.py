"""A machine as setup finds it: where its paths start, its Python, which steps are finished there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vms.setup.ssh import Shell

STEPS = "/var/lib/gamer/steps"

# Sandbox guests that run without a mount namespace say by GAMER_AGENT_ROOT where their paths start; real machines say nothing.
_SURVEY = """root=${GAMER_AGENT_ROOT:-}
echo "root $root"
echo "python $(command -v python3)"
cd "$root$1" 2>/dev/null || exit 0
for step in *; do
    [ -f "$step" ] && echo "step $step $(cat "$step")"
done
exit 0
"""


@dataclass(frozen=True, slots=True)
class Site:
    """`finished` maps a step's name to the digest of what it did. `python` is "" where there is none."""

    shell: Shell
    root: str
    python: str
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
    """Look once, in one round trip. Raises what `Shell.run` raises."""
    answer = shell.run(["sh", "-c", _SURVEY, "survey", STEPS], check=True).stdout.decode(errors="replace")
    root = python = ""
    finished: dict[str, str] = {}
    for line in answer.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "root":
            root = rest.rstrip("/")
        elif kind == "python":
            python = rest
        elif kind == "step":
            name, _, digest = rest.partition(" ")
            finished[name] = digest
    return Site(shell, root, python, finished)
