"""A launch from the wish to the proven end, on the memory cloud."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ

from accounts.principal import Principal
from events.models import Event
from gamer.queue.enqueue import enqueue
from tests.vms.control_plane import ControlPlane
from tests.world import World
from vms import services
from vms.models import Attempt, GameSession
from vms.reconcile import claims
from vms.reconcile.loop import ring_workers


class TestLaunch:
    def test_ends_ready_with_the_game_launched_on_the_nearest_capable_machine(
        self, plane: ControlPlane, world: World
    ) -> None:
        plane.turn()
        vm = plane.until(plane.launch(world.alice), "running", seconds=60)
        plane.settle(seconds=5)
        assert vm.attempt.location_name == "Joplin, Missouri, United States"
        assert vm.attempt.distance_km is not None
        assert vm.sessions.get().status == GameSession.Status.LAUNCHED
        assert len(plane.cloud.alive()) == 1

    def test_tells_its_story_in_events(self, plane: ControlPlane, world: World) -> None:
        plane.turn()
        vm = plane.until(plane.launch(world.alice), "running")
        plane.settle(seconds=5)
        told = list(Event.objects.about("vms", vm.pk).values_list("action", flat=True))
        assert told == [
            "create",
            "session_queued",
            "placed",
            "machine_ordered",
            "machine_running",
            "power_on",
            "session_launched",
        ]

    def test_ends_terminated_only_when_the_machine_is_gone(self, plane: ControlPlane, world: World) -> None:
        plane.turn()
        vm = plane.until(plane.launch(world.alice), "running")
        services.destroy(vm=vm, by=Principal(user=world.alice), now=plane.clock())
        vm.refresh_from_db()
        assert vm.status == "terminating"
        plane.until(vm, "terminated", seconds=60)
        assert not plane.cloud.alive()
        assert Attempt.objects.get().gone_at is not None


@pytest.mark.django_db
class TestRingWorkers:
    def test_asks_once_per_task_however_often_while_nobody_comes(self) -> None:
        for tasks in (1, 3, 3, 2, 8, 8):
            ring_workers(tasks)
        assert [row.func() for row in OrmQ.objects.all()] == ["vms.tasks.act"] * 8

    def test_asks_again_once_its_tasks_were_taken(self) -> None:
        ring_workers(2)
        OrmQ.objects.update(lock=timezone.now() + timedelta(minutes=5))
        ring_workers(2)
        assert OrmQ.objects.count() == 4

    def test_is_not_held_up_by_other_work_that_waits(self) -> None:
        for _ in range(20):
            enqueue("tests.gamer.queue.tasks.note")
        ring_workers(2)
        assert OrmQ.objects.count() == 22


class TestTable:
    def test_keeps_sealed_keys_out_of_the_rows_that_lists_read(self, db: None) -> None:
        """A page of history is read from few blocks then."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT reloptions FROM pg_class WHERE oid = 'vms_vm'::regclass")
            assert "toast_tuple_target=128" in cursor.fetchone()[0]

    def test_is_claimed_by_one_plan_that_reads_no_ended_vm(self, plane: ControlPlane) -> None:
        claims.claim(is_acting=False, now=plane.now(), limit=1000)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT name FROM pg_prepared_statements WHERE statement LIKE '%SET lease_token = %'"
            )
            ((name,),) = cursor.fetchall()
            cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
            # On few rows Postgres would read the table whole and sort, index or not.
            for way in ("seqscan", "bitmapscan", "sort"):
                cursor.execute(f"SET LOCAL enable_{way} = off")
            cursor.execute(f"EXPLAIN EXECUTE {name} (gen_random_uuid(), now(), now(), false, 1000)")
            plan = "\n".join(row[0] for row in cursor.fetchall())
        assert "using vm_due" in plan
        assert "Sort" not in plan
