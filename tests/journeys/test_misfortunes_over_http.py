"""Everything the vendor has been seen to do wrong, each ending well: the next offer, later, or an error naming the cause."""

from __future__ import annotations

import pytest

from accounts.principal import policy
from tests.journeys.conftest import HASTY, SandboxPlane
from tests.vms.control_plane import story
from vms import installation, services
from vms.models import VM, Attempt, ProviderAccount, Stray

NES = {"console": "nes", "game_id": "sky-hopper"}


def launch(city: SandboxPlane) -> VM:
    return city.launch()


def classes(vm: VM) -> list[str]:
    return [attempt.error_class for attempt in Attempt.objects.filter(vm=vm)]


def end(city: SandboxPlane, vm: VM) -> None:
    """Deletes the VM and sees that nothing is left in the cloud."""
    services.destroy(vm=vm, by=policy("test"), now=city.clock())
    city.until(vm, "terminated", seconds=300)
    city.settle(seconds=120, step=5)
    assert not city.alive_tags(), story(vm)


class TestLaunch:
    def test_plays_on_the_nearest_machine_and_leaves_nothing_behind(self, city: SandboxPlane) -> None:
        vm = city.play(city.until(launch(city), "running"))
        assert vm.attempt.location_name.startswith("Dallas")
        assert vm.sessions.get().status == "launched", story(vm)
        assert city.alive_tags() == {vm.attempt.tag}
        end(city, vm)


class TestOrders:
    @pytest.mark.parametrize("fault", ["stale_offer", "no_public_ip"])
    def test_go_to_the_next_offer_when_this_one_is_sold_out(self, city: SandboxPlane, fault: str) -> None:
        city.control.fault(fault, times=1)
        vm = city.until(launch(city), "running")
        assert classes(vm) == ["NoCapacity", ""]
        end(city, vm)

    def test_go_to_the_next_offer_when_the_order_is_not_valid_there(self, city: SandboxPlane) -> None:
        city.control.fault("validation_array", times=1)
        vm = city.until(launch(city), "running")
        assert classes(vm) == ["Rejected", ""]
        end(city, vm)

    def test_are_not_repeated_when_the_answer_was_lost(self, city: SandboxPlane) -> None:
        city.control.fault("create_then_timeout", times=1)
        city.timeouts = HASTY
        vm = city.until(launch(city), "running")
        assert classes(vm) == [""]
        assert city.alive_tags() == {vm.attempt.tag}
        end(city, vm)

    def test_that_land_late_are_deleted(self, city: SandboxPlane) -> None:
        city.control.fault("create_lands_late", times=1, args={"after_s": 90, "drop": True})
        vm = city.until(launch(city), "running")
        city.settle(seconds=200, step=5)
        assert classes(vm) == ["OutcomeUnknown", ""]
        assert city.alive_tags() == {vm.attempt.tag}
        assert Stray.objects.get().reason == Stray.Reason.SUPERSEDED
        end(city, vm)

    def test_are_found_though_the_first_lists_do_not_show_them(self, city: SandboxPlane) -> None:
        city.control.fault("create_then_timeout", times=1)
        city.timeouts = HASTY
        city.control.fault("list_without_new", times=1, args={"lists": 2})
        vm = city.until(launch(city), "running")
        assert classes(vm) == [""]
        end(city, vm)

    @pytest.mark.parametrize("fault", ["429", "500_html", "503", "garbage_json"])
    def test_arrive_after_the_provider_came_to_itself(self, city: SandboxPlane, fault: str) -> None:
        city.control.fault(fault, times=3, match={"method": "POST"})
        vm = city.until(launch(city), "running", seconds=600)
        end(city, vm)

    @pytest.mark.parametrize(("fault", "word"), [("401", "BadCredentials"), ("balance_low", "QuotaExceeded")])
    def test_pause_the_account_when_it_is_refused(self, city: SandboxPlane, fault: str, word: str) -> None:
        match = {"method": "POST"} if fault == "401" else {}
        city.control.fault(fault, match=match)
        vm = city.until(launch(city), "error", seconds=300)
        account = ProviderAccount.objects.get()
        assert account.paused_until is not None
        assert account.paused_why.startswith(word)
        assert vm.error in ("provider_unavailable", "no_capacity")
        assert "paused" in vm.error_text or word in vm.error_text


