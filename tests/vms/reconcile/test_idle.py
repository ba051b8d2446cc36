"""The clocks that end a running VM: proof, warning, end, and what starts them again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from accounts.principal import policy
from tests.vms.control_plane import ControlPlane, story
from tests.world import NOON
from vms import agents, services
from vms.activity import columns
from vms.lifecycle import Desired, Phase
from vms.models import VM, Attempt
from vms.providers.base import Machine, MachineState
from vms.providers.memory import MemoryCloud, MemoryProvider
from vms.reconcile import idle
from vms.reconcile.outcome import Outcome, Wait

MACHINE = Machine("m1", "", MachineState.RUNNING, ip="127.0.0.1", usd_per_hour=Decimal("0.5"))
ATTEMPT = Attempt(usd_per_hour=Decimal("0.5"))


def vm(idle_s: float | None = None, **fields: object) -> VM:
    """Ready since noon of yesterday, idle for so long at noon, as a heartbeat has just said."""
    made = VM(
        phase=Phase.READY,
        desired=Desired.RUNNING,
        auto_stop_timeout=900,
        last_activity=NOON - timedelta(days=1),
    )
    for name, value in {**columns(idle_s is None, idle_s, NOON), **fields}.items():
        setattr(made, name, value)
    return made


def checked(row: VM, now: datetime = NOON, *, stopped_share: str = "1") -> Outcome:
    cloud = MemoryCloud(stopped_share=Decimal(stopped_share))
    return idle.checked(Wait(seconds=30), row, ATTEMPT, MemoryProvider(cloud), MACHINE, now)


def said(outcome: Outcome) -> list[str]:
    return [note.action for note in outcome.notes]


class TestIdle:
    def test_is_nobodys_business_before_five_minutes_are_left(self):
        assert checked(vm(9 * 60)) == Wait(seconds=30)

    def test_is_warned_of_five_minutes_before_the_end(self):
        outcome = checked(vm(10 * 60))
        assert said(outcome) == ["idle_warning"]
        assert outcome.notes[0].details == {
            "ends_at": "2026-06-15T12:05:00Z",
            "idle_since": "2026-06-15T11:50:00Z",
        }
        assert outcome.vm == {"idle_warned_at": NOON}

    def test_is_warned_of_once(self):
        assert checked(vm(14 * 60, idle_warned_at=NOON - timedelta(minutes=4))) == Wait(seconds=30)

    def test_ends_where_stopping_saves_nothing(self):
        outcome = checked(vm(15 * 60, idle_warned_at=NOON - timedelta(minutes=5)))
        assert said(outcome) == ["idle_end"]
        assert outcome.vm == {"desired": Desired.GONE}

    def test_stops_where_a_stopped_machine_is_cheap(self):
        outcome = checked(vm(15 * 60, idle_warned_at=NOON - timedelta(minutes=5)), stopped_share="0.25")
        assert outcome.vm == {"desired": Desired.STOPPED}

    def test_never_ends_without_a_warning_five_minutes_before(self):
        late = checked(vm(2 * 3600))
        assert said(late) == ["idle_warning"]
        assert late.notes[0].details["ends_at"] == "2026-06-15T12:05:00Z"
        assert checked(vm(2 * 3600, idle_warned_at=NOON - timedelta(minutes=4))) == Wait(seconds=30)

    def test_of_a_minute_is_warned_of_when_it_begins(self):
        outcome = checked(vm(1, auto_stop_timeout=60))
        assert said(outcome) == ["idle_warning"]
        later = NOON + timedelta(seconds=61)
        row = vm(None, auto_stop_timeout=60, idle_warned_at=NOON, **columns(False, 62, later))
        assert said(checked(row, later)) == ["idle_end"]

    @pytest.mark.parametrize(
        "unknown", [columns(None, None, NOON), columns(False, None, NOON), columns(True, None, NOON)]
    )
    def test_needs_proof(self, unknown):
        assert checked(vm(3600, **unknown)) == Wait(seconds=30)

    def test_needs_fresh_proof(self):
        row = vm(
            3600,
            idle_warned_at=NOON - timedelta(minutes=50),
            idle_seen_at=NOON - idle.FRESH - timedelta(seconds=1),
        )
        assert checked(row) == Wait(seconds=30)

    def test_begins_again_with_what_a_person_does(self):
        row = vm(3600, last_activity=NOON - timedelta(minutes=1), idle_warned_at=NOON - timedelta(minutes=5))
        assert checked(row) == Wait(seconds=30)

    def test_is_warned_of_again_after_a_player_came_and_went(self):
        assert said(checked(vm(11 * 60, idle_warned_at=NOON - timedelta(hours=3)))) == ["idle_warning"]

    def test_leaves_a_vm_alone_that_somebody_wants_gone(self):
        assert checked(vm(3600, desired=Desired.GONE)) == Wait(seconds=30)


class TestSessionsEnd:
    def test_is_warned_of_once_also_while_somebody_plays(self):
        row = vm(None, session_ends_at=NOON + timedelta(minutes=5))
        outcome = checked(row)
        assert said(outcome) == ["end_warning"]
        row.end_warned_at = NOON
        assert checked(row, NOON + timedelta(minutes=1)) == Wait(seconds=30)

    def test_is_warned_of_again_when_it_was_moved(self):
        row = vm(None, session_ends_at=NOON + timedelta(minutes=3), end_warned_at=NOON - timedelta(hours=1))
        assert said(checked(row)) == ["end_warning"]

    def test_is_far(self):
        assert checked(vm(None, session_ends_at=NOON + timedelta(minutes=6))) == Wait(seconds=30)


class TestMachine:
    def test_of_a_price_that_is_not_told_is_judged_by_what_was_bought(self):
        row = vm(15 * 60, idle_warned_at=NOON - timedelta(minutes=5))
        machine = replace(MACHINE, usd_per_hour=None)
        cheap = MemoryProvider(MemoryCloud(stopped_share=Decimal("0.1")))
        outcome = idle.checked(Wait(seconds=30), row, ATTEMPT, cheap, machine, NOON)
        assert outcome.vm == {"desired": Desired.STOPPED}


class TestTheEnd:
    """What is said while the provider's list is under way, which takes seconds and may take half a minute."""

    @pytest.fixture
    def left(self, lived: ControlPlane, running: VM) -> VM:
        """Alice's, whose time is up: she was warned, and the next look ends it."""
        now = lived.now()
        idle_since, warned_at = now - timedelta(hours=1), now - timedelta(minutes=10)
        VM.objects.update(last_activity=None, idle_warned_at=warned_at, next_look_at=now)
        VM.objects.update(idle_since=idle_since, idle_seen_at=now)
        return running

    @pytest.mark.parametrize("act", ["plays", "waits"])
    def test_is_none_of_a_player_who_just_came_back(self, lived: ControlPlane, left: VM, act: str) -> None:
        def meanwhile() -> None:
            if act == "waits":
                services.change(vm=left, by=policy("test"), now=lived.now(), auto_stop_timeout=7200)
            else:
                beat(lived, left, is_playing=True)

        self.look(lived, meanwhile)
        lived.settle(seconds=60)
        left.refresh_from_db()
        assert (left.desired, left.phase) == (Desired.RUNNING, Phase.READY), story(left)

    def test_is_not_put_off_by_a_later_word_of_the_same_idleness(self, lived: ControlPlane, left: VM) -> None:
        self.look(lived, lambda: beat(lived, left, is_playing=False, idle_s=3599))
        left.refresh_from_db()
        assert left.desired == Desired.STOPPED, story(left)

    def look(self, plane: ControlPlane, meanwhile: Callable[[], None]) -> None:
        once = [meanwhile]

        class Slow(MemoryProvider):
            def list(self) -> Sequence[Machine]:
                machines = super().list()
                if once:
                    once.pop()()
                return machines

        plane.reconciler.open_provider = lambda account: Slow(plane.clouds[account.pk])
        plane.reconciler.turn()
        assert not once


def beat(plane: ControlPlane, row: VM, *, is_playing: bool, idle_s: float | None = None) -> None:
    now = plane.now()
    agents.heartbeat(
        vm=row,
        boot_id="b",
        sequence=1,
        sent_at=now,
        is_playing=is_playing,
        idle_s=idle_s,
        measured={},
        now=now,
    )
