"""`Idempotency-Key`: a request sent twice has one effect and is answered twice with the same answer.

The record is written in the transaction of the effect, so both are there or neither. A second request that comes while the
first is still at work waits at the unique key: it then replays the first's answer, or runs itself when the first failed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from gamer.errors import Conflict, bad_field
from gamer.web.models import IdempotencyRecord
from gamer.web.throttles import caller

KEPT = timedelta(hours=24)
HEADER = "Idempotency-Key"
KEY = re.compile(r"[!-~]{1,255}\Z", re.ASCII)

# Takes the key, also from a record past its time; no row comes back when somebody else has it.
CLAIM = """
    INSERT INTO gamer_web_idempotencyrecord AS kept (principal, key, request_hash, body, location, created_at)
    VALUES (%(principal)s, %(key)s, %(hash)s, '', '', %(now)s)
    ON CONFLICT (principal, key) DO UPDATE
    SET request_hash = %(hash)s, status = NULL, body = '', location = '', created_at = %(now)s
    WHERE kept.created_at <= %(expired)s
    RETURNING id
"""


class _Failed(Exception):
    """Rolls the effect back when the answer is an error."""


def run_once(request: Request, answer: Callable[[], Response]) -> Response:
    """The answer of `answer()`, or the one it gave to this key before. Without the header it just runs.

    Raises Conflict when the key was used for another request, ValidationError for a key that is none. Errors, raised or
    answered, roll back and are not stored.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return answer()
    if not KEY.match(key):
        raise bad_field(HEADER, "1 to 255 visible ASCII characters.")
    return _once(caller(request), key, fingerprint(request), answer, timezone.now())


def fingerprint(request: Request) -> str:
    """A hash of what was asked, blind to spacing and the order of names."""
    query = sorted((name, values) for name, values in request.query_params.lists())
    asked = [request.method, request.path.rstrip("/"), query, request.data]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _once(
    principal: str, key: str, request_hash: str, answer: Callable[[], Response], now: datetime
) -> Response:
    values: dict[str, Any] = {
        "principal": principal,
        "key": key,
        "hash": request_hash,
        "now": now,
        "expired": now - KEPT,
    }
    response: Response | None = None
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(CLAIM, values)
                claimed = cursor.fetchone()
            if claimed:
                response = answer()
                if response.status_code >= 400:
                    raise _Failed
                _store(claimed[0], response)
    except _Failed:
        pass
    return response or _replay(principal, key, request_hash)


def _store(record_id: int, response: Response) -> None:
    IdempotencyRecord.objects.filter(id=record_id).update(
        status=response.status_code,
        body="" if response.data is None else JSONRenderer().render(response.data).decode(),
        location=response.headers.get("Location", ""),
    )


def _replay(principal: str, key: str, request_hash: str) -> Response:
    record = IdempotencyRecord.objects.get(principal=principal, key=key)
    if record.request_hash != request_hash:
        raise Conflict(f"This {HEADER} was used for another request.")
    headers = {"Idempotent-Replayed": "true"}
    if record.location:
        headers["Location"] = record.location
    return Response(json.loads(record.body) if record.body else None, status=record.status, headers=headers)


def sweep(now: datetime) -> int:
    """Forgets the answers past their time; how many."""
    return IdempotencyRecord.objects.filter(created_at__lte=now - KEPT).delete()[0]
