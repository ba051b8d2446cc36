"""A seat in a department: offered by mail, taken by the person themself with their own login.

The mailed text is derived from the row's id and our secret, so that a mail task needs only the id, may run twice and sends
the same text; the row keeps its SHA-256 only.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.crypto import salted_hmac

from accounts import departments
from accounts.models import INVITED, Department, DepartmentRole, Invitation, InvitationQuerySet, User
from accounts.principal import Principal, policy
from events import channels
from events.channels.base import Message, Refused
from events.services import record
from gamer.crash import crash_point
from gamer.errors import Conflict, NotFound, PermissionDenied, bad_field
from gamer.queue.enqueue import enqueue
from gamer.web.throttles import Rate, demand

GOOD_FOR = timedelta(days=7)
MOST_OPEN = 200  # offers of one department at a time
# The queue tries a task five times in 25 minutes and forgets it (Q_CLUSTER); before that it would have the same mail twice.
QUEUE_FORGETS = timedelta(minutes=30)
MOST_AGAIN = 500  # handed to it anew at a time
TASK = "accounts.tasks.mail_invitation"
GONE = "This invitation is not valid, or no longer, or was mailed to another address than yours."


def find(by: Principal, invitation_id: UUID | str) -> Invitation:
    """One offer of a department that one manages. Raises NotFound."""
    mine = Department.objects.administered_by(by)
    rows = Invitation.objects.select_related("department").filter(department__in=mine)
    invitation = rows.filter(pk=invitation_id).first()
    if invitation is None:
        raise NotFound("There is no such invitation.")
    return invitation


def invite(*, by: Principal, department: Department, email: str, role: str, now: datetime) -> Invitation:
    """Offers a seat; a pending offer to the same address ends. Only the owner and staff invite managers.

    The answer never tells whether the address has an account. Raises PermissionDenied, Conflict, ValidationError, RateLimited.
    """
    email = email.strip().lower()
    with transaction.atomic():
        row = departments.lock(department.pk)
        inviter = departments.afresh(by)
        departments.demand_administration(inviter, row)
        if role not in INVITED:
            raise bad_field("role", f"One of {', '.join(INVITED)}.")
        if role == DepartmentRole.MANAGER:
            departments.demand_ownership(inviter, row)
        pending = Invitation.objects.pending().filter(department=row)
        pending.filter(email=email).update(withdrawn_at=now)
        if pending.filter(expires_at__gt=now)[:MOST_OPEN].count() >= MOST_OPEN:
            raise Conflict(f"{row} has {MOST_OPEN} open invitations; withdraw some first.")
        if row.users.filter(email=email).exists():
            text = f"{email} is of {row} already."
            raise Conflict(text, details={"email": [text]})
        _demand_pace(row, email, now)
        identity = uuid4()
        invitation = Invitation.objects.create(
            id=identity,
            department=row,
            email=email,
            role=role,
            digest=_digest(token_of(identity)),
            inviter=by.user,
            created_at=now,
            expires_at=now + GOOD_FOR,
        )
        record(departments.about(row, "invite", by, now, email=email, role=role))
        enqueue(TASK, str(identity))
    return invitation


def _demand_pace(department: Department, email: str, now: datetime) -> None:
    """So that nobody's mailbox is filled in our name. Raises RateLimited."""
    hashed = hashlib.sha256(email.encode()).hexdigest()
    demand(f"invite-email:{hashed}", Rate.named("invite_email"), now=now)
    demand(f"invite:{department.pk}", Rate.named("invite"), now=now)


def withdraw(*, by: Principal, invitation: Invitation, now: datetime) -> None:
    """Ends an offer; safe to repeat. Raises PermissionDenied, Conflict once it was taken."""
    with transaction.atomic():
        row = departments.lock(invitation.department_id)
        departments.demand_administration(departments.afresh(by), row)
        if Invitation.objects.pending().filter(pk=invitation.pk).update(withdrawn_at=now):
            record(departments.about(row, "uninvite", by, now, email=invitation.email))
            return
    invitation.refresh_from_db()
    if invitation.accepted_at is not None:
        raise Conflict(f"{invitation.email} has taken the seat already.")


