"""Nothing is leaked, doubled or forgotten, whatever happens: the same seeded life as `make bench` and `make soak`, shorter."""

from __future__ import annotations

import pytest

from tests.vms import simulation


# Committed as in life: in one long transaction no dead row is ever cleaned up, and every look gets slower.
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
@pytest.mark.timeout(300)
def test_leaves_no_machine_behind_after_every_fault_and_death(seed: int) -> None:
    report = simulation.run(seed, 500, at_once=100)
    assert (report.leaked, report.doubled, report.living_behind_a_terminal_row) == (0, 0, 0), report
    assert (report.unproven, report.broken_laws, report.unended, report.meters_left) == (0, [], 0, 0), report
    assert set(report.statuses) <= {"terminated", "error"}, report
    assert report.launches == 500 <= report.asked, report
    assert report.reached_ready > report.launches / 5, report  # half are ended on a whim before they could
    assert report.deaths.total() > 0, report
    assert report.moved > 0, report
