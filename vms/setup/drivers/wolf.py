"""Wolf by our own hands: Docker, NVIDIA's runtime where there is a GPU, Wolf under systemd, the library, the agent.

What is configured of Wolf is its environment; apps are added through its API at each launch (`agent/offering.py`), because its
configuration file is its own: rewritten at every pairing, migrated at every version (games-on-whales/wolf #246, #299).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from vms.setup import bundle, installing
from vms.setup.drivers.base import Driver
from vms.setup.orders import Progress, Target
from vms.setup.plan import SLOW_S, File, Step
from vms.setup.site import ALONE, Site

WOLF_IMAGE = "ghcr.io/games-on-whales/wolf:stable"
WOLF_UNIT, GAMES_UNIT = "gamer-wolf.service", "gamer-games.service"
WOLF_STATE, WOLF_RUN = "/etc/wolf", "/run/wolf"
WOLF_START_S = 60
SILENCE_S = 10  # of a library that is asked; rclone's own patience is five minutes, several times over
FRESH_S = 20  # how long a listing is believed: a game just uploaded is asked for within minutes
CACHE = "20G"  # of the smallest disk, 50 GB, what system and images leave; what a game has open stays, and an hour is what any is kept
SRV, GAMES, SAVES, TOOLS = "/srv/gamer", "/srv/gamer/games", "/srv/gamer/saves", "/srv/gamer/tools"
RCLONE_CONFIG, LIBRARY_HOSTS = "/etc/gamer/rclone.conf", "/etc/gamer/library_known_hosts"
PLAYER = "1000:1000"  # whom Wolf runs apps as
CORES = "https://buildbot.libretro.com/nightly/linux/x86_64/latest"
PADS = "https://buildbot.libretro.com/assets/frontend/autoconfig.zip"
NVIDIA = "https://nvidia.github.io/libnvidia-container"

# The lock is held for minutes after the first boot by unattended-upgrades.
APT = ("apt-get", "-o", "DPkg::Lock::Timeout=600", "--assume-yes", "--no-install-recommends")
# An installer that was killed in the middle of apt leaves packages half set up, and apt refuses everything until this was run.
# It does not wait for the lock as apt does, so it may fail where nothing is broken: what is, apt says afterwards.
MEND = ("sh", "-c", "dpkg --configure -a || true")
PACKAGES, MOUNTING = ("ca-certificates", "curl"), ("rclone", "fuse3")
DRIVER = (
    "nvidia-headless-570-server",
    "nvidia-utils-570-server",
    "libnvidia-gl-570-server",
    "libnvidia-encode-570-server",
)
INPUT_RULES = b"""KERNEL=="uinput", SUBSYSTEM=="misc", MODE="0660", GROUP="input", OPTIONS+="static_node=uinput"
KERNEL=="uhid", GROUP="input", MODE="0660"
"""
FOLDERS = ("mkdir", "-p")


# The one with threads, as emulators have them.
CLOCK_PACKAGE, CLOCK_LIBRARY = "libfaketime", "libfaketimeMT.so.1"
_COPY_LIBRARY = """import os, shutil, subprocess, sys
package, library, folder = sys.argv[1:]
listed = subprocess.run(["dpkg", "-L", package], stdout=subprocess.PIPE, check=True).stdout.decode().split("\\n")
found = [path for path in listed if path.endswith("/" + library)]
if not found:
    sys.exit("the package %s has no %s" % (package, library))
os.makedirs(folder, exist_ok=True)
shutil.copy(found[0], folder)
"""


class WolfDriver(Driver):
    name: ClassVar[str] = "wolf"

    def look(self, site: Site, target: Target, *, seen: str = "", wait_s: float = 0) -> Progress:
        return installing.look(site, steps(site, target), target.secrets, seen=seen, wait_s=wait_s)

    def begin(self, site: Site, target: Target) -> None:
        installing.begin(site, steps(site, target))


class ConfiguredDriver(Driver):
    """For machines that arrive with Wolf, because the provider's own tool has put it there: only what is ours is added."""

    name: ClassVar[str] = "configured"

    def look(self, site: Site, target: Target, *, seen: str = "", wait_s: float = 0) -> Progress:
        return installing.look(site, around(site, target), target.secrets, seen=seen, wait_s=wait_s)

    def begin(self, site: Site, target: Target) -> None:
        installing.begin(site, around(site, target))


