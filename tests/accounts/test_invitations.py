"""Seats in a department: offered by mail, taken by the person themself."""

from __future__ import annotations

import re
import smtplib
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q.models import OrmQ, Schedule
from rest_framework.test import APIClient

from accounts import departments, invitations, services, tasks
from accounts.models import Invitation, User
from accounts.principal import Principal
from events.channels.base import TryLater
from events.models import Event
from gamer.crash import Died, dying_at
from gamer.errors import Conflict, PermissionDenied
from tests.at_once import at_once
from tests.bad_inputs import assert_error, sweep_bodies
from tests.events.channels.moody import moody
from tests.factories import UserFactory
from tests.world import World, build, client_of

pytestmark = pytest.mark.django_db


def invited(client: APIClient, world: World, email: str = "charlie@gamer.test", role: str = "member") -> Any:
    return client.post(f"/departments/{world.arcade.pk}/invitations", {"email": email, "role": role})


def token() -> str:
    """What the newest mail says, once the queue has sent it."""
    tasks.mail_invitation(str(Invitation.objects.latest("created_at").pk))
    return re.findall(r'"token": "([\w-]{43})"', mail.outbox[-1].body)[0]


def accept(client: APIClient, text: str) -> Any:
    return client.post("/invitations/accept", {"token": text})


