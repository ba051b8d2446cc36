"""A cloud without hardware: for the reconciler's tests, the seeded simulation and the benches.

`MemoryCloud` (vendor.py) stands for the vendor: it lives outside the control plane under test, survives its deaths and is shared by
many threads. `MemoryProvider` (provider.py) is the adapter. `Fault` (faults.py) names what can go wrong.
"""

from vms.providers.memory.faults import Fault, Switch
from vms.providers.memory.machines import Record
from vms.providers.memory.provider import MemoryProvider, cloud
from vms.providers.memory.stock import STOCK
from vms.providers.memory.vendor import MemoryCloud

__all__ = ["STOCK", "Fault", "MemoryCloud", "MemoryProvider", "Record", "Switch", "cloud"]
