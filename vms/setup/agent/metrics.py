"""How the machine is doing, from /proc (proc(5)) and nvidia-smi where there is one. What cannot be read is left out."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from .files import read_text

GPU_QUERY = "utilization.gpu,memory.used,memory.total,temperature.gpu,utilization.encoder"
GPU_NAMES = ("gpu_percent", "gpu_ram_used_mb", "gpu_ram_mb", "gpu_celsius", "gpu_encoder_percent")
GPU_S = 3.0


class Meter:
    """Reads all values at once. Means and rates are since the read before; the first read has none."""

    def __init__(self, disk: Path) -> None:
        self._disk = disk
        self._before: tuple[int, int] | None = None
        self._traffic: tuple[float, int, int] | None = None

    def read(self) -> dict[str, float]:
        """Percents 0-100, `…_mb` in MiB, `…_mbps` in Mbit/s, `load` of one minute."""
        values: dict[str, float] = {}
        cpu = self._cpu_percent()
        if cpu is not None:
            values["cpu_percent"] = cpu
        ram = _ram_used_mb()
        if ram is not None:
            values["ram_used_mb"] = ram
        values.update(self._network())
        values.update(gpu())
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

    def _network(self) -> dict[str, float]:
        received, sent = _traffic()
        now = time.monotonic()
        before, self._traffic = self._traffic, (now, received, sent)
        if before is None or now <= before[0]:
            return {}
        seconds = now - before[0]
        return {
            "received_mbps": round(max(0, received - before[1]) * 8 / 1e6 / seconds, 3),
            "sent_mbps": round(max(0, sent - before[2]) * 8 / 1e6 / seconds, 3),
        }


def gpu() -> dict[str, float]:
    """The first GPU's values by nvidia-smi; {} without one, or when it hangs, as it does on a broken driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return {}
    argv = [program, f"--query-gpu={GPU_QUERY}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=GPU_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    words = done.stdout.decode(errors="replace").split("\n")[0].split(",")
    values = {}
    for position, name in enumerate(GPU_NAMES[: len(words)]):
        text = words[position].strip()
        if text.replace(".", "", 1).isdigit():
            values[name] = float(text)
    return values


def _traffic() -> tuple[int, int]:
    """Bytes received and sent since boot over all interfaces but the loopback."""
    received = sent = 0
    for line in read_text(Path("/proc/net/dev"), 65536).split("\n"):
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) >= 9 and name.strip() != "lo":
            received += int(words[0])
            sent += int(words[8])
    return received, sent


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
