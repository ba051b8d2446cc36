"""The row of an offer; `offers` has what is done with it, and `models` shows it with the others."""

from __future__ import annotations

from decimal import Decimal

from django.db import models

from vms.models.columns import usd_field


class Offer(models.Model):
    """Something an account could buy when it was last refreshed. Prices in USD per hour, as in `providers.base.Offer`."""

    account = models.ForeignKey("vms.ProviderAccount", on_delete=models.CASCADE, related_name="offers")
    offer_id = models.CharField(max_length=150)
    region = models.CharField(max_length=100)
    city = models.CharField(max_length=100, blank=True)
    state = models.CharField(max_length=100, blank=True)
    country = models.CharField(max_length=100, blank=True)
    latitude = models.FloatField(null=True)
    longitude = models.FloatField(null=True)
    gpu_model = models.CharField(max_length=80, blank=True)
    min_gpus = models.PositiveIntegerField(default=0)
    max_gpus = models.PositiveIntegerField(default=0)
    max_vcpus = models.PositiveIntegerField()
    max_ram_gb = models.PositiveIntegerField()
    max_disk_gb = models.PositiveIntegerField()
    usd_per_hour = usd_field(default=Decimal(0))
    usd_per_gpu = usd_field(default=Decimal(0))
    usd_per_vcpu = usd_field(default=Decimal(0))
    usd_per_gb_ram = usd_field(default=Decimal(0))
    usd_per_gb_disk = usd_field(default=Decimal(0))
    usd_per_dedicated_ip = usd_field(default=Decimal(0))
    has_dedicated_ip = models.BooleanField(default=False)
    maps_ports_one_to_one = models.BooleanField(default=False)
    order = models.JSONField(default=dict)
    refreshed_at = models.DateTimeField()
    cools_until = models.DateTimeField(null=True)
    cools_why = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "offer_id"], name="offer_once_per_account")]

    def __str__(self) -> str:
        return f"{self.offer_id} ({self.location_name})"

    @property
    def location_name(self) -> str:
        return ", ".join(part for part in (self.city, self.state, self.country) if part) or self.region
