"""One bad row, account, machine or answer costs itself time, and nobody else anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from queue import SimpleQueue
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.conf import LazySettings

from accounts.principal import policy
from emulators.models import EmulatorConfig, Preset
from events.models import Event
from gamer.sealed import Sealed
from tests.vms.control_plane import ControlPlane, story
from tests.world import World
from vms import installation, services
from vms.models import VM, Attempt, GameSession, Offer, ProviderAccount, SetupStep, Stray
from vms.provider_accounts import open_provider
from vms.providers.base import Machine, MachineSpec, Provider, Unavailable, make_tag
from vms.providers.memory import Fault, MemoryCloud, MemoryProvider
from vms.reconcile import acting, claims, loading
from vms.reconcile.apply import written
from vms.reconcile.choosing import LAST_NUMBER, Chooser
from vms.reconcile.guard import AFTER_A_BUG_S
from vms.reconcile.outcome import SessionChange, TakenSave, Wait
from vms.setup import PendingSave, StepReport


class Buggy(MemoryProvider):
    """An adapter with a bug that strikes the machines of one tag, or a verb altogether."""

    tag = ""
    lists = True

    def create(self, spec: MachineSpec, tag: str) -> Machine:
        if tag == self.tag:
            raise KeyError("a field the adapter did not expect")
        return super().create(spec, tag)

    def list(self) -> Sequence[Machine]:
        if not self.lists:
            raise TypeError("an answer the adapter did not expect")
        return super().list()

    def delete(self, machine_id: str) -> None:
        if any(record.machine_id == machine_id and record.tag == self.tag for record in self.cloud.alive()):
            raise Unavailable("this machine cannot be deleted")
        super().delete(machine_id)


def use(plane: ControlPlane, adapter: type[Buggy]) -> None:
    opened = lambda account: adapter(plane.clouds[account.pk])  # noqa: E731
    plane.reconciler.open_provider = plane.actor.open_provider = opened


class TestBug:
    def test_in_one_order_leaves_the_rest_of_the_batch_alone(self, stocked: ControlPlane) -> None:
        bad, good = stocked.launch(), stocked.launch()
        use(stocked, type("Once", (Buggy,), {"tag": make_tag(installation.identifier(), bad.code, 1)}))
        stocked.until(good, "running", seconds=60)
        # The order's outcome is unknown: it is looked for, and another offer is tried.
        stocked.until(bad, "running", seconds=200)
        assert stocked.cloud.max_made_per_tag == 1

    def test_in_a_list_does_not_end_the_reconciler(self, stocked: ControlPlane) -> None:
        vm = stocked.until(stocked.launch(), "running")
        use(stocked, type("Blind", (Buggy,), {"lists": False}))
        stocked.settle(seconds=60, step=5)
        account = ProviderAccount.objects.get()
        assert account.failures_in_a_row > 0
        assert "TypeError" in account.last_error
        vm.refresh_from_db()
        assert vm.status == "running"

    def test_in_an_offer_is_refused_by_the_database_and_noted_only_there(self, stocked: ControlPlane) -> None:
        account = stocked.add_account("other", MemoryCloud(boot_s=5))
        offer = replace(stocked.cloud.offers()[0], max_disk_gb=10**12)
        stocked.cloud.add_offer(offer)
        stocked.clock.advance(seconds=61)
        stocked.settle(seconds=3)
        account.refresh_from_db()
        assert account.offers_refreshed_at is not None
        stocked.until(stocked.launch(), "running", seconds=60)


class TestReport:
    def test_that_cannot_be_stored_loses_only_itself(self, stocked: ControlPlane) -> None:
        vm = stocked.until(stocked.launch(), "running")
        reports: acting.Reports = SimpleQueue()
        for name, log in (("wolf", "Get:1 \x00 done"), ("x" * 100, ""), ("clock", "\ud800"), ("agent", "up")):
            reports.put((vm.attempt_id, StepReport(name, name, "done", 1.0, log)))
        acting._flush(reports, stocked.clock())
        assert [step.name for step in SetupStep.objects.filter(attempt=vm.attempt_id)] == ["agent"]


class TestOutcome:
    @pytest.mark.parametrize(
        "told", [{"played": float("nan")}, {"played": float("inf")}, {"error_text": None}, {"base": "two"}]
    )
    def test_that_cannot_be_stored_leaves_the_rest_of_the_batch_alone(
        self, stocked: ControlPlane, world: World, told: dict[str, Any]
    ) -> None:
        vm = stocked.until(stocked.launch(world.alice), "running")
        stocked.settle(seconds=10)
        session = GameSession.objects.get(vm=vm)
        change = SessionChange(session.pk, "launched", told.get("error_text", ""), told.get("base"))
        save = PendingSave(str(session.slot_id), str(session.pk), 0, "0" * 64, 3, told.get("played", 1.0))
        saves = [TakenSave(session.slot_id, session.pk, save, b"")]
        stocked.clock.advance(seconds=60)
        lease = claims.claim(is_acting=False, now=stocked.clock(), limit=10)
        (subject,) = loading.subjects(lease.ids)
        outcome = Wait(seconds=5, sessions=[change], saves=saves if "played" in told else [])
        assert not written(subject, lease.token, outcome, stocked.clock())
        vm.refresh_from_db()
        assert vm.lease_token == lease.token


class TestAccountWithoutAdapter:
    def test_does_not_end_the_reconciler(self, stocked: ControlPlane) -> None:
        def opened(account: ProviderAccount) -> MemoryProvider:
            if account.kind != "memory":
                raise ValueError(f"no provider is called {account.kind!r}")
            return stocked.open(account)

        stocked.add_account("metal", kind="libvirt")
        stocked.reconciler.open_provider = stocked.actor.open_provider = opened
        vm = stocked.until(stocked.launch(), "running", seconds=60)
        assert vm.attempt.account.kind == "memory"
        assert "libvirt" in ProviderAccount.objects.get(name="metal").last_error


class TestSecretThatNoKeyOpens:
    """A worker that was not yet restarted with the new key, or a restore without the old ones."""

    def test_of_an_account_is_noted_there_and_stops_nobody_else(
        self, stocked: ControlPlane, settings: LazySettings
    ) -> None:
        def opened(account: ProviderAccount) -> Provider:
            return open_provider(account) if account.name == "locked" else stocked.open(account)

        keys = settings.GAMER_KEYS
        settings.GAMER_KEYS = [Fernet.generate_key().decode()]
        locked = stocked.add_account("locked", credentials={"cloud": "locked"})
        mine = stocked.until(stocked.launch(), "running", seconds=60)
        Attempt.objects.filter(vm=mine).update(account=locked)
        settings.GAMER_KEYS = keys
        stocked.reconciler.open_provider = stocked.actor.open_provider = opened
        services.destroy(vm=mine, by=policy("test"), now=stocked.clock())
        stocked.until(stocked.launch(), "running", seconds=60)
        stocked.settle(seconds=120, step=5)
        locked.refresh_from_db()
        assert "no key in GAMER_KEYS" in locked.last_error
        assert locked.failures_in_a_row > 1
        mine.refresh_from_db()
        assert (mine.status, mine.lease_token) == ("terminating", None)

    def test_of_a_machine_rests_it_and_stops_nobody_else(
        self, stocked: ControlPlane, settings: LazySettings
    ) -> None:
        bad, good = stocked.launch(), stocked.launch()
        stocked.reconciler.turn()
        keys = settings.GAMER_KEYS
        settings.GAMER_KEYS = [Fernet.generate_key().decode()]
        VM.objects.filter(pk=bad.pk).update(ssh_private_key=Sealed("a key"))
        settings.GAMER_KEYS = keys
        stocked.until(good, "running", seconds=60)
        bad.refresh_from_db()
        assert (bad.phase, bad.lease_token) == ("creating", None)
        VM.objects.filter(pk=bad.pk).update(ssh_private_key=Sealed("a key"))
        stocked.until(bad, "running", seconds=200)


class TestChoosing:
    def test_ends_a_launch_whose_preset_was_deleted_in_the_meantime(self, stocked: ControlPlane) -> None:
        Preset.objects.create(slug="huge", vcpus=16, ram_gb=32, disk_gb=200, gpus=1)
        vm = stocked.launch(preset="huge")
        other = stocked.launch()
        Preset.objects.filter(slug="huge").delete()
        stocked.until(other, "running", seconds=60)
        stocked.until(vm, "error", seconds=60)
        assert vm.error == "preset_gone"

    def test_of_what_cannot_be_stored_leaves_the_rest_of_the_batch_alone(self, stocked: ControlPlane) -> None:
        """Prices that fit their columns, and whose sum does not fit the order's."""
        EmulatorConfig.objects.update(cost_per_hour_limit=None)
        bad, good = stocked.launch(), stocked.launch()
        for vm, city in ((bad, "Joplin"), (good, "Manassas")):
            VM.objects.filter(pk=vm.pk).update(wanted_region=city)
        ProviderAccount.objects.update(next_refresh_at=stocked.clock() + timedelta(seconds=300))
        dear = Offer.objects.filter(city="Joplin")
        dear.update(usd_per_hour=99_999, usd_per_gpu=99_999)
        now = stocked.clock()
        stocked.turn()
        for vm in (bad, good):
            vm.refresh_from_db()
        assert (bad.phase, bad.lease_token) == ("requested", None)
        assert bad.next_look_at - now >= timedelta(seconds=AFTER_A_BUG_S)
        assert good.phase != "requested"
        dear.update(usd_per_hour=0, usd_per_gpu=1)
        stocked.until(bad, "running", seconds=60)

    def test_ends_a_launch_whose_next_order_could_have_no_name(self, stocked: ControlPlane) -> None:
        vm, other = stocked.launch(), stocked.launch()
        last = {"number": LAST_NUMBER, "tag": make_tag(installation.identifier(), vm.code, LAST_NUMBER)}
        gone = dict.fromkeys(("created_at", "closed_at", "gone_at"), stocked.clock())
        columns = {
            "offer_id": "joplin-4090",
            "preset": "premium",
            "usd_per_hour": 1,
            "charge_usd_per_hour": 1,
        }
        sizes = {"gpus": 1, "vcpus": 8, "ram_gb": 16, "disk_gb": 200, "offer": {}}
        account = ProviderAccount.objects.get()
        Attempt.objects.create(vm=vm, account=account, round=vm.round - 1, **last, **gone, **columns, **sizes)
        stocked.until(other, "running", seconds=60)
        stocked.until(vm, "error", seconds=60)
        assert str(LAST_NUMBER) in vm.error_text

    def test_passes_over_an_offer_that_a_refresh_took_away_meanwhile(
        self, stocked: ControlPlane, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from vms import offers

        load = offers.load

        def loaded(*args, **kwargs):
            shelf = load(*args, **kwargs)
            Offer.objects.filter(offer_id="joplin-4090").delete()
            return shelf

        vm = stocked.launch()
        monkeypatch.setattr(offers, "load", loaded)
        stocked.until(vm, "running", seconds=60)
        assert vm.attempt.offer_id == "manassas-4090"

    def test_takes_the_cheaper_machine_where_a_cap_refuses_the_dearer(self, stocked: ControlPlane) -> None:
        """The nearest costs 0.463 an hour, the cheapest fitting one 0.443."""
        ProviderAccount.objects.update(max_usd_per_hour="0.45")
        vm = stocked.until(stocked.launch(), "running", seconds=60)
        assert vm.attempt.offer_id == "manassas-4090"

    def test_lets_a_cheap_console_through_behind_one_that_is_too_dear(self, stocked: ControlPlane) -> None:
        ProviderAccount.objects.update(max_usd_per_hour="0.2")
        dear = stocked.launch(console="switch")
        cheap = stocked.launch(console="nes")
        stocked.until(cheap, "running", seconds=60)
        stocked.until(dear, "error", seconds=200, step=5)
        assert "cap of the provider account" in dear.error_text


class TestSweep:
    def test_goes_on_behind_a_machine_that_cannot_be_deleted(self, stocked: ControlPlane) -> None:
        tags = [make_tag(installation.identifier(), code * 12, 1) for code in "ab"]
        for tag in tags:
            stocked.cloud.plant(tag)
            stocked.settle(seconds=70, step=10)  # one is older than the other, and asked first
        use(stocked, type("Stubborn", (Buggy,), {"tag": tags[0]}))
        stocked.settle(seconds=800, step=30)
        assert [record.tag for record in stocked.cloud.alive()] == [tags[0]]

    def test_deletes_a_second_machine_of_the_same_name(self, stocked: ControlPlane) -> None:
        vm = stocked.until(stocked.launch(), "running")
        stocked.cloud.plant(vm.attempt.tag)
        stocked.settle(seconds=200, step=5)
        assert [record.machine_id for record in stocked.cloud.alive()] == [vm.attempt.machine_id]
        assert Stray.objects.get().gone_at is not None
        vm.refresh_from_db()
        assert vm.status == "running"

    def test_frees_a_vm_whose_second_machine_of_the_same_name_outlives_the_first(
        self, stocked: ControlPlane
    ) -> None:
        vm = stocked.until(stocked.launch(), "running")
        stocked.cloud.plant(vm.attempt.tag)
        services.destroy(vm=vm, by=policy("test"), now=stocked.clock())
        stocked.until(vm, "terminated", seconds=300, step=2)
        assert not stocked.cloud.alive()


class TestDelete:
    def test_reaches_the_current_machine_while_an_earlier_account_is_away(
        self, stocked: ControlPlane
    ) -> None:
        other = stocked.add_account("other", MemoryCloud(boot_s=5))
        stocked.settle(seconds=5)
        stocked.cloud.switch_on(Fault.LOST_MADE)
        stocked.cloud.switch_on(Fault.HIDDEN, lists=1000)
        vm = stocked.launch()
        stocked.turn()
        Attempt.objects.filter(vm=vm).update(usd_per_hour=1)
        first = Attempt.objects.get(vm=vm)
        ProviderAccount.objects.filter(pk=first.account_id).update(is_paused=True)
        stocked.until(vm, "running", seconds=300)
        assert vm.attempt.account == other
        # The first account's machine turns up, and the account goes away.
        Attempt.objects.filter(pk=first.pk).update(machine_id="late", gone_at=None)
        stocked.cloud.switch_on(Fault.BAD_CREDENTIALS, times=None)
        services.destroy(vm=vm, by=policy("test"), now=stocked.clock())
        stocked.settle(seconds=60)
        assert not stocked.clouds[other.pk].alive(), story(vm)


class TestPace:
    def test_does_not_leave_a_paced_order_unrung(self, stocked: ControlPlane) -> None:
        """An acting row that the pace sent back is rung for again at once, not after half a lease."""
        stocked.launch()
        stocked.reconciler.turn()
        assert stocked.rings == 1
        lease = claims.claim(is_acting=True, now=stocked.clock(), limit=10)
        claims.rest([claims.Rest(one, lease.token, stocked.clock(), True) for one in lease.ids])
        stocked.reconciler.turn()
        assert stocked.rings == 2

    def test_keeps_asking_for_offers_between_the_calls_of_a_busy_account(self, stocked: ControlPlane) -> None:
        account = ProviderAccount.objects.get()
        ProviderAccount.objects.update(call_tokens=1, calls_per_minute=60, call_tokens_at=stocked.clock())
        ProviderAccount.objects.update(
            next_refresh_at=stocked.clock(), next_sweep_at=stocked.clock.now.replace(year=2030)
        )
        before = account.offers_refreshed_at
        stocked.settle(seconds=10)
        account.refresh_from_db()
        assert account.offers_refreshed_at > before


class TestWish:
    def test_of_a_player_outlives_what_a_step_wished_meanwhile(self, stocked: ControlPlane) -> None:
        """A delete asked while the start was being refused: it must not be lost to "stays stopped"."""
        vm = stocked.until(stocked.launch(), "running")
        services.stop(vm=vm, by=policy("test"), now=stocked.clock())
        stocked.until(vm, "stopped", seconds=120)
        services.start(vm=vm, by=policy("test"), now=stocked.clock())
        stocked.cloud.switch_on(Fault.NO_CAPACITY, verbs=["start"])

        class Slow(MemoryProvider):
            def start(self, machine_id: str) -> None:
                services.destroy(vm=vm, by=policy("test"), now=stocked.clock())
                super().start(machine_id)

        stocked.actor.open_provider = lambda account: Slow(stocked.clouds[account.pk])
        stocked.until(vm, "terminated", seconds=120)
        assert not stocked.cloud.alive()

    def test_to_play_outlives_an_idle_end_decided_before_it(
        self, stocked: ControlPlane, world: World
    ) -> None:
        vm = stocked.until(stocked.launch(world.alice), "running")
        stocked.settle(seconds=10)
        now = stocked.clock()
        long_ago = now - timedelta(hours=1)
        idle = {"idle_since": long_ago, "idle_seen_at": now, "last_activity": long_ago}
        warned = {"idle_warned_at": now - timedelta(minutes=15), "next_look_at": now}
        VM.objects.filter(pk=vm.pk).update(**idle, **warned)
        launched = []

        class Slow(MemoryProvider):
            def list(self) -> Sequence[Machine]:
                found = super().list()
                if not launched:
                    launched.append(stocked.launch(world.alice, game_id="zelda"))
                return found

        stocked.reconciler.open_provider = lambda account: Slow(stocked.clouds[account.pk])
        stocked.settle(seconds=30)
        vm.refresh_from_db()
        assert launched == [vm]
        assert (vm.desired, vm.phase) == ("running", "ready"), story(vm)
        assert not Event.objects.about("vms", vm.pk).filter(action="idle_end").exists()

    def test_to_end_a_launch_is_no_failure_when_it_was_overdue_as_well(self, stocked: ControlPlane) -> None:
        vm = stocked.launch()
        Offer.objects.update(cools_until=stocked.clock().replace(year=2030))
        stocked.turn()
        services.destroy(vm=vm, by=policy("test"), now=stocked.clock())
        stocked.clock.advance(seconds=300)
        stocked.until(vm, "terminated", seconds=60)
        assert vm.error == ""

    @pytest.mark.parametrize("fault", [Fault.QUOTA_EXCEEDED, Fault.BAD_CREDENTIALS])
    def test_to_start_is_refused_in_words_when_the_account_may_not(
        self, stocked: ControlPlane, fault: Fault
    ) -> None:
        vm = stocked.until(stocked.launch(), "running")
        services.stop(vm=vm, by=policy("test"), now=stocked.clock())
        stocked.until(vm, "stopped", seconds=120)
        stocked.cloud.switch_on(fault, verbs=["start"], times=None)
        services.start(vm=vm, by=policy("test"), now=stocked.clock())
        stocked.settle(seconds=5)
        vm.refresh_from_db()
        assert (vm.phase, vm.desired) == ("stopped", "stopped")
        assert Event.objects.about("vms", vm.pk).filter(action="start_refused").exists()

    def test_to_start_is_given_up_when_the_provider_never_takes_it(self, stocked: ControlPlane) -> None:
        vm = stocked.until(stocked.launch(), "running")
        services.stop(vm=vm, by=policy("test"), now=stocked.clock())
        stocked.until(vm, "stopped", seconds=120)
        stocked.cloud.switch_on(Fault.UNAVAILABLE, verbs=["start"], times=None)
        services.start(vm=vm, by=policy("test"), now=stocked.clock())
        stocked.settle(seconds=500, step=10)
        vm.refresh_from_db()
        assert (vm.phase, vm.desired) == ("stopped", "running")
        stocked.settle(seconds=200, step=10)
        vm.refresh_from_db()
        assert (vm.phase, vm.desired, vm.action_sent_at) == ("stopped", "stopped", None)
        assert Event.objects.about("vms", vm.pk).filter(action="start_refused").exists()

    def test_of_a_failing_vm_no_longer_keeps_its_player_from_another(
        self, stocked: ControlPlane, world: World
    ) -> None:
        """Its delete may stay unproven for an hour; the player's next launch is not held up by it."""
        vm = stocked.until(stocked.launch(world.alice), "running")
        stocked.cloud.switch_on(Fault.UNAVAILABLE, verbs=["delete"], times=None)
        stocked.cloud.vanish(vm.attempt.machine_id)
        stocked.until(vm, "terminating", seconds=200)
        second = stocked.launch(world.alice)
        assert second.pk != vm.pk


class TestLostLease:
    def test_before_the_intent_was_written_sends_no_order(self, stocked: ControlPlane) -> None:
        stocked.launch()
        stocked.reconciler.turn()

        def opened(account: ProviderAccount) -> MemoryProvider:
            """The process freezes here for longer than its lease, and another one takes the row over."""
            stocked.clock.advance(seconds=claims.LEASE_S + 1)
            assert claims.claim(is_acting=True, now=stocked.clock(), limit=1).ids
            return stocked.open(account)

        stocked.actor.open_provider = opened
        stocked.actor.run_batch()
        assert stocked.cloud.created_total == 0
        assert Attempt.objects.get().sent_at is None

    def test_while_choosing_places_nothing_a_second_time(
        self, stocked: ControlPlane, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from vms import offers

        price, chosen = offers.exact_price, []
        vm = stocked.launch()
        mine = claims.claim(is_acting=False, now=stocked.clock(), limit=1)
        (subject,) = loading.subjects(mine.ids)

        def slow(*args, **kwargs):
            """The first one is so slow that another process takes the row over and places it."""
            if not chosen:
                stocked.clock.advance(seconds=claims.LEASE_S + 1)
                other = claims.claim(is_acting=False, now=stocked.clock(), limit=1)
                chosen.append(other.token)
                assert Chooser(stocked.clock()).run(loading.subjects(other.ids)[0], other.token)
            return price(*args, **kwargs)

        monkeypatch.setattr(offers, "exact_price", slow)
        assert not Chooser(stocked.clock()).run(subject, mine.token)
        assert Attempt.objects.filter(vm=vm).count() == 1

    def test_does_not_happen_to_a_batch_that_takes_long(
        self, stocked: ControlPlane, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from vms import offers

        price, taken = offers.exact_price, []

        def slow(*args, **kwargs):
            stocked.clock.advance(seconds=claims.LEASE_S * 2 / 3)
            taken.extend(claims.claim(is_acting=False, now=stocked.clock(), limit=10).ids)
            return price(*args, **kwargs)

        for _ in range(3):
            stocked.launch()
        monkeypatch.setattr(offers, "exact_price", slow)
        monkeypatch.setattr(claims, "RENEW_S", -1)  # real seconds, of which a test has none
        stocked.reconciler.turn()
        assert (taken, Attempt.objects.count()) == ([], 3)
