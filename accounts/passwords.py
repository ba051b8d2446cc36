"""Passwords: what makes a good one, changing it, and a new one by mail for who forgot theirs."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode

from accounts import lockout, logins
from accounts.audit import about
from accounts.models import User
from accounts.principal import Principal, policy
from events import channels
from events.channels.base import Message, Refused
from events.services import record
from gamer.errors import ValidationError, bad_field
from gamer.queue.enqueue import enqueue
from gamer.web.throttles import Rate, demand

SEND = "accounts.tasks.send_password_reset"


class ResetTokens(PasswordResetTokenGenerator):
    """Django's tokens: signed, good for PASSWORD_RESET_TIMEOUT and until the password changes. Here also until a logout-all."""

    key_salt = "accounts.passwords.ResetTokens"

    def _make_hash_value(self, user: User, timestamp: int) -> str:
        return f"{super()._make_hash_value(user, timestamp)}{user.token_epoch}"


tokens = ResetTokens()


def check(password: str, *, user: User, field: str) -> None:
    """Raises ValidationError with everything that is wrong with a password to be."""
    try:
        validate_password(password, user)
    except DjangoValidationError as error:
        raise ValidationError(f"{field}: {error.messages[0]}", details={field: error.messages}) from None


def change(
    *, user: User, current: str, new: str, is_by_token: bool, ip: str, now: datetime
) -> logins.Tokens | None:
    """A new password for who knows the current one. Every login ends, and who came by token goes on with a new one.

    Raises ValidationError naming `current_password` or `new_password`, or RateLimited after repeated failures.
    """
    logins.prove_again(user=user, password=current, field="current_password", ip=ip, now=now)
    check(new, user=user, field="new_password")
    with transaction.atomic():
        replace(user=user, new=new, now=now)
        return logins.begin(user=user, now=now) if is_by_token else None


@transaction.atomic
def replace(*, user: User, new: str, now: datetime) -> None:
    """Writes a new password that has been checked, for who has proven to know the old one. Every login ends."""
    user.set_password(new)
    user.save(update_fields=["password"])
    record(about(user, "password_changed", Principal(user=user), now))


def ask_reset(*, email: str, ip: str, now: datetime) -> None:
    """Has a mail sent to this address, should it be somebody's. The same for every address: the worker looks it up.

    Raises RateLimited.
    """
    email = email.strip().lower()
    demand(f"reset-ip:{lockout.place_of(ip)}", Rate.named("reset_ip"), now=now)
    demand(f"reset-email:{lockout.name_of(email)}", Rate.named("reset_email"), now=now)
    enqueue(SEND, email, group="mail")


def send_reset(*, email: str, now: datetime) -> bool:
    """Mails the way to a new password to who has this address. False when nobody does who may log in, and when the mail server
    refuses it for good, which is told. Raises TryLater.
    """
    user = User.objects.filter(email=email, is_active=True).first()
    if user is None:
        return False
    token = make_token(user)
    told = {
        "user": user,
        "token": token,
        "link": link_to(token),
        "hours": settings.PASSWORD_RESET_TIMEOUT // 3600,
    }
    subject = render_to_string("accounts/password_reset_subject.txt", told).strip()
    message = Message(
        uuid4().hex,
        now,
        "user.password_reset",
        subject,
        render_to_string("accounts/password_reset.txt", told),
    )
    by = policy("password_reset")
    try:
        channels.channel("email").send(message, target=email)
    except Refused as error:
        record(about(user, "mail_refused", by, now, why=str(error)))
        return False
    record(about(user, "password_reset_mailed", by, now))
    return True


def make_token(user: User) -> str:
    """`<who>.<token>`: all of it is needed, so it is one text."""
    return f"{urlsafe_base64_encode(force_bytes(user.pk))}.{tokens.make_token(user)}"


def link_to(token: str) -> str:
    who, _, rest = token.partition(".")
    path = reverse("password-reset-confirm", kwargs={"uidb64": who, "token": rest})
    return f"{settings.PUBLIC_URL or f'http://127.0.0.1:{settings.ENV.port}'}{path}"


@transaction.atomic
def reset(*, token: str, new: str, now: datetime) -> User:
    """A new password for who holds a mail's token, which is used up by it; every login ends and a lock-out is over.

    Raises ValidationError naming `token` or `new_password`.
    """
    who, _, rest = token.partition(".")
    user = User.objects.select_for_update().filter(pk=_id_of(who), is_active=True).first()
    if user is None or not tokens.check_token(user, rest):
        raise bad_field("token", "This link is not good any more; ask for a new one.")
    check(new, user=user, field="new_password")
    user.set_password(new)
    user.save(update_fields=["password"])
    lockout.forgive_everywhere(user.email or "")
    record(about(user, "password_reset", Principal(user=user), now))
    return user


def _id_of(text: str) -> int:
    """A person's key; that of nobody when the text says none."""
    try:
        number = urlsafe_base64_decode(text).decode("ascii")
    except ValueError:
        return 0
    return int(number) if number.isdigit() and len(number) < 19 else 0
