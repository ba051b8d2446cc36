"""Samples and their roll-ups, one row for each subject and step of time; numbers stand by position in `measures.MEASURES`."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class RealField(models.FloatField):  # type: ignore[type-arg]
    """Four bytes: seven digits are more than any of our meters has."""

    def db_type(self, connection: object) -> str:
        return "real"


class Sample(models.Model):
    """What a subject measured. `at` is cut to five seconds; with the subject it is the key that makes a repeat harmless.

    The table is unlogged: a crash of Postgres forgets what has not been rolled up, some two minutes, and the fine view of the
    last hours. In return a heartbeat waits for no further write to the disk.
    """

    pk = models.CompositePrimaryKey("subject", "at")
    subject = models.UUIDField()
    at = models.DateTimeField()
    numbers = ArrayField(RealField(null=True))

    class Meta:
        indexes = [models.Index(fields=["at"], name="sample_at")]

    def __str__(self) -> str:
        return f"{self.subject} at {self.at}"


class RollUp(models.Model):
    """All samples of one subject in one step that begins at `at`. The mean is `sums` over `counts`."""

    pk = models.CompositePrimaryKey("subject", "at")
    subject = models.UUIDField()
    at = models.DateTimeField()
    mins = ArrayField(RealField(null=True))
    maxs = ArrayField(RealField(null=True))
    sums = ArrayField(models.FloatField(null=True))
    counts = ArrayField(models.IntegerField())

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.subject} from {self.at}"


class Minute(RollUp):
    """A minute, from samples."""

    class Meta:
        indexes = [models.Index(fields=["at"], name="minute_at")]


class Hour(RollUp):
    """An hour, from minutes."""

    class Meta:
        indexes = [models.Index(fields=["at"], name="hour_at")]


class Late(models.Model):
    """A minute to roll up once more, because samples of it came after it was."""

    pk = models.CompositePrimaryKey("subject", "at")
    subject = models.UUIDField()
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.subject} from {self.at}"


class Progress(models.Model):
    """How far a level is rolled up: everything before `until` is. Whoever rolls up holds the row's lock."""

    level = models.CharField(max_length=10, primary_key=True)
    until = models.DateTimeField()

    class Meta:
        verbose_name_plural = "progress"

    def __str__(self) -> str:
        return f"{self.level} until {self.until}"
