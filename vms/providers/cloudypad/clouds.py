"""What differs between the clouds: the flags of a create, the secrets of an account, the ports left open. Pure.

Every flag here is needed: a create that still has a question to ask, with nobody to answer, ends with exit 0 and makes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from vms.providers.base import MachineSpec

# What the tool opens to the whole world for Wolf (its src/core/const.ts); it has no switch to open less.
TCP_PORTS = (22, 47984, 47989, 48010)
UDP_PORTS = (47999, *range(48100, 48111), *range(48200, 48211))
OPEN_PORTS = (
    "tcp 22",
    "tcp 47984",
    "tcp 47989",
    "tcp 48010",
    "udp 47999",
    "udp 48100-48110",
    "udp 48200-48210",
)

# The machine and its disks are kept at a stop: the tool's default deletes the machine, and with it Wolf's pairings and settings.
KEEP_ALL = ("--delete-instance-server-on-stop=no", "--data-disk-snapshot=no", "--base-image-snapshot=no")
NO_COST_ALERT = "--cost-alert=no"
# What a kept disk costs at most, USD per GB and hour: 0.20 a month for a GB of premium disk, rounded up. An address: 0.005.
USD_PER_KEPT_GB = Decimal("0.0003")
USD_PER_KEPT_ADDRESS = Decimal("0.005")


@dataclass(frozen=True, slots=True)
class Account:
    """What an adapter is opened with. `command` is CLOUDYPAD_BIN, `home` a folder of this account alone.

    `stock`: what may be bought, as `Product`s. `credentials` by the names of the cloud's `Cloud.secrets` and `Cloud.settings`; what is
    missing there is left to the cloud's own environment variables. `has_machines`: some may run there, so it has a home already.
    """

    command: str
    home: Path
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    stock: Sequence[Product] = ()
    has_machines: bool = False


@dataclass(frozen=True, slots=True)
class Product:
    """One machine type at one place, in the cloud's own words. `gpu_type` is GCP's accelerator, "" elsewhere."""

    machine_type: str
    region: str
    zone: str
    city: str
    state: str
    country: str
    gpu_model: str
    gpus: int
    vcpus: int
    ram_gb: int
    root_disk_gb: int
    data_disk_gb: int
    usd_per_hour: Decimal
    gpu_type: str = ""

    @property
    def order(self) -> dict[str, Any]:
        """What `create` needs of it."""
        words = ("machine_type", "gpu_type", "region", "zone", "root_disk_gb", "data_disk_gb")
        return {word: getattr(self, word) for word in words}


@dataclass(frozen=True, slots=True)
class Cloud:
    """One subcommand of `create`. `secrets` and `settings`: an account's credentials, and the environment variables that carry them."""

    clouder: str
    flags: Mapping[str, str]
    fixed: Sequence[str] = ()
    secrets: Mapping[str, Sequence[str]] = field(default_factory=dict)
    settings: Mapping[str, Sequence[str]] = field(default_factory=dict)
    # Variables of ours that this cloud's tools may read besides.
    prefixes: Sequence[str] = ()
    # Secrets that a tool wants as a file: the credential, and the variable that names the file.
    files: Mapping[str, str] = field(default_factory=dict)
    # Whether a machine that shut itself down is `unknown` to the tool, whose stop then passes over it.
    hides_shutdowns: bool = False

    def create_argv(
        self, name: str, spec: MachineSpec, credentials: Mapping[str, str], key_path: Path | None
    ) -> list[str]:
        """A create without a question left. Raises KeyError for an order or an account that lacks a word."""
        idle = (
            ["--autostop", "--autostop-timeout", str(spec.idle_stop_s)]
            if spec.idle_stop_s
            else ["--autostop=no"]
        )
        words = {**credentials, **spec.offer.order, "key_path": str(key_path or "")}
        own = [part for flag, word in self.flags.items() for part in (flag, str(words[word]))]
        is_own = key_path is None or "key_path" in self.flags.values()
        login = [] if is_own else ["--ssh-private-key", str(key_path)]
        return [
            *("create", self.clouder, "--name", name, "--yes", "--skip-pairing"),
            *("--streaming-server", "wolf", *idle, *login, *own, *self.fixed),
        ]


