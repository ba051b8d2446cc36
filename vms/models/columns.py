"""What columns of several models share: the kinds of providers, and a price."""

from __future__ import annotations

from typing import Any

from django.db import models

PROVIDER_KINDS = (
    "tensordock",
    "cloudypad_gcp",
    "cloudypad_aws",
    "cloudypad_azure",
    "cloudypad_paperspace",
    "cloudypad_scaleway",
    "libvirt",
    "memory",
)

CLOUD_KINDS = tuple(kind for kind in PROVIDER_KINDS if kind.startswith("cloudypad_"))


def usd_field(**options: Any) -> models.DecimalField[Any, Any]:
    """USD per hour, exact to the vendors' smallest unit prices (0.00005 per GB)."""
    return models.DecimalField(max_digits=14, decimal_places=9, **options)
