"""The rows by which people come in: their logins, and the authenticator that shows their one-time codes."""

from __future__ import annotations

import secrets
import time
import uuid
from base64 import b32encode
from datetime import datetime
from typing import ClassVar
from urllib.parse import quote, urlencode

from django.conf import settings
from django.db import models
from django_otp.models import Device, DeviceManager, ThrottlingMixin, TimestampMixin
from django_otp.oath import TOTP

from gamer.sealed import Sealed, SealedTextField

ISSUER = "Gamer"
DIGITS = 6
STEP_S = 30
SECRET_BYTES = 20  # of SHA-1, as authenticator apps expect


def make_secret() -> Sealed:
    return Sealed(secrets.token_hex(SECRET_BYTES))


class Authenticator(TimestampMixin, ThrottlingMixin, Device):  # type: ignore[misc]
    """A device of django-otp for time-based codes (RFC 6238), sealed: `otp_totp.TOTPDevice` keeps its secret in the clear."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="authenticator"
    )
    secret = SealedTextField(default=make_secret)
    last_step = models.BigIntegerField(default=-1, help_text="The step of the last code that was taken.")

    objects: ClassVar[DeviceManager] = DeviceManager()

    def verify_token(self, token: str) -> bool:
        """django-otp's verb."""
        return self.verify_at(token, time.time())

    def verify_at(self, token: str, now_s: float) -> bool:
        """Whether the code is this moment's, the one before or the one after, and none was taken that is as young.

        The row is locked by the caller. A failure doubles the time until the next try counts.
        """
        if not self.verify_is_allowed()[0]:
            return False
        code = TOTP(self.key, step=STEP_S, digits=DIGITS)
        code.time = now_s
        if not (token.isascii() and token.isdigit() and code.verify(int(token), 1, self.last_step + 1)):
            self.throttle_increment()
            return False
        self.last_step = code.t()
        self.throttle_reset(commit=False)
        self.set_last_used_timestamp(commit=False)
        self.save()
        return True

    def get_throttle_factor(self) -> float:
        return float(settings.OTP_THROTTLE_S)

    @property
    def key(self) -> bytes:
        return bytes.fromhex(self.secret.reveal())

    @property
    def typed(self) -> str:
        """The secret for who cannot scan: base32 in fours."""
        text = b32encode(self.key).decode()
        return " ".join(text[start : start + 4] for start in range(0, len(text), 4))

    @property
    def url(self) -> str:
        """What the QR code says."""
        label = quote(f"{ISSUER}:{self.user.get_username()}")
        told = {"secret": b32encode(self.key).decode(), "issuer": ISSUER, "digits": DIGITS, "period": STEP_S}
        return f"otpauth://totp/{label}?{urlencode(told)}"


class LoginQuerySet(models.QuerySet["Login"]):
    def live(self, now: datetime) -> LoginQuerySet:
        return self.filter(ended_at=None, expires_at__gt=now)


class Login(models.Model):
    """One person's login by password and the family of refresh tokens that grew from it; only the newest is good.

    `stamp` is the person's session hash at the login: when it differs from today's, the login is over.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="logins")
    stamp = models.CharField(max_length=64)
    current = models.UUIDField(help_text="The id of the refresh token that is good.")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    objects = LoginQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="login_expires_at")]

    def __str__(self) -> str:
        return f"{self.user} since {self.created_at:%Y-%m-%d %H:%M}"