GCP = Cloud(
    "gcp",
    flags={
        "--project-id": "project_id",
        "--region": "region",
        "--zone": "zone",
        "--machine-type": "machine_type",
        "--gpu-type": "gpu_type",
        "--disk-size": "root_disk_gb",
        "--data-disk-size": "data_disk_gb",
    },
    fixed=(
        *("--disk-type", "pd-balanced", "--network-tier", "PREMIUM", "--nic-type", "auto"),
        *("--spot=no", NO_COST_ALERT, *KEEP_ALL),
    ),
    files={"service_account": "GOOGLE_APPLICATION_CREDENTIALS"},
    settings={"project_id": ()},
    prefixes=("GOOGLE_", "CLOUDSDK_"),
)
AWS = Cloud(
    "aws",
    flags={
        "--region": "region",
        "--zone": "zone",
        "--instance-type": "machine_type",
        "--root-disk-size": "root_disk_gb",
        "--data-disk-size": "data_disk_gb",
    },
    # Without a network of its own the tool asks which to use, and no flag answers.
    fixed=("--dedicated-vpc", "--spot=no", NO_COST_ALERT, *KEEP_ALL),
    secrets={"secret_access_key": ("AWS_SECRET_ACCESS_KEY",), "session_token": ("AWS_SESSION_TOKEN",)},
    settings={"access_key_id": ("AWS_ACCESS_KEY_ID",)},
    prefixes=("AWS_",),
)
AZURE = Cloud(
    "azure",
    flags={
        "--subscription-id": "subscription_id",
        "--location": "region",
        "--vm-size": "machine_type",
        "--disk-size": "root_disk_gb",
        "--data-disk-size": "data_disk_gb",
    },
    fixed=("--disk-type", "StandardSSD_LRS", "--spot=no", NO_COST_ALERT, *KEEP_ALL),
    secrets={"client_secret": ("AZURE_CLIENT_SECRET", "ARM_CLIENT_SECRET")},
    settings={
        "subscription_id": ("AZURE_SUBSCRIPTION_ID", "ARM_SUBSCRIPTION_ID"),
        "tenant_id": ("AZURE_TENANT_ID", "ARM_TENANT_ID"),
        "client_id": ("AZURE_CLIENT_ID", "ARM_CLIENT_ID"),
    },
    prefixes=("AZURE_", "ARM_"),
    # "VM stopped", and billed until it is deallocated (the tool's src/providers/azure/sdk-client.ts knows no such state).
    hides_shutdowns=True,
)
PAPERSPACE = Cloud(
    "paperspace",
    flags={
        "--machine-type": "machine_type",
        "--region": "region",
        "--disk-size": "root_disk_gb",
        "--ssh-key-path": "key_path",
    },
    # By the environment: the tool's --api-key-file takes the key itself, not a file.
    secrets={"api_key": ("PAPERSPACE_API_KEY",)},
    prefixes=("PAPERSPACE_",),
)
SCALEWAY = Cloud(
    "scaleway",
    flags={
        "--project-id": "project_id",
        "--region": "region",
        "--zone": "zone",
        "--instance-type": "machine_type",
        "--root-disk-size": "root_disk_gb",
        "--data-disk-size": "data_disk_gb",
    },
    fixed=KEEP_ALL,
    secrets={"secret_key": ("SCW_SECRET_KEY",)},
    settings={"access_key": ("SCW_ACCESS_KEY",), "project_id": ("SCW_DEFAULT_PROJECT_ID",)},
    prefixes=("SCW_",),
    # "stopped in place", and billed until it is powered off (src/providers/scaleway/sdk-client.ts).
    hides_shutdowns=True,
)
# The tool's own cloud without a cloud: its whole state machine, and no network.
DUMMY = Cloud(
    "dummy",
    flags={"--instance-type": "machine_type"},
    # For tests alone: a secret like any other.
    secrets={"canary": ("CLOUDYPAD_DUMMY_SECRET",)},
)
CLOUDS: Mapping[str, Cloud] = {
    "cloudypad_gcp": GCP,
    "cloudypad_aws": AWS,
    "cloudypad_azure": AZURE,
    "cloudypad_paperspace": PAPERSPACE,
    "cloudypad_scaleway": SCALEWAY,
}


def missing(cloud: Cloud, credentials: Mapping[str, str]) -> str:
    """Which word of the account a create of this cloud would lack; "" when none."""
    ordered = {"region", "zone", "machine_type", "gpu_type", "root_disk_gb", "data_disk_gb", "key_path"}
    return next((word for word in cloud.flags.values() if word not in ordered | {*credentials}), "")
