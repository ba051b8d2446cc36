"""What things cost where no vendor quotes a price, and what we add. Dated rows: the newest that has begun is in force."""

from __future__ import annotations

from decimal import Decimal

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.models.fields import price_field


class Rate(models.Model):
    """USD per hour of one machine of a preset at a provider, before its factors. An empty preset: of any."""

    provider = models.CharField(max_length=30)
    preset = models.CharField(
        max_length=30, blank=True, help_text="Empty: any preset without a row of its own."
    )
    usd_per_hour = price_field(validators=[MinValueValidator(Decimal(0))])
    starts_at = models.DateTimeField(
        default=timezone.now, help_text="In force from then until a newer row begins."
    )

    class Meta:
        ordering = ("provider", "preset", "-starts_at")
        constraints = [
            models.UniqueConstraint(fields=["provider", "preset", "starts_at"], name="rate_once"),
            models.CheckConstraint(condition=Q(usd_per_hour__gte=0), name="rate_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.preset or 'any'} from {self.starts_at:%Y-%m-%d}"


class RateFactor(models.Model):
    """What a provider's rate is multiplied by: its overhead (no console), or a console that needs more."""

    provider = models.CharField(max_length=30)
    console = models.CharField(
        max_length=30, blank=True, help_text="Empty: the provider's overhead, on every console."
    )
    factor = models.DecimalField(
        max_digits=8, decimal_places=4, validators=[MinValueValidator(Decimal("0.0001"))]
    )
    starts_at = models.DateTimeField(
        default=timezone.now, help_text="In force from then until a newer row begins."
    )

    class Meta:
        ordering = ("provider", "console", "-starts_at")
        constraints = [
            models.UniqueConstraint(fields=["provider", "console", "starts_at"], name="rate_factor_once"),
            models.CheckConstraint(condition=Q(factor__gt=0), name="rate_factor_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.console or 'overhead'} × {self.factor.normalize():f}"


class Margin(models.Model):
    """What the customer pays above the price, as a share: 0.15 is 15 %."""

    share = models.DecimalField(
        max_digits=6,
        decimal_places=4,
        validators=[MinValueValidator(Decimal("-1"))],
        help_text="0.15 is 15 %.",
    )
    starts_at = models.DateTimeField(
        default=timezone.now, unique=True, help_text="Holds for machines bought from then on."
    )

    class Meta:
        ordering = ("-starts_at",)
        constraints = [models.CheckConstraint(condition=Q(share__gte=-1), name="margin_not_below_free")]

    def __str__(self) -> str:
        return f"{(100 * self.share).normalize():f} % from {self.starts_at:%Y-%m-%d}"
