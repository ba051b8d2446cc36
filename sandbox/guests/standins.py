"""What a guest has instead of the programs that change a machine. Every call is noted in /var/log/calls.jsonl.

Runs inside guests: with namespaces as a program of its own (under many names), confined as a module.
Standard library only, no import of its neighbours. Every step of a set-up starts several of them, so little is loaded:
json, socket and pathlib take each as long as all the rest.
"""

from __future__ import annotations

import os
import sys
import time
from _json import encode_basestring_ascii as quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Execute = Callable[[list[str]], int]

CALLS = "/var/log/calls.jsonl"
BOOT_FINISHED = "/var/lib/cloud/instance/boot-finished"
GPU = "/etc/sandbox-gpu"
JOURNAL = "/var/log/journal"
WOLF_IMAGE = "ghcr.io/games-on-whales/wolf:"
# Where packages' files would be: /usr is the real machine's in some guests.
INSTALLED, FAKE_TIME = "/var/lib/sandbox", "libfaketime"
WOLF_PROGRAM = "wolf-stand-in"
WOLF_API = "/etc/sandbox-wolf"  # "A" or "B": which version is played
# What listens on port 47989 of a guest; the sandbox leads the port of its address here.
WOLF_HTTP = "/run/wolf/http.sock"

# With these systemctl has answered a question; with others it complains.
OUTPUT_STATUSES = (0, 1, 3, 4)


def _listed(words: list[str]) -> str:
    """As JSON."""
    return f"[{', '.join(map(quoted, words))}]"


def _note(argv: list[str]) -> None:
    os.makedirs(os.path.dirname(CALLS), exist_ok=True)
    with open(CALLS, "a", encoding="utf-8") as file:
        file.write(f'{{"argv": {_listed(argv)}, "user": {quoted(os.environ.get("USER", ""))}}}\n')


def ask_init(*request: str) -> int:
    """Asks the guest's first process, prints its answer, returns the exit status."""
    import socket

    here = os.getcwd()
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # By a relative name, which is short enough for a socket however long the real path is.
        os.chdir("/run")
        connection.connect("init.sock")
        connection.sendall(f"{_listed(list(request))}\n".encode())
        first, _, text = connection.makefile(encoding="utf-8").read().partition("\n")
        status = int(first or 1)
    except OSError as error:
        status, text = 1, f"no answer from process 1: {error.strerror}\n"
    finally:
        os.chdir(here)
        connection.close()
    (sys.stdout if status in OUTPUT_STATUSES else sys.stderr).write(text)
    return status


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _sudo(argv: list[str], execute: Execute) -> int:
    """Options are read over; what is left runs as root, or as -u says."""
    rest, user = argv[1:], "root"
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option == "--":
            break
        if option in ("-u", "--user") and rest:
            user = rest.pop(0)
        elif option.startswith("--user="):
            user = option.removeprefix("--user=")
        elif option in ("-g", "-h", "-p", "-C", "-T") and rest:
            rest.pop(0)
    while rest and "=" in rest[0]:
        name, value = rest.pop(0).split("=", 1)
        os.environ[name] = value
    if not rest:
        return 0
    os.environ.update(
        USER=user, LOGNAME=user, HOME="/root" if user == "root" else f"/home/{user}", SUDO_USER="user"
    )
    return execute(rest)


def _systemctl(argv: list[str], _execute: Execute) -> int:
    if verbs := {"poweroff", "halt", "reboot"} & set(argv[1:]):
        return _shutdown([verbs.pop()], _execute)
    return ask_init("systemctl", *argv[1:])


def _shutdown(argv: list[str], _execute: Execute) -> int:
    """`shutdown [now | +minutes | -c]`, poweroff, halt. A guest never comes back by itself: reboot is power-off too."""
    if "-c" in argv[1:]:
        return ask_init("poweroff", "never")
    name = os.path.basename(argv[0])
    when = next(
        (word for word in argv[1:] if not word.startswith("-")), "+1" if name == "shutdown" else "now"
    )
    try:
        after_s = 0.0 if when == "now" else float(when.removeprefix("+")) * 60
    except ValueError:
        sys.stderr.write(f"{name}: cannot read the time {when!r}\n")
        return 1
    return ask_init("poweroff", str(after_s))


