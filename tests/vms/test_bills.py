from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command

from accounts.principal import policy
from billing import invoices
from billing.models import FleetDifference, ProviderBalance, Subject
from billing.services import metering
from events.models import Delivery, Event
from tests.vms.control_plane import ControlPlane, prepare
from tests.world import Clock, World
from vms import bills, installation
from vms.models import Attempt, ProviderAccount
from vms.providers.base import make_tag
from vms.providers.memory import Fault, cloud

pytestmark = pytest.mark.django_db


@pytest.fixture
def plane(db: None, clock: Clock) -> ControlPlane:
    plane = prepare(clock)
    plane.turn()
    return plane


class TestDifference:
    def test_is_none_while_the_provider_runs_what_we_think(
        self, world: World, plane: ControlPlane, clock: Clock
    ) -> None:
        plane.until(plane.launch(world.alice), "running")
        clock.advance(hours=1)
        plane.settle(seconds=70)
        row = FleetDifference.objects.get()
        assert (row.their_machines, row.our_machines, row.unknown, row.missing) == (1, 1, [], [])
        assert row.their_usd_per_hour == row.our_usd_per_hour > 0
        assert row.provider == "memory"

    def test_names_a_machine_that_no_row_wants(self, world: World, plane: ControlPlane, clock: Clock) -> None:
        plane.cloud.switch_on(Fault.UNAVAILABLE, verbs=["delete"], times=None)
        machine_id = plane.cloud.plant(make_tag(installation.identifier(), "aaaaaaaaaaaa", 1)).machine_id
        plane.settle(seconds=70)
        clock.advance(hours=1)
        plane.settle(seconds=70)
        assert FleetDifference.objects.get().unknown == [machine_id]

    def test_is_one_row_a_day(self, plane: ControlPlane, clock: Clock) -> None:
        for _ in range(3):
            clock.advance(hours=9)
            plane.settle(seconds=70, step=5)
        assert FleetDifference.objects.count() == 2


class TestBalance:
    @pytest.fixture
    def account(self, request: pytest.FixtureRequest) -> ProviderAccount:
        return ProviderAccount.objects.create(
            name="memory", kind="memory", credentials={"cloud": request.node.name}
        )

    def test_is_kept_as_the_provider_says(self, account: ProviderAccount, clock: Clock) -> None:
        assert bills.look_at_balances(clock.now) == 1
        row = ProviderBalance.objects.get()
        assert (row.balance_usd, row.usd_per_hour, row.looked_at, row.low_since) == (1000, 0, clock.now, None)

    def test_that_is_low_is_told_once_until_it_is_well_again(
        self, world: World, account: ProviderAccount, clock: Clock
    ) -> None:
        vendor = cloud(account.credentials["cloud"])
        for usd, told in (("19.99", 1), ("5", 1), ("20", 1), ("19", 2)):
            vendor.paid_in_usd = Decimal(usd)
            bills.look_at_balances(clock.advance(minutes=10))
            assert Event.objects.filter(action="balance_low").count() == told
        assert Event.objects.filter(action="balance_low").latest("id").details["balance_usd"] == 19
        assert {one.target for one in Delivery.objects.all()} == {"sam@gamer.test"}
        assert "19.00 USD left" in Delivery.objects.first().payload["text"]  # type: ignore[union-attr]

    def test_of_an_account_that_does_not_answer_is_left_as_it_was(
        self, account: ProviderAccount, clock: Clock
    ) -> None:
        cloud(account.credentials["cloud"]).switch_on(Fault.BAD_CREDENTIALS, times=None)
        assert bills.look_at_balances(clock.now) == 0
        assert not ProviderBalance.objects.exists()

    def test_is_not_asked_of_who_does_not_tell_it(self, clock: Clock) -> None:
        ProviderAccount.objects.create(name="td", kind="tensordock", credentials={"token": "x"})
        assert bills.look_at_balances(clock.now) == 0


class TestInvoices:
    def test_stand_beside_our_own_figures_by_day_and_machine(
        self, world: World, plane: ControlPlane, clock: Clock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        vm = plane.until(plane.launch(world.alice), "running")
        plane.settle(seconds=60)
        machine_id = Attempt.objects.get(vm=vm).machine_id
        subject = Subject.objects.get(vm=vm.pk)
        metering.close(subject.meter, clock.now)
        day = clock.now.date()
        text = f"day,machine_id,amount\n{day},{machine_id},5\n{day},stranger,2.5\n"
        invoices.load(
            by=policy("test"), provider="memory", file_name="x.csv", content=text.encode(), now=clock.now
        )
        found = {one.machine_id: one for one in bills.compare("memory", day, day)}
        ours = found[machine_id].ours_usd
        assert ours is not None
        assert ours > 0
        assert found[machine_id].difference_usd == 5 - ours
        assert (found["stranger"].theirs_usd, found["stranger"].ours_usd) == (Decimal("2.5"), None)
        assert list(bills.compare("memory", day - timedelta(days=2), day - timedelta(days=1))) == []
        call_command("compare_invoices", "memory", "--from", f"{day}", "--to", f"{day}")
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "day,machine_id,theirs_usd,ours_usd,difference_usd"
        assert f"{day},stranger,2.500000,,2.500000" in lines

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (("--from", "yesterday"), "'yesterday' is not a day like 2026-01-31"),
            (
                ("--from", "2026-02-01", "--to", "2026-01-01"),
                r"--to \(2026-01-01\) is before --from \(2026-02-01\)",
            ),
            (("--to", "2020-01-31"), "is before --from"),  # which is this month's first
        ],
    )
    def test_are_not_compared_over_days_that_are_none(self, options: tuple[str, ...], words: str) -> None:
        with pytest.raises(CommandError, match=words):
            call_command("compare_invoices", "memory", *options)

    def test_are_imported_by_command(self, tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
        path = f"{tmp_path}/june.csv"
        with open(path, "w") as file:
            file.write("day,machine_id,amount\n2026-06-01,m1,5\n")
        call_command("import_invoice", "memory", path)
        call_command("import_invoice", "memory", path)
        assert capsys.readouterr().out.splitlines() == [
            "1 lines imported, 0 known already",
            "0 lines imported, 1 known already",
        ]
        (one,) = bills.compare("memory", date(2026, 6, 1), date(2026, 6, 1))
        assert one.difference_usd == 5
