"""The description of `/billing` is what `/billing` does: its examples and its real answers fit it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from tests.billing.usage import of, runs, used
from tests.vms.api.asking import post
from tests.vms.api.test_schema import JSON, answer_schema, check, described
from tests.world import World

READS = (
    "/billing/usage/combined", "/billing/usage/custom", "/billing/usage/{provider}", "/billing/costs/current-month",
    "/billing/costs/daily", "/billing/alerts", "/billing/reports", "/billing/budgets", "/billing/budgets/{budget_id}",
)  # fmt: skip
BUDGET = {"name": "June", "covers": "global", "limit_usd": 1, "webhook_url": "https://a.test"}


@pytest.mark.parametrize("path", READS)
class TestDescription:
    def test_has_examples_that_fit(self, path: str) -> None:
        for operation in described()["paths"][path].values():
            assert operation["description"]
            for holder in (operation.get("requestBody", {}), *operation["responses"].values()):
                content = holder.get("content", {}).get(JSON, {})
                for example in content.get("examples", {}).values():
                    check(example["value"], content["schema"])

    def test_has_an_example_of_every_answer(self, path: str) -> None:
        for operation in described()["paths"][path].values():
            good = [
                one["content"][JSON]
                for code, one in operation["responses"].items()
                if code < "300" and "content" in one
            ]
            assert all("examples" in one for one in good)


@pytest.mark.django_db
class TestAnswers:
    def test_to_amounts_of_credit_are_bounded_as_told(self, world: World, as_sam: APIClient) -> None:
        told = described()["components"]["schemas"]["CreditChangeRequest"]["properties"]["amount"]
        gift = {"user_id": "alice@gamer.test", "reason": "Test"}
        for amount, status in ((told["maximum"], 201), (told["minimum"], 201), (told["maximum"] + 1, 400)):
            answer = post(as_sam, "/billing/credits", {**gift, "amount": amount})
            assert answer.status_code == status, answer.content

    @pytest.mark.parametrize("who", ["as_sam", "as_mona"])
    def test_to_reads_fit(
        self, world: World, request: pytest.FixtureRequest, as_sam: APIClient, who: str
    ) -> None:
        day = timezone.now() - timedelta(days=1)
        used(of(world.alice), day, day + timedelta(hours=1))
        runs(of(world.bob), timezone.now() - timedelta(minutes=1), cost="90000")
        made = post(
            as_sam, "/billing/budgets", {**BUDGET, "covers": "department", "department_id": world.arcade.pk}
        )
        check(made.json(), answer_schema("/billing/budgets", "post", 201))
        names = {"provider": "tensordock", "budget_id": made.json()["budget_id"]}
        dates = {"start_date": f"{day:%Y-%m-%d}", "end_date": f"{timezone.now():%Y-%m-%d}"}
        client: APIClient = request.getfixturevalue(who)
        for path in READS:
            query = dates if path.endswith(("custom", "reports")) else {}
            answer = client.get(path.format(**names), query)
            assert answer.status_code == 200, answer.content
            assert answer.json(), path
            check(answer.json(), answer_schema(path, "get", 200))
        changed = client.patch(f"/billing/budgets/{names['budget_id']}", {"limit_usd": 5}, format="json")
        check(changed.json(), answer_schema("/billing/budgets/{budget_id}", "patch", 200))