def accept(*, by: Principal, token: str, now: datetime) -> User:
    """Takes a seat. The text proves the mailbox, the login who takes it: both must be of the same address.

    Raises PermissionDenied for keys, NotFound for a text that is or was never good, Conflict for who is of a department.
    """
    if by.user is None or by.key is not None:
        raise PermissionDenied("A person accepts with their own login.")
    found = Invitation.objects.filter(digest=_digest(token)).values("department_id").first()
    if found is None:
        raise NotFound(GONE)
    with transaction.atomic():
        department = departments.lock(found["department_id"])
        pending = Invitation.objects.pending().select_for_update(no_key=True).filter(expires_at__gt=now)
        invitation = pending.filter(digest=_digest(token)).first()
        if invitation is None or invitation.email != by.user.email:
            raise NotFound(GONE)
        person = departments.join(by=by, department=department, person=by.user, role=invitation.role, now=now)
        Invitation.objects.filter(pk=invitation.pk).update(accepted_at=now)
    return person


def mail(invitation_id: UUID | str, now: datetime) -> None:
    """Sends an offer that is owed. After a death in between it is sent again, with the same text.

    What the mail server refuses for good is told to the department and not tried again. Raises TryLater.
    """
    invitation = _owed(now).select_related("department").filter(pk=invitation_id).first()
    if invitation is None:
        return
    token = token_of(invitation.pk)
    if (
        _digest(token) != invitation.digest
    ):  # our secret changed meanwhile: what was promised cannot be said any more
        return
    subject, text = f"Join {invitation.department} on Gamer", _text(invitation, token)
    message = Message(invitation.pk.hex, now, "department.invite", subject, text)
    try:
        channels.channel("email").send(message, target=invitation.email)
    except Refused as error:
        told = {"email": invitation.email, "why": str(error)}
        about = departments.about(invitation.department, "mail_refused", policy("invitation"), now, **told)
        record(replace(about, resource_id=f"invitation:{invitation.pk}"))
        return
    crash_point("invitation.sent")
    Invitation.objects.filter(pk=invitation.pk).update(mailed_at=now)


def mail_again(now: datetime) -> int:
    """Hands the queue anew what it gave up on while mail was away; how many."""
    owed = _owed(now).filter(created_at__lt=now - QUEUE_FORGETS)
    # In no order: those that can never be sent hold up nobody.
    identities = list(owed.order_by("?").values_list("pk", flat=True)[:MOST_AGAIN])
    for identity in identities:
        enqueue(TASK, str(identity))
    return len(identities)


def _owed(now: datetime) -> InvitationQuerySet:
    """Offers whose mail was neither sent nor refused for good."""
    offers = Invitation.objects.pending().with_refusals()
    return offers.filter(Q(refusal=None), mailed_at=None, expires_at__gt=now)


def token_of(invitation_id: UUID) -> str:
    """The text that takes an offer: 256 bits that only we can derive from its id."""
    mac = salted_hmac("accounts.invitation", invitation_id.hex, algorithm="sha256").digest()
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _text(invitation: Invitation, token: str) -> str:
    where = f"{settings.PUBLIC_URL or 'our address'}/invitations/accept"
    return (
        f"You are invited to be a {invitation.role} of the department {invitation.department}.\n\n"
        "Its managers will see the VMs that you launch from then on, and may end them.\n\n"
        f"To accept, sign in (or sign up with this address) and send this to {where}:\n\n"
        f'    {{"token": "{token}"}}\n\n'
        f"The invitation is good until {invitation.expires_at:%d %B %Y, %H:%M} UTC. If you do not want it, do nothing.\n"
    )
