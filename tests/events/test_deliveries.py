from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection, transaction
from django.test import override_settings
from django_q.models import OrmQ

from events import deliveries
from events.deliveries import BATCH, LEASE, WAITS_S, Post, deliver_due
from events.models import Delivery, Webhook
from gamer.errors import ValidationError
from tests.events.channels.receiver import Receiver, receiving
from tests.world import Clock

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one, override_settings(WEBHOOKS_MAY_BE_LOCAL=True):
        yield one


def by_webhook(receiver: Receiver, key: str = "one") -> Post:
    webhook = Webhook.objects.create(url=receiver.url, secret=SECRET)
    return Post(key, "webhook", receiver.url, "budget.crossed", "Subject", "Text", {}, webhook.pk)


def by_mail(key: str, target: str = "alice@gamer.test") -> Post:
    return Post(key, "email", target, "budget.crossed", f"About {key}", "Text")


@pytest.mark.django_db
class TestPost:
    def test_tells_once_what_is_posted_twice(self, clock: Clock) -> None:
        deliveries.post([by_mail("a"), by_mail("b")], now=clock.now)
        deliveries.post([by_mail("a")], now=clock.now)
        assert deliver_due(clock.now, clock) == 2
        assert sorted(one.subject for one in mail.outbox) == ["About a", "About b"]
        assert deliver_due(clock.advance(days=9), clock) == 0

    def test_is_part_of_the_callers_transaction(self, clock: Clock) -> None:
        with transaction.atomic():
            deliveries.post([by_mail("a")], now=clock.now)
            transaction.set_rollback(True)
        assert not Delivery.objects.exists()
        assert not OrmQ.objects.exists()

    def test_rings_the_worker_once_for_many(self, clock: Clock) -> None:
        deliveries.post([by_mail(str(number)) for number in range(5)], now=clock.now)
        assert OrmQ.objects.count() == 1

    def test_refuses_a_target_by_the_fields_name(self) -> None:
        with pytest.raises(ValidationError) as caught:
            deliveries.check_target("email", "nobody", "emails")
        assert "emails" in caught.value.details


