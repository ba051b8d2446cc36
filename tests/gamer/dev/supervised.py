"""`python -m tests.gamer.dev.supervised NAME COMMAND [NAME COMMAND …]`: shell commands under our supervisor, until a signal."""

from __future__ import annotations

import sys

from gamer.dev.supervisor import Interrupted, Program, Supervisor
from gamer.env import ROOT

if __name__ == "__main__":
    names, commands = sys.argv[1::2], sys.argv[2::2]
    with Supervisor(cwd=ROOT, grace_s=60) as supervisor:
        for name, command in zip(names, commands, strict=True):
            supervisor.start(Program(name, ["sh", "-c", command]))
        try:
            supervisor.wait_until(lambda: False)
        except Interrupted:
            supervisor.say("stopping")
