"""Staff move VMs: the page shows what would be picked and what it costs, and moves what was shown."""

from __future__ import annotations

from itertools import product

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.principal import policy
from events.models import Event
from tests.bad_inputs import ODD_TEXTS
from vms import installation, services
from vms.admin.moving import MOST_AT_ONCE
from vms.models import VM, Offer

FLEET = "/admin/vms/vm/"
pytestmark = pytest.mark.usefixtures("world")


@pytest.fixture
def running(plane, world) -> VM:
    return plane.until(plane.launch(owner=world.alice), "running")


@pytest.fixture
def other(plane, world) -> VM:
    return plane.until(plane.launch(owner=world.bob), "running")


def url_of(vm: VM) -> str:
    return f"{FLEET}{vm.pk}/move/"


def messages(answer) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def shown(client, url, **wish):
    return client.post(url, {"shown": "yes", "look": "", **wish})


def confirmed(client, url, page, **wish):
    """Presses Yes on a page that was shown."""
    posted = {"shown": "yes", "seen": page.context["seen"], "confirmed": "yes", **wish}
    return client.post(url, posted, follow=True)


class TestPage:
    def test_shows_where_it_would_go_anywhere_and_what_both_cost(self, running, sam):
        page = sam.get(url_of(running))
        (pick,) = page.context["picks"]
        attempt = running.attempt
        assert pick.here == f"{attempt.location_name} at memory"
        assert pick.price == f"${attempt.usd_per_hour:.3f}/h"
        assert pick.there.place.startswith("Manassas")
        assert pick.there.price == "$0.443/h"
        assert "$0.443/h" in page.content.decode()

    def test_shows_another_wish_before_it_moves_there(self, plane, running, sam):
        page = shown(sam, url_of(running), region="Netherlands")
        assert page.context["picks"][0].there.place.startswith("Eygelshoven")
        # Another wish than the one that was shown is shown, not carried out.
        again = confirmed(sam, url_of(running), page, region="Virginia")
        assert again.status_code == 200
        assert again.context["picks"][0].there.place.startswith("Manassas")
        running.refresh_from_db()
        assert running.moves_from_id is None
        done = confirmed(sam, url_of(running), page, region="Netherlands")
        assert done.redirect_chain[0][0] == f"{FLEET}{running.pk}/change/"
        assert any("move asked" in text for text in messages(done))
        plane.clock.now = timezone.now()  # when it was asked
        plane.turn()
        vm = plane.until(running, "running")
        assert vm.attempt.location_name.startswith("Eygelshoven")
        assert Event.objects.about("vms", vm.pk).get(action="move_asked").actor == "user:sam@gamer.test"

    def test_takes_the_city_where_the_player_is_now(self, running, sam):
        page = shown(sam, url_of(running), city="Amsterdam, Netherlands")
        assert page.context["picks"][0].there.place.startswith("Eygelshoven")

    def test_says_why_nothing_fits(self, running, sam):
        (pick,) = shown(sam, url_of(running), region="Winnipeg").context["picks"]
        assert pick.there is None
        assert "the GPU is below the class" in pick.refusal

    def test_says_that_no_such_region_is_known(self, running, sam):
        page = shown(sam, url_of(running), region="Atlantis")
        assert page.context["form"].errors.keys() == {"region"}
        assert page.context["picks"] == []

    def test_survives_whatever_is_typed(self, running, staff):
        helper = staff("view_vm", "change_vm")  # her sidebar is a tenth of an administrator's
        for field, text in product(("region", "provider", "preset", "city", "latitude"), ODD_TEXTS):
            assert shown(helper, url_of(running), **{field: text}).status_code == 200, (field, text)

    def test_says_that_launches_are_off_and_is_refused_then(self, running, sam):
        page = sam.get(url_of(running))
        installation.Installation.objects.update(is_launching=False)
        assert "switched off" in sam.get(url_of(running)).content.decode()
        assert any("not done" in text for text in messages(confirmed(sam, url_of(running), page)))

    def test_of_a_vm_that_cannot_be_moved_says_so(self, plane, running, sam):
        services.destroy(vm=running, by=policy("test"), now=plane.clock())
        (pick,) = sam.get(url_of(running)).context["picks"]
        assert pick.refusal == "It is terminating: only a running or a stopped one can be moved."

    def test_changes_nothing_by_being_looked_at(self, running, sam):
        before = VM.objects.values().get(pk=running.pk)
        sam.get(url_of(running))
        shown(sam, url_of(running), region="Netherlands")
        assert VM.objects.values().get(pk=running.pk) == before

    def test_tells_where_a_vm_comes_from_while_it_moves(self, plane, running, sam):
        confirmed(sam, url_of(running), sam.get(url_of(running)))
        plane.clock.now = timezone.now()
        plane.reconciler.turn()
        page = sam.get(reverse("admin:vms_vm_change", args=[running.pk]))
        assert dict(page.context["facts"])["Leaves"].startswith("Joplin")


class TestMany:
    def test_are_shown_and_moved_each_by_itself(self, plane, running, other, sam):
        services.stop(vm=other, by=policy("test"), now=plane.clock())
        plane.until(other, "stopped")
        third = plane.launch()
        chosen = {"action": "move", "_selected_action": [str(vm.pk) for vm in (running, other, third)]}
        page = sam.post(FLEET, chosen)
        assert "3 VMs" in page.content.decode()
        assert sum(pick.there is not None for pick in page.context["picks"]) == 2
        page = sam.post(FLEET, {**chosen, "shown": "yes", "look": "", "region": "Netherlands"})
        places = {pick.there.place for pick in page.context["picks"] if pick.there}
        assert places == {"Eygelshoven, Limburg, Netherlands"}
        told = messages(confirmed(sam, FLEET, page, **chosen, region="Netherlands"))
        assert len([text for text in told if "not done" in text]) == 1
        assert VM.objects.exclude(moves_from=None).count() == 2

    def test_are_those_ticked_though_the_lists_filter_holds_no_longer(self, plane, running, sam):
        chosen = {"action": "move", "_selected_action": [str(running.pk)]}
        services.stop(vm=running, by=policy("test"), now=plane.clock())
        plane.until(running, "stopped")
        page = sam.post(f"{FLEET}?status=running", {**chosen, "shown": "yes", "look": ""})
        assert [pick.vm for pick in page.context["picks"]] == [running]
        confirmed(sam, f"{FLEET}?status=running", page, **chosen)
        running.refresh_from_db()
        assert running.moves_from_id is not None

    def test_beyond_what_can_be_ranked_at_once_are_refused(self, plane, sam):
        VM.objects.bulk_create(VM(console_id="nes") for _ in range(MOST_AT_ONCE + 1))
        chosen = [str(pk) for pk in VM.objects.values_list("pk", flat=True)]
        told = messages(sam.post(FLEET, {"action": "move", "_selected_action": chosen}, follow=True))
        assert told == [f"At most {MOST_AT_ONCE} VMs are moved at once. Nothing was done."]

    def test_are_nothing_for_who_may_only_look(self, running, staff):
        viewer = staff("view_vm")
        assert viewer.get(url_of(running)).status_code == 403
        viewer.post(FLEET, {"action": "move", "confirmed": "yes", "_selected_action": [str(running.pk)]})
        running.refresh_from_db()
        assert running.moves_from_id is None
        assert Offer.objects.exists()
