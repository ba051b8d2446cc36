"""Reconciler and worker as the processes they are, killed without warning and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field

from gamer.env import ROOT
from tests.gamer.queue.cluster import own_url
from tests.waiting import eventually

COMMANDS = {"reconciler": "reconciler", "worker": "qworker"}


@dataclass
class Processes:
    """By name; `extra` is added to the environment of one that is started."""

    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, **extra: str) -> None:
        environment = {
            **os.environ,
            "DATABASE_URL": own_url(),
            "DJANGO_SETTINGS_MODULE": "tests.journeys.hasty_settings",
            "GAMER_PROCESS": name,
            **extra,
        }
        command = [sys.executable, "manage.py", COMMANDS[name]]
        self.running[name] = subprocess.Popen(
            command, cwd=ROOT, env=environment, start_new_session=True, stdout=subprocess.DEVNULL
        )

    def has_died(self, name: str) -> bool:
        return self.running[name].poll() is not None

    def kill(self, name: str) -> None:
        """SIGKILL to the main process alone; what it leaves behind must end by itself."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            eventually(lambda process=process: process.poll() is not None, timeout_s=60)
