"""From an account's row to its adapter."""

from __future__ import annotations

import logging

from vms.models import ProviderAccount
from vms.providers import registry
from vms.providers.base import Provider

log = logging.getLogger(__name__)


def open_provider(account: ProviderAccount) -> Provider:
    """The adapter for an account. Cheap: connections are pooled behind it. Raises KeyError for a kind without one."""
    return registry.open_provider(account.kind, account.credentials, account.base_url)
