"""The memory cloud with machines that are asked over SSH, as real ones are: at an address of the test's choice."""

from __future__ import annotations

from tests import ports
from tests.vms.control_plane import ControlPlane
from vms.models import VM, ProviderAccount
from vms.providers.memory import MemoryProvider


class Shelled(MemoryProvider):
    has_shell = True


def ask_over_ssh(plane: ControlPlane, vm: VM, *, port: int = 0) -> None:
    """From here on its machine is one on loopback; without a port it refuses the connection."""
    ProviderAccount.objects.update(kind="tensordock")
    plane.reconciler.open_provider = plane.actor.open_provider = lambda account: Shelled(
        plane.clouds[account.pk]
    )
    VM.objects.filter(pk=vm.pk).update(ip_address="127.0.0.1", ssh_port=port or ports.closed())
