"""Machine types of clouds: the rows that staff edit, and what an adapter is told of them. Offers are these types times their zones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.principal import Principal
from events.services import Happening, record
from gamer.errors import bad_field
from gamer.queue.wake import ring
from locations import regions
from locations.models import Region
from vms.channels import RECONCILER
from vms.models import MachineType, ProviderAccount
from vms.providers.cloudypad.clouds import Product
from vms.shipped_types import TYPES

EDITED = (
    *("kind", "name", "gpu_type", "gpu_model", "gpus", "vcpus", "ram_gb"),
    *("root_disk_gb", "data_disk_gb", "usd_per_hour", "zones", "is_sold"),
)
# A zone is its region and a letter (us-central1-a, us-east-1a) or a number (fr-par-2); elsewhere the two are the same.
_ZONE_ENDS = {
    "cloudypad_gcp": re.compile(r"-[a-z]\Z"),
    "cloudypad_aws": re.compile(r"[a-z]\Z"),
    "cloudypad_scaleway": re.compile(r"-[0-9]\Z"),
}


def region_of(kind: str, zone: str) -> str:
    """The region a cloud's zone belongs to."""
    ending = _ZONE_ENDS.get(kind)
    return ending.sub("", zone) if ending else zone


def seed(now: datetime) -> None:
    """The shipped types of each cloud that has none yet. Safe to repeat: what staff changed or took away stays so."""
    known = set(MachineType.objects.values_list("kind", flat=True))
    MachineType.objects.bulk_create(
        [
            MachineType(**{**asdict(shipped), "zones": list(shipped.zones)})
            for shipped in TYPES
            if shipped.kind not in known
        ],
        ignore_conflicts=True,
    )


def products(kind: str) -> list[Product]:
    """All that may be bought at a cloud. A zone in a region that no catalogue places is left out: nobody could tell how far it is."""
    types = list(MachineType.objects.filter(kind=kind, is_sold=True))
    places = regions.by_code(kind=kind)
    return [
        _product(each, zone, places[code])
        for each in types
        for zone in each.zones
        if (code := region_of(kind, zone)) in places
    ]


def _product(row: MachineType, zone: str, place: Region) -> Product:
    return Product(
        machine_type=row.name,
        region=place.code,
        zone=zone,
        city=place.city,
        state=place.state,
        country=place.country,
        gpu_model=row.gpu_model,
        gpus=row.gpus,
        vcpus=row.vcpus,
        ram_gb=row.ram_gb,
        root_disk_gb=row.root_disk_gb,
        data_disk_gb=row.data_disk_gb,
        usd_per_hour=row.usd_per_hour,
        gpu_type=row.gpu_type,
    )


def faults(row: MachineType) -> dict[str, str]:
    """What is wrong with a type, in words, by field; empty when nothing is."""
    found: dict[str, str] = {}
    if row.kind == "cloudypad_gcp" and not row.gpu_type:
        found["gpu_type"] = "Google is asked for the accelerator by its own name, such as nvidia-l4."
    if row.kind != "cloudypad_paperspace" and not row.data_disk_gb:
        found["data_disk_gb"] = "Without a data disk a stop may lose games and saves."
    if not row.zones:
        found["zones"] = "Name at least one zone."
    codes = {zone: region_of(row.kind, zone) for zone in row.zones}
    known = set(Region.objects.filter(kind=row.kind, code__in=codes.values()).values_list("code", flat=True))
    if unknown := [zone for zone, code in codes.items() if code not in known]:
        found["zones"] = f"No region is known for {', '.join(sorted(unknown))}."
    return found


def save(*, row: MachineType, by: Principal, now: datetime) -> None:
    """Adds or changes a type; the offers of its cloud's accounts are fetched anew at once. Raises ValidationError."""
    for name, text in faults(row).items():
        raise bad_field(name, text)
    with transaction.atomic():
        before = MachineType.objects.filter(pk=row.pk).values(*EDITED).first() or {}
        row.save()
        told = {
            name: [_plain(before.get(name)), _plain(getattr(row, name))]
            for name in EDITED
            if before.get(name) != getattr(row, name)
        }
        _record(row, "update" if before else "create", told, by, now)


def delete(*, row: MachineType, by: Principal, now: datetime) -> None:
    """Takes a type out of the table. Machines of it go on."""
    with transaction.atomic():
        _record(row, "delete", {}, by, now)
        row.delete()


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | list | Sequence) else str(value)


def _record(row: MachineType, action: str, told: dict[str, Any], by: Principal, now: datetime) -> None:
    ProviderAccount.objects.filter(kind=row.kind).update(next_refresh_at=now)
    record(
        Happening(
            at=now,
            actor=by.label,
            action=action,
            resource="machine_types",
            resource_id=str(row.pk),
            details={"type": str(row), **told},
        )
    )
    ring(RECONCILER)
