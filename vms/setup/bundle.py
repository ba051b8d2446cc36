"""The agent as one file to upload, its configuration, and its unit."""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from vms.setup.orders import Target

SOURCE = Path(__file__).with_name("agent")
UNIT = "gamer-agent.service"
MAIN = "import sys\n\nfrom gamer_agent.main import main\n\nsys.exit(main(sys.argv[1:]))\n"
# A fixed moment: the same sources give the same file on every machine of ours.
EPOCH = (2020, 1, 1, 0, 0, 0)
# Stands for the emulator until an order names one: does nothing, for 68 years.
PLACEHOLDER_GAME = ("sleep", "2147483647")


@cache
def sources() -> Mapping[str, bytes]:
    """The agent's files by their path in the archive."""
    files = {f"gamer_agent/{path.name}": path.read_bytes() for path in sorted(SOURCE.glob("*.py"))}
    return {"__main__.py": MAIN.encode(), **files}


@cache
def archive() -> bytes:
    """The agent as a zip archive that `python3 agent.pyz` runs."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in sources().items():
            packed.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def config(target: Target, root: str) -> bytes:
    """The agent's configuration (JSON), secret. `root` is where the machine's paths start, "" on a real one."""
    return json.dumps(
        {
            "vm_id": target.vm_id,
            "agent_token": target.agent_token,
            "public_url": target.public_url,
            "state_dir": f"{root}/var/lib/gamer/agent",
            "socket_path": f"{root}/run/gamer/agent.sock",
            "session_command": PLACEHOLDER_GAME,
        },
        sort_keys=True,
    ).encode()


def unit(python: str, program: str, config_path: str) -> bytes:
    """The systemd unit. KillMode=process: a restart of the agent leaves the game alone (systemd.kill(5))."""
    command = shlex.join([python, program, "run", "--config", config_path]).replace("%", "%%")
    return f"""[Unit]
Description=Looks after the games of this machine
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart={command}
Restart=always
RestartSec=1
KillMode=process

[Install]
WantedBy=multi-user.target
""".encode()


def digest(*parts: bytes) -> str:
    """A name for exactly these contents."""
    summed = hashlib.sha256()
    for part in parts:
        summed.update(hashlib.sha256(part).digest())
    return summed.hexdigest()
