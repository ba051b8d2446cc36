"""What systemd does for a guest: reads unit files, starts, restarts and stops their processes."""

from __future__ import annotations

import os
import re
import shlex
import signal
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.guests.folder import Folder

UNIT_FOLDERS = ("/etc/systemd/system", "/run/systemd/transient", "/lib/systemd/system")
LOG_FOLDER = "/var/log/journal"
WANTED = "/etc/systemd/system/multi-user.target.wants"
STOP_TIMEOUT_S = 5.0
RESTART_S = 0.1
BURST, BURST_S = 5, 10.0
_OWN_FOLDERS = {
    "RuntimeDirectory": "/run",
    "StateDirectory": "/var/lib",
    "CacheDirectory": "/var/cache",
    "LogsDirectory": "/var/log",
}
_SECONDS = {"": 1.0, "s": 1.0, "sec": 1.0, "ms": 0.001, "m": 60.0, "min": 60.0, "h": 3600.0}

Spawn = Callable[[list[str], dict[str, str], str, str], int]


class NoUnit(Exception):
    """No unit file of this name."""


@dataclass
class Unit:
    """A unit's file as last read, and its process."""

    name: str
    settings: dict[str, list[str]] = field(default_factory=dict)
    state: str = "inactive"
    pid: int = 0
    restarts: int = 0
    status: int = 0
    is_wanted: bool = False
    started_at: list[float] = field(default_factory=list)
    due: float | None = None
    killed_at: float | None = None
    waiting: list[Callable[[], None]] = field(default_factory=list)

    def last(self, name: str, default: str = "") -> str:
        values = self.settings.get(name)
        return values[-1] if values else default

    @property
    def is_oneshot(self) -> bool:
        return self.last("Type") == "oneshot"


