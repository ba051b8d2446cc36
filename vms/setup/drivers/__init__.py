"""How a bare machine becomes a console: one driver per way, all behind `base.Driver`. Here: which one a machine gets."""

from __future__ import annotations

from vms.setup.drivers.base import Driver
from vms.setup.drivers.cloudypad import CloudypadDriver
from vms.setup.drivers.wolf import ConfiguredDriver, WolfDriver
from vms.setup.orders import Target
from vms.setup.site import Site

__all__ = ["Driver", "choose"]


def choose(site: Site, target: Target) -> Driver:
    """Only what is ours where Wolf is there already; CloudyPad where it can work: it brings the NVIDIA driver; else Wolf by ourselves."""
    if target.is_configured:
        return ConfiguredDriver()
    if target.cloudypad is not None and CloudypadDriver.suits(site, target):
        return CloudypadDriver(target.cloudypad)
    return WolfDriver()
