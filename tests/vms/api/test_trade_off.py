"""Staff choose for each console: provider by provider, or by a score of price and distance. The doors all say which, and why."""

from __future__ import annotations

from decimal import Decimal

import pytest

from accounts.principal import policy
from emulators.services.configs import update_config
from tests.vms.api.asking import DALLAS, running
from tests.vms.control_plane import ControlPlane

OPTIMAL = "/launch/vm/optimal-for/switch"
# The memory cloud's stock has a 4090 for 46.3 cents 492 km away and one for 44.3 cents, 1,864 km away.
NEAR, CHEAP = "joplin-4090", "manassas-4090"


def weigh(plane: ControlPlane, worth: str | None) -> None:
    usd = None if worth is None else Decimal(worth)
    update_config(console="switch", changes={"usd_per_1000_km": usd}, by=policy("test"), now=plane.now())


class TestLaunch:
    def test_takes_what_the_console_says_at_that_moment(self, plane: ControlPlane) -> None:
        for worth, offer in ((None, NEAR), ("0", CHEAP), ("0.01", CHEAP), ("0.02", NEAR), (None, NEAR)):
            weigh(plane, worth)
            vm = plane.until(plane.launch(), "running")
            assert vm.attempt.offer_id == offer, worth

    def test_keeps_the_score_that_chose_it(self, plane: ControlPlane) -> None:
        weigh(plane, "0.5")
        vm = plane.until(plane.launch(), "running")
        distance = Decimal(str(vm.attempt.distance_km))
        assert vm.attempt.score == pytest.approx(
            vm.attempt.usd_per_hour + distance / 2000, abs=Decimal("0.0001")
        )
        weigh(plane, None)
        assert plane.until(plane.launch(), "running").attempt.score is None


class TestDoors:
    """Staff are told the score; it is made of what providers ask, which is not for everybody."""

    def test_of_the_recommendation(self, plane, as_sam, as_alice):
        weigh(plane, "0.01")
        options = as_sam.get(OPTIMAL, DALLAS).json()["options"]
        fitting = [one for one in options if one["rank"]]
        assert [one["hostnode_id"] for one in fitting][:2] == [CHEAP, NEAR]
        for one in fitting:
            assert one["score"] == pytest.approx(
                one["cost_per_hour"] + one["distance_km"] / 100_000, abs=1e-5
            )
        assert [one["score"] for one in fitting] == sorted(one["score"] for one in fitting)
        assert {one["score"] for one in options if not one["rank"]} == {None}
        told = as_alice.get(OPTIMAL, DALLAS).json()["options"]
        assert [one["hostnode_id"] for one in told] == [one["hostnode_id"] for one in options]
        assert {one["score"] for one in told} == {None}

    def test_of_the_recommendation_by_priority(self, plane, as_sam):
        assert {one["score"] for one in as_sam.get(OPTIMAL, DALLAS).json()["options"]} == {None}

    def test_of_the_attempts(self, plane, world, as_sam, as_alice):
        weigh(plane, "0.01")
        vm = plane.until(plane.launch(owner=world.alice), "running")
        attempt = as_sam.get(f"/vms/{vm.pk}/attempts").json()[0]
        assert attempt["score"] == pytest.approx(float(vm.attempt.score), abs=1e-6)
        assert "score" not in as_alice.get(f"/vms/{vm.pk}/attempts").json()[0]
        assert "score" not in str(as_alice.get(f"/vms/{vm.pk}/events").json())

    def test_of_staff_alone_changes_it(self, plane, as_sam, as_alice):
        change = {"usd_per_1000_km": 0}
        assert as_alice.put("/config/emulators/switch", change, format="json").status_code == 403
        assert as_sam.put("/config/emulators/switch", change, format="json").status_code == 200
        assert running(plane, as_alice).attempt.offer_id == CHEAP
