"""The fleet list and the page of a VM, as staff without scripts would use them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.html import escape

from accounts.principal import policy
from events.models import Event
from tests.bad_inputs import ODD_TEXTS
from tests.factories import UserFactory
from tests.world import NOON, client_for
from vms import services
from vms.lifecycle import Desired, Phase, Status
from vms.models import VM, Attempt, GameSession, SetupStep
from vms.providers.memory import Fault

FLEET = "/admin/vms/vm/"


def page_of(vm: VM) -> str:
    return f"{FLEET}{vm.pk}/change/"


def listed(answer) -> set[str]:
    return {str(vm.pk) for vm in answer.context["cl"].result_list}


def messages(answer) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


@pytest.fixture
def running(plane, world) -> VM:
    return plane.until(plane.launch(owner=world.alice), "running")


@pytest.fixture
def by_status(plane) -> dict[Status, VM]:
    """A VM of every status; rows alone."""
    now = timezone.now()
    made = {}
    for phase, desired in [(phase, Desired.RUNNING) for phase in Phase] + [(Phase.READY, Desired.GONE)]:
        vm = VM.objects.create(
            console_id="switch",
            phase=phase,
            desired=desired,
            next_look_at=None if phase in (Phase.DELETED, Phase.FAILED) else now,
            error="no_capacity" if phase is Phase.FAILED else "",
        )
        made[vm.status] = vm
    return made


class TestList:
    def test_tells_of_a_vm_what_one_wants_to_know(self, running, sam):
        page = sam.get(FLEET).content.decode()
        attempt = running.attempt
        for text in (
            "running",
            "alice",
            "memory",
            attempt.location_name.partition(",")[0],
            "Nintendo Switch",
        ):
            assert text in page

    def test_adds_up_what_every_machine_of_a_vm_has_cost(self, running, sam):
        ordered = timezone.now() - timedelta(hours=2)
        Attempt.objects.filter(vm=running).update(sent_at=ordered, answered_at=ordered, usd_per_hour="0.15")
        lost = Attempt.objects.get(vm=running)
        lost.pk, lost.number, lost.tag, lost.machine_id = None, 2, "another", "m-2"
        lost.gone_at = ordered + timedelta(hours=1)
        lost.save()
        never = Attempt.objects.get(number=1)
        never.pk, never.number, never.tag, never.machine_id = None, 3, "never", ""
        never.gone_at = timezone.now()
        never.save()
        assert "$0.45" in sam.get(FLEET).content.decode()

    def test_filters_by_the_status_of_the_api(self, by_status, sam):
        for status in Status:
            found = listed(sam.get(FLEET, {"status": status.value}))
            assert found == {str(vm.pk) for vm in VM.objects.all() if vm.status is status}
            assert str(by_status[status].pk) in found
        assert len(listed(sam.get(FLEET, {"status": "live"}))) == VM.objects.live().count() == 9

    def test_filters_by_provider_account_and_console(self, running, sam):
        mine, none = {str(running.pk)}, set()
        account = running.attempt.account_id
        assert listed(sam.get(FLEET, {"provider": "memory"})) == mine
        assert listed(sam.get(FLEET, {"provider": "tensordock"})) == none
        assert listed(sam.get(FLEET, {"account": account})) == mine
        assert listed(sam.get(FLEET, {"account": account + 1})) == none
        assert listed(sam.get(FLEET, {"console__slug__exact": "wii"})) == none

    def test_searches_by_the_beginning(self, running, world, plane, sam):
        other = plane.launch(owner=world.bob)
        VM.objects.filter(pk=running.pk).update(ip_address="203.0.113.7")
        mine = {str(running.pk)}
        for words in (
            str(running.pk)[:13],
            "alice",
            "Alice@gamer",
            running.attempt.machine_id[:6],
            "203.0.113.",
            running.attempt.machine_id,
        ):
            found = listed(sam.get(FLEET, {"q": words}))
            assert found == mine, words
        assert listed(sam.get(FLEET, {"q": "bo"})) == {str(other.pk)}
        assert listed(sam.get(FLEET, {"q": "lice"})) == set()

    def test_searches_by_indexes_alone(self, plane, sam):
        with CaptureQueriesContext(connection) as asked:
            sam.get(FLEET, {"q": "10.7."})
        searched = [one["sql"] for one in asked if "LIKE" in one["sql"]]
        assert len(searched) == 3
        with connection.cursor() as cursor:
            # On a few rows Postgres would read the table whole, index or not.
            cursor.execute("SET LOCAL enable_seqscan = off")
            for sql in searched:
                cursor.execute(f"EXPLAIN {sql}")
                assert "Seq Scan" not in str(cursor.fetchall()), sql

    def test_answers_every_odd_parameter(self, running, staff):
        viewer = staff("view_vm")  # her sidebar is a tenth of an administrator's
        for name in ("q", "o", "p", "status", "provider", "account", "console__slug__exact"):
            for odd in ODD_TEXTS:
                assert viewer.get(FLEET, {name: odd[:500]}).status_code < 500, (name, odd)

    def test_asks_as_much_for_many_as_for_one_and_counts_within_bounds(self, running, plane, sam):
        sam.get(FLEET)
        with CaptureQueriesContext(connection) as few:
            sam.get(FLEET)
        for _ in range(20):
            plane.launch(owner=UserFactory())
        plane.settle(seconds=20)
        VM.objects.bulk_create(VM(console_id="nes", created_at=NOON) for _ in range(60))
        with CaptureQueriesContext(connection) as many:
            assert len(listed(sam.get(FLEET))) == 50
        assert len(many) == len(few)
        assert len(many) <= 12
        over_all = [one["sql"] for one in many if 'FROM "vms_vm"' in one["sql"]]
        assert over_all
        assert all("LIMIT" in sql for sql in over_all)

    def test_opens_no_key_for_a_list(self, running, sam):
        with CaptureQueriesContext(connection) as asked:
            sam.get(FLEET)
        assert not any("private_key" in one["sql"] or "credentials" in one["sql"] for one in asked)


class TestPage:
    def test_tells_the_whole_story(self, plane, world, sam):
        plane.cloud.switch_on(Fault.NO_CAPACITY)
        vm = plane.until(plane.launch(owner=world.alice), "running")
        SetupStep.objects.create(
            attempt=vm.attempt, position=9, name="x", title="The last step", state="done", seconds=12,
            log_tail="all went <well>", updated_at=timezone.now(),
        )  # fmt: skip
        page = sam.get(page_of(vm)).content.decode()
        for text in (
            "Order failed, next offer",
            "NoCapacity",
            vm.attempt.machine_id,
            vm.attempt.tag,
            vm.ip_address,
            "The last step",
            "12 s",
            "all went &lt;well&gt;",
            "mario-odyssey",
            "Running",
        ):
            assert text in page

    def test_never_shows_a_key(self, running, sam):
        running.refresh_from_db()
        page = sam.get(page_of(running)).content.decode()
        assert running.ssh_private_key.reveal()
        for secret in (running.ssh_private_key, running.host_private_key, running.agent_bootstrap):
            assert secret.reveal() not in page
        assert running.ssh_public_key not in page
        assert "PRIVATE KEY" not in page

    def test_follows_closely_what_is_under_way(self, by_status, sam):
        polls = {
            status: sam.get(page_of(by_status[status])).context["poll_s"]
            for status in (Status.CREATING, Status.RUNNING, Status.TERMINATED)
        }
        assert polls == {Status.CREATING: 3, Status.RUNNING: 20, Status.TERMINATED: 0}

    def test_has_a_bounded_number_of_queries(self, running, sam):
        GameSession.objects.bulk_create(
            GameSession(vm=running, game_id=f"g{n}", queued_at=timezone.now(), status="ended")
            for n in range(99)
        )
        Event.objects.bulk_create(
            Event(
                at=timezone.now(),
                actor="policy:x",
                action="look",
                resource="vms",
                resource_id=str(running.pk),
            )
            for _ in range(300)
        )
        with CaptureQueriesContext(connection) as asked:
            answer = sam.get(page_of(running))
        assert len(asked) <= 12
        assert len(answer.context["lines"]) == 100
        assert "Everything before that" in answer.content.decode()

    def test_offers_what_makes_sense(self, by_status, sam):
        offered = {
            status.value: [act.name for act in sam.get(page_of(vm)).context["acts"]]
            for status, vm in by_status.items()
        }
        assert offered == {
            "creating": ["look", "terminate"],
            "configuring": ["look", "terminate"],
            "running": ["stop", "extend", "move", "look", "terminate"],
            "stopping": ["look", "terminate"],
            "stopped": ["start", "move", "look", "terminate"],
            "terminating": ["look"],
            "terminated": [],
            "error": ["retry"],
        }

    def test_cannot_be_edited(self, running, sam):
        before = VM.objects.filter(pk=running.pk).values().get()
        sam.post(page_of(running), {"name": "mine", "phase": "deleted", "_save": "Save"})
        assert sam.get(f"{FLEET}add/").status_code == 403
        assert sam.post(f"{FLEET}{running.pk}/delete/", {"post": "yes"}).status_code == 403
        assert VM.objects.filter(pk=running.pk).values().get() == before

    @pytest.mark.parametrize("pk", ["nonsense", "6f6f6f6f-0000-4000-8000-000000000000"])
    def test_of_an_unknown_vm_goes_to_the_front_page(self, sam, pk):
        assert sam.get(f"{FLEET}{pk}/change/").status_code == 302


class TestActs:
    @pytest.mark.parametrize(
        ("name", "status", "action"),
        [
            ("stop", "running", "power_off_asked"),
            ("extend", "running", "extend"),
            ("look", "running", "look_asked"),
            ("terminate", "running", "delete_asked"),
            ("start", "stopped", "power_on_asked"),
            ("retry", "error", "retry"),
        ],
    )
    def test_ask_first_and_then_make_one_call(self, plane, world, sam, name, status, action):
        vm = plane.until(plane.launch(owner=world.alice), "running")
        if status == "stopped":
            services.stop(vm=vm, by=policy("test"), now=plane.clock())
            plane.until(vm, "stopped")
        if status == "error":
            VM.objects.filter(pk=vm.pk).update(phase=Phase.FAILED, next_look_at=None, error="x")
        if name == "extend":
            VM.objects.filter(pk=vm.pk).update(session_ends_at=timezone.now())
        url = f"{FLEET}{vm.pk}/{name}/"
        asked = sam.get(url)
        assert asked.status_code == 200
        assert not Event.objects.filter(action=action, actor=f"user:{world.sam.handle}").exists()
        done = sam.post(url, follow=True)
        assert done.redirect_chain[0][0] == page_of(vm)
        assert (
            Event.objects.filter(action=action, actor=f"user:{world.sam.handle}", resource_id=vm.pk).count()
            == 1
        )
        assert [text for text in messages(done) if "not done" in text] == []

    def test_say_why_something_was_refused(self, by_status, sam):
        answer = sam.post(f"{FLEET}{by_status[Status.STOPPED].pk}/extend/", follow=True)
        assert any(
            "not done. The VM is stopped; only a running one can be extended." in m for m in messages(answer)
        )

    def test_on_many_ask_first(self, by_status, sam):
        chosen = [str(vm.pk) for vm in by_status.values()]
        asked = sam.post(FLEET, {"action": "terminate", "_selected_action": chosen})
        assert "8 VMs" in asked.content.decode()
        assert asked.context["misfits"] == 3
        assert VM.objects.filter(desired=Desired.GONE).count() == 1

    def test_on_many_tell_each_refusal(self, by_status, sam):
        chosen = [by_status[status] for status in (Status.RUNNING, Status.STOPPED, Status.ERROR)]
        VM.objects.filter(pk=chosen[0].pk).update(session_ends_at=timezone.now())
        posted = {"action": "extend", "confirmed": "yes", "_selected_action": [str(vm.pk) for vm in chosen]}
        told = messages(sam.post(FLEET, posted, follow=True))
        assert len([text for text in told if text.endswith(": extended.")]) == 1
        assert len([text for text in told if "not done" in text]) == 2

    def test_on_many_are_about_those_ticked_though_the_lists_filter_holds_no_longer(self, by_status, sam):
        vm = by_status[Status.RUNNING]
        listed_as = f"{FLEET}?status=running"
        posted = {"action": "terminate", "_selected_action": [str(vm.pk)]}
        assert sam.post(listed_as, posted).context["misfits"] == 0
        VM.objects.filter(pk=vm.pk).update(phase=Phase.STOPPING)
        told = messages(sam.post(listed_as, {**posted, "confirmed": "yes"}, follow=True))
        assert [text for text in told if "termination asked" in text]
        vm.refresh_from_db()
        assert vm.desired == Desired.GONE

    def test_on_more_than_two_hundred_do_nothing(self, plane, sam):
        VM.objects.bulk_create(VM(console_id="nes") for _ in range(201))
        posted = {"action": "terminate", "confirmed": "yes", "select_across": "1", "index": "0"}
        posted["_selected_action"] = [str(VM.objects.first().pk)]
        assert messages(sam.post(FLEET, posted, follow=True)) == [
            "At most 200 VMs at once. Nothing was done."
        ]
        assert not VM.objects.filter(desired=Desired.GONE).exists()


class TestPermissions:
    def test_keep_players_out(self, running, world):
        alice = client_for(world.alice)
        for url in (
            FLEET,
            page_of(running),
            f"{FLEET}{running.pk}/terminate/",
            f"{FLEET}preview/",
            "/admin/",
        ):
            answer = alice.get(url)
            assert (answer.status_code, answer.url.partition("?")[0]) == (302, "/admin/login/")

    def test_show_staff_without_any_nothing(self, running, staff):
        nobody = staff()
        for url in (FLEET, page_of(running), f"{FLEET}{running.pk}/stop/", f"{FLEET}preview/"):
            assert nobody.get(url).status_code == 403, url

    def test_lead_to_the_history_for_who_may_look_at_it(self, running, staff):
        history = f"/admin/events/event/?resource=vms&subject={running.pk}"
        link = f'href="{escape(history)}"'
        assert link not in staff("view_vm").get(page_of(running)).content.decode()
        viewer = staff("view_vm", "view_event")
        assert link in viewer.get(page_of(running)).content.decode()
        told = list(viewer.get(history).context["cl"].result_list)
        assert "create" in {event.action for event in told}
        assert {(event.resource, event.resource_id) for event in told} == {("vms", str(running.pk))}

    def test_let_a_viewer_only_look(self, running, staff):
        viewer = staff("view_vm")
        answer = viewer.get(page_of(running))
        assert answer.context["acts"] == []
        for name in ("start", "stop", "extend", "retry", "move", "look", "terminate"):
            assert viewer.post(f"{FLEET}{running.pk}/{name}/").status_code == 403
        viewer.post(FLEET, {"action": "terminate", "confirmed": "yes", "_selected_action": [str(running.pk)]})
        running.refresh_from_db()
        assert running.desired == Desired.RUNNING

    def test_part_stopping_from_terminating(self, running, staff):
        helper = staff("view_vm", "change_vm")
        assert [act.name for act in helper.get(page_of(running)).context["acts"]] == [
            "stop",
            "extend",
            "move",
            "look",
        ]
        assert helper.post(f"{FLEET}{running.pk}/terminate/").status_code == 403
