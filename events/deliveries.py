"""Telling somebody outside, until they have it: messages are rows, tried again with growing waits, and kept as a record.

`post` belongs into the transaction of the thing that is told. Who sends is a task of the queue (`events/tasks.py`); losing
one costs a minute, because the row says what is due.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from events import channels
from events.channels.base import ChannelError, Message, Refused, TryLater
from events.models import Delivery, Webhook
from gamer.errors import bad_field
from gamer.queue import schedules
from gamer.queue.enqueue import enqueue
from gamer.sealed import CannotOpen, Sealed

log = logging.getLogger(__name__)

TASK = "events.tasks.deliver"
BATCH = 32
THREADS = 8
LEASE = timedelta(minutes=3)  # longer than a batch takes: BATCH / THREADS * LONGEST_S
# Waits after the first, second … try; after the last the message is given up.
WAITS_S = (10, 60, 300, 1800, 7200, 6 * 3600, 12 * 3600, 24 * 3600)
KEPT = timedelta(days=30)

Outcome = ChannelError | None


@dataclass(frozen=True, slots=True)
class Post:
    """One message to one target. The same `key` is told once, however often it is posted."""

    key: str
    channel: str
    target: str
    kind: str
    subject: str
    text: str
    details: Mapping[str, Any] = field(default_factory=dict)
    webhook_id: int | None = None


def check_target(channel: str, target: str, field_name: str) -> None:
    """Refuses what could never be told. Raises ValidationError naming the field."""
    try:
        channels.channel(channel).check(target)
    except ChannelError as error:
        raise bad_field(field_name, str(error)) from None


def post(posts: Sequence[Post], *, now: datetime) -> None:
    """Writes the messages down; they are sent once the caller's transaction commits."""
    Delivery.objects.bulk_create(
        (
            Delivery(
                key=one.key, channel=one.channel, target=one.target, webhook_id=one.webhook_id, next_try_at=now,
                created_at=now,
                payload={"kind": one.kind, "subject": one.subject, "text": one.text, "details": dict(one.details)},
            )
            for one in posts
        ),
        ignore_conflicts=True,
    )  # fmt: skip
    if posts:
        enqueue(TASK, group="deliveries")


def deliver_due(now: datetime, clock: Callable[[], datetime]) -> int:
    """Sends one batch of what is due; how many were tried. Any number of callers at once share the rows out."""
    token = uuid.uuid4()
    with transaction.atomic():
        due = Delivery.objects.due(now).select_for_update(skip_locked=True).order_by("next_try_at", "id")
        claimed = list(due[:BATCH])
        for one in claimed:
            one.token, one.next_try_at, one.attempts = token, now + LEASE, one.attempts + 1
        Delivery.objects.bulk_update(claimed, ["token", "next_try_at", "attempts"])
    if not claimed:
        return 0
    secrets = [_secret_of(one) for one in claimed]
    with ThreadPoolExecutor(min(THREADS, len(claimed)), thread_name_prefix="deliver") as pool:
        sendings = [pool.submit(_send, one, secret) for one, secret in zip(claimed, secrets, strict=True)]
    for one, sending in zip(claimed, sendings, strict=True):
        _write(one, _outcome(one, sending), clock())
    return len(claimed)


def _outcome(delivery: Delivery, sending: Future[Outcome]) -> Outcome:
    """What nobody expected costs the one message: raised here, it would have its whole batch sent again for ever."""
    error = sending.exception()
    if error is None:
        return sending.result()
    log.error("delivery %s by %s: a fault of ours", delivery.pk, delivery.channel, exc_info=error)
    return TryLater("A fault of ours.")


def _secret_of(delivery: Delivery) -> str | CannotOpen | Refused:
    """Read row by row: one that no key opens, or that is deleted meanwhile, must not hold up the others."""
    if delivery.webhook_id is None:
        return ""
    try:
        secret: Sealed = Webhook.objects.get(pk=delivery.webhook_id).secret
        return secret.reveal()
    except CannotOpen as error:
        return error
    except Webhook.DoesNotExist:
        return Refused("The webhook is deleted.")


def _send(delivery: Delivery, secret: str | CannotOpen | Refused) -> Outcome:
    if isinstance(secret, Refused):
        return secret
    if isinstance(secret, CannotOpen):
        return TryLater(str(secret))
    payload = delivery.payload
    message = Message(
        id=delivery.message_id, at=delivery.created_at, kind=payload["kind"], subject=payload["subject"],
        text=payload["text"], details=payload["details"],
    )  # fmt: skip
    try:
        channels.channel(delivery.channel).send(message, target=delivery.target, secret=secret)
    except ChannelError as error:
        return error
    return None


def _write(delivery: Delivery, outcome: Outcome, now: datetime) -> None:
    """Only while the claim is ours: a slow sender that lost its lease writes nothing over its successor's result."""
    ours = Delivery.objects.filter(pk=delivery.pk, token=delivery.token)
    if outcome is None:
        ours.update(delivered_at=now, token=None, last_error="")
        return
    error = str(outcome)[:300]
    if not isinstance(outcome, TryLater) or delivery.attempts > len(WAITS_S):
        log.warning("delivery %s by %s is given up: %s", delivery.pk, delivery.channel, error)
        ours.update(given_up_at=now, token=None, last_error=error)
        return
    wait_s = max(WAITS_S[delivery.attempts - 1], outcome.retry_after or 0)
    ours.update(next_try_at=now + timedelta(seconds=wait_s), token=None, last_error=error)


def sweep(now: datetime) -> None:
    """Forgets what was told, or given up, a month ago."""
    old = now - KEPT
    Delivery.objects.filter(delivered_at__lt=old).delete()
    Delivery.objects.filter(given_up_at__lt=old).delete()


def seed(now: datetime) -> None:
    """Has what is due tried again every minute, and old deliveries forgotten every day."""
    schedules.keep("deliver messages", TASK, minutes=1)
    schedules.keep("forget old messages", "events.tasks.sweep", minutes=24 * 60)
