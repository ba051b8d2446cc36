"""`/billing/credits` and `/billing/transactions`: what an account has, and why."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.permissions import needs
from accounts.models import Scope
from accounts.principal import principal_of
from billing.api import credit_examples as examples
from billing.api.credit_serializers import (
    CreditChangeSerializer,
    CreditSerializer,
    TransactionQuerySerializer,
    TransactionSerializer,
)
from billing.models import CreditAccount, Leg
from billing.services import credits
from gamer.web.idempotency import run_once
from gamer.web.reading import ListView, body_of, expect_no_filters, filters_of
from gamer.web.schema import IDEMPOTENCY_KEY, errors

TAGS = ["billing"]


class CreditsView(ListView):
    permission_classes = (needs(Scope.BILLING),)
    queryset = CreditAccount.objects.all()

    @extend_schema(
        operation_id="list_credits",
        tags=TAGS,
        responses=CreditSerializer(many=True),
        examples=[examples.CREDIT],
    )
    def get(self, request: Request) -> Response:
        """The credit accounts you may see: your own and your projects'; as a manager, your department's."""
        expect_no_filters(request)
        rows = credits.accounts_of(principal_of(request), timezone.now())
        return self.page(rows.select_related("user").order_by("id"), CreditSerializer)

    @extend_schema(
        operation_id="change_credit",
        tags=TAGS,
        parameters=[IDEMPOTENCY_KEY],
        request=CreditChangeSerializer,
        responses={201: CreditSerializer, **errors(402, 409)},
        examples=[examples.GIVE, examples.TAKE, examples.CREDIT_GIVEN],
    )
    def post(self, request: Request) -> Response:
        """Gives credit or takes it, with a reason. Staff and keys with `billing`."""
        asked, by = body_of(request, CreditChangeSerializer).validated_data, principal_of(request)

        def answer() -> Response:
            names = ("user_id", "project_id", "department_id")
            owner = credits.owner_named(by, **{name: asked.get(name) for name in names})
            account = credits.change(
                by=by,
                owner=owner,
                usd=asked["amount"],
                reason=asked["reason"],
                expires_at=asked.get("expires_at"),
                now=timezone.now(),
            )
            return Response(CreditSerializer(account).data, status=201)

        return run_once(request, answer)


class TransactionsView(ListView):
    permission_classes = (needs(Scope.BILLING),)
    queryset = Leg.objects.all()

    @extend_schema(
        operation_id="list_transactions",
        tags=TAGS,
        parameters=[TransactionQuerySerializer],
        responses=TransactionSerializer(many=True),
        examples=[examples.TRANSACTION],
    )
    def get(self, request: Request) -> Response:
        """What moved on the accounts you may see, the newest first."""
        asked = filters_of(request, TransactionQuerySerializer)
        rows = credits.transactions_of(principal_of(request), timezone.now())
        return self.page(rows.filter(**asked.filters()).order_by("-id"), TransactionSerializer)
