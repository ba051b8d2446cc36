"""The dicts of the lifecycle hold together: every state has a status, every phase a way to its end."""

from __future__ import annotations

from decimal import Decimal
from itertools import product

import pytest

from vms import lifecycle
from vms.lifecycle import (
    LIVE,
    STATUS,
    TERMINAL,
    TRANSITIONS,
    Desired,
    Phase,
    Status,
    columns_of,
    may_move,
    rests_cheaply,
    status_of,
)
from vms.reconcile.apply import ACTIONS
from vms.reconcile.liveness import OVERDUE_TEXTS


class TestTransitions:
    def test_know_every_phase(self) -> None:
        assert set(TRANSITIONS) == set(Phase)

    @pytest.mark.parametrize("phase", LIVE)
    def test_lead_from_every_phase_to_the_proven_end(self, phase: Phase) -> None:
        assert phase is Phase.DELETING or may_move(phase, Phase.DELETING)

    def test_enter_the_end_from_deleting_alone(self) -> None:
        entries = {source for source, target in product(Phase, TERMINAL) if may_move(source, target)}
        assert entries == {Phase.DELETING}

    def test_leave_the_end_by_a_retry_alone(self) -> None:
        assert {phase: TRANSITIONS[phase] for phase in TERMINAL} == {
            Phase.DELETED: frozenset(),
            Phase.FAILED: frozenset({Phase.REQUESTED}),
        }

    def test_never_move_a_phase_to_itself(self) -> None:
        assert not any(may_move(phase, phase) for phase in Phase)

    def test_reach_every_phase(self) -> None:
        seen, waiting = {Phase.REQUESTED}, [Phase.REQUESTED]
        while waiting:
            new = TRANSITIONS[waiting.pop()] - seen
            seen |= new
            waiting += new
        assert seen == set(Phase)


class TestStatus:
    def test_is_known_for_every_wish_and_phase(self) -> None:
        assert set(STATUS) == set(product(Desired, Phase))

    def test_translates_back_to_the_columns_it_is_made_of(self) -> None:
        pairs = [pair for status in Status for pair in columns_of(status)]
        assert sorted(pairs) == sorted(STATUS)
        for status in Status:
            assert {status_of(*pair) for pair in columns_of(status)} == {status}

    @pytest.mark.parametrize("phase", LIVE)
    def test_of_a_vm_nobody_wants_is_terminating_until_it_is_proven_gone(self, phase: Phase) -> None:
        assert status_of(Desired.GONE, phase) is Status.TERMINATING

    def test_of_one_that_shall_stop_is_stopping_while_its_saves_are_fetched(self) -> None:
        assert status_of(Desired.STOPPED, Phase.READY) is Status.STOPPING

    @pytest.mark.parametrize("desired", Desired)
    def test_is_final_only_in_a_terminal_phase(self, desired: Desired) -> None:
        final = {phase for phase in Phase if status_of(desired, phase) in (Status.ERROR, Status.TERMINATED)}
        assert final == TERMINAL


class TestDeadlines:
    def test_are_there_for_every_phase_that_must_not_last(self) -> None:
        assert set(lifecycle.DEADLINES) == set(LIVE) - {Phase.READY, Phase.STOPPED, Phase.DELETING}

    def test_have_a_sentence_each(self) -> None:
        assert set(OVERDUE_TEXTS) == set(lifecycle.DEADLINES) - {Phase.REQUESTED}


class TestTimeline:
    def test_tells_of_every_phase_but_the_first(self) -> None:
        assert set(ACTIONS) == set(Phase) - {Phase.REQUESTED}


class TestAStoppedMachine:
    @pytest.mark.parametrize(
        ("stopped", "is_kept"),
        [("0", True), ("0.25", True), ("0.250000001", False), ("1", False), (None, False)],
    )
    def test_is_kept_where_it_is_known_to_cost_a_quarter_at_most(
        self, stopped: str | None, is_kept: bool
    ) -> None:
        assert rests_cheaply(Decimal(1), None if stopped is None else Decimal(stopped)) is is_kept
