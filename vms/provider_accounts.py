"""Provider accounts: from a row to its adapter, and the first ones of an installation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

from accounts.principal import Principal
from events.services import Happening, record
from gamer.errors import bad_field
from gamer.queue import schedules
from gamer.queue.wake import ring
from vms import installation
from vms.channels import RECONCILER
from vms.models import ProviderAccount
from vms.providers import registry
from vms.providers.base import Provider

SANDBOX = "sandbox"
# The one secret of each kind, by the name its adapter knows it by.
SECRET_NAMES = {"tensordock": "token", "memory": "cloud"}
# What the vendor itself allows; more would only be refused there.
MOST_CALLS = {"tensordock": 100}
# As after a fresh start: the next call shows how the account is doing.
WELL: Mapping[str, Any] = {"paused_until": None, "paused_why": "", "failures_in_a_row": 0}


@dataclass(frozen=True, slots=True)
class AccountDraft:
    """An account as staff want it. `secret` empty keeps what is stored; `base_url` empty means the vendor's own."""

    name: str
    kind: str
    base_url: str
    calls_per_minute: int
    max_machines: int | None
    max_usd_per_hour: Decimal | None
    secret: str = ""


def open_provider(account: ProviderAccount) -> Provider:
    """The adapter for an account. Cheap: connections are pooled behind it. Raises ValueError for a kind without one."""
    return registry.open_provider(account.kind, account.credentials, account.base_url)


def seed(now: datetime) -> None:
    """One account per kind whose credentials the environment names; in development without any, the sandbox cloud.

    Credentials and address follow the environment at every start; caps and pauses are staff's and stay.
    """
    installation.row()
    schedules.keep("compare meters with machines", "vms.tasks.repair_meters", minutes=60)
    schedules.keep("look at providers' balances", "vms.tasks.look_at_balances", minutes=10)
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
    ProviderAccount.objects.update_or_create(name=name, defaults={**wanted, **WELL})


def faults(draft: AccountDraft, *, has_secret: bool) -> dict[str, str]:
    """What is wrong with a draft, in words, by field; empty when nothing is."""
    found: dict[str, str] = {}
    if draft.kind not in registry.KINDS:
        found["kind"] = f"There is no adapter for {draft.kind} yet."
        return found
    if draft.base_url:
        address = urlsplit(draft.base_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            found["base_url"] = "Write a whole address, such as https://dashboard.tensordock.com/api/v2."
        elif address.username or address.password:
            found["base_url"] = "An address carries no password; put it into the secret."
    most = MOST_CALLS.get(draft.kind)
    if most is not None and draft.calls_per_minute > most:
        found["calls_per_minute"] = f"The vendor allows {most} calls a minute."
    if draft.kind == "tensordock" and not draft.secret and not has_secret:
        found["secret"] = "Without an API token the vendor answers nothing."
    if not found:
        try:
            registry.open_provider(draft.kind, {SECRET_NAMES[draft.kind]: draft.secret}, draft.base_url)
        except ValueError as error:
            found["base_url"] = str(error)
    return found


def create(*, draft: AccountDraft, by: Principal, now: datetime) -> ProviderAccount:
    """Opens an account; its offers are fetched at once. Raises ValidationError."""
    _refuse(faults(draft, has_secret=False))
    with transaction.atomic():
        account = ProviderAccount.objects.create(
            **_columns(draft),
            credentials=_credentials(draft),
            created_at=now,
            next_refresh_at=now,
            next_sweep_at=now,
            call_tokens_at=now,
        )
        _record(account, "create", {**_told(draft), "kind": draft.kind}, by, now)
        ring(RECONCILER)
    return account


def change(*, account: ProviderAccount, draft: AccountDraft, by: Principal, now: datetime) -> ProviderAccount:
    """Changes an account; its kind stays. Another secret or address is tried at once. Raises ValidationError."""
    with transaction.atomic():
        row = ProviderAccount.objects.select_for_update().get(pk=account.pk)
        _refuse(faults(draft, has_secret=bool(row.credentials)))
        columns = _columns(draft)
        del columns["kind"]
        changes = {name: value for name, value in columns.items() if value != getattr(row, name)}
        told: dict[str, Any] = {name: [_plain(getattr(row, name)), _plain(changes[name])] for name in changes}
        if draft.secret:
            changes["credentials"] = _credentials(draft)
            told["secret"] = "replaced"
        if not changes:
            return row
        if changes.keys() & {"credentials", "base_url"}:
            changes |= {**WELL, "next_refresh_at": now, "next_sweep_at": now}
        for name, value in changes.items():
            setattr(row, name, value)
        row.save(update_fields=list(changes))
        _record(row, "update", told, by, now)
        ring(RECONCILER)
    return row


def pause(*, account: ProviderAccount, by: Principal, now: datetime) -> bool:
    """No new machines on this account; those it has go on. False when it was paused by staff already."""
    with transaction.atomic():
        if not ProviderAccount.objects.filter(pk=account.pk, is_paused=False).update(is_paused=True):
            return False
        _record(account, "suspend", {}, by, now)
    return True


def resume(*, account: ProviderAccount, by: Principal, now: datetime) -> bool:
    """Ends a pause of staff's and of our own, and asks the account at once. False when it was not paused."""
    with transaction.atomic():
        row = ProviderAccount.objects.select_for_update().get(pk=account.pk)
        if row.may_buy(now):
            return False
        changes = {**WELL, "is_paused": False, "next_refresh_at": now, "next_sweep_at": now}
        ProviderAccount.objects.filter(pk=row.pk).update(**changes)
        _record(row, "resume", {"was": row.paused_why} if row.paused_why else {}, by, now)
        ring(RECONCILER)
    return True


def refresh_now(*, account: ProviderAccount, by: Principal, now: datetime) -> None:
    """Has the reconciler fetch offers and compare machines at once."""
    with transaction.atomic():
        ProviderAccount.objects.filter(pk=account.pk).update(next_refresh_at=now, next_sweep_at=now)
        _record(account, "refresh_asked", {}, by, now)
        ring(RECONCILER)


def _refuse(found: Mapping[str, str]) -> None:
    for name, text in found.items():
        raise bad_field(name, text)


def _columns(draft: AccountDraft) -> dict[str, Any]:
    return {
        "name": draft.name,
        "kind": draft.kind,
        "base_url": draft.base_url,
        "calls_per_minute": draft.calls_per_minute,
        "max_machines": draft.max_machines,
        "max_usd_per_hour": draft.max_usd_per_hour,
    }


def _credentials(draft: AccountDraft) -> Any:
    return {SECRET_NAMES[draft.kind]: draft.secret} if draft.secret else {}


def _told(draft: AccountDraft) -> dict[str, Any]:
    """A draft as an event may tell it."""
    return {name: _plain(value) for name, value in _columns(draft).items() if value not in (None, "")}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else value


def _record(
    account: ProviderAccount, action: str, details: Mapping[str, Any], by: Principal, now: datetime
) -> None:
    record(
        Happening(
            at=now,
            actor=by.label,
            action=action,
            resource="provider_accounts",
            resource_id=str(account.pk),
            details={"name": account.name, **details},
        )
    )
