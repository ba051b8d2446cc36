"""The front page, the sidebar and the installation's page."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from events.models import Event
from vms import installation
from vms.lifecycle import Desired, Phase
from vms.models import VM, Installation, ProviderAccount, Stray

INSTALLATION = "/admin/vms/installation/"


def titles(answer) -> list[str]:
    return [item["title"] for group in answer.context["sidebar_navigation"] for item in group["items"]]


@pytest.fixture
def failed(plane) -> VM:
    return VM.objects.create(
        console_id="wii",
        phase=Phase.FAILED,
        error="no_capacity",
        error_text="Nobody has one.",
        next_look_at=None,
    )


class TestFrontPage:
    def test_counts_the_fleet_by_status(self, plane, failed, world, sam):
        plane.until(plane.launch(owner=world.alice), "running")
        VM.objects.create(console_id="wii", phase=Phase.DELETED, next_look_at=None)
        before = timezone.now() - timedelta(days=2)
        VM.objects.create(
            console_id="wii", phase=Phase.FAILED, error="x", next_look_at=None, created_at=before
        )
        tiles = {one["status"]: one for one in sam.get("/admin/").context["fleet"]}
        counts = {name: one["count"] for name, one in tiles.items()}
        assert (counts["running"], counts["error, launched in 24 h"], counts["creating"]) == (1, 1, 0)
        assert list(sam.get(tiles["error, launched in 24 h"]["link"]).context["cl"].result_list) == [failed]
        assert "terminated" not in counts

    def test_tells_errors_strays_and_how_accounts_are(self, plane, failed, sam):
        account = ProviderAccount.objects.get()
        Stray.objects.create(
            account=account, machine_id="m", tag="t", reason="unknown", first_seen_at=timezone.now()
        )
        ProviderAccount.objects.update(is_paused=True)
        page = sam.get("/admin/").content.decode()
        for text in (
            "Nobody has one.",
            "paused by staff",
            f"{INSTALLATION}",
            'href="/admin/vms/stray/?state=here"',
        ):
            assert text in page

    def test_asks_little_about_machines(self, plane, failed, staff):
        client = staff("view_vm", "view_provideraccount", "view_stray", "view_installation")
        client.get("/admin/")
        with CaptureQueriesContext(connection) as asked:
            client.get("/admin/")
        assert len(asked) <= 16

    def test_shouts_of_deletes_that_nobody_confirms(self, plane, world, sam):
        assert "no provider has confirmed" not in sam.get("/admin/").content.decode()
        vm = plane.until(plane.launch(owner=world.alice), "running")
        VM.objects.filter(pk=vm.pk).update(
            phase=Phase.DELETING, desired=Desired.GONE, phase_since=timezone.now() - timedelta(hours=2)
        )
        assert "1 delete that no provider has confirmed" in sam.get("/admin/").content.decode()

    def test_shows_staff_without_permissions_nothing(self, failed, staff):
        answer = staff().get("/admin/")
        assert titles(answer) == ["Overview"]
        page = answer.content.decode()
        assert "Ask an administrator" in page
        assert "Nobody has one." not in page

    def test_shows_each_what_they_may_see(self, failed, staff):
        answer = staff("view_vm").get("/admin/")
        assert titles(answer) == ["Overview", "Machines"]
        assert "accounts" not in answer.context
        assert "Nobody has one." in answer.content.decode()


class TestInstallation:
    def test_switches_new_launches_off_and_on(self, plane, world, sam):
        for act, is_launching, action in (
            ("stop", False, "launches_stopped"),
            ("allow", True, "launches_allowed"),
        ):
            answer = sam.post(INSTALLATION, {"act": act}, follow=True)
            assert installation.row().is_launching is is_launching
            event = Event.objects.get(action=action)
            assert (event.actor, event.resource) == (f"user:{world.sam.handle}", "installation")
            assert ("Accept launches again" in answer.content.decode()) is not is_launching
        sam.post(INSTALLATION, {"act": "allow"})
        assert Event.objects.filter(action="launches_allowed").count() == 1

    def test_confirms_sweeps_after_a_look_at_what_is_unknown(self, plane, sam):
        Installation.objects.update(is_sweep_confirmed=False)
        Stray.objects.create(
            account=ProviderAccount.objects.get(), machine_id="m-77", tag="t", reason="unknown", first_seen_at=timezone.now()
        )  # fmt: skip
        page = sam.get(INSTALLATION).content.decode()
        assert "m-77" in page
        assert "I have looked" in page
        sam.post(INSTALLATION, {"act": "sweep"})
        assert installation.row().is_sweep_confirmed
        assert "I have looked" not in sam.get(INSTALLATION).content.decode()

    def test_says_how_many_more_there_are_than_it_shows(self, plane, sam, staff):
        account, now = ProviderAccount.objects.get(), timezone.now()
        strays = [
            Stray(account=account, machine_id=f"m-{n}", tag="t", reason="unknown", first_seen_at=now)
            for n in range(51)
        ]
        Stray.objects.bulk_create(strays[:50])
        everybody = "/admin/vms/stray/?state=here&amp;reason__exact=unknown"
        assert everybody not in sam.get(INSTALLATION).content.decode()
        Stray.objects.bulk_create(strays[50:])
        page = sam.get(INSTALLATION).content.decode()
        assert "The 50 seen first, of 51." in page
        assert everybody in page
        answer = sam.get(everybody.replace("&amp;", "&"))
        assert answer.context["cl"].result_count == 51
        viewer = staff("view_installation").get(INSTALLATION).content.decode()
        assert "of 51." in viewer
        assert everybody not in viewer

    def test_needs_the_permission(self, plane, staff):
        viewer = staff("view_installation")
        assert "Switch off" not in viewer.get(INSTALLATION).content.decode()
        assert viewer.post(INSTALLATION, {"act": "stop"}).status_code == 403
        assert staff("view_vm", "view_offer").get(INSTALLATION).status_code == 403
        assert installation.row().is_launching
