"""How the machine is doing, from /proc (proc(5)). What cannot be read is left out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .files import read_text


class Meter:
    """Reads all values at once. `cpu_percent` is the mean since the read before; the first read has none."""

    def __init__(self, disk: Path) -> None:
        self._disk = disk
        self._before: tuple[int, int] | None = None

    def read(self) -> dict[str, float]:
        """`cpu_percent` and `disk_used_percent` 0-100, `ram_used_mb` in MiB, `load` of one minute."""
        values: dict[str, float] = {}
        cpu = self._cpu_percent()
        if cpu is not None:
            values["cpu_percent"] = cpu
        ram = _ram_used_mb()
        if ram is not None:
            values["ram_used_mb"] = ram
        try:
            disk = shutil.disk_usage(str(self._disk))
            values["disk_used_percent"] = round(100 * disk.used / disk.total, 1)
            values["load"] = round(os.getloadavg()[0], 2)
        except (OSError, ZeroDivisionError):
            return values
        return values

    def _cpu_percent(self) -> float | None:
        words = read_text(Path("/proc/stat"), 512).split("\n")[0].split()
        # user nice system idle iowait irq softirq steal; guest time is already in user.
        ticks = [int(word) for word in words[1:9] if word.isdigit()]
        if len(ticks) < 5:
            return None
        total, idle = sum(ticks), ticks[3] + ticks[4]
        before, self._before = self._before, (total, idle)
        if before is None or total <= before[0]:
            return None
        busy = 1 - (idle - before[1]) / (total - before[0])
        return round(100 * min(1.0, max(0.0, busy)), 1)


def _ram_used_mb() -> float | None:
    sizes: dict[str, int] = {}
    for line in read_text(Path("/proc/meminfo")).split("\n"):
        name, _, rest = line.partition(":")
        number = rest.split()
        if number and number[0].isdigit():
            sizes[name] = int(number[0])
    if "MemTotal" not in sizes or "MemAvailable" not in sizes:
        return None
    return round((sizes["MemTotal"] - sizes["MemAvailable"]) / 1024)
