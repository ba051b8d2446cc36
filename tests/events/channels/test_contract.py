"""One suite for every channel: what `events/channels/base.py` promises."""

from __future__ import annotations

import json
import smtplib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from email import message_from_bytes
from pathlib import Path

import pytest
from django.core import mail
from django.test import override_settings

from events import channels
from events.channels.base import BadTarget, Channel, Message, Refused, TryLater
from events.channels.email import EmailChannel
from events.channels.webhook import WebhookChannel
from tests.events.channels.moody import MoodyBackend, moody
from tests.events.channels.receiver import Receiver
from tests.world import NOON

MESSAGE = Message(
    id="msg_0001",
    at=NOON,
    kind="budget.crossed",
    subject="Arcade has used 80 % of its budget",
    text="Arcade has used 80.10 of 100 USD.\nNew launches go on.",
    details={"budget_id": 7},
)


@dataclass(frozen=True)
class Told:
    id: str
    subject: str
    text: str


@dataclass(frozen=True)
class Harness:
    """A channel, where it sends, what arrived, and how to make the other side refuse or be away."""

    channel: Channel
    target: str
    bad_targets: tuple[str, ...]
    told: Callable[[], list[Told]]
    be_away: Callable[[], None]
    refuse: Callable[[], None]


def told_by_mail() -> list[Told]:
    return [
        Told(one.extra_headers["Message-ID"].strip("<").partition("@")[0], one.subject, one.body)
        for one in mail.outbox
    ]


@pytest.fixture
def email() -> Iterator[Harness]:
    def mood(error: Exception) -> Callable[[], None]:
        return lambda: setattr(MoodyBackend, "mood", error)

    refused = {"alice@gamer.test": (550, b"no such user")}
    with moody():
        yield Harness(
            EmailChannel(sender="Gamer <gamer@gamer.test>"),
            "alice@gamer.test",
            ("", "alice", "alice@", "a@b.test\nBcc: c@d.test", "a@b.test, c@d.test"),
            told_by_mail,
            mood(smtplib.SMTPServerDisconnected("gone, password hunter2")),
            mood(smtplib.SMTPRecipientsRefused(refused)),
        )


@pytest.fixture
def webhook(receiver: Receiver) -> Harness:
    def told() -> list[Told]:
        found = []
        for _, headers, body in receiver.requests:
            inside = json.loads(body)["data"]
            found.append(Told(headers["webhook-id"], inside["subject"], inside["text"]))
        return found

    def answer(status: int) -> Callable[[], None]:
        return lambda: receiver.answers.__setitem__(slice(None), [(status, {}, b"secret-of-the-receiver")])

    bad = (
        "",
        "nowhere",
        "ftp://a.test/",
        "http://",
        "https://a.test:99999/",
        "https://me:pw@a.test/",
        "https://a.test/ b",
    )
    return Harness(WebhookChannel(allows_local=True), receiver.url, bad, told, answer(503), answer(400))


CHANNELS = ("email", "webhook")


@pytest.fixture(params=CHANNELS)
def harness(request: pytest.FixtureRequest) -> Harness:
    found: Harness = request.getfixturevalue(request.param)
    return found


class TestEveryChannel:
    def test_tells_the_message_and_its_id(self, harness: Harness) -> None:
        harness.channel.send(MESSAGE, target=harness.target)
        assert harness.told() == [Told(MESSAGE.id, MESSAGE.subject, MESSAGE.text)]

    def test_tells_a_repeat_under_the_same_id(self, harness: Harness) -> None:
        for _ in range(2):
            harness.channel.send(MESSAGE, target=harness.target)
        assert {one.id for one in harness.told()} == {MESSAGE.id}

    def test_is_tried_later_when_the_other_side_is_away(self, harness: Harness) -> None:
        harness.be_away()
        with pytest.raises(TryLater) as caught:
            harness.channel.send(MESSAGE, target=harness.target)
        assert "hunter2" not in str(caught.value)
        assert len(str(caught.value)) < 200

    def test_checks_targets_without_asking_anybody(self, harness: Harness) -> None:
        harness.channel.check(harness.target)
        for target in harness.bad_targets:
            with pytest.raises(BadTarget):
                harness.channel.check(target)
        assert not harness.told()

    def test_sends_nothing_to_a_bad_target(self, harness: Harness) -> None:
        for target in harness.bad_targets:
            with pytest.raises(BadTarget):
                harness.channel.send(MESSAGE, target=target)
        assert not harness.told()

    def test_is_opened_by_its_name(self, harness: Harness) -> None:
        assert type(channels.channel(harness.channel.name)) is type(harness.channel)


@pytest.mark.parametrize("name", CHANNELS)
class TestRefusal:
    def test_is_final_and_says_nothing_of_the_answer(self, name: str, request: pytest.FixtureRequest) -> None:
        harness: Harness = request.getfixturevalue(name)
        harness.refuse()
        with pytest.raises(Refused) as caught:
            harness.channel.send(MESSAGE, target=harness.target)
        assert "secret-of-the-receiver" not in str(caught.value)


class TestOpening:
    def test_knows_its_channels_only(self) -> None:
        assert set(channels.NAMES) == {"email", "webhook"}
        with pytest.raises(ValueError, match="pigeon"):
            channels.channel("pigeon")


class TestEmail:
    def test_leaves_as_one_message_to_one_person(self, tmp_path: Path) -> None:
        backend = "django.core.mail.backends.filebased.EmailBackend"
        with override_settings(EMAIL_BACKEND=backend, EMAIL_FILE_PATH=str(tmp_path)):
            crooked = replace(MESSAGE, subject="Arcade\nBcc: eve@gamer.test")
            EmailChannel(sender="Gamer <gamer@gamer.test>").send(crooked, target="alice@gamer.test")
        (path,) = tmp_path.glob("*.log")
        sent = message_from_bytes(path.read_bytes())
        assert (sent["To"], sent["Bcc"], sent["Subject"]) == (
            "alice@gamer.test",
            None,
            "Arcade Bcc: eve@gamer.test",
        )
        assert sent["Message-ID"] == "<msg_0001@gamer.test>"

    @pytest.mark.parametrize(
        ("mood", "error"),
        [
            (smtplib.SMTPRecipientsRefused({"alice@gamer.test": (450, b"busy")}), TryLater),
            (smtplib.SMTPDataError(554, b"spam"), Refused),
            (smtplib.SMTPDataError(451, b"busy"), TryLater),
            # Not of this message: of all of ours, until somebody sets them right.
            (smtplib.SMTPSenderRefused(553, b"who", "gamer@gamer.test"), TryLater),
            (smtplib.SMTPAuthenticationError(535, b"no"), TryLater),
        ],
    )
    def test_is_refused_for_good_only_where_the_message_is(
        self, mood: Exception, error: type[Exception]
    ) -> None:
        with moody(mood), pytest.raises(error):
            EmailChannel(sender="gamer@gamer.test").send(MESSAGE, target="alice@gamer.test")

    def test_is_tried_later_when_the_mail_servers_name_is_none(self) -> None:
        backend = "django.core.mail.backends.smtp.EmailBackend"
        with override_settings(EMAIL_BACKEND=backend, EMAIL_HOST="smtp..example.com"):
            with pytest.raises(TryLater, match="EMAIL_URL"):
                EmailChannel(sender="gamer@gamer.test").send(MESSAGE, target="alice@gamer.test")
