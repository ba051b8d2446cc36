"""Provider accounts: from a row to its adapter, and the first ones of an installation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

from accounts.principal import Principal
from events.services import Happening, record
from gamer import tallies
from gamer.errors import bad_field
from gamer.queue import schedules
from gamer.queue.wake import ring
from gamer.sealed import ShutDict
from vms import installation, machine_types
from vms.channels import RECONCILER
from vms.models import Attempt, ProviderAccount, Stray
from vms.providers import registry
from vms.providers.base import Provider
from vms.providers.cloudypad.clouds import CLOUDS, DUMMY, Account, missing

SANDBOX = "sandbox"
SEED = Principal(command="seed")
# The one secret of each kind, by the name its adapter knows it by.
SECRET_NAMES = {
    "tensordock": "token",
    "memory": "cloud",
    "cloudypad_gcp": "service_account",
    "cloudypad_aws": "secret_access_key",
    "cloudypad_azure": "client_secret",
    "cloudypad_paperspace": "api_key",
    "cloudypad_scaleway": "secret_key",
}
# What the vendor itself allows; more would only be refused there.
MOST_CALLS = {"tensordock": 100}
# Whose tools sign in by a key alone; the others may also find what the host is signed in as.
SIGNED_IN_BY_SECRET = ("cloudypad_paperspace", "cloudypad_scaleway")
SHUT = (
    "No key in GAMER_KEYS opens what is stored: put the key back, or give the secret and the settings again; the settings alone where "
    "the account stands on what the host is signed in as."
)
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
    settings: Mapping[str, str] = field(default_factory=dict)


def note_call(kind: str, verb: str, seconds: float, error: str | None, /) -> None:
    """Counts every verb of every provider (`registry.OnCall`), whichever process calls; `/metrics` reads it."""
    tallies.add("provider_calls", kind=kind, verb=verb, error=error or "none")
    tallies.add("provider_call_seconds", seconds, kind=kind, verb=verb)


def open_provider(account: ProviderAccount) -> Provider:
    """The adapter for an account. Cheap: connections are pooled behind it. Raises ValueError for a kind without one, and as
    CannotOpen for credentials that no key opens.
    """
    return registry.open_provider(
        account.kind,
        account.credentials,
        account.base_url,
        on_call=note_call,
        tool=tool_of(account),
        name=account.name,
    )


def tool_of(account: ProviderAccount) -> Account | None:
    """For the kinds that drive a program: its command, a home for this account alone, and the table of what it may buy."""
    if account.kind not in CLOUDS:
        return None
    homes = Path(settings.ENV.cloudypad_home or settings.STATE_DIR / "cloudypad")
    home = homes / f"account-{account.pk}"
    stock = machine_types.products(account.kind)
    return Account(settings.ENV.cloudypad_bin, home, stock=stock, has_machines=holds_machines(account))


def holds_machines(account: ProviderAccount) -> bool:
    """Whether a row holds a machine there, or may."""
    if Attempt.objects.held().filter(account=account).exists():
        return True
    return Stray.objects.filter(account=account, gone_at=None).exists()


def is_laid_down(account: ProviderAccount) -> bool:
    """Staff paused it, and no row holds a machine there: that it does not answer is no fault, and nothing is to be done."""
    return account.is_paused and not holds_machines(account)


def plain_settings(account: ProviderAccount) -> dict[str, str]:
    """What of an account's credentials is no secret; nothing while no key opens them."""
    if isinstance(account.credentials, ShutDict):
        return {}
    return {
        name: account.credentials[name] for name in _settings_of(account.kind) if name in account.credentials
    }


def _settings_of(kind: str) -> tuple[str, ...]:
    return (*CLOUDS[kind].settings, "clouder") if kind in CLOUDS else ()


def seed(now: datetime) -> None:
    """One account per kind whose credentials the environment names; in development without any, the sandbox cloud.

    Credentials and address follow the environment at every start; caps and pauses are staff's and stay. A sandbox that real
    credentials have replaced is paused: it runs no longer, and would be called ill for ever.
    """
    installation.row()
    clouds = settings.ENV.clouds if settings.ENV.cloudypad_bin else {}
    for kind, credentials in clouds.items():
        _keep(kind.removeprefix("cloudypad_"), kind, "", credentials, now)
    schedules.keep("compare meters with machines", "vms.tasks.repair_meters", minutes=60)
    schedules.keep("archive ended VMs", "vms.tasks.archive_ended", minutes=24 * 60)
    schedules.keep("forget machines that are gone", "vms.tasks.forget_leftovers", minutes=10)
    schedules.keep("look at providers' balances", "vms.tasks.look_at_balances", minutes=10)
    if settings.ENV.tensordock_api_token:
        _keep(
            "tensordock",
            "tensordock",
            settings.ENV.tensordock_api_url,
            {"token": settings.ENV.tensordock_api_token},
            now,
        )
    elif os.environ.get("SANDBOX_URL") and not clouds:
        token = os.environ.get("SANDBOX_TOKEN", "")
        _keep(SANDBOX, "tensordock", os.environ["SANDBOX_URL"], {"token": token}, now)
    if settings.ENV.tensordock_api_token or clouds:
        for sandbox in ProviderAccount.objects.filter(name=SANDBOX):
            pause(account=sandbox, by=SEED, now=now)


