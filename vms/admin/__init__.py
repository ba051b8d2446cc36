"""Staff's pages for machines: the fleet, each VM's story, provider accounts, the placement preview and the front page.

Not here: what an act does (vms.services, vms.provider_accounts, vms.installation); every button is one call there.
Start reading at `fleet.py`. `wording.py` says how amounts, times and states read; `acts.py` holds what staff may do with a VM.
"""

from vms.admin.accounts import ProviderAccountAdmin
from vms.admin.fleet import VMAdmin
from vms.admin.installation import InstallationAdmin
from vms.admin.machine_types import MachineTypeAdmin
from vms.admin.stock import OfferAdmin, StrayAdmin

__all__ = [
    "InstallationAdmin",
    "MachineTypeAdmin",
    "OfferAdmin",
    "ProviderAccountAdmin",
    "StrayAdmin",
    "VMAdmin",
]
