"""What the API remembers about requests: how fast somebody writes, what an Idempotency-Key was
answered with, and what happened how often."""

from __future__ import annotations

from django.db import models


class Allowance(models.Model):
    """One caller's pace (GCRA): `full_at` is when everything taken so far has flowed back.

    The table is unlogged: a crash forgets who wrote how fast, which costs nothing. `full_at` has no index, so that an
    update stays on its page.
    """

    name = models.CharField(max_length=200, primary_key=True)
    full_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class IdempotencyRecord(models.Model):
    """An answer that was given once. `status` is null only inside the transaction that is making the answer."""

    principal = models.CharField(max_length=60)
    key = models.CharField(max_length=255)
    request_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.TextField(default="")
    location = models.TextField(default="")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["principal", "key"], name="idempotency_key_once")]
        indexes = [models.Index(fields=["created_at"], name="idempotency_created_at")]

    def __str__(self) -> str:
        return f"{self.principal} {self.key}"


class Tally(models.Model):
    """One counter of the processes that nobody scrapes: workers, the reconciler, commands (`gamer.tallies`). Only ever rises."""

    name = models.CharField(max_length=60)
    labels = models.JSONField(default=dict)
    value = models.FloatField()

    class Meta:
        verbose_name_plural = "tallies"
        constraints = [models.UniqueConstraint(fields=["name", "labels"], name="tally_once")]

    def __str__(self) -> str:
        return f"{self.name} {self.labels}"
