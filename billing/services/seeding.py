"""The rate card an installation starts with (contract.md), and its schedules. Safe to repeat; staff's own rows stand."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from django.db import transaction

from billing.models import Margin, Rate, RateFactor
from gamer.queue import schedules

BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
TENSORDOCK = {"retro": "0.15", "advanced": "0.35", "premium": "1.20"}
GOOGLE = {"retro": "0.12", "advanced": "0.28", "premium": "0.85"}
CLOUDYPAD = ("gcp", "aws", "azure", "paperspace", "scaleway")
RATES: dict[str, dict[str, str]] = {
    "tensordock": TENSORDOCK,
    **{f"cloudypad_{cloud}": GOOGLE for cloud in CLOUDYPAD},
    "libvirt": {"": "0"},
}
FACTORS: dict[str, dict[str, str]] = {
    "tensordock": {"switch": "1.3", "3ds": "1.1"},
    **{f"cloudypad_{cloud}": {"": "1.25"} for cloud in CLOUDYPAD},
}


@transaction.atomic
def seed(now: datetime) -> None:
    """The rates of every provider that has none, a margin of nothing, and the schedules."""
    priced = set(Rate.objects.values_list("provider", flat=True))
    new = [provider for provider in RATES if provider not in priced]
    Rate.objects.bulk_create(
        Rate(provider=provider, preset=preset, usd_per_hour=Decimal(usd), starts_at=BEGIN)
        for provider in new
        for preset, usd in RATES[provider].items()
    )
    RateFactor.objects.bulk_create(
        (
            RateFactor(provider=provider, console=console, factor=Decimal(factor), starts_at=BEGIN)
            for provider in new
            for console, factor in FACTORS.get(provider, {}).items()
        ),
        ignore_conflicts=True,
    )
    if not Margin.objects.exists():
        Margin.objects.create(share=Decimal(0), starts_at=BEGIN)
    schedules.keep("close full hours", "billing.tasks.close_hours", minutes=1)
    schedules.keep("fold coarse sums", "billing.tasks.fold_sums", minutes=5)
    schedules.keep("expire credit", "billing.tasks.expire_credit", minutes=5)
    schedules.keep("verify the ledger", "billing.tasks.verify", minutes=24 * 60)
