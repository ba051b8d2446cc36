"""What staff see of how machines are doing: the charts' frame on a VM's page, and the fleet narrowed to who needs a look."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from monitoring import services
from monitoring.measures import Reading
from tests.vms.admin.test_fleet import FLEET, listed
from vms.models import VM


@pytest.fixture
def vms(plane, world) -> list[VM]:
    """Three that run."""
    people = (world.alice, world.bob, world.charlie)
    return [plane.until(plane.launch(owner=owner), "running") for owner in people]


def told(vm: VM, **values: float) -> None:
    now = timezone.now()
    services.record(subject=vm.pk, samples=[Reading(now, values)], now=now)


class TestFleet:
    def test_shows_who_is_busy_hot_or_full(self, vms, sam, django_assert_max_num_queries):
        told(vms[0], cpu_percent=97, disk_used_percent=20, gpu_celsius=60)
        told(vms[1], cpu_percent=30, disk_used_percent=95, gpu_celsius=90)
        told(vms[2], cpu_percent=30, disk_used_percent=20)
        found = {one: listed(sam.get(FLEET, {"condition": one})) for one in ("busy", "full", "hot")}
        assert found == {"busy": {str(vms[0].pk)}, "full": {str(vms[1].pk)}, "hot": {str(vms[1].pk)}}

    def test_shows_who_is_silent(self, vms, sam):
        now = timezone.now()
        VM.objects.update(ready_at=now - timedelta(minutes=10), agent_seen_at=now)
        VM.objects.filter(pk=vms[0].pk).update(agent_seen_at=now - timedelta(minutes=2))
        VM.objects.filter(pk=vms[1].pk).update(agent_seen_at=None)
        silent = {str(vms[0].pk), str(vms[1].pk)}
        assert listed(sam.get(FLEET, {"condition": "silent"})) == silent
        VM.objects.update(ready_at=now)  # has only just come up
        assert listed(sam.get(FLEET, {"condition": "silent"})) == set()

    def test_ignores_a_condition_nobody_knows(self, vms, sam):
        assert len(listed(sam.get(FLEET, {"condition": "mood"}))) == 3


class TestPage:
    def test_offers_the_session_only_while_there_is_one(self, vms, sam, plane):
        page = f"/admin/vms/vm/{vms[0].pk}/change/"
        shown = sam.get(page)
        assert [label for label, *_ in shown.context["windows"]] == ["Hour", "Day", "Session"]
        assert f'data-url="/monitoring/vms/{vms[0].pk}/metrics' in shown.content.decode()
        VM.objects.filter(pk=vms[0].pk).update(ready_at=None)
        assert [label for label, *_ in sam.get(page).context["windows"]] == ["Hour", "Day"]
