"""What CloudyPad keeps of a machine on our side, its key among it, goes when the machine is gone; whatever became of its launch."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import LazySettings
from django.utils.module_loading import import_string
from django_q.models import Schedule

from accounts.principal import policy
from tests.vms.control_plane import ControlPlane
from tests.world import Clock, World
from vms import leftovers, provider_accounts, services
from vms.models import Attempt
from vms.providers.base import make_tag
from vms.providers.cloudypad.names import name_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def home(tmp_path: Path, settings: LazySettings) -> Path:
    settings.CLOUDYPAD_HOME = str(tmp_path / "home")
    return tmp_path / "home"


def keep(home: Path, tag: str) -> Path:
    folder = home / name_of(tag)
    folder.mkdir(parents=True)
    (folder / "key").write_text("of a machine")
    return folder


class TestForget:
    def test_is_for_machines_that_are_proven_gone(
        self, plane: ControlPlane, home: Path, world: World, clock: Clock
    ) -> None:
        vm = plane.until(plane.launch(world.bob), "running")
        attempt = Attempt.objects.get(vm=vm)
        folder = keep(home, attempt.tag)
        assert (leftovers.forget(), folder.exists()) == (0, True)
        Attempt.objects.filter(pk=attempt.pk).update(closed_at=clock())
        assert (leftovers.forget(), folder.exists()) == (0, True)
        Attempt.objects.filter(pk=attempt.pk).update(closed_at=None)
        services.destroy(vm=vm, by=policy("test"), now=plane.now())
        plane.until(vm, "terminated")
        assert (leftovers.forget(), folder.exists()) == (1, False)

    def test_leaves_alone_what_is_not_a_machine_of_ours(self, home: Path) -> None:
        others = keep(home, make_tag("another0", "0123456789ab", 1))
        account = home / "account-1"
        account.mkdir()
        assert leftovers.forget() == 0
        assert others.exists()
        assert account.exists()

    def test_finds_nothing_where_no_home_is(self, home: Path) -> None:
        assert leftovers.forget() == 0

    def test_happens_every_ten_minutes(
        self, plane: ControlPlane, home: Path, world: World, clock: Clock
    ) -> None:
        vm = plane.launch(world.bob)
        plane.until(vm, "running")
        Attempt.objects.filter(vm=vm).update(gone_at=clock())
        folder = keep(home, Attempt.objects.get(vm=vm).tag)
        provider_accounts.seed(clock())
        schedule = Schedule.objects.get(func="vms.tasks.forget_leftovers")
        assert schedule.minutes == 10
        import_string(schedule.func)()
        assert not folder.exists()
