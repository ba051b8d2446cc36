"""Ways to tell somebody outside: e-mail, webhook. A channel sends one message once and knows no rows.

When to try again, and how often, is `events/deliveries.py`. Start reading at `base.py`, the whole seam.
"""

from __future__ import annotations

from django.conf import settings

from events.channels.base import Channel
from events.channels.email import EmailChannel
from events.channels.webhook import WebhookChannel

NAMES = (EmailChannel.name, WebhookChannel.name)


def channel(name: str) -> Channel:
    """The channel of this name. Raises ValueError for another."""
    if name == EmailChannel.name:
        return EmailChannel(sender=settings.DEFAULT_FROM_EMAIL)
    if name == WebhookChannel.name:
        return WebhookChannel(allows_local=settings.WEBHOOKS_MAY_BE_LOCAL)
    raise ValueError(f"no channel is called {name!r}; there are {', '.join(NAMES)}")