def _systemd_run(argv: list[str], _execute: Execute) -> int:
    """A transient unit; one with a timer is only noted."""
    rest, unit, lines = argv[1:], f"run-{os.getpid()}", []
    while rest and rest[0].startswith("-"):
        name, _, value = rest.pop(0).partition("=")
        if name == "--":
            break
        if name.startswith("--on-"):
            return 0
        if name in ("-u", "-p", "-E") or (name in ("--unit", "--property", "--setenv") and not value):
            value = rest.pop(0) if rest else ""
        if name in ("--unit", "-u"):
            unit = value.removesuffix(".service")
        elif name in ("--property", "-p"):
            lines.append(value)
        elif name in ("--setenv", "-E"):
            lines.append(f'Environment="{value}"')
    if not rest:
        return 1
    os.makedirs("/run/systemd/transient", exist_ok=True)
    command = " ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in rest)
    text = "\n".join(["[Service]", *lines, f"ExecStart={command}", ""])
    _write(f"/run/systemd/transient/{unit}.service", text)
    ask_init("systemctl", "daemon-reload")
    return ask_init("systemctl", "start", unit)


def _journalctl(argv: list[str], _execute: Execute) -> int:
    for index, word in enumerate(argv):
        if word in ("-u", "--unit") and index + 1 < len(argv):
            unit = argv[index + 1].removesuffix(".service")
            path = f"{JOURNAL}/{unit}.service.log"
            sys.stdout.write(_read(path) if os.path.exists(path) else "")
    return 0


def _cloud_init(argv: list[str], _execute: Execute) -> int:
    """`cloud-init status [--wait]`."""
    if "--wait" in argv:
        while not os.path.exists(BOOT_FINISHED):
            time.sleep(0.05)
    sys.stdout.write("status: done\n" if os.path.exists(BOOT_FINISHED) else "status: running\n")
    return 0


def _id(argv: list[str], _execute: Execute) -> int:
    """Who the session says it is; all of a guest runs as one real user."""
    user = os.environ.get("USER", "root")
    number = 0 if user == "root" else 1000
    options = "".join(word[1:] for word in argv[1:] if word.startswith("-"))
    if "n" in options or os.path.basename(argv[0]) == "whoami":
        sys.stdout.write(f"{user}\n")
    elif "u" in options or "g" in options:
        sys.stdout.write(f"{number}\n")
    else:
        sys.stdout.write(f"uid={number}({user}) gid={number}({user}) groups={number}({user})\n")
    return 0


def _nvidia_smi(argv: list[str], _execute: Execute) -> int:
    name = _read(GPU).strip()
    memory_mib = int(name.split()[-1].removesuffix("GB")) * 1024 if name.endswith("GB") else 0
    query = next((word.partition("=")[2] for word in argv if word.startswith("--query-gpu=")), "")
    if not query:
        sys.stdout.write(f"NVIDIA-SMI 565.57.01   Driver Version: 565.57.01\n0  {name}  {memory_mib}MiB\n")
        return 0
    values = {
        "name": name,
        "memory.total": f"{memory_mib} MiB",
        "memory.used": "0 MiB",
        "driver_version": "565.57.01",
        "utilization.gpu": "0 %",
        "temperature.gpu": "35",
    }
    if "noheader" not in " ".join(argv):
        sys.stdout.write(query.replace(",", ", ") + "\n")
    row = ", ".join(values.get(field.strip(), "[N/A]") for field in query.split(","))
    sys.stdout.write(
        (row.replace(" MiB", "").replace(" %", "") if "nounits" in " ".join(argv) else row) + "\n"
    )
    return 0


