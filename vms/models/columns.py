"""What columns of several models share: the kinds of providers, a price, and being read in bulk."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Self

from django.db import models
from django.db.models.base import ModelState

from billing.kinds import KINDS

PROVIDER_KINDS = KINDS

CLOUD_KINDS = tuple(kind for kind in PROVIDER_KINDS if kind.startswith("cloudypad_"))


def usd_field(**options: Any) -> models.DecimalField[Any, Any]:
    """USD per hour, exact to the vendors' smallest unit prices (0.00005 per GB)."""
    return models.DecimalField(max_digits=14, decimal_places=9, **options)


class BulkRead(models.Model):
    """A model whose rows are read by the thousand, several times a minute. No signal says that one was read."""

    class Meta:
        abstract = True

    @classmethod
    def from_db(  # type: ignore[override]  # the stubs are a Django ahead
        cls, db: str | None, field_names: Collection[str], values: Collection[Any]
    ) -> Self:
        # Django looks for a default and calls setattr, column by column; columns that were not read are those that are not there.
        row = cls.__new__(cls)
        row._state = ModelState()
        row._state.adding, row._state.db = False, db
        vars(row).update(zip(field_names, values, strict=True))
        return row
