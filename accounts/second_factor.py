"""One-time codes for who wants them: an authenticator app, and recovery codes for the day it is lost.

django-otp's devices hold the state and slow down who guesses: each failure doubles the time until the next try counts.
"""

from __future__ import annotations

import hashlib
import logging
import math
import re
import secrets
from base64 import b32encode
from datetime import datetime
from typing import TypeAlias

from django.db import transaction
from django.utils import timezone
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken

from accounts.audit import about
from accounts.models import User
from accounts.models.credentials import DIGITS, Authenticator
from accounts.principal import Principal
from events.services import record
from gamer.errors import InvalidState, NotAuthenticated, PermissionDenied, RateLimited, Unavailable, bad_field
from gamer.sealed import CannotOpen

log = logging.getLogger(__name__)

CODES = 10
CODE_BYTES = 10  # 16 letters and digits: too many to try offline, so a plain hash keeps them
TOTP_CODE = re.compile(rf"[0-9]{{{DIGITS}}}\Z", re.ASCII)

Device: TypeAlias = "Authenticator | StaticDevice"


def is_on(user: User) -> bool:
    return bool(Authenticator.objects.filter(user=user, confirmed=True).exists())


def demand(*, user: User, code: str, now: datetime) -> None:
    """Asks who has an authenticator for a code of it, or for a recovery code, which is used up.

    Raises NotAuthenticated whose detail `otp` is `required` or `wrong`, RateLimited after failures, or Unavailable for an authenticator
    whose secret no key opens: recovery codes need none.
    """
    if not is_on(user):
        return
    code = _typed(code)
    if not code:
        raise NotAuthenticated("This account also asks for a one-time code.", details={"otp": ["required"]})
    kind: type[Device] = Authenticator if TOTP_CODE.match(code) else StaticDevice
    with transaction.atomic():  # a failure is counted: nothing raises in here after one
        device = kind.objects.select_for_update().filter(user=user, confirmed=True).first()
        wait_s = _wait_s(device) if device is not None else 0
        is_right = device is not None and not wait_s and _is_right(device, code, now)
    _demand_patience(wait_s)
    if not is_right:
        raise NotAuthenticated("The one-time code is wrong.", details={"otp": ["wrong"]})
    if kind is StaticDevice:
        record(about(user, "recovery_code_used", Principal(user=user), now))


def _typed(code: str) -> str:
    """As it was meant: apps show "123 456", and recovery codes have dashes."""
    return re.sub(r"[\s-]", "", code).lower()


def _is_right(device: Device, code: str, now: datetime) -> bool:
    if isinstance(device, Authenticator):
        try:
            return device.verify_at(code, now.timestamp())
        except CannotOpen as error:
            log.error("an authenticator cannot be asked: %s user=%s", error, device.user_id)
            raise Unavailable(
                "Your authenticator's codes cannot be checked now; use a recovery code."
            ) from None
    return bool(device.verify_token(_digest(code)))


def _wait_s(device: Device) -> int:
    is_allowed, why = device.verify_is_allowed()
    if is_allowed:
        return 0
    left_s: float = (why["locked_until"] - timezone.now()).total_seconds()
    return max(1, math.ceil(left_s))


def _demand_patience(wait_s: int) -> None:
    if wait_s:
        raise RateLimited(f"Too many wrong codes; try again in {wait_s} s.", retry_after=wait_s)


def begin(*, user: User) -> Authenticator:
    """The secret to be scanned; nothing is asked for until a code of it has been seen. Raises InvalidState."""
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        if is_on(user):
            raise InvalidState("An authenticator is set up already; remove it first.")
        Authenticator.objects.filter(user=user).delete()
        device: Authenticator = Authenticator.objects.create(
            user=user, name="Authenticator app", confirmed=False
        )
    return device


def pending(user: User) -> Authenticator | None:
    """The secret that waits for its first code."""
    waiting: Authenticator | None = Authenticator.objects.filter(user=user, confirmed=False).first()
    return waiting


def confirm(*, user: User, code: str, now: datetime) -> list[str]:
    """Turns it on by its first code; every login ends, because none of them was asked. The recovery codes, shown once.

    Raises ValidationError for a wrong code, RateLimited after failures, InvalidState without a secret that waits.
    """
    with transaction.atomic():  # a failure is counted: nothing after it raises in here
        device = Authenticator.objects.select_for_update().filter(user=user, confirmed=False).first()
        if device is None:
            raise InvalidState("Nothing waits for a code; begin anew.")
        _demand_patience(_wait_s(device))
        is_right = device.verify_at(_typed(code), now.timestamp())
        if is_right:
            Authenticator.objects.filter(pk=device.pk).update(confirmed=True)
            User.objects.get_queryset().filter(pk=user.pk).end_logins()
            record(about(user, "second_factor_on", Principal(user=user), now))
            codes = _make_codes(user)
    if not is_right:
        raise bad_field("code", "This is not the code of this moment. Is the clock of your phone right?")
    user.refresh_from_db(fields=["token_epoch"])
    return codes


@transaction.atomic
def renew_codes(*, user: User, now: datetime) -> list[str]:
    """New recovery codes in place of the old ones. Raises InvalidState when there is no authenticator."""
    if not is_on(user):
        raise InvalidState("There is no authenticator.")
    record(about(user, "recovery_codes_renewed", Principal(user=user), now))
    return _make_codes(user)


def codes_left(user: User) -> int:
    return int(StaticToken.objects.filter(device__user=user).count())


@transaction.atomic
def remove(*, by: Principal, user: User, now: datetime) -> bool:
    """Turns it off: by the person, or by staff for who lost everything. False when it was off. Raises PermissionDenied."""
    is_own = by.key is None and by.user is not None and by.user.pk == user.pk
    if not (is_own or by.outranks(user)):
        raise PermissionDenied(
            "Only staff, and for an administrator an administrator, remove it for somebody."
        )
    was_on = is_on(user)
    Authenticator.objects.filter(user=user).delete()
    StaticDevice.objects.filter(user=user).delete()
    if was_on:
        record(about(user, "second_factor_off", by, now))
    return was_on


def _make_codes(user: User) -> list[str]:
    StaticDevice.objects.filter(user=user).delete()
    device = StaticDevice.objects.create(user=user, name="Recovery codes")
    codes = [b32encode(secrets.token_bytes(CODE_BYTES)).decode().lower() for _ in range(CODES)]
    StaticToken.objects.bulk_create(StaticToken(device=device, token=_digest(code)) for code in codes)
    return ["-".join(code[start : start + 4] for start in range(0, len(code), 4)) for code in codes]


def _digest(code: str) -> str:
    """What is kept of a recovery code: 64 bits of its hash, as the column is wide."""
    return hashlib.sha256(code.encode()).hexdigest()[:16]
