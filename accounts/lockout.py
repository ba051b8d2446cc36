"""Locking out who guesses passwords: django-axes keeps the failures and their limits, by address and by place.

Axes looks at its rows, lets the password be checked and counts afterwards, so guesses at the same moment all pass. Here an
attempt is counted before the password is looked at and taken off again when it was right (decision 0018).
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.helpers import get_cool_off
from axes.models import AccessAttempt
from django.conf import settings
from django.db import connection
from django.db.models import F, QuerySet
from django.http import HttpRequest

NOWHERE = "::"  # a caller without an address, as behind a socket without a proxy
IPV6_PLACE = 64  # bits: the smallest network a subscriber gets

# Failures that are over when the next one comes are forgotten by it.
CHARGE = """
    INSERT INTO axes_accessattempt AS kept
        (username, ip_address, user_agent, attempt_time, failures_since_start, get_data, post_data, http_accept, path_info)
    VALUES (%(username)s, %(place)s, '', %(now)s, 1, '', '', '', '')
    ON CONFLICT (username, ip_address, user_agent) DO UPDATE
    SET attempt_time = GREATEST(kept.attempt_time, %(now)s),
        failures_since_start = CASE WHEN kept.attempt_time < %(since)s THEN 1 ELSE kept.failures_since_start + 1 END
"""


class CountsFirst(AxesDatabaseHandler):  # type: ignore[misc]
    """Axes' database handler that charges an attempt as soon as it is let in."""

    def is_allowed(self, request: Any, credentials: Any = None) -> bool:
        """Charges the attempt, unless the address or the place is locked. A refused one leaves the lock as long as it was."""
        request.axes_wait_s = self.wait_s(request, credentials)
        if request.axes_wait_s:
            return False
        _charge(request, credentials["username"])
        # Everybody charged before they look here, so of many at once no more than the limit see less than it.
        request.axes_wait_s = self.wait_s(request, credentials, allowed=1)
        if request.axes_wait_s:
            give_back(request)
            return False
        return True

    def user_login_failed(self, sender: Any, credentials: Any, request: Any = None, **options: Any) -> None:
        """Nothing: it was counted when it came."""

    def wait_s(self, request: Any, credentials: Any, allowed: int = 0) -> int:
        """Seconds until the address and the place may try again; 0 when they may now."""
        waits = (
            _wait_s(attempts, settings.AXES_LIMITS[name] + allowed, request)
            for name, attempts in self._counted(request, credentials)
        )
        return max(waits)

    def _counted(self, request: Any, credentials: Any) -> Iterator[tuple[str, QuerySet[AccessAttempt]]]:
        found = self.get_user_attempts(request, credentials)
        return zip(settings.AXES_LOCKOUT_PARAMETERS, found, strict=True)


def _charge(request: Any, username: str) -> None:
    now = request.axes_attempt_time
    values = {
        "username": username,
        "place": request.axes_ip_address,
        "now": now,
        "since": now - get_cool_off(),
    }
    with connection.cursor() as cursor:
        cursor.execute(CHARGE, values)


def _wait_s(attempts: QuerySet[AccessAttempt], limit: int, request: Any) -> int:
    """The oldest failures are over first; how long until fewer than the limit are left."""
    counted = list(attempts.order_by("attempt_time").values_list("attempt_time", "failures_since_start"))
    left = sum(failures for _, failures in counted)
    wait_s = 0
    for at, failures in counted:
        if left < limit:
            break
        left -= failures
        over = at + get_cool_off() - request.axes_attempt_time
        wait_s = math.floor(over.total_seconds()) + 1  # at the very moment it still counts
    return wait_s


def attempt_of(*, email: str, ip: str, now: datetime) -> HttpRequest:
    """What axes knows an attempt by: no more of a request than who, from where and when."""
    request = HttpRequest()
    request.method = "POST"
    known = {
        "axes_updated": True,
        "axes_locked_out": False,
        "axes_attempt_time": now,
        "axes_ip_address": place_of(ip),
        "axes_user_agent": "",
        "axes_path_info": "",
        "axes_http_accept": "",
        "axes_failures_since_start": None,
        "axes_credentials": None,
        "axes_wait_s": 0,
        "axes_email": email,
    }
    vars(request).update(known)
    return request


def wait_of(request: Any) -> int:
    """Seconds that a refused attempt has to wait; 0 for one that was let in."""
    return int(request.axes_wait_s)


def give_back(request: Any) -> None:
    """Undoes the charge of one attempt."""
    _rows(request).filter(failures_since_start__gt=0).update(
        failures_since_start=F("failures_since_start") - 1
    )


def forgive(request: Any) -> None:
    """Forgets the failures of this address from this place: it was their owner. Guesses from elsewhere stay counted."""
    _rows(request).delete()


def forgive_everywhere(email: str) -> None:
    """Unlocks an address."""
    AccessAttempt.objects.filter(username=email).delete()


def sweep(now: datetime) -> int:
    """Forgets failures that are over; how many."""
    return int(AccessAttempt.objects.filter(attempt_time__lt=now - get_cool_off()).delete()[0])


def _rows(request: Any) -> QuerySet[AccessAttempt]:
    mine = {"username": request.axes_email, "ip_address": request.axes_ip_address, "user_agent": ""}
    found: QuerySet[AccessAttempt] = AccessAttempt.objects.filter(**mine)
    return found


def name_of(email: str) -> str:
    """An address as the name of an allowance: of any length, and not to be read there."""
    return hashlib.sha256(email.encode()).hexdigest()


def place_of(ip: str) -> str:
    """What counts as one place: an IPv4 address, or the network of an IPv6 one, whose owner has all of its addresses."""
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return NOWHERE
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, IPV6_PLACE), strict=False).network_address)
