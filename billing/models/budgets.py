"""How much may be spent, and what happens at which share of it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from billing.models.fields import amount_field
from billing.sight import sight_of

if TYPE_CHECKING:
    from accounts.principal import Principal

MOST_DAYS = 366  # a year, leap ones as well: every look sums all of them
MOST_EMAILS = 20
MOST_PERCENT = 1000


class Covers(models.TextChoices):
    """Whose spending a budget watches: the first two watch what providers ask, the others what customers pay."""

    GLOBAL = "global", "everything"
    PROVIDER = "provider", "a provider"
    PROJECT = "project", "a project"
    DEPARTMENT = "department", "a department"
    USER = "user", "a person"


class BudgetPeriod(models.TextChoices):
    DAILY = "daily", "every day"
    MONTHLY = "monthly", "every month"
    CUSTOM = "custom", "from a day to a day"


class BudgetQuerySet(models.QuerySet["Budget"]):
    def visible_to(self, principal: Principal) -> BudgetQuerySet:
        """Everybody's to who may bill; a key's department's to such a key; a department's own to its managers."""
        sight = sight_of(principal)
        if not sight.may_steer:
            return self.none()
        return self.all() if sight.department_id is None else self.of_department(sight.department_id)

    def of_department(self, department_id: int) -> BudgetQuerySet:
        """Without what staff set on its people: that counts what they use elsewhere, and used before they joined."""
        return self.filter(
            Q(department=department_id)
            | Q(project__department=department_id)
            | Q(user__department=department_id, within=department_id)
        )


class Budget(models.Model):
    """An amount for a period, over what it `covers`. Days are those of settings.BILLING_TIME_ZONE."""

    name = models.CharField(max_length=100)
    covers = models.CharField(max_length=10, choices=Covers.choices)
    provider = models.CharField(max_length=30, blank=True)
    project = models.ForeignKey(
        "accounts.Project", null=True, blank=True, on_delete=models.CASCADE, related_name="budgets"
    )
    department = models.ForeignKey(
        "accounts.Department", null=True, blank=True, on_delete=models.CASCADE, related_name="budgets"
    )
    user = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.CASCADE, related_name="budgets"
    )
    within = models.ForeignKey(
        "accounts.Department", null=True, on_delete=models.CASCADE, related_name="+", editable=False,
        help_text="Counts and stops only what the person uses as one of this department's people. Empty: everything.",
    )  # fmt: skip
    period = models.CharField(max_length=10, choices=BudgetPeriod.choices)
    starts_on = models.DateField(null=True, blank=True, help_text="The first day, of a custom period.")
    ends_on = models.DateField(null=True, blank=True, help_text="The last day, of a custom period.")
    limit_usd = amount_field(validators=[MinValueValidator(Decimal("0.000001"))])
    emails = ArrayField(
        models.EmailField(), default=list, blank=True, size=MOST_EMAILS, help_text="Who is told by mail."
    )
    webhook = models.ForeignKey(
        "events.Webhook", null=True, blank=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    is_active = models.BooleanField("active", default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = BudgetQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.CheckConstraint(
                condition=Q(covers="global", provider="", project=None, department=None, user=None)
                | Q(covers="provider", project=None, department=None, user=None) & ~Q(provider="")
                | Q(covers="project", provider="", project__isnull=False, department=None, user=None)
                | Q(covers="department", provider="", project=None, department__isnull=False, user=None)
                | Q(covers="user", provider="", project=None, department=None, user__isnull=False),
                name="budget_covers_one",
            ),
            models.CheckConstraint(
                condition=Q(within=None) | Q(covers="user"), name="budget_within_of_person"
            ),
            models.CheckConstraint(
                condition=Q(period="custom", starts_on__isnull=False, ends_on__gte=F("starts_on"))
                | Q(period__in=("daily", "monthly"), starts_on=None, ends_on=None),
                name="budget_period_whole",
            ),
            models.CheckConstraint(condition=Q(limit_usd__gt=0), name="budget_limit_positive"),
        ]
        indexes = [models.Index(fields=["covers"], condition=Q(is_active=True), name="budget_active")]

    def __str__(self) -> str:
        return self.name

    @property
    def audience_department_id(self) -> int | None:
        """The department that is told of it."""
        if self.project is not None:
            return self.project.department_id
        return self.within_id if self.covers == Covers.USER else self.department_id


class Threshold(models.Model):
    """What happens once a share of the budget is spent."""

    budget = models.ForeignKey(Budget, on_delete=models.CASCADE, related_name="thresholds")
    percent = models.PositiveIntegerField(validators=[MinValueValidator(1), MaxValueValidator(MOST_PERCENT)])
    notifies = models.BooleanField(default=True, help_text="By mail and webhook; the event is always there.")
    blocks_launches = models.BooleanField(default=False)
    stops_vms = models.BooleanField("stops VMs", default=False, help_text="And refuses new ones.")

    class Meta:
        ordering = ("percent",)
        constraints = [
            models.UniqueConstraint(fields=["budget", "percent"], name="threshold_once"),
            models.CheckConstraint(
                condition=Q(percent__gte=1, percent__lte=MOST_PERCENT), name="threshold_percent"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.percent} %"

    @property
    def severity(self) -> str:
        return severity_of(self.percent)


def severity_of(percent: int) -> str:
    return "critical" if percent >= 100 else "warning"


class CrossingQuerySet(models.QuerySet["BudgetCrossing"]):
    def in_force(self, today: date) -> CrossingQuerySet:
        """What is over its threshold in the present period."""
        return self.filter(
            budget__is_active=True, period_start__lte=today, period_end__gte=today, lifted_at=None
        )


class BudgetCrossing(models.Model):
    """The fact that a threshold was crossed in a period; rooms above look at it and act. There is one per period, so its
    notices go out once; `lifted_at` says that it no longer holds, because the limit was raised.
    """

    budget = models.ForeignKey(Budget, on_delete=models.CASCADE, related_name="crossings")
    percent = models.PositiveIntegerField()
    period_start = models.DateField()
    period_end = models.DateField()
    spent_usd = amount_field()
    limit_usd = amount_field()
    crossed_at = models.DateTimeField()
    lifted_at = models.DateTimeField(null=True)

    objects = CrossingQuerySet.as_manager()

    class Meta:
        ordering = ("-crossed_at", "-id")
        verbose_name = "crossed threshold"
        constraints = [
            models.UniqueConstraint(
                fields=["budget", "period_start", "percent"], name="crossing_once_per_period"
            )
        ]
        indexes = [models.Index(fields=["period_end"], condition=Q(lifted_at=None), name="crossing_in_force")]

    def __str__(self) -> str:
        return f"{self.percent} % of {self.budget}"

    @property
    def severity(self) -> str:
        return severity_of(self.percent)


class BudgetWatch(models.Model):
    """When the budgets are next looked at: one row, so that of any number of processes one looks."""

    next_look_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.next_look_at:%Y-%m-%d %H:%M:%S}"