@pytest.mark.django_db
class TestDelivery:
    def test_waits_longer_after_every_failure_and_gives_up_at_last(
        self, receiver: Receiver, clock: Clock
    ) -> None:
        receiver.answers = [(500, {}, b"")]
        deliveries.post([by_webhook(receiver)], now=clock.now)
        for wait_s in WAITS_S:
            assert deliver_due(clock.now, clock) == 1
            row = Delivery.objects.get()
            assert row.next_try_at == clock.now + timedelta(seconds=wait_s)
            assert deliver_due(clock.now, clock) == 0
            clock.advance(seconds=wait_s)
        assert deliver_due(clock.now, clock) == 1
        row = Delivery.objects.get()
        assert row.given_up_at == clock.now
        assert row.last_error == "The receiver answers 500."
        assert len(receiver.requests) == len(WAITS_S) + 1 == row.attempts
        assert len({headers["webhook-id"] for _, headers, _ in receiver.requests}) == 1

    def test_succeeds_when_the_receiver_is_back(self, receiver: Receiver, clock: Clock) -> None:
        receiver.answers = [(503, {"Retry-After": "90"}, b""), (200, {}, b"")]
        deliveries.post([by_webhook(receiver)], now=clock.now)
        deliver_due(clock.now, clock)
        assert Delivery.objects.get().next_try_at == clock.now + timedelta(seconds=90)
        deliver_due(clock.advance(seconds=90), clock)
        row = Delivery.objects.get()
        assert (row.delivered_at, row.last_error, row.attempts) == (clock.now, "", 2)

    def test_gives_up_at_once_what_is_refused_for_good(self, receiver: Receiver, clock: Clock) -> None:
        receiver.answers = [(410, {}, b"")]
        deliveries.post([by_webhook(receiver)], now=clock.now)
        deliver_due(clock.now, clock)
        assert Delivery.objects.get().given_up_at == clock.now

    def test_refuses_private_targets_in_production(self, receiver: Receiver, clock: Clock) -> None:
        with override_settings(WEBHOOKS_MAY_BE_LOCAL=False):
            deliveries.post([by_webhook(receiver)], now=clock.now)
            deliver_due(clock.now, clock)
        assert Delivery.objects.get().given_up_at == clock.now
        assert not receiver.requests

    def test_leaves_to_another_what_it_holds_until_its_lease_ends(
        self, receiver: Receiver, clock: Clock
    ) -> None:
        deliveries.post([by_webhook(receiver)], now=clock.now)
        Delivery.objects.update(next_try_at=clock.now + LEASE, attempts=1)  # a sender died holding it
        assert deliver_due(clock.advance(seconds=60), clock) == 0
        assert deliver_due(clock.advance(seconds=120), clock) == 1

    def test_writes_nothing_over_its_successors_result(self, receiver: Receiver, clock: Clock) -> None:
        deliveries.post([by_webhook(receiver)], now=clock.now)

        def late() -> object:
            Delivery.objects.update(token=None, given_up_at=clock.now)
            return clock.now

        deliver_due(clock.now, late)  # type: ignore[arg-type]
        assert Delivery.objects.get().delivered_at is None

    def test_of_a_secret_that_no_key_opens_costs_only_itself(self, receiver: Receiver, clock: Clock) -> None:
        deliveries.post([by_webhook(receiver), by_mail("b")], now=clock.now)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE events_webhook SET secret = 'gAAAA-nonsense'")
        assert deliver_due(clock.now, clock) == 2
        assert len(mail.outbox) == 1
        assert "GAMER_KEYS" in Delivery.objects.get(channel="webhook").last_error

    def test_of_a_webhook_that_is_deleted_meanwhile_costs_only_itself(
        self, receiver: Receiver, clock: Clock
    ) -> None:
        deliveries.post([by_webhook(receiver), by_mail("b")], now=clock.now)
        with connection.cursor() as cursor:  # as of one that was claimed a moment before
            cursor.execute("DELETE FROM events_webhook")
        assert deliver_due(clock.now, clock) == 2
        assert len(mail.outbox) == 1
        assert Delivery.objects.get(channel="email").delivered_at == clock.now
        assert not receiver.requests
        Delivery.objects.all().delete()

    def test_that_fails_unforeseen_is_tried_again_alone(
        self, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        pigeon = Post("a", "pigeon", "the loft", "budget.crossed", "Subject", "Text")
        deliveries.post([pigeon, by_mail("b")], now=clock.now)
        assert deliver_due(clock.now, clock) == 2
        assert Delivery.objects.get(channel="email").delivered_at == clock.now
        row = Delivery.objects.get(channel="pigeon")
        assert (row.last_error, row.next_try_at) == (
            "A fault of ours.",
            clock.now + timedelta(seconds=WAITS_S[0]),
        )
        assert "no channel is called 'pigeon'" in caplog.text
        assert deliver_due(clock.advance(seconds=WAITS_S[0]), clock) == 1
        assert len(mail.outbox) == 1

    def test_goes_in_batches(self, clock: Clock) -> None:
        deliveries.post([by_mail(str(number)) for number in range(BATCH + 1)], now=clock.now)
        assert [deliver_due(clock.now, clock) for _ in range(3)] == [BATCH, 1, 0]

    def test_keeps_its_secret_sealed(self, receiver: Receiver) -> None:
        Webhook.objects.create(url=receiver.url, secret=SECRET)
        with connection.cursor() as cursor:
            cursor.execute("SELECT secret FROM events_webhook")
            assert SECRET not in cursor.fetchone()[0]
        assert SECRET not in repr(Webhook.objects.get().secret)

    def test_is_forgotten_after_a_month(self, clock: Clock) -> None:
        deliveries.post([by_mail("a"), by_mail("b", "nobody")], now=clock.now)
        deliver_due(clock.now, clock)
        deliveries.post([by_mail("c")], now=clock.now)
        deliveries.sweep(clock.advance(days=31))
        assert [one.key for one in Delivery.objects.all()] == ["c"]
