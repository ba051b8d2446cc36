"""Staff's pages for tenants: they show what there is, say what next, and call the same services."""

from __future__ import annotations

import smtplib
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import invitations
from accounts.models import Department, Invitation, Project, Quota, User
from billing.services.accounts import account_of
from events.models import Event
from tests.bad_inputs import ODD_TEXTS
from tests.events.channels.moody import moody
from tests.factories import DepartmentFactory, ProjectFactory, QuotaFactory, UserFactory
from tests.vms.api.asking import made
from tests.vms.control_plane import ControlPlane
from tests.world import World, client_for
from vms.models import VM

pytestmark = pytest.mark.django_db


def page(client: Client, path: str, **query: Any) -> str:
    answer = client.get(f"/admin/accounts/{path}", query)
    assert answer.status_code == 200, (path, answer.status_code)
    return answer.content.decode()


def do(client: Client, path: str, **form: Any) -> Any:
    """Asks first, as a person does, and then does it; the answer."""
    assert "No, go back" in page(client, f"{path}/")
    return client.post(f"/admin/accounts/{path}/", form)


class TestLists:
    @pytest.mark.parametrize("name", ["department", "project", "quota", "invitation", "user"])
    def test_open_and_answer_every_odd_search(self, world: World, sam: Client, name: str) -> None:
        QuotaFactory(department=world.arcade, max_vms=3)
        page(sam, f"{name}/")
        for odd in ODD_TEXTS:
            assert sam.get(f"/admin/accounts/{name}/", {"q": odd[:500]}).status_code < 500, odd

    @pytest.mark.parametrize(
        ("form", "field"),
        [
            ("accounts/quota", "user"),
            ("accounts/project", "owner"),
            ("accounts/user", "groups"),
            ("billing/budget", "department"),
        ],
    )
    def test_have_forms_that_answer_every_odd_choice(
        self, world: World, sam: Client, form: str, field: str
    ) -> None:
        page = f"{world.alice.pk}/change" if form == "accounts/user" else "add"
        for odd in ("abc", "0", "-1", "٣" * 9, "9" * 30, "'"):
            for ask in (sam.get, sam.post):
                assert ask(f"/admin/{form}/{page}/", {field: odd}).status_code in (200, 403), (ask, odd)

    @pytest.mark.parametrize(
        ("name", "most"), [("department", 8), ("project", 9), ("quota", 10), ("user", 8)]
    )
    def test_cost_the_same_for_many_rows(
        self, world: World, sam: Client, django_assert_max_num_queries: Any, name: str, most: int
    ) -> None:
        for number in range(20):
            owner = UserFactory(department=world.arcade)
            ProjectFactory(owner=owner)
            QuotaFactory(user=owner, max_vms=number)
            DepartmentFactory()
        with django_assert_max_num_queries(most):
            page(sam, f"{name}/")

    def test_count_people_and_vms_and_name_owners(
        self, plane: ControlPlane, world: World, sam: Client, as_alice: APIClient
    ) -> None:
        made(as_alice, project_id=world.tournament.pk)
        empty = DepartmentFactory()
        departments = sam.get("/admin/accounts/department/").context["cl"].result_list
        found = {one.pk: (vars(one)["people"], vars(one)["owner"]) for one in departments}
        assert found[world.arcade.pk] == (world.arcade.users.count(), "mona@gamer.test")
        assert found[empty.pk] == (0, "nobody yet")
        projects = sam.get("/admin/accounts/project/").context["cl"].result_list
        counts = {one.pk: vars(one)["live"] for one in projects}
        assert (counts[world.tournament.pk], counts[world.jam.pk]) == (1, 0)

    def test_are_in_the_sidebar(self, world: World, sam: Client) -> None:
        front = sam.get("/admin/").content.decode()
        for name in ("department", "project", "quota", "invitation"):
            assert f"/admin/accounts/{name}/" in front


