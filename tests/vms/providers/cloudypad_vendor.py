"""CloudyPad's stand-in as a vendor: its books and clock, its faults, and the waiting for its real processes."""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.vms.providers.harness import Harness, Trouble
from tests.vms.providers.specs import tag
from tests.waiting import eventually
from vms.providers.cloudypad.books import Home
from vms.providers.cloudypad.cli import Times
from vms.providers.cloudypad.clouds import Account, Product
from vms.providers.cloudypad.names import name_of, tag_of
from vms.providers.cloudypad.provider import CloudyPadProvider, open_cloudypad

STAND_IN = Path(__file__).with_name("stand_ins") / "cloudypad"
COMMAND = shlex.join([sys.executable, "-S", "-E", str(STAND_IN)])
CANARY = "cloudypad-canary-3c0ffee"
# Nothing the tool said is good for later: the contract's misfortunes begin between two calls.
UNKEPT = Times(names=0, status=0, probe=0, create_watch=600, act_watch=600)
VERBS = ("create", "list", "get", "start", "stop", "destroy")

FAULTS: dict[Trouble, tuple[str, Sequence[str], int | None]] = {
    Trouble.NO_CAPACITY: ("no_capacity", ["create"], 1),
    Trouble.QUOTA_EXCEEDED: ("quota", ["create"], 1),
    Trouble.REJECTED: ("rejected", ["create"], 1),
    Trouble.BAD_CREDENTIALS: ("bad_credentials", VERBS, None),
    Trouble.UNAVAILABLE: ("unavailable", VERBS, None),
    Trouble.BROKEN: ("broken", VERBS, None),
    Trouble.LOST_MADE: ("die_made", ["create"], 1),
    Trouble.LOST_UNMADE: ("die_first", ["create"], 1),
    Trouble.LOST_LATE: ("late", ["create"], 1),
    Trouble.INCOMPLETE_LIST: ("half_a_list", ["list"], None),
    Trouble.NEVER_RUNS: ("never_runs", ["create"], 1),
    Trouble.NEVER_IP: ("never_ip", ["create"], 1),
    Trouble.DELETE_FAILS: ("delete_fails", ["destroy"], None),
    Trouble.LOST_DELETE: ("die_last", ["destroy"], 1),
    Trouble.SLOW_DELETE: ("slow", ["destroy"], 1),
    Trouble.START_REFUSED: ("start_refused", ["start"], 1),
}


def product(zone: str = "us-central1-a", machine_type: str = "g2-standard-8", **changes: Any) -> Product:
    known: dict[str, Any] = {
        "region": zone.rpartition("-")[0],
        "city": "Council Bluffs",
        "state": "Iowa",
        "country": "United States",
        "gpu_model": "l4",
        "gpu_type": "nvidia-l4",
        "gpus": 1,
        "vcpus": 8,
        "ram_gb": 32,
        "root_disk_gb": 50,
        "data_disk_gb": 200,
        "usd_per_hour": Decimal("1.0625"),
    }
    return Product(zone=zone, machine_type=machine_type, **{**known, **changes})


STOCK = (
    product(),
    product(zone="europe-west4-a", city="Eemshaven", state="Groningen", country="Netherlands"),
)


def account_in(folder: Path, stock: Sequence[Product], command: str = COMMAND) -> Account:
    """The account whose home and vendor lie in a folder."""
    return Account(command, folder / "home", {"clouder": "dummy", "canary": CANARY}, stock)


def vendor_in(folder: Path) -> Path:
    """The books of a vendor that has sold nothing yet, beside the homes of its accounts."""
    vendor = folder / "vendor"
    for name in ("cloud", "waiting", "tools"):
        (vendor / name).mkdir(parents=True)
    (vendor / "clock").write_text("0")
    (vendor / "faults.json").write_text("[]")
    return vendor


class VendorClock:
    """An adapter's clock: it runs on when nothing happens any more but what the vendor's clock keeps waiting."""

    def __init__(self, harness: StandInHarness) -> None:
        self._harness, self._skipped = harness, 0.0

    def now(self) -> float:
        return time.monotonic() + self._skipped

    def nap(self) -> None:
        if self._harness.is_quiet() and not self._harness.unattended():
            self._skipped += 3600
        else:
            threading.Event().wait(0.01)


