"""Credit accounts and what moved on them, as JSON."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from billing.models import CreditAccount, Entry, Leg
from billing.models.ledger import AccountKind
from billing.services import credits
from gamer.web.serializers import (
    MoneyField,
    StrictCharField,
    StrictChoiceField,
    StrictDateTimeField,
    StrictIntegerField,
    StrictSerializer,
)

KINDS = [(kind.value, kind.label) for kind in AccountKind if kind is not AccountKind.HOUSE]


class CreditSerializer(serializers.ModelSerializer[CreditAccount]):
    """An account: what it has, what is put aside for what runs, and what may still be promised."""

    account_id = serializers.IntegerField(source="id", read_only=True)
    kind = serializers.ChoiceField(KINDS, read_only=True)
    user_id = serializers.CharField(source="user.handle", read_only=True, allow_null=True, default=None)
    project_id = serializers.IntegerField(read_only=True, allow_null=True)
    department_id = serializers.IntegerField(read_only=True, allow_null=True)
    balance_usd = MoneyField(
        read_only=True, help_text="What is posted. Running hours are posted as they end."
    )
    held_usd = MoneyField(read_only=True, help_text="An hour's price of each VM that may play.")
    available_usd = MoneyField(read_only=True)

    class Meta:
        model = CreditAccount
        fields = (
            *("account_id", "kind", "user_id", "project_id", "department_id", "is_postpaid"),
            *("balance_usd", "held_usd", "available_usd", "opened_at"),
        )
        read_only_fields = fields


class CreditChangeSerializer(StrictSerializer):
    """Credit to give, or to take with a negative amount. Exactly one of the three ids."""

    user_id = StrictCharField(max_length=64, required=False)
    project_id = StrictIntegerField(min_value=1, required=False)
    department_id = StrictIntegerField(min_value=1, required=False)
    amount = MoneyField(
        min_value=-credits.MOST, max_value=credits.MOST, help_text="USD, other than 0; negative takes."
    )
    reason = StrictCharField(max_length=300)
    expires_at = StrictDateTimeField(
        required=False, allow_null=True, help_text="What is left of it then is taken back."
    )


class TransactionSerializer(serializers.ModelSerializer[Leg]):
    """One amount that moved on an account."""

    transaction_id = serializers.IntegerField(source="id", read_only=True)
    account_id = serializers.IntegerField(read_only=True)
    at = serializers.DateTimeField(source="entry.at", read_only=True)
    kind = serializers.ChoiceField(Entry.Kind.choices, source="entry.kind", read_only=True)
    amount_usd = MoneyField(read_only=True, help_text="Negative is taken from the account.")
    reason = serializers.CharField(source="entry.reason", read_only=True)
    vm_id = serializers.UUIDField(source="record.subject.vm", read_only=True, allow_null=True, default=None)
    used_from = serializers.DateTimeField(
        source="record.started_at", read_only=True, default=None, allow_null=True
    )
    used_until = serializers.DateTimeField(
        source="record.ended_at", read_only=True, default=None, allow_null=True
    )

    class Meta:
        model = Leg
        fields = (
            *("transaction_id", "account_id", "at", "kind", "amount_usd", "reason", "vm_id"),
            *("used_from", "used_until"),
        )
        read_only_fields = fields


class TransactionQuerySerializer(StrictSerializer):
    """What a list of transactions can be narrowed by."""

    account_id = StrictIntegerField(min_value=1, required=False)
    kind = StrictChoiceField(choices=Entry.Kind.choices, required=False)
    after = StrictDateTimeField(required=False)
    before = StrictDateTimeField(required=False)

    def filters(self) -> dict[str, Any]:
        names = {
            "account_id": "account",
            "kind": "entry__kind",
            "after": "entry__at__gt",
            "before": "entry__at__lt",
        }
        return {names[name]: value for name, value in self.validated_data.items()}