class TestDepartment:
    def test_page_shows_people_projects_offers_and_limits(self, world: World, sam: Client) -> None:
        QuotaFactory(department=world.arcade, max_vms=7)
        do(sam, f"department/{world.arcade.pk}/invite", email="kim@gamer.test", role="member")
        shown = page(sam, f"department/{world.arcade.pk}/change/")
        for text in ("alice@gamer.test", "Tournament", "kim@gamer.test", "0 of 7 VMs", "It runs itself"):
            assert text in shown, text

    def test_is_made_empty_and_says_what_next(self, world: World, sam: Client) -> None:
        assert sam.post("/admin/accounts/department/add/", {"name": "New"}).status_code == 302
        new = Department.objects.get(name="New")
        assert "invite its owner-to-be" in page(sam, f"department/{new.pk}/change/")
        do(sam, f"department/{new.pk}/add-person", person="charlie@gamer.test", role="member")
        assert "Nobody owns it" in page(sam, f"department/{new.pk}/change/")
        do(sam, f"department/{new.pk}/role", person="charlie@gamer.test", role="owner")
        assert User.objects.get(pk=world.charlie.pk).department_role == "owner"
        told = Event.objects.filter(resource="departments").values_list("action", "actor")
        assert list(told) == [(one, "user:sam@gamer.test") for one in ("create", "join", "role")]

    def test_is_renamed_by_the_service_and_deleted_when_empty(self, world: World, sam: Client) -> None:
        change = f"/admin/accounts/department/{world.arcade.pk}"
        inlines = {
            f"{one}-{key}": 0
            for one in ("users", "invitations", "projects")
            for key in ("TOTAL_FORMS", "INITIAL_FORMS")
        }
        assert sam.post(f"{change}/change/", {"name": "Hall", **inlines}).status_code == 302
        assert Department.objects.get(pk=world.arcade.pk).name == "Hall"
        assert Event.objects.get(action="update").resource == "departments"
        sam.post(f"{change}/delete/", {"post": "yes"})
        assert Department.objects.filter(pk=world.arcade.pk).exists()

    def test_refuses_in_words_on_the_same_page(self, world: World, sam: Client) -> None:
        path = f"department/{world.arcade.pk}"
        assert "Nobody has it." in do(sam, f"{path}/add-person", person="no", role="member").content.decode()
        refused = do(sam, f"{path}/add-person", person="oscar@gamer.test", role="member").content.decode()
        assert "leave the other one first" in refused
        assert User.objects.get(pk=world.oscar.pk).department == world.palace

    def test_loses_people_with_their_vms(
        self, plane: ControlPlane, world: World, sam: Client, as_alice: APIClient
    ) -> None:
        vm, path = made(as_alice), f"department/{world.arcade.pk}/remove-person"
        assert "still has VMs" in do(sam, path, person="alice@gamer.test").content.decode()
        do(sam, path, person="alice@gamer.test", cascade="on")
        assert User.objects.get(pk=world.alice.pk).department is None
        assert VM.objects.get(pk=vm.pk).desired == "gone"


class TestInvitation:
    def test_is_withdrawn(self, world: World, sam: Client) -> None:
        do(sam, f"department/{world.arcade.pk}/invite", email="kim@gamer.test", role="manager")
        invitation = Invitation.objects.get()
        do(sam, f"invitation/{invitation.pk}/withdraw")
        invitation.refresh_from_db()
        assert invitation.withdrawn_at is not None
        shown = page(sam, f"invitation/{invitation.pk}/change/")
        assert invitation.digest not in shown
        assert f"invitation/{invitation.pk}/withdraw" not in shown

    def test_says_why_its_mail_never_leaves(self, world: World, sam: Client) -> None:
        do(sam, f"department/{world.arcade.pk}/invite", email="kim@gamer.test", role="member")
        invitation = Invitation.objects.get()
        with moody(smtplib.SMTPRecipientsRefused({"kim@gamer.test": (550, b"no such user")})):
            invitations.mail(invitation.pk, timezone.now())
        for path in (
            f"department/{world.arcade.pk}/change/",
            "invitation/",
            f"invitation/{invitation.pk}/change/",
        ):
            assert "refuses the recipient (550). Invite again" in page(sam, path), path


