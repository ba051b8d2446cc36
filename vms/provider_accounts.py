"""Provider accounts: from a row to its adapter, and the first ones of an installation."""

from __future__ import annotations

import os
from datetime import datetime

from django.conf import settings

from vms import installation
from vms.models import ProviderAccount
from vms.providers import registry
from vms.providers.base import Provider

SANDBOX = "sandbox"


def open_provider(account: ProviderAccount) -> Provider:
    """The adapter for an account. Cheap: connections are pooled behind it. Raises ValueError for a kind without one."""
    return registry.open_provider(account.kind, account.credentials, account.base_url)


def seed(now: datetime) -> None:
    """One account per kind whose credentials the environment names; in development without any, the sandbox cloud.

    Credentials and address follow the environment at every start; caps and pauses are staff's and stay.
    """
    installation.row()
    if settings.ENV.tensordock_api_token:
        _keep(
            "tensordock",
            "tensordock",
            settings.ENV.tensordock_api_url,
            settings.ENV.tensordock_api_token,
            now,
        )
    elif os.environ.get("SANDBOX_URL"):
        _keep(SANDBOX, "tensordock", os.environ["SANDBOX_URL"], os.environ.get("SANDBOX_TOKEN", ""), now)


def _keep(name: str, kind: str, base_url: str, token: str, now: datetime) -> None:
    wanted = {
        "kind": kind,
        "base_url": base_url,
        "credentials": {"token": token},
        "next_refresh_at": now,
        "next_sweep_at": now,
    }
    # A new token is reason enough to try again at once.
    ProviderAccount.objects.update_or_create(
        name=name, defaults={**wanted, "paused_until": None, "paused_why": "", "failures_in_a_row": 0}
    )
