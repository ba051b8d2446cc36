"""What the sandbox has for rent: real cities, GPU names and prices as seen on TensorDock (facts of 2024 to 2026).

Prices are USD per hour per single unit. Around Dallas there are offers that look capable and are not: no dedicated
IP, port forwards silently dropped, too small a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

RTX5090 = "geforcertx5090-pcie-32gb"
RTX4090 = "geforcertx4090-pcie-24gb"
RTX3090 = "geforcertx3090-pcie-24gb"
RTX3080 = "geforcertx3080-pcie-10gb"
RTX3060 = "geforcertx3060-pcie-12gb"
GTX1070 = "geforcegtx1070-pcie-8gb"
A4000 = "rtxa4000-pcie-16gb"
A5000 = "rtxa5000-pcie-24gb"
A6000 = "rtxa6000-pcie-48gb"
ADA4000 = "rtx4000ada-pcie-20gb"
ADA6000 = "rtx6000ada-pcie-48gb"
QUADRO4000 = "quadrortx4000-pcie-8gb"
L4 = "l4-pcie-24gb"
L40S = "l40s-pcie-48gb"
A100 = "a100-sxm4-80gb"
H100 = "h100-sxm5-80gb"
V100 = "v100-sxm2-16gb"

DISPLAY_NAMES = {
    RTX5090: "NVIDIA GeForce RTX 5090 PCIe 32GB",
    RTX4090: "NVIDIA GeForce RTX 4090 PCIe 24GB",
    RTX3090: "NVIDIA GeForce RTX 3090 PCIe 24GB",
    RTX3080: "NVIDIA GeForce RTX 3080 PCIe 10GB",
    RTX3060: "NVIDIA GeForce RTX 3060 PCIe 12GB",
    GTX1070: "NVIDIA GeForce GTX 1070 PCIe 8GB",
    A4000: "NVIDIA RTX A4000 PCIe 16GB",
    A5000: "NVIDIA RTX A5000 PCIe 24GB",
    A6000: "NVIDIA RTX A6000 PCIe 48GB",
    ADA4000: "NVIDIA RTX 4000 Ada PCIe 20GB",
    ADA6000: "NVIDIA RTX 6000 Ada PCIe 48GB",
    QUADRO4000: "NVIDIA Quadro RTX 4000 PCIe 8GB",
    L4: "NVIDIA L4 PCIe 24GB",
    L40S: "NVIDIA L40S PCIe 48GB",
    A100: "NVIDIA A100 SXM4 80GB",
    H100: "NVIDIA H100 SXM5 80GB",
    V100: "NVIDIA Tesla V100 SXM2 16GB",
}


@dataclass(frozen=True)
class Host:
    """A hostnode as it is when nothing runs on it. `gpus` maps v0Name to (count, USD/h each); RAM and disk in GB."""

    gpus: tuple[tuple[str, int, float], ...]
    vcpus: int = 64
    ram_gb: int = 256
    storage_gb: int = 4000
    public_ips: int = 0
    forwardable_ports: int = 40
    per_vcpu: float = 0.003
    per_ram_gb: float = 0.002
    per_storage_gb: float = 0.00005


@dataclass(frozen=True)
class City:
    """A location. At some the port forwards of a create are silently dropped (seen live at Joplin)."""

    city: str
    stateprovince: str
    country: str
    tier: int
    organization: str
    hosts: tuple[Host, ...]
    gbps: float = 1.0
    drops_port_forwards: bool = False


def _cpu_only(**sizes: int) -> Host:
    return Host((), per_vcpu=0.012, **sizes)


US, CA, UK, DE = "United States", "Canada", "United Kingdom", "Germany"

CITIES: tuple[City, ...] = (
    City(
        "Dallas",
        "Texas",
        US,
        3,
        "Lone Star Compute",
        (
            Host(((RTX4090, 4, 0.390),), vcpus=96, ram_gb=384, public_ips=6),
            Host(((A4000, 4, 0.150), (GTX1070, 2, 0.060)), vcpus=48, ram_gb=192, public_ips=6),
            _cpu_only(vcpus=64, ram_gb=256, storage_gb=4000, public_ips=16),
        ),
        gbps=10.0,
    ),
    City(
        "Fort Worth",
        "Texas",
        US,
        1,
        "Cowtown Rigs",
        (Host(((RTX4090, 8, 0.320), (RTX3090, 4, 0.170)), vcpus=128, ram_gb=512),),
    ),
    City(
        "Houston",
        "Texas",
        US,
        3,
        "Bayou Hosting",
        (
            Host(((RTX4090, 6, 0.377),), vcpus=96, ram_gb=384, public_ips=8),
            Host(((L4, 4, 0.230),), vcpus=48, ram_gb=192, public_ips=4),
            _cpu_only(vcpus=32, ram_gb=128, storage_gb=2000, public_ips=8),
        ),
    ),
    City(
        "Joplin",
        "Missouri",
        US,
        2,
        "Ozark Data",
        (Host(((RTX4090, 4, 0.350), (A4000, 4, 0.145)), vcpus=96, ram_gb=256, public_ips=2),),
        drops_port_forwards=True,
    ),
    City(
        "Oklahoma City",
        "Oklahoma",
        US,
        2,
        "Sooner Racks",
        (Host(((RTX3090, 6, 0.180), (GTX1070, 4, 0.055)), vcpus=64, ram_gb=256, public_ips=4),),
    ),
    City(
        "Kansas City",
        "Missouri",
        US,
        3,
        "Heartland Cloud",
        (Host(((RTX4090, 2, 0.410), (L40S, 2, 0.490)), vcpus=64, ram_gb=256, public_ips=3),),
        gbps=2.5,
    ),
    City(
        "Chubbuck",
        "Idaho",
        US,
        2,
        "Gate City Compute",
        (Host(((RTX4090, 6, 0.397), (A6000, 2, 0.400)), vcpus=96, ram_gb=384, public_ips=4),),
    ),
    City(
        "Manassas",
        "Virginia",
        US,
        4,
        "Potomac Datacenters",
        (
            Host(
                ((RTX4090, 8, 0.377), (H100, 4, 2.250)),
                vcpus=192,
                ram_gb=1024,
                storage_gb=8000,
                public_ips=12,
            ),
            _cpu_only(vcpus=64, ram_gb=256, storage_gb=4000, public_ips=16),
        ),
        gbps=10.0,
    ),
    City(
        "Orlando",
        "Florida",
        US,
        3,
        "Sunshine GPU",
        (Host(((RTX4090, 4, 0.400), (L4, 2, 0.225)), vcpus=64, ram_gb=256, public_ips=4),),
    ),
    City("Atlanta", "Georgia", US, 2, "Peach Rigs", (Host(((RTX3090, 8, 0.170),), vcpus=96, public_ips=2),)),
    City(
        "Chicago",
        "Illinois",
        US,
        4,
        "Lakeshore Colo",
        (Host(((A100, 8, 0.870), (L40S, 4, 0.490)), vcpus=192, ram_gb=1024, public_ips=8),),
        gbps=10.0,
    ),
    City(
        "New York",
        "New York",
        US,
        4,
        "Hudson Metal",
        (
            Host(((RTX4090, 4, 0.440),), vcpus=64, ram_gb=256, public_ips=4),
            _cpu_only(vcpus=48, ram_gb=192, storage_gb=2000, public_ips=8),
        ),
        gbps=10.0,
    ),
    City("Los Angeles", "California", US, 3, "Pacific Racks", (Host(((RTX5090, 4, 0.560),), public_ips=4),)),
    City(
        "Seattle",
        "Washington",
        US,
        3,
        "Cascade Compute",
        (Host(((RTX4090, 2, 0.420), (A5000, 2, 0.210)), vcpus=48, ram_gb=192, public_ips=2),),
    ),
    City(
        "Denver", "Colorado", US, 1, "Mile High GPUs", (Host(((RTX3080, 4, 0.120),), vcpus=32, ram_gb=128),)
    ),
    City("Winnipeg", "Manitoba", CA, 2, "Prairie Hosting", (Host(((RTX4090, 4, 0.360),), public_ips=4),)),
    City(
        "Montreal",
        "Quebec",
        CA,
        3,
        "Saint-Laurent Cloud",
        (Host(((RTX3090, 4, 0.190), (QUADRO4000, 2, 0.080)), public_ips=4),),
    ),
    City("Mexico City", "Mexico City", "Mexico", 2, "Anahuac Compute", (Host(((RTX3060, 4, 0.090),)),)),
    City(
        "São Paulo", "São Paulo", "Brazil", 3, "Paulista Dados", (Host(((RTX4090, 2, 0.430),), public_ips=2),)
    ),
    City(
        "London", "England", UK, 4, "Thames Metal", (Host(((RTX4090, 4, 0.430),), public_ips=6),), gbps=10.0
    ),
    City(
        "Eygelshoven",
        "Limburg",
        "Netherlands",
        4,
        "Maas Datacenter",
        (
            Host(((RTX4090, 6, 0.370), (A4000, 4, 0.150)), vcpus=128, ram_gb=512, public_ips=8),
            _cpu_only(vcpus=64, ram_gb=256, storage_gb=4000, public_ips=16),
        ),
        gbps=10.0,
    ),
    City(
        "Frankfurt am Main",
        "Hesse",
        DE,
        4,
        "Main Rechenzentrum",
        (
            Host(((RTX4090, 4, 0.400), (L4, 4, 0.240)), vcpus=96, ram_gb=384, public_ips=6),
            _cpu_only(vcpus=48, ram_gb=192, storage_gb=2000, public_ips=8),
        ),
        gbps=10.0,
    ),
    City(
        "Prague",
        "Prague",
        "Czech Republic",
        3,
        "Vltava Compute",
        (Host(((ADA4000, 4, 0.200),), public_ips=4),),
    ),
    City(
        "Paris", "Île-de-France", "France", 3, "Seine Calcul", (Host(((ADA6000, 2, 0.720),), public_ips=2),)
    ),
    City(
        "Warsaw",
        "Masovia",
        "Poland",
        2,
        "Wisla Rigs",
        (
            Host(
                ((RTX3090, 4, 0.175), (GTX1070, 4, 0.050)),
            ),
        ),
    ),
    City(
        "Stockholm", "Stockholm", "Sweden", 3, "Malaren Cloud", (Host(((RTX4090, 2, 0.410),), public_ips=2),)
    ),
    City(
        "Tokyo", "Tokyo", "Japan", 4, "Kanto Metal", (Host(((RTX4090, 4, 0.440),), public_ips=4),), gbps=10.0
    ),
    City(
        "Seoul", "Seoul", "South Korea", 3, "Hangang Compute", (Host(((RTX3090, 4, 0.200),), public_ips=2),)
    ),
    City(
        "Singapore",
        "Singapore",
        "Singapore",
        4,
        "Straits Colo",
        (
            Host(((RTX4090, 4, 0.440), (V100, 2, 0.210)), vcpus=96, ram_gb=384, public_ips=4),
            _cpu_only(vcpus=32, ram_gb=128, storage_gb=2000, public_ips=8),
        ),
    ),
    City("Mumbai", "Maharashtra", "India", 2, "Konkan Hosting", (Host(((L4, 4, 0.235),), public_ips=2),)),
    City(
        "Sydney",
        "New South Wales",
        "Australia",
        3,
        "Harbour Rigs",
        (Host(((RTX4090, 2, 0.440),), public_ips=2),),
    ),
    City("Johannesburg", "Gauteng", "South Africa", 2, "Highveld Compute", (Host(((RTX3090, 2, 0.200),)),)),
)
