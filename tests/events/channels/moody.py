"""A mail server with moods, for whoever mails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.mail.backends.locmem import EmailBackend
from django.test import override_settings


class MoodyBackend(EmailBackend):
    """Django's backend in memory, which raises its mood while it has one."""

    mood: Exception | None = None

    def send_messages(self, messages: Any) -> int:
        if MoodyBackend.mood is not None:
            raise MoodyBackend.mood
        return super().send_messages(messages)


@contextmanager
def moody(mood: Exception | None = None) -> Iterator[None]:
    MoodyBackend.mood = mood
    try:
        with override_settings(EMAIL_BACKEND=f"{__name__}.MoodyBackend"):
            yield
    finally:
        MoodyBackend.mood = None