class TestInviting:
    def test_mails_a_text_that_is_nowhere_else(self, world: World, as_mona: APIClient) -> None:
        answer = invited(as_mona, world, " Charlie@Gamer.test ")
        assert answer.status_code == 201
        assert (answer.json()["email"], answer.json()["mailed_at"]) == ("charlie@gamer.test", None)
        queued = OrmQ.objects.get()
        text = token()
        assert mail.outbox[0].to == ["charlie@gamer.test"]
        assert "managers will see the VMs" in mail.outbox[0].body
        row = Invitation.objects.values().get()
        assert row["mailed_at"] is not None
        assert text not in f"{answer.json()} {row} {queued.payload} {list(Event.objects.values())}"

    def test_is_the_managers_and_of_managers_the_owners(
        self, world: World, as_mona: APIClient, as_alice: APIClient
    ) -> None:
        assert invited(as_alice, world).status_code == 403
        User.objects.filter(pk=world.alice.pk).update(department_role="manager")
        assert invited(as_alice, world).status_code == 201
        assert invited(as_alice, world, role="manager").status_code == 403
        assert invited(as_mona, world, role="manager").status_code == 201

    def test_is_asked_again_under_the_lock(self, world: World, as_mona: APIClient) -> None:
        """Whose role ended since the request began invites, withdraws and renames no more."""
        stale = Principal(user=User.objects.get(pk=world.mona.pk))
        invited(as_mona, world)
        offer = Invitation.objects.get()
        User.objects.filter(pk=world.mona.pk).update(department_role="member")
        arcade, now = world.arcade, timezone.now()
        new = {"email": "new@gamer.test", "role": "member"}
        acts = [
            lambda: invitations.invite(by=stale, department=arcade, **new, now=now),
            lambda: invitations.withdraw(by=stale, invitation=offer, now=now),
            lambda: departments.rename(by=stale, department=arcade, name="Mine", now=now),
        ]
        for act in acts:
            with pytest.raises(PermissionDenied):
                act()
        offer.refresh_from_db()
        assert (offer.withdrawn_at, Invitation.objects.count()) == (None, 1)

    def test_again_ends_the_offer_before(
        self, world: World, as_mona: APIClient, as_charlie: APIClient
    ) -> None:
        invited(as_mona, world)
        old = token()
        invited(as_mona, world, role="manager")
        assert Invitation.objects.pending().count() == 1
        assert accept(as_charlie, old).status_code == 404
        assert accept(as_charlie, token()).json() == {"department_id": world.arcade.pk, "role": "manager"}

    def test_is_refused_for_who_is_there(self, world: World, as_mona: APIClient) -> None:
        answer = invited(as_mona, world, "bob@gamer.test")
        assert answer.status_code == 409
        assert assert_error(answer) == {"email": ["bob@gamer.test is of Arcade already."]}

    def test_says_nothing_of_who_has_an_account(self, world: World, as_mona: APIClient) -> None:
        known, unknown = (
            invited(as_mona, world, one).json() for one in ("oscar@gamer.test", "no@gamer.test")
        )
        assert {**known, "email": 0, "invitation_id": 0, "created_at": 0, "expires_at": 0} == {
            **unknown,
            "email": 0,
            "invitation_id": 0,
            "created_at": 0,
            "expires_at": 0,
        }

    def test_fills_nobodys_mailbox(self, world: World, as_mona: APIClient, as_oscar: APIClient) -> None:
        codes = [invited(as_mona, world, "victim@gamer.test").status_code for _ in range(6)]
        assert codes == [201] * 5 + [429]
        path = f"/departments/{world.palace.pk}/invitations"
        assert as_oscar.post(path, {"email": "victim@gamer.test"}).status_code == 429
        assert as_oscar.post(path, {"email": "other@gamer.test"}).status_code == 201

    def test_is_bounded(self, world: World, as_mona: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(invitations, "MOST_OPEN", 2)
        codes = [invited(as_mona, world, f"{one}@gamer.test").status_code for one in "abc"]
        assert codes == [201, 201, 409]

    def test_refuses_every_broken_body(self, world: World, as_mona: APIClient) -> None:
        path = f"/departments/{world.arcade.pk}/invitations"
        assert sweep_bodies(as_mona, path, {"email": "x@gamer.test", "role": "member"}) > 20
        assert not Invitation.objects.exists()


class TestMail:
    def test_is_sent_once(self, world: World, as_mona: APIClient) -> None:
        invited(as_mona, world)
        assert token()
        tasks.mail_invitation(str(Invitation.objects.get().pk))
        assert len(mail.outbox) == 1

    def test_is_sent_again_with_the_same_text_after_a_death(self, world: World, as_mona: APIClient) -> None:
        invited(as_mona, world)
        identity = str(Invitation.objects.get().pk)
        with dying_at("invitation.sent"), pytest.raises(Died):
            tasks.mail_invitation(identity)
        tasks.mail_invitation(identity)
        assert len(mail.outbox) == 2
        assert mail.outbox[0].body == mail.outbox[1].body

    def test_is_not_sent_for_what_was_withdrawn(self, world: World, as_mona: APIClient) -> None:
        identity = invited(as_mona, world).json()["invitation_id"]
        path = f"/invitations/{identity}"
        assert [as_mona.delete(path).status_code for _ in range(2)] == [204, 204]
        tasks.mail_invitation(identity)
        assert mail.outbox == []
        assert as_mona.get(f"/departments/{world.arcade.pk}/invitations").json() == []

    def test_says_nothing_when_our_secret_changed(
        self, world: World, as_mona: APIClient, settings: Any
    ) -> None:
        invited(as_mona, world)
        settings.SECRET_KEY = "another" * 10
        tasks.mail_invitation(str(Invitation.objects.get().pk))
        assert mail.outbox == []


class TestMailThatIsRefused:
    FOR_GOOD = smtplib.SMTPRecipientsRefused({"charlie@gamer.test": (550, b"no such user")})
    BUSY = smtplib.SMTPRecipientsRefused({"charlie@gamer.test": (450, b"busy")})
    WHY = "The mail server refuses the recipient (550)."

    def refused(self, client: APIClient, world: World) -> Invitation:
        invited(client, world)
        invitation = Invitation.objects.get()
        with moody(self.FOR_GOOD):
            tasks.mail_invitation(str(invitation.pk))
        return invitation

    def test_for_good_is_tried_no_more(self, world: World, as_mona: APIClient) -> None:
        invitation = self.refused(as_mona, world)
        tasks.mail_invitation(str(invitation.pk))
        assert (mail.outbox, invitations.mail_again(timezone.now() + timedelta(hours=1))) == ([], 0)

    def test_for_good_is_told_to_who_invited(self, world: World, as_mona: APIClient) -> None:
        invitation = self.refused(as_mona, world)
        invited(as_mona, world, "kim@gamer.test")
        listed = as_mona.get(f"/departments/{world.arcade.pk}/invitations").json()
        assert [(one["email"], one["mailed_at"], one["refusal"]) for one in listed] == [
            ("kim@gamer.test", None, None),
            ("charlie@gamer.test", None, self.WHY),
        ]
        told = Event.objects.get(action="mail_refused")
        assert (told.actor, told.department_id) == ("policy:invitation", world.arcade.pk)
        assert told.details == {"email": "charlie@gamer.test", "why": self.WHY}
        assert told.resource_id == f"invitation:{invitation.pk}"

    def test_for_good_is_sent_when_somebody_invites_again(self, world: World, as_mona: APIClient) -> None:
        self.refused(as_mona, world)
        assert invited(as_mona, world).json()["refusal"] is None
        assert token()
        assert mail.outbox[0].to == ["charlie@gamer.test"]

    @pytest.mark.parametrize("mood", [BUSY, smtplib.SMTPServerDisconnected("gone"), TimeoutError()])
    def test_for_now_is_tried_again(self, world: World, as_mona: APIClient, mood: Exception) -> None:
        invited(as_mona, world)
        identity = str(Invitation.objects.get().pk)
        with moody(mood), pytest.raises(TryLater):
            tasks.mail_invitation(identity)
        assert invitations.mail_again(timezone.now() + timedelta(hours=1)) == 1
        tasks.mail_invitation(identity)
        assert len(mail.outbox) == 1


class TestMailAgain:
    """What the queue gave up on, because mail was away for longer than it tries."""

    def forgotten(self, client: APIClient, world: World, age: timedelta = timedelta(minutes=31)) -> None:
        invited(client, world)
        OrmQ.objects.all().delete()
        Invitation.objects.update(created_at=timezone.now() - age)

    def sweep_and_work(self) -> None:
        tasks.mail_invitations_again()
        for row in OrmQ.objects.all():
            import_string(row.func())(*row.args())
            row.delete()

    def test_sends_it_once(self, world: World, as_mona: APIClient) -> None:
        self.forgotten(as_mona, world)
        self.sweep_and_work()
        assert [one.to for one in mail.outbox] == [["charlie@gamer.test"]]
        self.sweep_and_work()
        assert len(mail.outbox) == 1

    def test_is_scheduled(self) -> None:
        services.seed(timezone.now())
        schedule = Schedule.objects.get(name="mail invitations again")
        assert import_string(schedule.func) is tasks.mail_invitations_again

    def test_leaves_to_the_queue_what_it_still_tries(self, world: World, as_mona: APIClient) -> None:
        self.forgotten(as_mona, world, age=timedelta(minutes=25))
        assert invitations.mail_again(timezone.now()) == 0

    @pytest.mark.parametrize("over", ["withdrawn_at", "accepted_at", "expires_at"])
    def test_lets_be_what_is_over(self, world: World, as_mona: APIClient, over: str) -> None:
        self.forgotten(as_mona, world)
        Invitation.objects.update(**{over: timezone.now()})
        assert invitations.mail_again(timezone.now()) == 0

    def test_is_bounded(self, world: World, as_mona: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(invitations, "MOST_AGAIN", 2)
        for name in "abc":
            invited(as_mona, world, f"{name}@gamer.test")
        assert invitations.mail_again(timezone.now() + timedelta(hours=1)) == 2


class TestAccepting:
    def test_makes_a_member(self, world: World, as_mona: APIClient, as_charlie: APIClient) -> None:
        invited(as_mona, world)
        assert accept(as_charlie, token()).json() == {"department_id": world.arcade.pk, "role": "member"}
        charlie = User.objects.get(pk=world.charlie.pk)
        assert (charlie.department, charlie.department_role) == (world.arcade, "member")
        joined = Event.objects.get(action="join")
        assert (joined.actor, joined.owner_id, joined.department_id) == (
            "user:charlie@gamer.test",
            charlie.pk,
            world.arcade.pk,
        )

    def test_works_once(self, world: World, as_mona: APIClient, as_charlie: APIClient) -> None:
        invited(as_mona, world)
        text = token()
        assert [accept(as_charlie, text).status_code for _ in range(2)] == [200, 404]

    def test_is_for_the_address_it_was_mailed_to(self, world: World, as_mona: APIClient) -> None:
        invited(as_mona, world)
        thief = UserFactory(email="thief@gamer.test")
        answer = accept(client_of(thief), token())
        assert answer.status_code == 404
        assert "another address" in answer.json()["detail"]
        assert User.objects.get(pk=thief.pk).department is None

    def test_is_refused_to_who_is_of_another_department(
        self, world: World, as_mona: APIClient, as_oscar: APIClient
    ) -> None:
        invited(as_mona, world, "oscar@gamer.test")
        assert accept(as_oscar, token()).status_code == 409
        assert User.objects.get(pk=world.oscar.pk).department == world.palace

    def test_is_refused_to_keys(self, world: World, as_mona: APIClient, as_service: APIClient) -> None:
        invited(as_mona, world)
        assert accept(as_service, token()).status_code == 403

    def test_ends_with_the_time(self, world: World, as_mona: APIClient, as_charlie: APIClient) -> None:
        invited(as_mona, world)
        text = token()
        Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        assert accept(as_charlie, text).status_code == 404

    def test_knows_no_made_up_text(self, world: World, as_charlie: APIClient) -> None:
        assert accept(as_charlie, "x" * 43).status_code == 404
        assert sweep_bodies(as_charlie, "/invitations/accept", {"token": "x"}) > 20

    def test_pulls_nobody_in(self, world: World, as_mona: APIClient) -> None:
        invited(as_mona, world)
        assert User.objects.get(pk=world.charlie.pk).department is None

    @pytest.mark.django_db(transaction=True)
    def test_at_once_takes_one_seat(self, transactional_db: None) -> None:
        world = build()
        for department, by in ((world.arcade, world.mona), (world.palace, world.oscar)):
            invitations.invite(
                by=Principal(user=by),
                department=department,
                email="charlie@gamer.test",
                role="member",
                now=timezone.now(),
            )
        texts = [invitations.token_of(one.pk) for one in Invitation.objects.all()]
        who = Principal(user=world.charlie)
        results = at_once(
            *[
                lambda text=text: invitations.accept(by=who, token=text, now=timezone.now())
                for text in texts * 2
            ]
        )
        assert sum(isinstance(one, User) for one in results) == 1
        assert Event.objects.filter(action="join").count() == 1
        assert any(isinstance(one, Conflict) for one in results)


class TestOthers:
    def test_neither_see_nor_withdraw_them(
        self, world: World, as_mona: APIClient, as_oscar: APIClient, as_alice: APIClient
    ) -> None:
        identity = invited(as_mona, world).json()["invitation_id"]
        list_path = f"/departments/{world.arcade.pk}/invitations"
        assert as_oscar.get(list_path).status_code == 404
        assert as_oscar.delete(f"/invitations/{identity}").status_code == 404
        assert as_alice.get(list_path).status_code == 403
        assert as_alice.delete(f"/invitations/{identity}").status_code == 404
        assert Invitation.objects.pending().count() == 1
