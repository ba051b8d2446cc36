"""What an operator types: the search for orphans, and one pass of the reconciler."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.principal import policy
from events.models import Event
from gamer.queue.wake import close_listeners
from tests.vms.control_plane import ControlPlane, prepare
from tests.world import Clock
from vms import installation, services
from vms.models import VM, ProviderAccount, Stray
from vms.providers.base import make_tag
from vms.providers.memory import Fault, MemoryCloud, cloud
from vms.reconcile import claims
from vms.services import Order


@pytest.fixture
def orphaned(plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[MemoryCloud]:
    """The account's cloud as the commands open it, with machines of ours, of another installation and of a stranger."""
    known = cloud(request.node.name)
    ProviderAccount.objects.update(credentials={"cloud": request.node.name})
    known.plant(make_tag(installation.identifier(), "aaaaaaaaaaaa", 1))
    known.plant(make_tag("othersxx", "aaaaaaaaaaaa", 1))
    known.plant("somebody-elses-server")
    yield known
    known.heal()


def find_orphans(*flags: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("find_orphans", *flags, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def find_orphans_in_vain(*flags: str) -> tuple[str, str]:
    """What it printed, and in what words it failed, which ends the process with 1."""
    out = StringIO()
    with pytest.raises(CommandError) as failure:
        call_command("find_orphans", *flags, stdout=out, stderr=out)
    return out.getvalue(), str(failure.value)


class TestFindOrphans:
    def test_lists_machines_of_this_installation_alone(self, orphaned: MemoryCloud) -> None:
        out, _ = find_orphans()
        assert make_tag(installation.identifier(), "aaaaaaaaaaaa", 1) in out
        assert "no row knows it" in out
        assert "1 found" in out
        assert "othersxx" not in out
        assert "somebody" not in out
        assert len(orphaned.alive()) == 3

    def test_deletes_them_at_once_when_told_to(self, orphaned: MemoryCloud) -> None:
        out, _ = find_orphans("--fix")
        assert "deletion of 1 ordered" in out
        assert not orphaned.alive(installation.identifier())
        assert len(orphaned.alive()) == 2
        assert Event.objects.filter(action="stray_deleted").count() == 1
        find_orphans("--fix")
        assert Stray.objects.get().gone_at is not None

    def test_is_the_operators_word_after_a_restore(self, orphaned: MemoryCloud) -> None:
        installation.Installation.objects.update(is_sweep_confirmed=False)
        find_orphans()
        assert len(orphaned.alive(installation.identifier())) == 1
        assert not installation.row().is_sweep_confirmed
        find_orphans("--fix")
        assert not orphaned.alive(installation.identifier())
        assert installation.row().is_sweep_confirmed

    def test_says_so_when_there_are_none(self, orphaned: MemoryCloud) -> None:
        for record in orphaned.alive(installation.identifier()):
            orphaned.vanish(record.machine_id)
        assert "No orphans." in find_orphans()[0]

    def test_goes_on_behind_an_account_that_cannot_be_asked(
        self, orphaned: MemoryCloud, plane: ControlPlane
    ) -> None:
        away = cloud("away")
        away.switch_on(Fault.BAD_CREDENTIALS)
        plane.add_account("a-first", away, credentials={"cloud": "away"})
        plane.add_account("b-second", kind="libvirt")
        out, why = find_orphans_in_vain()
        assert "a-first: cannot be asked" in out
        assert "b-second: cannot be asked" in out
        assert "1 found" in out
        assert why == "Not asked: a-first, b-second."

    def test_is_well_beside_a_paused_account_that_is_gone_and_holds_nothing(
        self, orphaned: MemoryCloud, plane: ControlPlane
    ) -> None:
        """As the sandbox's after real credentials took its place: a cron job would end with 1 for ever."""
        away = cloud("away")
        away.switch_on(Fault.UNAVAILABLE, times=None)
        gone = plane.add_account("a-first", away, credentials={"cloud": "away"}, is_paused=True)
        out, err = find_orphans()
        assert "1 found" in out
        assert "a-first: cannot be asked" in err
        stray = Stray.objects.get()
        Stray.objects.update(account=gone)
        assert find_orphans_in_vain()[1] == "Not asked: a-first."
        Stray.objects.filter(pk=stray.pk).update(gone_at=claims.database_now())
        find_orphans()
        away.heal()

    def test_relies_on_no_row_about_a_paused_account_after_a_restore(
        self, orphaned: MemoryCloud, plane: ControlPlane
    ) -> None:
        away = cloud("away")
        away.switch_on(Fault.UNAVAILABLE, times=None)
        plane.add_account("a-first", away, credentials={"cloud": "away"}, is_paused=True)
        installation.Installation.objects.update(is_sweep_confirmed=False)
        assert find_orphans_in_vain("--fix")[1].startswith("Not asked: a-first. Nothing is confirmed")
        assert not installation.row().is_sweep_confirmed
        away.heal()

    def test_says_nothing_of_none_when_nobody_was_asked(self, orphaned: MemoryCloud) -> None:
        orphaned.switch_on(Fault.BAD_CREDENTIALS)
        out, _ = find_orphans_in_vain()
        assert "No orphans." not in out

    def test_is_nobodys_word_for_an_account_that_was_not_asked(
        self, orphaned: MemoryCloud, plane: ControlPlane
    ) -> None:
        away = cloud("away")
        away.switch_on(Fault.BAD_CREDENTIALS)
        plane.add_account("a-first", away, credentials={"cloud": "away"})
        installation.Installation.objects.update(is_sweep_confirmed=False)
        _, why = find_orphans_in_vain("--fix")
        assert not orphaned.alive(installation.identifier())
        assert why.startswith("Not asked: a-first. Nothing is confirmed")
        assert not installation.row().is_sweep_confirmed

    def test_is_nobodys_word_when_the_pace_cut_it_short(self, orphaned: MemoryCloud) -> None:
        ProviderAccount.objects.update(
            calls_per_minute=1, call_tokens=0, call_tokens_at=claims.database_now()
        )
        installation.Installation.objects.update(is_sweep_confirmed=False)
        out, why = find_orphans_in_vain("--fix")
        assert "1 wait for the account's pace" in out
        assert len(orphaned.alive(installation.identifier())) == 1
        assert why.startswith("Not done with: memory.")
        assert not installation.row().is_sweep_confirmed


class TestReconciler:
    @pytest.fixture
    def plane(self, transactional_db: None) -> Iterator[ControlPlane]:
        """The command takes over the process's signals, and keeps a connection to listen on."""
        kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        yield prepare(Clock(claims.database_now()))
        close_listeners()
        for number, handler in kept.items():
            signal.signal(number, handler)

    def test_once_places_what_is_due_and_ends(self, plane: ControlPlane) -> None:
        ProviderAccount.objects.update(credentials={"cloud": "once"})
        order = Order("switch", "zelda", latitude=32.7767, longitude=-96.797)
        call_command("reconciler", "--once")
        vm = services.launch_game(by=policy("test"), owner=None, order=order, now=claims.database_now()).vm
        call_command("reconciler", "--once")
        vm = VM.objects.get(pk=vm.pk)
        assert (vm.phase, vm.is_acting) == ("creating", True)
        assert cloud("once").created_total == 0