class StandInHarness(Harness):
    secret = CANARY

    def __init__(self, folder: Path, *, command: str = COMMAND, stock: Sequence[Product] = STOCK) -> None:
        self.home = Home(folder / "home")
        self.vendor = vendor_in(folder)
        self.account = account_in(folder, stock, command)
        self.clock = VendorClock(self)

    def open(
        self, *, kind: str = "cloudypad_gcp", times: Times = UNKEPT, **changes: Any
    ) -> CloudyPadProvider:
        return open_cloudypad(kind, self.account, times=times, clock=self.clock, **changes)

    def fault(self, name: str, verbs: Sequence[str], times: int | None = 1) -> None:
        known = json.loads((self.vendor / "faults.json").read_text())
        faults = [*known, {"name": name, "verbs": list(verbs), "times": times}]
        (self.vendor / "faults.json").write_text(json.dumps(faults))

    def trouble(self, trouble: Trouble) -> None:
        self.fault(*FAULTS[trouble])

    def heal(self) -> None:
        (self.vendor / "faults.json").write_text("[]")

    def advance(self, seconds: float = 1) -> None:
        eventually(self.is_quiet, timeout_s=60)  # who is on the way to its wait counts from there
        self._set_clock(self.now + seconds)
        eventually(self.is_quiet, timeout_s=60)

    def finish(self) -> None:
        """Lets every run end."""
        self._set_clock(math.inf)
        eventually(lambda: not self.busy(), timeout_s=60)

    @property
    def now(self) -> float:
        return float((self.vendor / "clock").read_text())

    def tool_pid(self, machine_id: str) -> int:
        """The process of the tool that is changing a machine."""
        return int((self.vendor / "tools" / machine_id).read_text())

    def is_waiting(self, machine_id: str) -> bool:
        """Whether the tool is in the middle of something, until the vendor's clock moves."""
        return self._waits(machine_id)

    def is_quiet(self) -> bool:
        """Whether every run there is waits for the vendor's clock."""
        return all(self._waits(name) for name in self.busy())

    def unattended(self) -> list[str]:
        """The machines with orders that nobody carries out yet: to see whether somebody does, another may hold their lock just then."""
        busy = self.busy()
        pages = {name: self.home.book(name).page() for name in self.home.books() if name not in busy}
        return [name for name, page in pages.items() if page is not None and page.queue]

    def busy(self) -> list[str]:
        """The machines somebody carries out an order of."""
        found = []
        for name in self.home.books():
            lock = self.home.book(name).take()
            if lock is None:
                found.append(name)
            else:
                os.close(lock)
        return found

    def alive(self) -> list[str]:
        names = [path.stem for path in sorted((self.vendor / "cloud").iterdir())]
        return sorted(tag_of(name) or name for name in names)

    def server(self, machine_id: str) -> dict[str, Any]:
        return json.loads((self.vendor / "cloud" / f"{machine_id}.json").read_text())

    def calls(self, verb: str = "") -> list[list[str]]:
        lines = (self.vendor / "calls").read_text().splitlines() if (self.vendor / "calls").exists() else []
        return [argv for argv in map(json.loads, lines) if not verb or argv[0] == verb]

    @property
    def words(self) -> Mapping[str, str]:
        return {"kind": "cloudypad", "folder": str(self.vendor.parent), "command": self.account.command}

    def hold(self, verb: str, moment: str) -> None:
        """A start takes its time by itself. So does a create, but who ordered it does not wait for its end."""
        if verb == "create":
            self.fault("late", ["create"])
        elif verb in ("offers", "list", "get"):
            self.fault("hangs", ["get" if verb == "get" else "list"])
        elif verb in ("stop", "delete"):
            self.fault("slow", ["destroy" if verb == "delete" else verb])

    def is_held(self, verb: str, caller: int) -> bool:
        if verb in ("offers", "list", "get"):
            return (self.vendor / "waiting" / ("a get" if verb == "get" else "a list")).exists()
        return self.is_waiting(name_of(tag()))

    def plant(self, name: str) -> None:
        folder = name_of(name) if name.startswith("gamer-") else name.replace(" ", "-").replace("'", "-")
        path = self.home.folder / "instances" / folder
        path.mkdir(parents=True)
        (path / "state.yml").write_text(f"version: '1'\nname: {folder}\n")
        state = {"version": "1", "name": folder, "events": [], "provision": {}, "configuration": {}}
        (path / "state.json").write_text(json.dumps(state))

    def stop_by_itself(self, machine_id: str) -> None:
        (self.vendor / "cloud" / f"{machine_id}.json").write_text(
            json.dumps({"name": machine_id, "status": "halted"})
        )

    def vanish(self, machine_id: str) -> None:
        (self.vendor / "cloud" / f"{machine_id}.json").unlink()
        for path in sorted((self.home.folder / "instances" / machine_id).iterdir()):
            path.unlink()
        (self.home.folder / "instances" / machine_id).rmdir()

    def _set_clock(self, moment: float) -> None:
        draft = self.vendor / "clock.next"
        draft.write_text(str(moment))
        draft.replace(self.vendor / "clock")

    def _waits(self, name: str) -> bool:
        mark = self.vendor / "waiting" / name
        try:
            return float(mark.read_text() or "-inf") > self.now
        except FileNotFoundError:
            return False