def steps(site: Site, target: Target) -> list[Step]:
    """Everything, in order."""
    return [base(site), stack(site, target), wolf(site, target), *around(site, target)]


def around(site: Site, target: Target) -> list[Step]:
    """What every console has, whoever installed Wolf."""
    given: list[Step] = []
    if target.library is not None:
        given = [library(site, target), *(program(site, target, name) for name in target.programs)]
    return [
        *(emulators(site, target), *given, saves(site), clock(site)),
        *(monitor(site, target), agent(site, target)),
    ]


def _installed(*packages: str) -> list[Sequence[str]]:
    """The commands after which these packages are there."""
    return [MEND, [*APT, "update"], [*APT, "install", *packages]]


def base(site: Site) -> Step:
    return Step(
        "base",
        "Base system",
        [
            *_installed(*PACKAGES),
            ["modprobe", "uinput"],
            ["udevadm", "control", "--reload"],
        ],
        [
            File(site.path("/etc/modules-load.d/gamer.conf"), b"uinput\nuhid\n", 0o644),
            File(site.path("/etc/udev/rules.d/85-gamer-inputs.rules"), INPUT_RULES, 0o644),
        ],
        timeout_s=SLOW_S,
    )


def stack(site: Site, target: Target) -> Step:
    """Docker; with a GPU NVIDIA's driver, unless the image brings one, and its runtime."""
    commands: list[Sequence[str]] = [[*APT, "install", "docker.io"]]
    files: list[File] = []
    if target.has_gpu:
        key = site.path("/etc/apt/keyrings/nvidia-container-toolkit.asc")
        source = f"deb [signed-by={key}] {NVIDIA}/stable/deb/amd64 /\n"
        files = [
            File(site.path("/etc/apt/sources.list.d/nvidia-container-toolkit.list"), source.encode(), 0o644),
            File(site.path("/etc/modprobe.d/gamer-nvidia.conf"), b"options nvidia-drm modeset=1\n", 0o644),
        ]
        install_driver = " ".join([*APT, "install", *DRIVER])
        commands = [
            [*FOLDERS, site.path("/etc/apt/keyrings")],
            ["curl", "-fsSL", "--retry", "3", "-o", key, f"{NVIDIA}/gpgkey"],
            [*APT, "update"],
            ["sh", "-c", f"command -v nvidia-smi >/dev/null || {install_driver}"],
            *commands,
            [*APT, "install", "nvidia-container-toolkit"],
            ["nvidia-ctk", "runtime", "configure", "--runtime=docker"],
            ["nvidia-smi"],
        ]
    commands = [MEND, *commands, ["systemctl", "restart", "docker"], ["docker", "info"]]
    return Step("stack", "Containers", commands, files, timeout_s=SLOW_S)


def wolf(site: Site, target: Target) -> Step:
    unit = site.path(f"/etc/systemd/system/{WOLF_UNIT}")
    socket = site.path(f"{WOLF_RUN}/wolf.sock")
    return Step(
        "wolf",
        "Wolf",
        [
            [*FOLDERS, *map(site.path, (WOLF_STATE, WOLF_RUN))],
            ["docker", "pull", WOLF_IMAGE],
            ["systemctl", "daemon-reload"],
            ["systemctl", "enable", WOLF_UNIT],
            ["systemctl", "restart", WOLF_UNIT],
            [
                site.python,
                ALONE,
                site.agent_program,
                "await-wolf",
                "--socket",
                socket,
                "--wait",
                str(WOLF_START_S),
            ],
        ],
        [File(unit, wolf_unit(site, target), 0o644)],
        timeout_s=SLOW_S,
    )