def _keep(name: str, kind: str, base_url: str, credentials: Mapping[str, str], now: datetime) -> None:
    wanted = {
        "kind": kind,
        "base_url": base_url,
        "credentials": dict(credentials),
        "next_refresh_at": now,
        "next_sweep_at": now,
    }
    # A new token is reason enough to try again at once.
    ProviderAccount.objects.update_or_create(name=name, defaults={**wanted, **WELL})


def faults(draft: AccountDraft, *, former: ProviderAccount | None = None) -> dict[str, str]:
    """What is wrong with a draft, of a new account or a change of the `former` one, in words, by field; empty when nothing is."""
    found: dict[str, str] = {}
    is_shut = former is not None and isinstance(former.credentials, ShutDict)
    has_secret = former is not None and bool(former.credentials) and not is_shut
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
    found |= _cloud_faults(draft, has_secret)
    may_be_the_hosts = draft.kind in CLOUDS and draft.kind not in SIGNED_IN_BY_SECRET and bool(draft.settings)
    if is_shut and not draft.secret and not may_be_the_hosts:
        found["secret"] = SHUT
    if not found:
        try:
            registry.open_provider(draft.kind, {SECRET_NAMES[draft.kind]: draft.secret}, draft.base_url)
        except ValueError as error:
            found["base_url"] = str(error)
    if former is not None and has_secret and not draft.secret and draft.base_url != former.base_url:
        # Or who may edit an account could have it told to a host of theirs.
        found.setdefault("secret", "The secret is sent to this address: give it again with a new one.")
    return found


def _cloud_faults(draft: AccountDraft, has_secret: bool) -> dict[str, str]:
    """Of an account that is reached by CloudyPad. Without a secret of its own it may stand on what the host is signed in as."""
    cloud = CLOUDS.get(draft.kind)
    if cloud is None:
        return {"settings": "This kind has no settings."} if draft.settings else {}
    if not settings.ENV.cloudypad_bin:
        return {"kind": "CLOUDYPAD_BIN is not set: there is no CloudyPad to order with."}
    if unknown := sorted(draft.settings.keys() - {*_settings_of(draft.kind)}):
        known = ", ".join(_settings_of(draft.kind))
        return {"settings": f"{', '.join(unknown)} means nothing here. Known: {known}."}
    if draft.settings.get("clouder") == DUMMY.clouder:
        return {}
    if "clouder" in draft.settings:
        return {"settings": f"The only other clouder is {DUMMY.clouder}, which makes no machines."}
    if word := missing(cloud, draft.settings):
        return {"settings": f"{word} is missing; write {word}=…"}
    if draft.kind in SIGNED_IN_BY_SECRET and not draft.secret and not has_secret:
        return {"secret": "Without its key the cloud answers nothing."}
    return {}


def create(*, draft: AccountDraft, by: Principal, now: datetime) -> ProviderAccount:
    """Opens an account; its offers are fetched at once. Raises ValidationError."""
    _refuse(faults(draft))
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
    """Changes an account; its kind stays, and its name, by which `seed` finds it. Another secret or address is tried at once.
    Raises ValidationError.
    """
    with transaction.atomic():
        row = ProviderAccount.objects.select_for_update().get(pk=account.pk)
        _refuse(faults(draft, former=row))
        columns = _columns(draft)
        del columns["kind"], columns["name"]
        changes = {name: value for name, value in columns.items() if value != getattr(row, name)}
        told: dict[str, Any] = {name: [_plain(getattr(row, name)), _plain(changes[name])] for name in changes}
        former = plain_settings(row)
        if draft.secret or draft.settings != former:
            is_shut = isinstance(row.credentials, ShutDict)
            changes["credentials"] = _credentials(draft, None if is_shut else row.credentials)
        if draft.settings != former:
            told["settings"] = [former, dict(draft.settings)]
        if draft.secret:
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


def _credentials(draft: AccountDraft, stored: Mapping[str, str] | None = None) -> Any:
    """What is stored of a draft: a secret that is not given stays, settings are replaced."""
    secret = draft.secret or (stored or {}).get(SECRET_NAMES[draft.kind], "")
    return {**({SECRET_NAMES[draft.kind]: secret} if secret else {}), **draft.settings}


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
