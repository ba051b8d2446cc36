"""What a `MemoryCloud` sells unless told otherwise: TensorDock's cities and typical prices of 2026."""

from __future__ import annotations

from decimal import Decimal

from vms.providers.base import Offer, Place


def _offer(
    offer_id: str, place: Place, gpu_model: str, usd_per_gpu: str, *, gpus: int = 4, dedicated_ip: bool = True
) -> Offer:
    return Offer(
        offer_id=offer_id,
        place=place,
        gpu_model=gpu_model,
        max_gpus=gpus,
        max_vcpus=32,
        max_ram_gb=128,
        max_disk_gb=1000,
        usd_per_gpu=Decimal(usd_per_gpu),
        usd_per_vcpu=Decimal("0.003"),
        usd_per_gb_ram=Decimal("0.002"),
        usd_per_gb_disk=Decimal("0.00005"),
        has_dedicated_ip=dedicated_ip,
        order={"offer": offer_id},
    )


JOPLIN = Place("us-joplin", "Joplin", "Missouri", "United States")
MANASSAS = Place("us-manassas", "Manassas", "Virginia", "United States")
CHUBBUCK = Place("us-chubbuck", "Chubbuck", "Idaho", "United States")
ORLANDO = Place("us-orlando", "Orlando", "Florida", "United States")
WINNIPEG = Place("ca-winnipeg", "Winnipeg", "Manitoba", "Canada")
EYGELSHOVEN = Place("nl-eygelshoven", "Eygelshoven", "Limburg", "Netherlands")

STOCK: tuple[Offer, ...] = (
    _offer("joplin-4090", JOPLIN, "geforcertx4090-pcie-24gb", "0.397"),
    _offer("manassas-4090", MANASSAS, "geforcertx4090-pcie-24gb", "0.377"),
    _offer("chubbuck-3090", CHUBBUCK, "geforcertx3090-pcie-24gb", "0.2"),
    _offer("orlando-a4000", ORLANDO, "rtxa4000-pcie-16gb", "0.15"),
    _offer("orlando-4090-shared", ORLANDO, "geforcertx4090-pcie-24gb", "0.35", dedicated_ip=False),
    _offer("winnipeg-1070", WINNIPEG, "geforcegtx1070-pcie-8gb", "0.09"),
    _offer("eygelshoven-5090", EYGELSHOVEN, "geforcertx5090-pcie-32gb", "0.56"),
    _offer("joplin-cpu", JOPLIN, "", "0", gpus=0),
    _offer("eygelshoven-cpu", EYGELSHOVEN, "", "0", gpus=0),
)
