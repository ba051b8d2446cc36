"""The machine types that an installation starts with, for the five clouds of CloudyPad. Values only; staff edit the rows.

The types are those that CloudyPad 0.45.1 offers or takes (`src/providers/{aws,azure,gcp,paperspace,scaleway}/cli.ts`, and `gcp/const.ts`:
n1 goes with T4, g2 with L4); every one has an NVIDIA GPU, which its setup needs. Sizes and zones are the clouds' own:
cloud.google.com/compute/docs/gpus/gpu-regions-zones, aws.amazon.com/ec2/instance-types/g4 and /g5, learn.microsoft.com (NCasT4_v3-series),
docs.digitalocean.com/products/paperspace, www.scaleway.com/en/docs/gpu (as of spring 2026). Which zone of AWS has which type is from the
answers of `describe-instance-type-offerings` that are kept in getmoto/moto (August 2026). One zone a region; others can be added. Where
a zone stands is told by its region (`locations.catalogue`).

Prices start as the product's rate card has them (GCP .12, .28, .85 an hour by size, and a quarter on top; the other clouds alike). From
then on a type's price is its own: what is quoted is what is metered.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from locations.catalogue import shipped

OVERHEAD = Decimal("1.25")
RETRO, ADVANCED, PREMIUM = (Decimal(price) * OVERHEAD for price in ("0.12", "0.28", "0.85"))


@dataclass(frozen=True, slots=True)
class ShippedType:
    kind: str
    name: str
    gpu_model: str
    vcpus: int
    ram_gb: int
    usd_per_hour: Decimal
    zones: tuple[str, ...]
    data_disk_gb: int
    root_disk_gb: int = 50
    gpu_type: str = ""


def _zones(text: str) -> tuple[str, ...]:
    return tuple(text.split())


GCP_T4 = _zones(
    "us-central1-a us-east1-c us-east4-b us-west1-a us-west2-b us-west4-a northamerica-northeast1-c southamerica-east1-a europe-west1-b "
    "europe-west2-a europe-west3-b europe-west4-a europe-central2-b asia-east1-a asia-northeast1-a asia-northeast3-b asia-south1-a "
    "asia-southeast1-a asia-southeast2-a australia-southeast1-a me-west1-b"
)
GCP_L4 = _zones(
    "us-central1-a us-east1-b us-east4-a us-west1-a us-west4-a northamerica-northeast2-a europe-west1-b europe-west2-a europe-west3-a "
    "europe-west4-a europe-west6-b asia-east1-a asia-northeast1-a asia-northeast3-a asia-south1-a asia-southeast1-a me-central2-a"
)
AWS_A10G = _zones(
    "us-east-1a us-east-2a us-west-2a ca-central-1a sa-east-1a eu-west-1a eu-west-2a eu-west-3a eu-central-1a eu-north-1b ap-northeast-1a "
    "ap-northeast-2a ap-south-1a ap-southeast-2b"
)
# In these a T4 is the best there is.
AWS_T4_ALONE = _zones(
    "us-west-1a eu-south-1b af-south-1b me-south-1b ap-east-1a ap-northeast-3b ap-southeast-1a"
)
AWS_T4 = (
    *_zones(
        "us-east-1a us-east-2a us-west-2a ca-central-1a sa-east-1a eu-west-1a eu-west-2a eu-west-3a eu-central-1a eu-north-1a "
        "ap-northeast-1a ap-northeast-2a ap-south-1a ap-southeast-2a"
    ),
    *AWS_T4_ALONE,
)
AZURE_T4 = tuple(one.code for one in shipped() if one.kind == "cloudypad_azure" and "T4" in one.gpu_models)
PAPERSPACE_ALL = ("East Coast (NY2)", "West Coast (CA1)", "Europe (AMS1)")
SCALEWAY_ALL = ("fr-par-2", "pl-waw-2")

TYPES: tuple[ShippedType, ...] = (
    ShippedType("cloudypad_gcp", "n1-standard-2", "t4", 2, 7, RETRO, GCP_T4, 50, gpu_type="nvidia-tesla-t4"),
    ShippedType(
        "cloudypad_gcp", "n1-standard-4", "t4", 4, 15, ADVANCED, GCP_T4, 100, gpu_type="nvidia-tesla-t4"
    ),
    ShippedType("cloudypad_gcp", "g2-standard-8", "l4", 8, 32, PREMIUM, GCP_L4, 200, gpu_type="nvidia-l4"),
    ShippedType("cloudypad_aws", "g4dn.xlarge", "t4", 4, 16, ADVANCED, AWS_T4, 100),
    ShippedType("cloudypad_aws", "g4dn.2xlarge", "t4", 8, 32, PREMIUM, AWS_T4_ALONE, 200),
    ShippedType("cloudypad_aws", "g5.2xlarge", "a10g", 8, 32, PREMIUM, AWS_A10G, 200),
    ShippedType("cloudypad_azure", "Standard_NC4as_T4_v3", "t4", 4, 28, ADVANCED, AZURE_T4, 100),
    ShippedType("cloudypad_azure", "Standard_NC8as_T4_v3", "t4", 8, 56, PREMIUM, AZURE_T4, 200),
    ShippedType("cloudypad_paperspace", "RTX4000", "quadrortx4000", 8, 30, ADVANCED, PAPERSPACE_ALL, 0, 250),
    ShippedType("cloudypad_paperspace", "A4000", "a4000", 8, 45, PREMIUM, PAPERSPACE_ALL, 0, 250),
    ShippedType("cloudypad_scaleway", "GPU-3070-S", "rtx3070", 8, 16, ADVANCED, ("fr-par-2",), 200),
    ShippedType("cloudypad_scaleway", "L4-1-24G", "l4", 8, 48, PREMIUM, SCALEWAY_ALL, 200),
)