def _apt_get(argv: list[str], _execute: Execute) -> int:
    """Nothing is installed; Docker's unit is there afterwards, for systemctl to restart, and the library of fake time, empty."""
    if "install" in argv and "docker.io" in argv:
        os.makedirs("/run/systemd/transient", exist_ok=True)
        unit = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=true\n"
        _write("/run/systemd/transient/docker.service", unit)
    if "install" in argv and FAKE_TIME in argv:
        os.makedirs(INSTALLED, exist_ok=True)
        _write(f"{INSTALLED}/{FAKE_TIME}MT.so.1", "")
    return 0


def _dpkg(argv: list[str], _execute: Execute) -> int:
    """`dpkg -L package`: the files of what was installed."""
    if argv[1:] == ["-L", FAKE_TIME] and os.path.isdir(INSTALLED):
        sys.stdout.write("".join(f"{INSTALLED}/{name}\n" for name in os.listdir(INSTALLED)))
        return 0
    return 1 if argv[1:2] == ["-L"] else 0


def _docker(argv: list[str], execute: Execute) -> int:
    """Wolf's image is played by its stand-in, in the foreground as it was started; everything else is only noted."""
    if argv[1:2] != ["run"] or not any(word.startswith(WOLF_IMAGE) for word in argv):
        return 0
    environ = dict(
        word.removeprefix("--env=").partition("=")[::2] for word in argv if word.startswith("--env=")
    )
    api = _read(WOLF_API).strip() if os.path.exists(WOLF_API) else "B"
    served = [
        "--socket",
        environ["WOLF_SOCKET_PATH"],
        "--http",
        WOLF_HTTP,
        "--state",
        "/etc/wolf",
        "--api",
        api,
    ]
    return execute([WOLF_PROGRAM, *served])


def _curl(argv: list[str], _execute: Execute) -> int:
    """Nothing is fetched; what should be written is there, empty (an archive as an empty archive)."""
    if "-o" in argv[:-1]:
        path = argv[argv.index("-o") + 1]
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        _write(path, "PK\x05\x06" + "\0" * 18 if path.endswith(".zip") else "")
    return 0


def _noted(_argv: list[str], _execute: Execute) -> int:
    return 0


PROGRAMS: dict[str, Callable[[list[str], Execute], int]] = {
    "sudo": _sudo,
    "systemctl": _systemctl,
    "systemd-run": _systemd_run,
    "journalctl": _journalctl,
    "cloud-init": _cloud_init,
    "id": _id,
    "whoami": _id,
    "apt-get": _apt_get,
    "dpkg": _dpkg,
    "docker": _docker,
    "curl": _curl,
    **dict.fromkeys(("shutdown", "poweroff", "halt", "reboot"), _shutdown),
    **dict.fromkeys(
        (
            *(
                "apt",
                "apt-key",
                "add-apt-repository",
                "snap",
                "rclone",
                "mountpoint",
                "loginctl",
            ),
            *("ufw", "iptables", "nft", "modprobe", "sysctl", "ip", "mount", "umount", "swapon", "mkfs"),
            *("useradd", "usermod", "groupadd", "passwd", "chpasswd", "chown", "chgrp", "udevadm"),
            *("hostnamectl", "timedatectl", "localectl", "ldconfig", "nvidia-ctk", "wget"),
        ),
        _noted,
    ),
}
WITH_GPU = {"nvidia-smi": _nvidia_smi}
_UNNOTED = ("id", "whoami", "nvidia-smi", "journalctl", "cloud-init")


def run(argv: list[str], execute: Execute) -> int:
    """Runs the stand-in that argv[0] names; returns its exit status."""
    name = os.path.basename(argv[0])
    if name not in _UNNOTED:
        _note([name, *argv[1:]])
    return {**PROGRAMS, **WITH_GPU}[name](argv, execute)


def _replace_process(argv: list[str]) -> int:
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - within the guest
    except OSError as error:
        sys.stderr.write(f"{argv[0]}: {error.strerror}\n")
    return 127


def main() -> None:
    sys.exit(run(sys.argv, _replace_process))
