"""Sums of what was used, which reports read: by day, by day without users, by many days; and which machine took over from which.

All are kept in the transaction that writes what they sum, or made of such sums by a schedule that changes no figure. So each
equals its intervals at every moment; `verify_ledger` counts them again.
"""

from __future__ import annotations

from datetime import date

from django.db import models
from django.db.models import Q

from billing.models.fields import amount_field
from billing.models.usage import CostCentre, Subject

LONGEST_SPAN_DAYS = 128
BLOCK_DAYS = 64
SPANS_BEGAN = date(2000, 1, 1)  # blocks as well
# What a takeover's `agrees` has a bit for: the columns of cost centres that reports group by.
BITS = {
    "provider": 1,
    "region": 2,
    "console": 4,
    "preset": 8,
    "project_id": 16,
    "department_id": 32,
    "user_id": 64,
}


class DaySum(models.Model):
    """What every sum has.

    The times are microseconds: `running_us` of machines that ran, of which `charged_us` could be played on; `stopped_us` of
    those stopped but billed, `storage_us` of disks. `saved_usd` is what these two would have cost more, had they run.

    `machines_begun` counts machines that serve a VM on the day they began to cost, `machines_ended` on the last day they were
    there: whoever was there at the beginning of a day was there at the beginning of the day before, or began on it, and did
    not end.
    """

    id = models.BigAutoField(primary_key=True)
    day = models.DateField(help_text="In settings.BILLING_TIME_ZONE.")
    running_us = models.BigIntegerField(db_default=0)
    charged_us = models.BigIntegerField(db_default=0)
    stopped_us = models.BigIntegerField(db_default=0)
    storage_us = models.BigIntegerField(db_default=0)
    cost_usd = amount_field(db_default=0)
    charge_usd = amount_field(db_default=0)
    saved_usd = amount_field(db_default=0)
    machines_begun = models.IntegerField(db_default=0)
    machines_ended = models.IntegerField(db_default=0)

    class Meta:
        abstract = True


class UsageDay(DaySum):
    """What a cost centre's records of one day come to, in one row or several.

    A row is an addition, written with the records it sums, and never changed, so that nobody waits for anybody. A schedule
    makes whole ones of a day's additions, and spans of days that are over; what comes later is added, and folded in its turn.
    """

    centre = models.ForeignKey(CostCentre, on_delete=models.PROTECT, related_name="days", db_index=False)
    is_whole = models.BooleanField(db_default=False, help_text="It was made of the day's additions.")
    is_folded = models.BooleanField(db_default=False, help_text="It is part of a span of two days.")

    class Meta:
        indexes = [
            models.Index(fields=["centre", "day"], name="usage_day_of_centre"),
            models.Index(fields=["day"], name="usage_day_by_day"),
            models.Index(fields=["day", "centre"], condition=Q(is_folded=False), name="usage_day_to_fold"),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.centre_id}"


class UsageSpan(DaySum):
    """Days of a cost centre once more, 2, 4, 8 … LONGEST_SPAN_DAYS of them in one: a year is a handful of rows.

    `day` is the first; spans begin at whole multiples of their length since SPANS_BEGAN, so that each lies in one of twice its
    length. A row is made once its days are over, never changes, and has a sister where something came late.
    """

    # They come from the days, which hold the centres in place.
    centre = models.ForeignKey(
        CostCentre, on_delete=models.PROTECT, related_name="spans", db_index=False, db_constraint=False
    )
    length = models.SmallIntegerField(help_text="Days.")
    is_folded = models.BooleanField(
        db_default=False, help_text="It is part of a longer span; of the longest, nothing is."
    )

    class Meta:
        indexes = [
            models.Index(fields=["length", "day", "centre"], name="usage_span_of_length"),
            models.Index(
                fields=["day"],
                condition=Q(is_folded=False, length__lt=LONGEST_SPAN_DAYS),
                name="usage_span_to_fold",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.length} days from {self.day} {self.centre_id}"


class UsageToDate(DaySum):
    """What somebody has used since the block of BLOCK_DAYS began that `day` lies in, to the end of `day`: a running sum.

    It has the days that are folded into spans. Whoever used anything in a block has a row for each later day of it, up to the
    last day that has rows, and sisters where something came late. A period by user is the last rows of its blocks, less the row
    of the day before it.
    """

    # Copied from centres, of which people have several, and which the days hold in place.
    user = models.BigIntegerField(null=True, db_column="user_id")
    project = models.BigIntegerField(null=True, db_column="project_id")
    department = models.BigIntegerField(null=True, db_column="department_id")

    class Meta:
        indexes = [models.Index(fields=["day"], name="usage_to_date_of_day")]

    def __str__(self) -> str:
        return f"to {self.day} {self.user}"


class Face(models.TextChoices):
    """What a coarse sum keeps apart: nothing, where it was, for what, both of these, or for whom."""

    ALL = "all", "everything"
    PLACE = "place", "providers and regions"
    GAME = "game", "consoles and presets"
    PRODUCT = "product", "places and games"
    TENANT = "tenant", "for whom"


class UsageSum(DaySum):
    """The days once more, without centres and users: few rows, for reports of everybody. Additions, and whole ones, as of days.

    Columns that are not of its face are empty.
    """

    face = models.CharField(max_length=7, choices=Face.choices)
    provider = models.CharField(max_length=30, blank=True)
    provider_account = models.BigIntegerField(null=True)
    region = models.CharField(max_length=100, blank=True)
    console = models.CharField(max_length=30, blank=True)
    preset = models.CharField(max_length=30, blank=True)
    # Copied from centres, which hold these rows in place.
    project = models.BigIntegerField(null=True, db_column="project_id")
    department = models.BigIntegerField(null=True, db_column="department_id")
    is_whole = models.BooleanField(default=False, help_text="It was folded.")

    class Meta:
        indexes = [
            models.Index(fields=["face", "day"], name="usage_sum_of_face"),
            models.Index(fields=["day"], condition=Q(is_whole=False), name="usage_sum_to_fold"),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.face}"


class Takeover(models.Model):
    """Two machines of one VM, the later one first: where VMs are fewer than machines. Most VMs have one machine and none of these.

    The days are those of the machines' lives, and the centres theirs, copied so that a year's VMs are counted from these rows
    alone. A last day is empty while the machine is there.
    """

    pk = models.CompositePrimaryKey("subject_id", "before_id")
    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="+", db_index=False)
    before = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="+", db_index=False)
    centre = models.ForeignKey(CostCentre, on_delete=models.PROTECT, related_name="+", db_index=False)
    before_centre = models.ForeignKey(CostCentre, on_delete=models.PROTECT, related_name="+", db_index=False)
    day = models.DateField(help_text="On which the later one began, in settings.BILLING_TIME_ZONE.")
    last_day = models.DateField(null=True)
    before_last_day = models.DateField(null=True)
    agrees = models.SmallIntegerField(
        help_text="In what the centres are the same: a bit for each of what reports group by."
    )
    is_only = models.BooleanField(help_text="The later one is the second of its VM: it has no other row.")

    def __str__(self) -> str:
        return f"{self.subject_id} after {self.before_id}"
