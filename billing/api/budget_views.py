"""`/billing/budgets`: staff's and billing keys' of all, a department's managers' of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from django.db.models import Prefetch, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Scope
from accounts.principal import Principal, principal_of
from billing.api import report_examples as examples
from billing.api.budget_serializers import (
    BudgetChangesSerializer,
    BudgetCreationSerializer,
    BudgetSerializer,
    MadeBudgetSerializer,
)
from billing.budgets import rows, watch
from billing.budgets.rows import Made
from billing.budgets.watch import zone
from billing.models import Budget, BudgetCrossing
from billing.rating import day_of
from billing.sight import sight_of
from gamer.errors import NotFound
from gamer.web.reading import ListView, body_of, expect_no_filters, expect_nothing
from gamer.web.schema import LOCATION, errors

TAGS = ["billing"]
CREATION = f"""A budget over everything, a provider, a project, a department or a person, looked at at once.

A crossed threshold with `notify` is told once a period, to `emails` and by a POST to `webhook_url` (https, on the internet). It is
signed as [Standard Webhooks](https://www.standardwebhooks.com) say, whose libraries check it by `webhook_secret`: `webhook-id` is the
message's and the same at every repeat, `webhook-timestamp` the try's in Unix seconds, `webhook-signature` is `v1,` and the base64 of the
HMAC-SHA256 of `id.timestamp.body`. Answer with 2xx within 15 seconds. After 408, 409, 425, 429, any 5xx or no answer it is sent again, at
most 8 times in about two days and no sooner than `Retry-After` asks in seconds. Any other answer ends the message, also 410 and a
redirect, which is not followed; the next crossing is told again. `data.subject` says what the budget covers, `data.text` all of it for
people:

```json
{json.dumps(examples.BUDGET_TOLD, indent=2)}
```
"""


class MaySteer(BasePermission):
    """Who may change budgets at all; of which, `rows` decides. Reading needs `read`."""

    message = "Budgets are made by staff, by keys that bill, and by a department's managers."

    def has_permission(self, request: Request, view: object) -> bool:
        by = request.auth
        if not isinstance(by, Principal) or not by.may(Scope.READ):
            return False
        return request.method in SAFE_METHODS or sight_of(by).may_steer


def _shown(by: Principal) -> QuerySet[Budget]:
    """With the crossings that may still be told: those of all periods would be more every day."""
    crossed = BudgetCrossing.objects.filter(period_end__gte=day_of(timezone.now(), zone()), lifted_at=None)
    visible = Budget.objects.visible_to(by).select_related("user", "project", "department", "webhook")
    return visible.prefetch_related("thresholds", Prefetch("crossings", crossed))


def _find(by: Principal, budget_id: str) -> Budget:
    found = _shown(by).filter(pk=int(budget_id)).first()
    if found is None:
        raise NotFound("There is no such budget.")
    return found


def _answer(by: Principal, made: Made, now: datetime, status: int = 200) -> Response:
    budget = _find(by, str(made.budget.pk))
    context = {"spent": watch.spent(now, [budget]), "webhook_secret": made.webhook_secret}
    return Response(MadeBudgetSerializer(budget, context=context).data, status=status)


class BudgetsView(ListView):
    permission_classes = (MaySteer,)
    queryset = Budget.objects.all()

    @extend_schema(
        operation_id="list_budgets",
        tags=TAGS,
        responses=BudgetSerializer(many=True),
        examples=[examples.BUDGET],
    )
    def get(self, request: Request) -> Response:
        """Budgets you steer, the newest first, each with what is spent of it now."""
        expect_no_filters(request)
        found: Sequence[Budget] = self.paginate_queryset(_shown(principal_of(request))) or []
        context = {"spent": watch.spent(timezone.now(), found)}
        return self.get_paginated_response(BudgetSerializer(found, many=True, context=context).data)

    @extend_schema(
        operation_id="create_budget", tags=TAGS, description=CREATION, parameters=[LOCATION], request=BudgetCreationSerializer,
        responses={201: MadeBudgetSerializer, **errors(409)}, examples=[examples.BUDGET_WISH, examples.BUDGET_MADE],
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """A budget over everything, a provider, a project, a department or a person, looked at at once."""
        asked, by, now = body_of(request, BudgetCreationSerializer), principal_of(request), timezone.now()
        made = rows.create(by=by, now=now, target=asked.target(by), **asked.changes)
        answer = _answer(by, made, now, 201)
        answer.headers["Location"] = request.build_absolute_uri(f"/billing/budgets/{made.budget.pk}")
        return answer


class BudgetView(APIView):
    permission_classes = (MaySteer,)

    @extend_schema(
        operation_id="get_budget", tags=TAGS, responses=BudgetSerializer, examples=[examples.BUDGET]
    )
    def get(self, request: Request, budget_id: str) -> Response:
        """One budget, with what is spent of it now."""
        budget = _find(principal_of(request), budget_id)
        return Response(
            BudgetSerializer(budget, context={"spent": watch.spent(timezone.now(), [budget])}).data
        )

    @extend_schema(
        operation_id="change_budget", tags=TAGS, request=BudgetChangesSerializer,
        responses=MadeBudgetSerializer, examples=[examples.BUDGET_CHANGE, examples.BUDGET_CHANGED],
    )  # fmt: skip
    def patch(self, request: Request, budget_id: str) -> Response:
        """Changes a budget. A raised limit lifts what it forbade; thresholds are replaced as a whole."""
        by, now = principal_of(request), timezone.now()
        budget = _find(by, budget_id)
        asked = body_of(request, BudgetChangesSerializer)
        return _answer(by, rows.change(by=by, budget=budget, now=now, **asked.changes), now)

    @extend_schema(operation_id="delete_budget", tags=TAGS, request=None, responses={204: None})
    def delete(self, request: Request, budget_id: str) -> Response:
        """Ends a budget with all it forbids."""
        expect_nothing(request)
        by = principal_of(request)
        rows.delete(by=by, budget=_find(by, budget_id), now=timezone.now())
        return Response(status=204)
