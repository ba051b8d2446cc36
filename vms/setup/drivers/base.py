"""The seam of setup drivers: work is begun detached, and read later by whoever looks, after whatever death.

`look` never changes anything; `begin` is called when nothing is under way and something is left to do, and does nothing twice: what is done
stays done, under the digest of what it was. Both are bounded by some seconds. They raise SshError where another look may help, Unfit where
none will.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from vms.setup.orders import Progress, Target
from vms.setup.site import Site


class Driver(ABC):
    name: ClassVar[str]

    @abstractmethod
    def look(self, site: Site, target: Target, *, seen: str = "", wait_s: float = 0) -> Progress:
        """How far it is; with `seen` as soon as that has changed, at the latest after `wait_s`."""

    @abstractmethod
    def begin(self, site: Site, target: Target) -> None:
        """Start, or go on with, what is left to do."""
