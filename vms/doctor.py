"""What of this app `manage.py doctor` looks at, by settings.DOCTOR_CHECKS: the tool of the clouds, the installation's switches, and every
provider account."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from datetime import datetime

from django.conf import settings

from gamer.sealed import CannotOpen
from gamer.web.doctor import Finding, Verdict, program
from vms import installation
from vms.models import CLOUD_KINDS, ProviderAccount
from vms.provider_accounts import is_laid_down, open_provider
from vms.providers.base import BadCredentials, ProviderError, QuotaExceeded

WITHOUT_PULUMI = frozenset({"cloudypad_paperspace"})


def cloudypad(now: datetime) -> Iterable[Finding]:
    """The tool, and the programs it calls; only where it is used."""
    kinds = set(
        ProviderAccount.objects.filter(kind__in=CLOUD_KINDS, is_paused=False).values_list("kind", flat=True)
    )
    command = settings.ENV.cloudypad_bin
    if not command:
        if kinds:  # of variables alone the environment's checks tell
            advice = "Set CLOUDYPAD_BIN to CloudyPad's command line, as in: node /opt/cloudypad/dist/src/cli/main.js"
            yield Finding("cloudypad", Verdict.BROKEN, "CLOUDYPAD_BIN is not set", advice)
        return
    try:
        name, *arguments = shlex.split(command)
    except ValueError:
        yield Finding("cloudypad", Verdict.BROKEN, "CLOUDYPAD_BIN cannot be read", "Mind its quotes.")
        return
    found = program(name, *arguments, "--version", advice="Correct CLOUDYPAD_BIN.", is_needed=True)
    yield Finding("cloudypad", found.verdict, found.text, found.advice)
    if name == "node" or name.endswith("/node"):
        yield program(name, "--version", advice="Install Node.js 20 or later.", is_needed=True)
    if kinds - WITHOUT_PULUMI:
        yield program(
            "pulumi", "version", advice="Install Pulumi: CloudyPad makes machines with it.", is_needed=True
        )
    if kinds:
        advice = "Install Ansible with CloudyPad's roles: it makes machines consoles with it."
        yield program("ansible-playbook", "--version", advice=advice, is_needed=True)
        yield program("ssh", "-V", advice="Install openssh-client: Ansible works over it.", is_needed=True)


def switches(now: datetime) -> Iterable[Finding]:
    """What holds for the whole installation until somebody takes it back: easily forgotten, and nothing else is ill by it."""
    row = installation.row()
    if not row.is_launching:
        advice = "Accept them again in the admin (Installation)."
        yield Finding("launches", Verdict.WORSE, "new ones are switched off", advice)
    if not row.is_sweep_confirmed:
        text = "the database was moved or restored: unknown machines are kept until somebody has looked"
        advice = "manage.py find_orphans lists them; with --fix it deletes them, and they are deleted by themselves again."
        yield Finding("sweep", Verdict.WORSE, text, advice)
    if row.is_launching and row.is_sweep_confirmed:
        yield Finding("installation", Verdict.FINE, "takes launches, and deletes machines without a VM")


def accounts(now: datetime) -> Iterable[Finding]:
    """Each account, by a list of its machines: the cheapest call that the vendor answers only to us."""
    rows = list(ProviderAccount.objects.order_by("name"))
    if not rows:
        advice = "Give a provider's credentials in the environment and run manage.py seed, or add an account in the admin."
        yield Finding("provider accounts", Verdict.WORSE, "there are none", advice)
    for account in rows:
        found = _account(account, now)
        if found.verdict is Verdict.BROKEN and is_laid_down(account):
            text = f"paused by staff and without machines; {found.text}"
            found = Finding(
                found.name, Verdict.WORSE, text, "Nothing is to be done until it is needed again."
            )
        yield found


def _account(account: ProviderAccount, now: datetime) -> Finding:
    name = f"account {account.name} ({account.kind})"
    try:
        machines = open_provider(account).list()
    except (BadCredentials, QuotaExceeded) as error:
        advice = (
            "Give it new credentials in the admin (Accounts), or in the environment and run manage.py seed."
        )
        return Finding(name, Verdict.BROKEN, f"{type(error).__name__}: {error}", advice)
    except ProviderError as error:
        return Finding(
            name,
            Verdict.BROKEN,
            f"{type(error).__name__}: {error}",
            "Try again; if it stays, look at the vendor's status page.",
        )
    except CannotOpen as error:
        advice = "Put the key that sealed its credentials back into GAMER_KEYS, or give it new ones in the admin (Accounts)."
        return Finding(name, Verdict.BROKEN, str(error), advice)
    except ValueError as error:
        return Finding(
            name, Verdict.BROKEN, str(error), "Correct its address or kind in the admin (Accounts)."
        )
    if not account.may_buy(now):
        why = account.paused_why or "paused by staff"
        return Finding(
            name, Verdict.WORSE, f"answers, but is paused: {why}", "Resume it in the admin (Accounts)."
        )
    return Finding(name, Verdict.FINE, f"answers; {len(machines)} machines")
