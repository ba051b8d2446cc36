"""What columns of several models share: the kinds of providers, a price, and being left out."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Self

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


class Deferrable(models.Model):
    """A model with many columns, most of which are not asked for thousands of times a minute."""

    class Meta:
        abstract = True

    @classmethod
    def from_db(
        cls, db: str | None, field_names: Collection[str], values: Collection[Any], **options: Any
    ) -> Self:
        # Django looks for each of the columns in a list of those that were asked for; in a set it finds them at once.
        return super().from_db(db, frozenset(field_names), values, **options)