class Units:
    """Supervises; `spawn(argv, environ, cwd, log)` starts a process and returns its pid."""

    def __init__(self, folder: Folder, spawn: Spawn, kill: Callable[[int, int], None]) -> None:
        self._folder = folder
        self._spawn = spawn
        self._kill = kill
        self._units: dict[str, Unit] = {}

    def unit(self, name: str) -> Unit:
        """Raises NoUnit."""
        name = name if "." in name else f"{name}.service"
        if name not in self._units:
            settings = self._read(name)
            if settings is None:
                raise NoUnit(name)
            self._units[name] = Unit(name, settings)
        return self._units[name]

    def all(self) -> list[Unit]:
        return list(self._units.values())

    def _read(self, name: str) -> dict[str, list[str]] | None:
        for where in UNIT_FOLDERS:
            text = self._folder.read(f"{where}/{name}")
            if text is not None:
                return parse(text)
        return None

    def reload(self) -> None:
        """Reads every known unit's file anew; units without a file and without a process are forgotten."""
        for name, unit in list(self._units.items()):
            settings = self._read(name)
            if settings is not None:
                unit.settings = settings
            elif not unit.pid:
                del self._units[name]

    def start_enabled(self, now: float) -> None:
        wanted = self._folder.resolve(WANTED)
        for name in sorted(os.listdir(wanted)) if os.path.isdir(wanted) else []:
            try:
                self.start(self.unit(name), now)
            except NoUnit:
                continue

    def enable(self, unit: Unit) -> None:
        self._folder.make_dirs(WANTED)
        if not os.path.lexists(self._folder.resolve(f"{WANTED}/{unit.name}", follow=False)):
            self._folder.link(f"/etc/systemd/system/{unit.name}", f"{WANTED}/{unit.name}")

    def disable(self, unit: Unit) -> None:
        link = self._folder.resolve(f"{WANTED}/{unit.name}", follow=False)
        if os.path.lexists(link):
            os.unlink(link)

    def is_enabled(self, unit: Unit) -> bool:
        return os.path.lexists(self._folder.resolve(f"{WANTED}/{unit.name}", follow=False))

    def start(self, unit: Unit, now: float) -> None:
        if unit.pid and unit.killed_at is None:
            return
        unit.is_wanted = True
        unit.started_at.clear()
        if unit.pid:
            return
        self._launch(unit, now)

    def _launch(self, unit: Unit, now: float) -> None:
        unit.due = None
        unit.started_at = [each for each in unit.started_at if each > now - BURST_S] + [now]
        if len(unit.started_at) > BURST and unit.last("StartLimitIntervalSec", "10") != "0":
            unit.state, unit.is_wanted = "failed", False
            return
        environ = self._environ(unit)
        argv = split(unit.last("ExecStart"), environ)
        if not argv:
            unit.state, unit.status, unit.is_wanted = "failed", 203, False
            return
        cwd = unit.last("WorkingDirectory", "/").lstrip("-").replace("~", "/root") or "/"
        unit.pid = self._spawn(argv, environ, cwd, f"{LOG_FOLDER}/{unit.name}.log")
        unit.state = "activating" if unit.is_oneshot else "active"

    def _environ(self, unit: Unit) -> dict[str, str]:
        environ: dict[str, str] = {}
        for setting, parent in _OWN_FOLDERS.items():
            for name in unit.last(setting).split():
                environ[re.sub(r"(?<!^)(?=D)", "_", setting).upper()] = f"{parent}/{name}"
                self._folder.make_dirs(f"{parent}/{name}", int(unit.last(f"{setting}Mode", "0755"), 8))
        for line in unit.settings.get("Environment", []):
            environ.update(_assignments(line))
        for path in unit.settings.get("EnvironmentFile", []):
            for line in (self._folder.read(path.lstrip("-")) or "").splitlines():
                if not line.lstrip().startswith(("#", ";")):
                    environ.update(_assignments(line))
        return environ

    def stop(self, unit: Unit, now: float, then: Callable[[], None]) -> None:
        """SIGTERM, then SIGKILL; `then` is called when the process has ended."""
        unit.is_wanted, unit.due = False, None
        if not unit.pid:
            unit.state = "inactive"
            then()
            return
        unit.waiting.append(then)
        if unit.killed_at is None:
            unit.state, unit.killed_at = "deactivating", now
            self._kill(unit.pid, signal.SIGTERM)

    def ended(self, pid: int, status: int, now: float) -> None:
        """A process has ended: tells who waits, and starts it again where the unit says so."""
        for unit in self._units.values():
            if unit.pid == pid:
                break
        else:
            return
        was_stopped = unit.killed_at is not None
        unit.pid, unit.status, unit.killed_at = 0, status, None
        waiting, unit.waiting = unit.waiting, []
        if was_stopped:
            unit.state = "inactive"
            if unit.is_wanted:
                self._launch(unit, now)
        else:
            self._ended_by_itself(unit, status, now)
        for each in waiting:
            each()

    def _ended_by_itself(self, unit: Unit, status: int, now: float) -> None:
        restart = unit.last("Restart", "no")
        again = restart == "always" or (restart in ("on-failure", "on-abnormal") and status != 0)
        if unit.is_wanted and again and not unit.is_oneshot:
            unit.state = "activating"
            unit.restarts += 1
            unit.due = now + seconds(unit.last("RestartSec"), RESTART_S)
            return
        unit.is_wanted = False
        if status != 0:
            unit.state = "failed"
        else:
            unit.state = "active" if unit.is_oneshot and is_yes(unit.last("RemainAfterExit")) else "inactive"

    def tick(self, now: float) -> float | None:
        """Does what has fallen due; returns the moment of the next."""
        moments = []
        for unit in self._units.values():
            if unit.due is not None and unit.due <= now:
                self._launch(unit, now)
            if unit.killed_at is not None and unit.killed_at + STOP_TIMEOUT_S <= now:
                self._kill(unit.pid, signal.SIGKILL)
                unit.killed_at = now
            moments += [unit.due] if unit.due is not None else []
            moments += [unit.killed_at + STOP_TIMEOUT_S] if unit.killed_at is not None else []
        return min(moments, default=None)


def parse(text: str) -> dict[str, list[str]]:
    """All settings of a unit file, whatever their section; an empty value forgets those before it."""
    settings: dict[str, list[str]] = {}
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        stripped = line.strip()
        if not stripped or stripped[0] in "#;[" or "=" not in stripped:
            continue
        name, value = (part.strip() for part in stripped.split("=", 1))
        settings.setdefault(name, [])
        if value:
            settings[name].append(value)
        else:
            settings[name].clear()
    return settings


def split(command: str, environ: dict[str, str]) -> list[str]:
    """A command line as systemd splits it: quotes, $NAME and ${NAME}, prefixes like `-` and `+` dropped."""
    try:
        words = shlex.split(command.lstrip("-+!@:"))
    except ValueError:
        return []
    named = re.compile(r"\$\{(\w+)\}|^\$(\w+)$")
    return [named.sub(lambda found: environ.get(found[1] or found[2], ""), word) for word in words]


def _assignments(line: str) -> dict[str, str]:
    try:
        words = shlex.split(line)
    except ValueError:
        return {}
    return dict(word.split("=", 1) for word in words if "=" in word)


def seconds(text: str, default: float) -> float:
    found = re.fullmatch(r"\s*([0-9.]+)\s*([a-z]*)\s*", text)
    if found is None or found[2] not in _SECONDS:
        return default
    return float(found[1]) * _SECONDS[found[2]]


def is_yes(text: str) -> bool:
    return text.lower() in ("yes", "true", "on", "1")