def wolf_unit(site: Site, target: Target) -> bytes:
    """Wolf on the host's network, as its own quickstart runs it."""
    volumes = {
        WOLF_STATE: "rw",
        WOLF_RUN: "rw",
        "/var/run/docker.sock": "rw",
        "/dev": "rw",
        "/run/udev": "rw",
    }
    environ = {
        "WOLF_SOCKET_PATH": site.path(f"{WOLF_RUN}/wolf.sock"),
        "HOST_APPS_STATE_FOLDER": site.path(WOLF_STATE),
        "XDG_RUNTIME_DIR": site.path(WOLF_RUN),
    }
    gpu = ["--gpus=all"] if target.has_gpu else []
    if target.has_gpu:
        environ |= {"NVIDIA_DRIVER_CAPABILITIES": "all", "NVIDIA_VISIBLE_DEVICES": "all"}
    argv = ["docker", "run", "--rm", "--name=wolf", "--network=host", "--device-cgroup-rule=c 13:* rmw", *gpu]
    argv += [f"--device={device}" for device in ("/dev/dri", "/dev/uinput", "/dev/uhid")]
    argv += [f"--volume={site.path(path)}:{site.path(path)}:{mode}" for path, mode in volumes.items()]
    argv += [f"--env={name}={value}" for name, value in environ.items()]
    return f"""[Unit]
Description=Wolf, which streams the games of this machine
Wants=network-online.target
After=network-online.target docker.service
StartLimitIntervalSec=0

[Service]
ExecStartPre=-docker rm --force wolf
ExecStart={bundle.exec_line([*argv, WOLF_IMAGE])}
ExecStop=-docker stop wolf
Restart=always
RestartSec=2

[Install]
WantedBy=multi-user.target
""".encode()


def emulators(site: Site, target: Target) -> Step:
    """Images and cores: a game whose image is not there shows nothing for minutes, and one without its core never anything.

    With cores comes what RetroArch knows gamepads by. Its image fetches that in a script that a game's own takes the place of.
    """
    tools = site.path(TOOLS)
    cores = [
        one for core in target.cores for one in _unpacked(site, f"{CORES}/{core}_libretro.so.zip", tools)
    ]
    if cores:
        cores += _unpacked(site, PADS, f"{tools}/autoconfig")
    update, install = " ".join([*APT, "update"]), " ".join([*APT, "install", *PACKAGES])
    return Step(
        "emulators",
        "Emulators",
        [
            MEND,
            # A machine that somebody else made a console has Docker, but need not have this.
            ["sh", "-c", f"command -v curl >/dev/null || ({update} && {install})"],
            [*FOLDERS, *map(site.path, (TOOLS, f"{SRV}/roms", f"{SRV}/apps"))],
            *(["docker", "pull", image] for image in target.images),
            *cores,
        ],
        timeout_s=SLOW_S,
    )


def _unpacked(site: Site, address: str, folder: str) -> list[Sequence[str]]:
    """The commands after which the files of an archive are in that folder."""
    packed = f"{site.path(TOOLS)}/{address.rpartition('/')[2]}"
    return [
        ["curl", "-fsSL", "--retry", "3", "-o", packed, address],
        [site.python, ALONE, "-m", "zipfile", "-e", packed, folder],
    ]


