"""What of this app `manage.py doctor` looks at, by settings.DOCTOR_CHECKS: whose the administrator's address is."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from accounts.models import User
from accounts.services import ADMIN_EMAIL
from gamer.web.doctor import Finding, Verdict


def administrator(now: datetime) -> Iterable[Finding]:
    """Commands take whoever has the address for the administrator, and seeding leaves them as they are."""
    person = User.objects.filter(email=ADMIN_EMAIL).first()
    if person is None or person.is_superuser:
        yield Finding("administrator", Verdict.FINE, f"{ADMIN_EMAIL} is nobody else's")
        return
    advice = "Give this person another address in the admin and run manage.py seed with ADMIN_PASSWORD, or make them an administrator."
    yield Finding("administrator", Verdict.WORSE, f"{ADMIN_EMAIL} belongs to no administrator", advice)
