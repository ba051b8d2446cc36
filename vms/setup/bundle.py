"""The agent as one file to upload, its configuration, and its unit."""

from __future__ import annotations

import importlib.util
import io
import json
import marshal
import shlex
import zipfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from vms.setup.orders import Target
from vms.setup.plan import digest
from vms.setup.site import AGENT_STATE, ALONE, PROGRAM

SOURCE = Path(__file__).with_name("agent")
UNIT, SETUP_UNIT = "gamer-agent.service", "gamer-setup.service"
# Where Wolf's socket is: as our own driver starts it, then as CloudyPad does.
WOLF_SOCKETS = ("/run/wolf/wolf.sock", "/tmp/sockets/wolf.sock")  # noqa: S108 - CloudyPad's choice
DEAD_MAN_S = 1800
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
    """The agent as a zip archive that `python3 agent.pyz` runs.

    It never compiles what it finds in there for good, so beside each source lies what our Python makes of it. A machine's Python of
    another version passes that over (zipimport).
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in sources().items():
            for inner, packed_as in ((content, name), (_compiled(name, content), f"{name}c")):
                packed.writestr(zipfile.ZipInfo(packed_as, EPOCH), inner, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _compiled(name: str, content: bytes) -> bytes:
    """A .pyc that is not held against its source (PEP 552). marshal's format 2: later ones differ with what else is in memory."""
    code = compile(content, f"{PROGRAM}/{name}", "exec", dont_inherit=True)
    head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(content)
    return head + marshal.dumps(code, 2)


def config(target: Target, root: str) -> bytes:
    """The agent's configuration (JSON), secret. `root` is where the machine's paths start, "" on a real one."""
    return json.dumps(
        {
            "vm_id": target.vm_id,
            "agent_token": target.agent_token,
            "public_url": target.public_url,
            "state_dir": root + AGENT_STATE,
            "socket_path": f"{root}/run/gamer/agent.sock",
            "session_command": PLACEHOLDER_GAME,
            "root": root,
            "wolf_sockets": [root + path for path in WOLF_SOCKETS],
            "dead_man_s": DEAD_MAN_S,
        },
        sort_keys=True,
    ).encode()


def unit(python: str, program: str, config_path: str) -> bytes:
    """The systemd unit. KillMode=process: a restart of the agent leaves the game alone (systemd.kill(5))."""
    command = exec_line([python, ALONE, program, "run", "--config", config_path])
    return f"""# {sources_digest()}
[Unit]
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


def setup_unit(python: str, program: str, folder: str) -> bytes:
    """The installer's unit: killed, it is started again; with it end the commands it had begun."""
    command = exec_line([python, ALONE, program, "install", "--folder", folder])
    return f"""[Unit]
Description=Makes this machine a console
StartLimitIntervalSec=0

[Service]
ExecStart={command}
Restart=on-failure
RestartSec=1
""".encode()


def exec_line(argv: Sequence[str]) -> str:
    """A command as a unit's ExecStart reads it (systemd.service(5)). Its words may hold neither $ nor a line's end."""
    return shlex.join(argv).replace("%", "%%")


@cache
def sources_digest() -> str:
    """Names exactly this agent."""
    return digest(*(name.encode() + content for name, content in sources().items()))