def library(site: Site, target: Target) -> Step:
    """The games, read-only."""
    assert target.library is not None
    hosts, place = site.path(LIBRARY_HOSTS), site.path(GAMES)
    rclone, remote = _rclone(site), _remote(target)
    mount = [*rclone, "mount", remote, place, "--read-only", "--allow-other", "--vfs-cache-mode=full"]
    mount += [f"--vfs-cache-max-size={CACHE}", f"--dir-cache-time={FRESH_S}s"]
    # Whoever looks for a game waits for the library in the kernel, where nothing ends the wait.
    mount += [*_patience(), "--low-level-retries=2"]
    unit = f"""[Unit]
Description=The library of games
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
# One that died leaves its mount, over which rclone mounts nothing.
ExecStartPre=-umount --lazy {place}
ExecStart={bundle.exec_line(mount)}
ExecStop=-umount --lazy {place}
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
"""
    return Step(
        "library",
        "Game library",
        [
            *_installed(*MOUNTING),
            [*FOLDERS, place],
            # Says in words what is wrong with the address or the login; a mount would only time out.
            [*rclone, "lsf", "--max-depth=1", *_once(), remote],
            ["systemctl", "daemon-reload"],
            ["systemctl", "enable", GAMES_UNIT],
            ["systemctl", "restart", GAMES_UNIT],
            ["mountpoint", "-q", place],
        ],
        [
            File(site.path(RCLONE_CONFIG), target.library.rclone_config(hosts)),
            File(hosts, target.library.known_hosts.encode(), 0o644),
            File(site.path(f"/etc/systemd/system/{GAMES_UNIT}"), unit.encode(), 0o644),
        ],
        is_required=False,
        timeout_s=SLOW_S,
    )


def program(site: Site, target: Target, name: str) -> Step:
    """An emulator that lies in the library. One it does not hold may be another's alternative: who plays with it is told at the launch."""
    tools, file = site.path(TOOLS), f"{name}.AppImage"
    found = f'if [ -e "$0" ]; then chmod 0755 "$0"; else echo "the library has no emulators/{file}"; fi'
    return Step(
        f"program-{name}",
        f"Emulator {name.capitalize()}",
        [
            ["mountpoint", "-q", site.path(GAMES)],
            # With a filter, because only so a file that is not there is no error, and all else still is.
            [*_rclone(site), "copy", *_once(), f"--include=/{file}", f"{_remote(target)}/emulators", tools],
            ["sh", "-c", found, f"{tools}/{file}"],
        ],
        is_required=False,
        timeout_s=SLOW_S,
    )


def _rclone(site: Site) -> list[str]:
    return ["rclone", f"--config={site.path(RCLONE_CONFIG)}"]


def _patience() -> list[str]:
    return [f"--contimeout={SILENCE_S}s", f"--timeout={SILENCE_S}s"]


def _once() -> list[str]:
    """For a command of a step, which is tried again as a whole."""
    return [*_patience(), "--retries=1", "--low-level-retries=1"]


def _remote(target: Target) -> str:
    assert target.library is not None
    return f"games:{target.library.folder}"


def saves(site: Site) -> Step:
    place = site.path(SAVES)
    return Step("saves", "Saves", [[*FOLDERS, place], ["chown", PLAYER, place]], is_required=False)


def clock(site: Site) -> Step:
    """libfaketime where containers see it: a game whose slot has a clock of its own is started with it (`emulators.recipes`)."""
    return Step(
        "clock",
        "Game clock",
        [
            *_installed(CLOCK_PACKAGE),
            [site.python, ALONE, "-c", _COPY_LIBRARY, CLOCK_PACKAGE, CLOCK_LIBRARY, site.path(TOOLS)],
        ],
        is_required=False,
        timeout_s=SLOW_S,
    )


def monitor(site: Site, target: Target) -> Step:
    """Logs that cannot fill the disk, and a GPU whose driver stays loaded: asking it takes seconds otherwise."""
    limits = File(
        site.path("/etc/systemd/journald.conf.d/gamer.conf"), b"[Journal]\nSystemMaxUse=200M\n", 0o644
    )
    commands = [["nvidia-smi", "-pm", "1"]] if target.has_gpu else []
    return Step("monitor", "Monitor", commands, [limits], is_required=False)


def agent(site: Site, target: Target) -> Step:
    unit = bundle.unit(site.python, site.agent_program, site.agent_config)
    return Step(
        "agent",
        "The agent",
        # A restart, not a start: it may run already, older than these files. The game does not notice.
        [
            ["systemctl", "daemon-reload"],
            ["systemctl", "enable", bundle.UNIT],
            ["systemctl", "restart", bundle.UNIT],
        ],
        [
            File(site.agent_config, bundle.config(target, site.root)),
            File(site.path(f"/etc/systemd/system/{bundle.UNIT}"), unit, 0o644),
        ],
    )