class TestMachines:
    def test_that_never_run_are_replaced(self, city: SandboxPlane) -> None:
        city.control.fault("never_running", times=1)
        vm = city.until(launch(city), "running", step=10)
        assert classes(vm) == ["Overdue", ""]
        end(city, vm)

    def test_that_stop_by_themselves_while_booting_are_replaced(self, city: SandboxPlane) -> None:
        city.control.settings(running_s=20, ip_s=20)
        city.control.fault("stops_by_itself", times=1, args={"after_s": 3})
        vm = city.until(launch(city), "running")
        assert classes(vm) == ["StoppedByItself", ""]
        end(city, vm)

    def test_that_present_another_host_key_are_replaced(self, city: SandboxPlane) -> None:
        city.control.fault("host_key_ignored", times=1)
        vm = city.until(launch(city), "running", step=20)
        assert classes(vm) == ["SetupFailed", ""]
        end(city, vm)

    def test_that_show_the_pinned_host_key_late_are_waited_for(self, city: SandboxPlane) -> None:
        city.control.settings(cloud_init_s=20)
        city.control.fault("host_keys_remade", times=1)
        vm = city.until(launch(city), "running", step=3)
        assert classes(vm) == [""], story(vm)
        end(city, vm)

    @pytest.mark.parametrize("shape", ["instances", "attributes.instances"])
    def test_are_found_in_lists_that_tell_no_address(self, city: SandboxPlane, shape: str) -> None:
        city.control.settings(list_shape=shape)
        vm = city.until(launch(city), "running")
        end(city, vm)

    def test_that_let_nobody_in_are_replaced(self, city: SandboxPlane) -> None:
        city.control.fault("ssh_auth_fails", times=1)
        vm = city.until(launch(city), "running", step=20)
        assert classes(vm) == ["NoContact", ""]
        end(city, vm)

    def test_that_vanish_end_in_an_error_that_says_so(self, city: SandboxPlane) -> None:
        vm = city.until(launch(city), "running")
        city.control.vanish(vm.attempt.machine_id)
        city.until(vm, "error", seconds=300, step=3)
        assert vm.error == "machine_lost"

    def test_that_stop_by_themselves_are_stopped_and_can_be_started(self, city: SandboxPlane) -> None:
        vm = city.until(launch(city), "running")
        city.control.stop(vm.attempt.machine_id)
        city.until(vm, "stopped", step=5)
        services.start(vm=vm, by=policy("test"), now=city.clock())
        city.until(vm, "running")
        end(city, vm)


class TestEnds:
    def test_are_ordered_again_until_a_failing_provider_obeys(self, city: SandboxPlane) -> None:
        vm = city.until(launch(city), "running")
        city.control.fault("delete_fails", args={"seconds": 3600})
        services.destroy(vm=vm, by=policy("test"), now=city.clock())
        city.settle(seconds=3500, step=30)
        vm.refresh_from_db()
        assert vm.status == "terminating"
        city.until(vm, "terminated", seconds=600, step=10)
        assert not city.alive_tags()

    @pytest.mark.parametrize("fault", ["delete_slow", "delete_times_out_but_succeeds"])
    def test_are_proven_however_the_delete_answered(self, city: SandboxPlane, fault: str) -> None:
        vm = city.until(launch(city), "running")
        args = {"seconds": 40} if fault == "delete_slow" else {"drop": True}
        city.control.fault(fault, times=1, args=args)
        end(city, vm)


class TestInstallations:
    def test_leave_each_others_machines_alone_on_one_account(self, city: SandboxPlane) -> None:
        vm = city.until(launch(city), "running")
        installation_row = installation.row()
        mine, theirs = vm.attempt.tag, f"gamer-other123-{vm.code}-1"
        assert installation_row.identifier in mine
        provider = city.open(vm.attempt.account)
        from vms.reconcile.outcome import Subject
        from vms.reconcile.steps.create import spec_of

        provider.create(spec_of(Subject(vm, vm.attempt, [vm.attempt], [])), theirs)
        city.settle(seconds=1500, step=30)
        assert city.alive_tags() == {mine, theirs}