class TestProject:
    def test_page_shows_its_vms_and_numbers(
        self, plane: ControlPlane, world: World, sam: Client, as_alice: APIClient
    ) -> None:
        assert "No VM yet" in page(sam, f"project/{world.tournament.pk}/change/")
        vm = made(as_alice, project_id=world.tournament.pk)
        shown = page(sam, f"project/{world.tournament.pk}/change/")
        assert str(vm.pk) in shown
        assert "0.00 USD" in shown

    def test_is_made_and_renamed_by_the_service(self, world: World, sam: Client) -> None:
        form = {"name": "Cup", "description": "", "owner": world.alice.pk, "for_department": "on"}
        assert sam.post("/admin/accounts/project/add/", form).status_code == 302
        project = Project.objects.get(name="Cup")
        assert (project.owner, project.department) == (world.alice, world.arcade)
        change = {"name": "Mug", "description": "x", "vms-TOTAL_FORMS": 0, "vms-INITIAL_FORMS": 0}
        assert sam.post(f"/admin/accounts/project/{project.pk}/change/", change).status_code == 302
        assert Project.objects.get(pk=project.pk).name == "Mug"
        assert list(Event.objects.about("projects", project.pk).values_list("action", flat=True)) == [
            "create",
            "update",
        ]

    @pytest.mark.parametrize(
        ("wrong", "field", "text"),
        [
            ({"name": "Tournament", "owner": "mona"}, "name", "This name is taken."),
            ({"owner": "charlie"}, "for_department", "The owner is of no department."),
        ],
    )
    def test_that_is_refused_keeps_what_was_typed(
        self, world: World, sam: Client, wrong: dict[str, str], field: str, text: str
    ) -> None:
        form = {"name": "Cup", "description": "Long and well put", "for_department": "on", **wrong}
        form["owner"] = getattr(world, wrong["owner"]).pk
        answer = sam.post("/admin/accounts/project/add/", form)
        assert answer.context["adminform"].form.errors == {field: [text]}
        assert "Long and well put" in answer.content.decode()

    def test_is_closed_after_a_question(
        self, plane: ControlPlane, world: World, sam: Client, as_alice: APIClient
    ) -> None:
        vm, path = made(as_alice, project_id=world.tournament.pk), f"project/{world.tournament.pk}/close"
        assert "still has VMs" in do(sam, path).content.decode()
        do(sam, path, cascade="on")
        assert Project.objects.get(pk=world.tournament.pk).state == "closing"
        assert VM.objects.get(pk=vm.pk).desired == "gone"
        shown = page(sam, f"project/{world.tournament.pk}/change/")
        assert "closes by itself" in shown
        assert path not in shown
        again = sam.post(f"/admin/accounts/{path}/", follow=True).content.decode()
        assert "nothing to do, it was so already" in again


