from __future__ import annotations

from dataclasses import dataclass

from gamer.queue.pulse import Watchdog


@dataclass
class Cluster:
    """What a watchdog sees, and a clock."""

    now: float = 1000.0
    beat_at: float = 1000.0
    idle_workers: int = 2
    claims: int = 5
    queue_age_s: float = 0.0

    def seen_by(self, dog: Watchdog) -> str | None:
        return dog.look(
            now=self.now,
            beat_at=self.beat_at,
            idle_workers=self.idle_workers,
            claims=self.claims,
            queue_age_s=self.queue_age_s,
        )

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.beat_at = self.now


class TestWatchdog:
    def test_is_content_with_an_idle_cluster(self) -> None:
        dog, cluster = Watchdog(30), Cluster()
        for _ in range(20):
            assert cluster.seen_by(dog) is None
            cluster.passes(5)

    def test_barks_when_idle_workers_leave_a_due_task_alone(self) -> None:
        dog, cluster = Watchdog(30), Cluster(queue_age_s=40)
        cluster.seen_by(dog)
        cluster.passes(1)
        assert cluster.seen_by(dog) is None
        cluster.passes(31)
        assert cluster.seen_by(dog) == "a task has been due for 40 s and idle workers do not take it"

    def test_lets_busy_workers_be_however_long_the_queue_is(self) -> None:
        dog, cluster = Watchdog(30), Cluster(idle_workers=0, queue_age_s=1000)
        for _ in range(20):
            assert cluster.seen_by(dog) is None
            cluster.passes(5)

    def test_lets_a_long_queue_be_while_it_is_worked_off(self) -> None:
        dog, cluster = Watchdog(30), Cluster(queue_age_s=1000)
        for _ in range(20):
            assert cluster.seen_by(dog) is None
            cluster.claims += 1
            cluster.passes(5)

    def test_barks_when_the_sentinel_is_silent(self) -> None:
        dog, cluster = Watchdog(30), Cluster()
        assert cluster.seen_by(dog) is None
        cluster.now += 31
        assert cluster.seen_by(dog) == "the sentinel has been silent for 31 s"
