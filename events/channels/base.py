"""The channel seam: all that an author of another channel must read.

A channel tells one target one message. It keeps no state, retries nothing and decides nothing; the caller tries again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

LONGEST_S = 15.0  # one send, from the first look-up to the last byte


@dataclass(frozen=True, slots=True)
class Message:
    """What is told. `id` is the same at every repeat, so that a receiver can tell a repeat from news.

    `kind` is two words like `budget.crossed`; `subject` one line; `text` whole sentences for people; `details` JSON for programs.
    """

    id: str
    at: datetime
    kind: str
    subject: str
    text: str
    details: Mapping[str, Any] = field(default_factory=dict)


class ChannelError(Exception):
    """What went wrong, named by the caller's next move. Shown to staff: holds no secret, no target, at most a line."""


class TryLater(ChannelError):
    """Not told, or nobody knows. Next move: the same again, later (`retry_after` seconds, if the receiver said)."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Refused(ChannelError):
    """This target will never take this message. Next move: give up, and show why."""


class BadTarget(Refused):
    """What the target says is no address that we send to."""


class Channel(ABC):
    """Safe to use from several threads at once."""

    name: ClassVar[str]

    @abstractmethod
    def check(self, target: str) -> None:
        """Whether a message could be sent there at all, asking nobody. Raises BadTarget with a sentence for who typed it."""

    @abstractmethod
    def send(self, message: Message, *, target: str, secret: str = "") -> None:
        """Tells it, within LONGEST_S; returns when the receiver has taken it over. Raises TryLater, Refused.

        May be repeated with the same message: at least once is all that anybody can promise. `secret` signs where the
        channel can.
        """
