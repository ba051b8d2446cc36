"""Who owes whom: credit accounts, entries with their legs, grants that may expire, and holds.

The laws are Postgres's (migration `0001`): the legs of an entry sum to zero and come in one statement, which also moves the
balances; entries and legs are never changed or deleted. `billing.ledger` alone writes here.
"""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.models.fields import amount_field


class AccountKind(models.TextChoices):
    USER = "user", "a person's"
    PROJECT = "project", "a project's"
    DEPARTMENT = "department", "a department's"
    HOUSE = "house", "our own"


class CreditAccount(models.Model):
    """Where credit lies and usage is charged. `balance_usd` is the sum of its legs, `held_usd` that of its holds.

    Accounts of our own (`code`) are the other side of every entry. Their balance is the sum of their legs and kept
    nowhere, because every entry would wait for that one row.
    """

    kind = models.CharField(max_length=10, choices=AccountKind.choices)
    code = models.CharField(max_length=20, blank=True, editable=False)
    user = models.OneToOneField(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="credit_account"
    )
    project = models.OneToOneField(
        "accounts.Project", null=True, on_delete=models.PROTECT, related_name="credit_account"
    )
    department = models.OneToOneField(
        "accounts.Department", null=True, on_delete=models.PROTECT, related_name="credit_account"
    )
    is_postpaid = models.BooleanField(
        "postpaid", default=False, help_text="Plays without credit and is billed."
    )
    balance_usd = amount_field(default=Decimal(0), editable=False)
    held_usd = amount_field(default=Decimal(0), editable=False)
    opened_at = models.DateTimeField(default=timezone.now, editable=False)
    warned_at = models.DateTimeField(
        null=True,
        editable=False,
        help_text="When its people were told that credit runs out; empty once it is well.",
    )

    class Meta:
        verbose_name = "credit account"
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="user", user__isnull=False, project=None, department=None, code="")
                | Q(kind="project", user=None, project__isnull=False, department=None, code="")
                | Q(kind="department", user=None, project=None, department__isnull=False, code="")
                | Q(kind="house", user=None, project=None, department=None) & ~Q(code=""),
                name="credit_account_of_one",
            ),
            models.UniqueConstraint(fields=["code"], condition=~Q(code=""), name="credit_account_code_once"),
            models.CheckConstraint(condition=Q(held_usd__gte=0), name="credit_account_holds_forward"),
        ]

    def __str__(self) -> str:
        return f"{self.code or f'{self.kind} {self.user or self.project or self.department}'}"

    @property
    def available_usd(self) -> Decimal:
        """What may still be promised to a launch."""
        return Decimal(self.balance_usd - self.held_usd)


class Entry(models.Model):
    """One booking: why, when, by whom. `key` makes it happen once; `digest` tells a replay from a mistake."""

    class Kind(models.TextChoices):
        USAGE = "usage", "usage"
        SIGNUP = "signup", "signup credit"
        GRANT = "grant", "credit given"
        DEDUCT = "deduct", "credit taken"
        EXPIRY = "expiry", "credit expired"

    id = models.BigAutoField(primary_key=True)
    key = models.CharField(max_length=120, unique=True)
    digest = models.CharField(max_length=64)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    at = models.DateTimeField()
    actor = models.CharField(max_length=100)
    reason = models.CharField(max_length=300, blank=True)
    legs_count = models.PositiveIntegerField(help_text="As many as its one statement wrote.")

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "entries"
        constraints = [models.CheckConstraint(condition=Q(legs_count__gte=2), name="entry_has_two_sides")]
        indexes = [models.Index(fields=["-at"], name="entry_newest")]

    def __str__(self) -> str:
        return self.key


class Leg(models.Model):
    """One side of an entry: positive is credit for the account, negative is taken from it. `record` is the usage charged."""

    id = models.BigAutoField(primary_key=True)
    # What it points at is there: looked up once per statement (`migrations/0003_laws.py`), not row by row.
    entry = models.ForeignKey(Entry, on_delete=models.PROTECT, related_name="legs", db_constraint=False)
    account = models.ForeignKey(
        CreditAccount, on_delete=models.PROTECT, related_name="legs", db_index=False, db_constraint=False
    )
    amount_usd = amount_field()
    record = models.ForeignKey(
        "billing.UsageRecord",
        null=True,
        on_delete=models.PROTECT,
        related_name="legs",
        db_index=False,
        db_constraint=False,
    )

    class Meta:
        ordering = ("id",)
        constraints = [
            models.UniqueConstraint(
                fields=["record"], condition=Q(record__isnull=False), name="leg_charges_usage_once"
            ),
            models.CheckConstraint(condition=~Q(amount_usd=0), name="leg_moves_something"),
        ]
        indexes = [models.Index(fields=["account", "id"], name="leg_of_account")]

    def __str__(self) -> str:
        return f"{self.amount_usd} USD"


class Grant(models.Model):
    """Credit given, and until when it is good. What expires first is spent first; the rest of it expires by an entry."""

    leg = models.OneToOneField(Leg, primary_key=True, on_delete=models.PROTECT, related_name="grant")
    account = models.ForeignKey(CreditAccount, on_delete=models.PROTECT, related_name="grants")
    amount_usd = amount_field()
    expires_at = models.DateTimeField(null=True)
    expired_at = models.DateTimeField(null=True, help_text="When what was left of it was taken back.")
    expiry = models.OneToOneField(
        Entry, null=True, on_delete=models.PROTECT, related_name="+", help_text="Empty when nothing was left."
    )

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(amount_usd__gt=0), name="grant_gives")]
        indexes = [
            models.Index(
                fields=["expires_at"],
                condition=Q(expires_at__isnull=False, expired_at=None),
                name="grant_to_expire",
            )
        ]

    def __str__(self) -> str:
        return f"{self.amount_usd} USD"


class Hold(models.Model):
    """An hour's price put aside for one VM while it may play, so that what is promised can be paid.

    It stays while the hours it covered are posted: each hour's end renews it for the next.
    """

    vm = models.UUIDField(primary_key=True)
    account = models.ForeignKey(CreditAccount, on_delete=models.PROTECT, related_name="holds")
    amount_usd = amount_field()
    held_at = models.DateTimeField()
    renewed_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(amount_usd__gte=0), name="hold_not_negative")]

    def __str__(self) -> str:
        return f"{self.amount_usd} USD for {self.vm}"


class Verification(models.Model):
    """One run of `verify_ledger`: when, and which laws it found broken (by law: how many rows, and some of them)."""

    at = models.DateTimeField()
    broken = models.JSONField(default=dict)

    class Meta:
        ordering = ("-id",)
        indexes = [models.Index(fields=["-at"], name="verification_newest")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {'broken' if self.broken else 'holds'}"
