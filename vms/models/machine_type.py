"""The row of a machine type; `machine_types` has what is done with it, and `models` shows it with the others."""

from __future__ import annotations

from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models

from events.history import keeps_history
from vms.models.columns import CLOUD_KINDS, usd_field


@keeps_history("machine_types", "{id}", row="{name}")
class MachineType(models.Model):
    """What a cloud without a stock to ask sells: a type in the cloud's own words, its size, its price, where. Staff edit it."""

    kind = models.CharField(max_length=30, choices=[(kind, kind) for kind in CLOUD_KINDS])
    name = models.CharField(max_length=60, help_text="As the cloud calls it: g2-standard-8.")
    gpu_type = models.CharField(
        "accelerator", max_length=40, blank=True, help_text="Google's name of it; empty at other clouds."
    )
    gpu_model = models.CharField("GPU model", max_length=80, help_text="As in the GPU classes: t4, l4, a10g.")
    gpus = models.PositiveSmallIntegerField("GPUs", default=1, validators=[MinValueValidator(1)])
    vcpus = models.PositiveIntegerField("vCPUs", validators=[MinValueValidator(1)])
    ram_gb = models.PositiveIntegerField("RAM (GB)", validators=[MinValueValidator(1)])
    root_disk_gb = models.PositiveIntegerField("system disk (GB)", validators=[MinValueValidator(20)])
    data_disk_gb = models.PositiveIntegerField(
        "data disk (GB)",
        help_text="Games and saves, kept over a stop. 0 only where the system disk is the one disk.",
    )
    usd_per_hour = usd_field(
        verbose_name="price (USD per hour)",
        validators=[MinValueValidator(Decimal(0))],
        help_text="With disks and address: what a machine of it is quoted, shown and metered at, from the next order on.",
    )
    zones = ArrayField(models.CharField(max_length=60), help_text="One for each region it is ordered in.")
    is_sold = models.BooleanField("ordered", default=True)

    class Meta:
        ordering = ("kind", "usd_per_hour", "name")
        constraints = [models.UniqueConstraint(fields=["kind", "name"], name="machine_type_once_per_cloud")]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"
