"""What providers ask is staff's: with a margin of a quarter, no answer that a player or a manager can get holds a figure of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Quota
from billing.models import Margin, UsageRecord
from billing.services import hours, seeding
from events.models import Event
from gamer.web.views import description
from tests import world as worlds
from tests.factories import QuotaFactory
from tests.permissions.shared import db
from tests.vms.api.asking import DALLAS, LAUNCH, SWITCH, post, running
from tests.vms.api.conftest import RunningClock, opened
from tests.world import World, client_of
from vms import discovery, provider_states
from vms.models import Attempt, ProviderAccount
from vms.providers.memory import Fault

__all__ = ["db"]
NUMBER = re.compile(r"\d+\.\d+|\d+")
SHARE = Decimal("0.25")


@pytest.fixture(scope="module")
def world(db: None) -> World:
    return worlds.build()


@pytest.fixture(scope="module")
def life(world: World) -> dict[str, str]:
    """Alice has played for hours and plays in a project, bob's machine won't go away; the ids that paths need.

    Lived once, because nobody changes it.
    """
    plane = opened(RunningClock(timezone.now()))
    as_alice, as_bob = client_of(world.alice), client_of(world.bob)
    seeding.seed(plane.now())
    Margin.objects.create(share=SHARE, starts_at=timezone.now() - timedelta(days=1))
    for holder in ({"user": world.alice}, {"department": world.arcade}, {"project": world.tournament}):
        QuotaFactory(**holder, max_vms=3, max_gpu_vms=3, max_usd_per_hour=Decimal("3.9"))
    vm = running(plane, as_alice, project_id=world.tournament.pk)
    stuck = running(plane, as_bob)
    plane.clouds[stuck.attempt.account_id].switch_on(
        Fault.UNAVAILABLE, verbs=["delete"], times=None, for_s=9999
    )
    assert as_bob.delete(f"/vms/{stuck.pk}").status_code == 202
    plane.settle(seconds=1900, step=60)
    hours.close_hours(plane.clock.advance(hours=2))
    # Else the account may rest just then, with nothing to sell: its deletes fail.
    ProviderAccount.objects.update(failures_in_a_row=0)
    assert Event.objects.filter(action="delete_unproven", owner_id=world.bob.pk).exists()
    return {
        "vm_id": str(vm.pk), "session_id": str(vm.sessions.get().pk), "project_id": str(world.tournament.pk),
        "department_id": str(world.arcade.pk), "user_id": world.alice.handle, "id": str(world.alice.pk),
        "console_type": "switch", "provider": "tensordock", "cloud": "gcp",
        "stuck": str(stuck.pk),
    }  # fmt: skip


def asked_of_providers() -> set[float]:
    """Every figure of theirs there is: prices, what each interval has cost, and the sums of it."""
    now = timezone.now()
    found: list[Any] = list(Attempt.objects.values_list("usd_per_hour", flat=True))
    spent = list(UsageRecord.objects.values_list("cost_usd", flat=True))
    by_day = UsageRecord.objects.order_by().values("day").annotate(usd=Sum("cost_usd"))
    found += [*spent, sum(spent), *by_day.values_list("usd", flat=True)]
    found += [sum(UsageRecord.objects.filter(subject__vm=vm).values_list("cost_usd", flat=True))
              for vm in Attempt.objects.values_list("vm", flat=True)]  # fmt: skip
    found += [node.usd_per_hour for node in discovery.hostnodes(now=now)]
    found += [node.usd_per_hour for node in discovery.hostnodes(console="switch", now=now)]
    best = discovery.recommend(console="switch", limit=20, now=now, **{k[5:]: v for k, v in DALLAS.items()})
    found += [one.choice.usd_per_hour for one in best.options if one.choice]
    for state in provider_states.providers(now):
        found += [state.cheapest_usd_per_hour, state.dearest_usd_per_hour]
    return {round(float(one), 6) for one in found if one}


def figures_in(value: Any) -> Iterable[float]:
    """Every number of an answer, those in texts, too."""
    if isinstance(value, dict):
        for one in value.values():
            yield from figures_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from figures_in(one)
    elif isinstance(value, str):
        yield from (float(one) for one in NUMBER.findall(value) if "." in one)
    elif isinstance(value, float):
        yield round(value, 6)


def reads(ids: dict[str, str]) -> list[str]:
    schema = description("gamer.urls")
    asked = {"/launch/hostnodes/closest": "?user_latitude=32.7767&user_longitude=-96.797"}
    found = []
    for path, methods in schema["paths"].items():
        if "get" in methods and path not in ("/health", "/schema"):
            filled = re.sub(r"{(\w+)}", lambda name: ids.get(name.group(1), "1"), path)
            found.append(filled + asked.get(path, ""))
    reports = [f"/billing/reports?group_by={one}" for one in ("provider", "user", "day", "project")]
    bob = [one.replace(ids["vm_id"], ids["stuck"]) for one in found if ids["vm_id"] in one]
    return [*found, *reports, *bob, "/launch/hostnodes/available?console_type=switch"]


def leaks(client: APIClient, ids: dict[str, str], theirs: set[float]) -> tuple[int, dict[str, set[float]]]:
    """How many paths answered, and the figures of the providers' that each told."""
    answered, found = 0, {}
    for path in reads(ids):
        answer = client.get(path)
        answered += answer.status_code == 200
        if answer.headers.get("Content-Type", "").startswith("application/json"):
            told = set(figures_in(json.loads(answer.content))) & theirs
            if told:
                found[path] = told
    return answered, found


class TestProviderCost:
    def test_is_in_no_answer_to_a_player_or_a_manager(
        self, life: dict[str, str], as_alice: APIClient, as_bob: APIClient, as_mona: APIClient
    ) -> None:
        theirs = asked_of_providers()
        for client, least in ((as_alice, 30), (as_bob, 20), (as_mona, 30)):
            answered, found = leaks(client, life, theirs)
            assert found == {}
            assert answered >= least

    def test_is_in_answers_to_staff(self, life: dict[str, str], as_sam: APIClient) -> None:
        """Else the test above would look for the wrong figures."""
        _, found = leaks(as_sam, life, asked_of_providers())
        assert {"/launch/hostnodes/available", "/config/providers", "/launch/vm/optimal-for/switch"} <= set(
            found
        )
        assert "/billing/usage/combined" in found

    def test_is_in_no_refusal(self, life: dict[str, str], as_alice: APIClient) -> None:
        theirs = asked_of_providers()
        with transaction.atomic():
            Quota.objects.update(max_usd_per_hour=Decimal("0.01"))
            full = post(as_alice, LAUNCH, {**SWITCH, "console_type": "wii"})
            cheap = post(as_alice, LAUNCH, {**SWITCH, "console_type": "gamecube", "provider": "libvirt"})
            transaction.set_rollback(True)
        assert full.status_code == 409
        assert "USD an hour" in full.json()["detail"]
        assert cheap.status_code in (400, 409, 503)
        for answer in (full, cheap):
            assert not set(figures_in(answer.json())) & theirs