class TestQuota:
    def test_is_reached_from_whom_it_limits(self, world: World, sam: Client) -> None:
        for name, row in (("user", world.alice), ("project", world.jam), ("department", world.arcade)):
            answer = sam.get(f"/admin/accounts/{name}/{row.pk}/limits/")
            assert answer["Location"] == f"/admin/accounts/quota/add/?{name}={row.pk}"
            page(sam, "quota/add/", **{name: row.pk})

    @pytest.mark.parametrize("name", ["user", "project", "department"])
    def test_is_not_reached_from_what_is_not_there(self, world: World, sam: Client, name: str) -> None:
        for odd in ("abc", "0", "999999999999999999999"):
            answer = sam.get(f"/admin/accounts/{name}/{odd}/limits/")
            assert (answer.status_code, "quota" in answer["Location"]) == (302, False)

    def test_is_set_changed_and_lifted_by_the_service(self, world: World, sam: Client) -> None:
        form = {
            "user": world.alice.pk,
            "project": "",
            "department": "",
            "max_vms": 2,
            "max_gpu_vms": "",
            "max_usd_per_hour": "",
        }
        assert sam.post("/admin/accounts/quota/add/", form).status_code == 302
        quota = Quota.objects.get()
        assert "0 of 2 VMs" in page(sam, "quota/")
        path = f"/admin/accounts/quota/{quota.pk}"
        assert sam.post(f"{path}/change/", {"max_vms": 3, "max_usd_per_hour": "1.5"}).status_code == 302
        quota.refresh_from_db()
        assert (quota.user, quota.max_vms, str(quota.max_usd_per_hour)) == (world.alice, 3, "1.5000")
        assert sam.post(f"{path}/delete/", {"post": "yes"}).status_code == 302
        assert Event.objects.filter(action="quota").count() == 3

    def test_limits_one(self, world: World, sam: Client) -> None:
        for form in ({}, {"user": world.alice.pk, "project": world.jam.pk}):
            answer = sam.post("/admin/accounts/quota/add/", {"max_vms": 2, **form})
            assert "Choose one" in answer.content.decode()
        assert not Quota.objects.exists()


class TestPerson:
    def test_is_suspended_and_reinstated_after_a_question(
        self, plane: ControlPlane, world: World, sam: Client, as_alice: APIClient
    ) -> None:
        vm = made(as_alice)
        path = f"user/{world.alice.pk}"
        assert "This field is required" in do(sam, f"{path}/suspend").content.decode()
        assert do(sam, f"{path}/suspend", reason="Chargeback").status_code == 302
        assert not User.objects.get(pk=world.alice.pk).is_active
        assert VM.objects.get(pk=vm.pk).desired == "gone"
        assert as_alice.get("/vms").status_code == 401
        assert do(sam, f"{path}/reinstate").status_code == 302
        assert User.objects.get(pk=world.alice.pk).is_active

    def test_is_offered_only_what_changes_something_and_told_so_else(self, world: World, sam: Client) -> None:
        path = f"user/{world.alice.pk}"
        for is_active, there, idle in ((True, "suspend", "reinstate"), (False, "reinstate", "suspend")):
            User.objects.filter(pk=world.alice.pk).update(is_active=is_active)
            shown = page(sam, f"{path}/change/")
            assert f"{path}/{there}/" in shown
            assert f"{path}/{idle}/" not in shown
            answer = sam.post(f"/admin/accounts/{path}/{idle}/", {"reason": "Another"}, follow=True)
            assert "nothing to do, it was so already" in answer.content.decode()
            assert User.objects.get(pk=world.alice.pk).is_active is is_active

    def test_plays_on_account_as_their_credit_account_says(self, world: World, sam: Client) -> None:
        path = f"/admin/accounts/user/{world.bob.pk}/change/"
        form = {"handle": world.bob.handle, "email": world.bob.email, "is_postpaid": "on"}
        assert sam.post(path, form).status_code == 302
        assert User.objects.get(pk=world.bob.pk).is_postpaid
        account = account_of(User.objects.get(pk=world.bob.pk), timezone.now())
        assert account.is_postpaid
        assert f"/admin/billing/creditaccount/{account.pk}/change/" in page(
            sam, f"user/{world.bob.pk}/change/"
        )
        assert sam.post(path, {**form, "is_postpaid": ""}).status_code == 302
        assert User.objects.get(pk=world.bob.pk).is_postpaid

    def test_is_not_suspended_by_staff_below(self, world: World) -> None:
        helper = UserFactory(handle="helper", is_staff=True)
        names = ("view_user", "change_user")
        helper.user_permissions.set(Permission.objects.filter(codename__in=names))
        client = client_for(helper)
        refused = client.post(f"/admin/accounts/user/{world.sam.pk}/suspend/", {"reason": "x"})
        assert "only an administrator" in refused.content.decode()
        assert client.post(f"/admin/accounts/department/{world.arcade.pk}/invite/", {}).status_code == 403
        assert User.objects.get(pk=world.sam.pk).is_active
