"""While providers hang, every answer comes from rows, and nobody else waits for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from tests.vms.api.asking import DALLAS, SWITCH, details, post
from tests.vms.control_plane import ControlPlane
from tests.vms.silent import Silent
from tests.waiting import eventually
from vms.models import VM, Offer, ProviderAccount
from vms.providers.base import Provider
from vms.providers.tensordock import TensorDockProvider
from vms.providers.tensordock.client import Timeouts
from vms.reconcile.loop import Reconciler

READS = (
    *("/launch/vm/optimal-for/switch", "/launch/hostnodes/available", "/launch/locations/summary"),
    *("/launch/hostnodes/closest?user_latitude=1&user_longitude=1", "/config/providers", "/health?full=1"),
    *("/launch/gcp/regions/closest?user_latitude=1&user_longitude=1", "/vms", "/config/emulators"),
    "/billing/usage/tensordock",
)
# Nobody is to give up by itself and ask once more.
PATIENT = Timeouts(attempt=600, read=600)


@pytest.fixture
def silent() -> Iterator[Silent]:
    """Whoever waits for it has given up when the test is over."""
    with Silent() as provider:
        yield provider
    for thread in threading.enumerate():
        if thread.name.startswith("look"):
            thread.join()


class HalfSilent:
    """A plane's accounts, of which those with an address hang; the reconciler looks at them in threads, as it does outside."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        plane.reconciler = Reconciler(clock=plane.clock, open_provider=self.open, ring=lambda _: None)
        plane.actor.open_provider = self.open

    def open(self, account: ProviderAccount) -> Provider:
        if not account.base_url:
            return self.plane.open(account)
        return TensorDockProvider("t", account.base_url, timeouts=PATIENT)

    def close(self) -> None:
        self.plane.reconciler.close()


@pytest.fixture
def half(plane: ControlPlane, silent: Silent) -> Iterator[HalfSilent]:
    half = HalfSilent(plane)
    yield half
    half.close()


def hang(silent: Silent, accounts: int) -> None:
    """Has that many accounts point to where nobody answers; all are due for new offers and a look at their machines."""
    now = timezone.now()
    due = {
        "next_refresh_at": now,
        "next_sweep_at": now,
        "base_url": silent.url,
        "credentials": {"token": "t"},
    }
    if accounts == 1:
        ProviderAccount.objects.update(**due)
    else:
        for number in range(accounts):
            ProviderAccount.objects.create(name=f"hung {number}", kind="tensordock", **due)


class TestAnswers:
    def test_come_from_rows(self, plane: ControlPlane, silent: Silent, half: HalfSilent, as_sam) -> None:
        known = Offer.objects.count()
        hang(silent, 1)
        half.plane.reconciler.turn()
        hung = eventually(lambda: silent.calls if silent.calls >= 2 else 0)
        for path in READS:
            answer = as_sam.get(path)
            assert answer.status_code == 200, (path, answer.content)
        options = as_sam.get("/launch/vm/optimal-for/switch", DALLAS).json()["options"]
        assert sum(one["offers"] for one in options) == known
        assert post(as_sam, "/launch/game", SWITCH).status_code == 201
        assert post(as_sam, "/vms", {"console_type": "snes"}).status_code == 201
        # Nobody but the reconciler asked, and it still waits.
        assert (silent.calls, plane.reconciler.is_busy) == (hung, True)

    def test_say_that_nobody_knows_rather_than_ask_when_offers_are_too_old(
        self, plane: ControlPlane, silent: Silent, half: HalfSilent, as_sam
    ) -> None:
        hang(silent, 1)
        Offer.objects.update(refreshed_at=F("refreshed_at") - timedelta(hours=1))
        ProviderAccount.objects.update(offers_refreshed_at=timezone.now() - timedelta(hours=1))
        assert as_sam.get("/launch/hostnodes/available").json()["hostnodes"] == []
        health = as_sam.get("/config/providers").json()[0]["health"]
        assert health["status"] == "failing"
        assert post(as_sam, "/launch/game", SWITCH).status_code == 201  # the reconciler decides
        ProviderAccount.objects.update(is_paused=True)
        assert "providers" in details(post(as_sam, "/launch/game", {**SWITCH, "console_type": "wii"}), 503)
        assert silent.calls == 0


class TestTheOthers:
    def test_go_on(self, plane: ControlPlane, silent: Silent, half: HalfSilent, as_sam) -> None:
        """Five accounts hang in everything that is asked of them; a launch at the sixth arrives."""
        hang(silent, 5)
        plane.reconciler.turn()
        eventually(lambda: silent.calls >= 10)
        post(as_sam, "/launch/game", SWITCH)
        vm = VM.objects.get()

        def is_running() -> bool:
            plane.turn()
            vm.refresh_from_db()
            return vm.status == "running"

        eventually(is_running)
        assert silent.calls == 10
