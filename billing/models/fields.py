"""The two shapes of money: a price per hour, and an amount that was posted."""

from __future__ import annotations

from typing import Any

from django.db import models


def price_field(**options: Any) -> models.DecimalField[Any, Any]:
    """USD per hour, exact to the vendors' smallest unit prices; as wide as `vms.models.usd_field`."""
    return models.DecimalField(max_digits=14, decimal_places=9, **options)


def amount_field(**options: Any) -> models.DecimalField[Any, Any]:
    """USD to the millionth: what `rating` rounds to, and what the API shows."""
    return models.DecimalField(max_digits=20, decimal_places=6, **options)
