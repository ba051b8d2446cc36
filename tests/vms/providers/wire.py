"""What the tests of TensorDock's wire share: a token, an offer, every verb, a machine as the vendor shows it."""

from __future__ import annotations

from collections.abc import Callable

from tests.vms.providers.specs import spec, tag
from vms.providers.base import (
    Need,
    Offer,
    Place,
)
from vms.providers.tensordock import TensorDockProvider
from vms.providers.tensordock.client import Timeouts

TOKEN = "td-canary-77aa"
QUICK = Timeouts(backoff=0)
ID = "6b3f1c9e-0000-4000-8000-000000000001"
HTML = b"<!DOCTYPE html><html><body>Bad gateway</body></html>"
OFFER = Offer(
    "loc:x:geforcertx4090-pcie-24gb",
    Place("nowhere"),
    gpu_model="geforcertx4090-pcie-24gb",
    min_gpus=1,
    max_gpus=1,
    max_vcpus=16,
    max_ram_gb=64,
    max_disk_gb=500,
    has_dedicated_ip=True,
    order={"location_id": "x"},
)
VERBS: dict[str, Callable[[TensorDockProvider], object]] = {
    "offers": lambda provider: provider.offers(Need()),
    "create": lambda provider: provider.create(spec(OFFER), tag()),
    "get": lambda provider: provider.get(ID),
    "list": lambda provider: provider.list(),
    "delete": lambda provider: provider.delete(ID),
    "stop": lambda provider: provider.stop(ID),
    "start": lambda provider: provider.start(ID),
}
# As an observer of 2026 recorded it: a bare object.
DETAIL = {
    "type": "virtualmachine",
    "id": ID,
    "name": tag(),
    "status": "running",
    "ipAddress": "198.51.100.7",
    "portForwards": [
        {"internal_port": 3389, "external_port": 20455},
        {"internal_port": 22, "external_port": 20456, "protocol": "tcp"},
    ],
    "resources": {
        "vcpu_count": 8,
        "ram_gb": 16,
        "storage_gb": 200,
        "gpus": {"geforcertx4090-pcie-24gb": {"count": 1, "v0Name": "geforcertx4090-pcie-24gb"}},
    },
    "rateHourly": 0.4415,
}
