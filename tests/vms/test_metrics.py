from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import yaml
from django.test import Client

from gamer import tallies
from gamer.env import ROOT
from gamer.web.metrics import exposition
from gamer.web.models import Tally
from tests.vms.control_plane import ControlPlane
from tests.world import World
from vms.metrics import figures
from vms.models import VM, Attempt, ProviderAccount, Stray
from vms.provider_accounts import note_call, open_provider

pytestmark = pytest.mark.django_db


def value(plane: ControlPlane, name: str, **labels: str) -> float:
    (found,) = [
        one.value for one in figures(plane.clock()) if one.name == name and dict(one.labels) == labels
    ]
    return found


@pytest.fixture
def vm(plane: ControlPlane, world: World) -> VM:
    plane.turn()
    return plane.until(plane.launch(world.alice), "running")


class TestFigures:
    def test_count_vms_by_the_apis_status(self, plane: ControlPlane, vm: VM, world: World) -> None:
        plane.launch(world.bob)
        statuses = ("creating", "running", "terminating", "stopped")
        counts = {status: value(plane, "vms", status=status) for status in statuses}
        assert counts == {"creating": 1, "running": 1, "terminating": 0, "stopped": 0}

    def test_forget_vms_that_are_over(self, plane: ControlPlane, vm: VM) -> None:
        VM.objects.update(phase="deleted", next_look_at=None, desired="gone")
        assert sum(one.value for one in figures(plane.clock()) if one.name == "vms") == 0

    def test_tell_how_late_the_loop_is(self, plane: ControlPlane, vm: VM) -> None:
        now = plane.clock()
        VM.objects.update(next_look_at=now - timedelta(seconds=70), lease_until=now - timedelta(seconds=40))
        assert value(plane, "reconcile_lag_seconds") == 40
        assert value(plane, "lease_oldest_expired_seconds") == 40
        VM.objects.update(lease_until=None)
        assert value(plane, "reconcile_lag_seconds") == 70
        VM.objects.update(lease_until=now + timedelta(seconds=20))
        assert value(plane, "reconcile_lag_seconds") == 0

    @pytest.mark.parametrize(("minutes", "vms", "usd"), [(60, 1, 3.0), (5, 0, 0.0)])
    def test_tell_the_dollars_of_deletes_that_do_not_confirm(
        self, plane: ControlPlane, vm: VM, minutes: int, vms: int, usd: float
    ) -> None:
        now = plane.clock()
        VM.objects.update(phase="deleting", desired="gone", phase_since=now - timedelta(minutes=minutes))
        ordered = now - timedelta(hours=2)
        Attempt.objects.update(sent_at=ordered, answered_at=ordered, usd_per_hour=Decimal("1.5"))
        assert value(plane, "deletes_unproven") == vms
        assert value(plane, "deletes_unproven_usd") == usd

    def test_tell_of_a_machine_without_a_vm_until_it_is_proven_gone(self, plane: ControlPlane) -> None:
        account, now = ProviderAccount.objects.get(), plane.clock()
        for machine_id, hours in (("refused", 2), ("new", 1), ("gone", 3)):
            seen = now - timedelta(hours=hours)
            Stray.objects.create(
                account=account, machine_id=machine_id, tag=machine_id, reason="unknown", first_seen_at=seen
            )
        Stray.objects.filter(machine_id="gone").update(gone_at=now)
        assert value(plane, "stray_oldest_seconds") == 7200
        Stray.objects.update(gone_at=now)
        assert value(plane, "stray_oldest_seconds") == 0

    def test_cost_five_queries(self, plane: ControlPlane, vm: VM, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(5):
            assert list(figures(plane.clock()))

    def test_say_how_an_account_is_doing(self, plane: ControlPlane) -> None:
        who = {"account": "memory", "kind": "memory"}
        ProviderAccount.objects.update(paused_until=plane.clock() + timedelta(minutes=5))
        assert value(plane, "provider_account", **who, condition="paused") == 1
        ProviderAccount.objects.update(is_paused=True)  # no fault: nobody is called for it
        assert value(plane, "provider_account", **who, condition="paused_by_staff") == 1


class TestAlerts:
    """Of deploy/prometheus: a misspelt metric never fires, and a misspelt paragraph is looked for at night."""

    RULES = [
        rule
        for group in yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"]
        for rule in group["rules"]
    ]

    def test_ask_for_metrics_and_labels_that_there_are(self, plane: ControlPlane, client: Client) -> None:
        note_call("memory", "list", 0.1, None)
        tallies.flush()
        client.get("/health")
        shown = exposition().decode()
        for rule in self.RULES:
            for name, asked in re.findall(r"\b((?:gamer|django)_\w+)(?:\{(.*?)\})?", rule["expr"]):
                assert f"# TYPE {name} " in shown, rule["alert"]
                by = " ".join(re.findall(r"by \((.+?)\)", rule["expr"]))
                labels = set(re.findall(rf"^{name}\{{(.*)\}}", shown, re.M))
                wanted = {*re.findall(r"(\w+)!?=", asked), *re.findall(r"\w+", by)}
                told = {word for line in labels for word in re.findall(r'(\w+)="', line)}
                assert wanted <= told, rule["alert"]

    def test_name_paragraphs_that_there_are(self) -> None:
        night = (ROOT / "README.md").read_text().partition("## At three in the morning")[2]
        named = [
            each for rule in self.RULES for each in re.findall(r'README, "(.+?)"', rule["annotations"]["do"])
        ]
        assert len(named) > 10
        assert [each for each in named if f"\n**{each}" not in night] == []


class TestCalls:
    def test_of_providers_are_counted_by_how_they_ended(self) -> None:
        tallies._counts.clear()
        account = ProviderAccount.objects.create(
            name="vendor", kind="memory", credentials={"cloud": "counted"}
        )
        open_provider(account).list()
        tallies.flush()
        row = Tally.objects.get(name="provider_calls")
        assert (row.labels, row.value) == ({"kind": "memory", "verb": "list", "error": "none"}, 1)
