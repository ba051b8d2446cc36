"""Compares every account's machines with our rows: what nobody knows, and what costs money without a VM."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import CommandError

from gamer import tallies
from gamer.commands import QuickCommand
from gamer.context import about
from vms import installation
from vms.models import ProviderAccount, Stray
from vms.provider_accounts import is_laid_down, open_provider
from vms.providers.base import ProviderError
from vms.reconcile import claims, orphans
from vms.reconcile.outcome import Snapshot


class Command(QuickCommand):
    help = (
        "Lists machines of this installation that no VM wants. With --fix it deletes them at once, also those that wait for "
        "an operator after the database moved or was restored, and has the reconciler delete unknown ones by itself again. "
        "Ends with 1, and confirms nothing, when an account was not asked or not done with, unless staff paused it and no row "
        "holds a machine there. Machines of other installations are never touched."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--fix", action="store_true", help="delete them now")

    def handle(self, *args: Any, fix: bool = False, **options: Any) -> None:
        with about(actor="command:find_orphans"):
            self._look(fix)

    def _look(self, fix: bool) -> None:
        found, silent, unfinished = 0, [], []
        for account in ProviderAccount.objects.order_by("name"):
            try:
                provider = open_provider(account)
                snapshot = Snapshot.of(account.pk, claims.database_now(), provider.list())
            except (ProviderError, ValueError) as error:
                self.stderr.write(f"{account.name}: cannot be asked: {error}")
                # Until an operator confirmed it, what the rows say of machines is not to be relied on.
                if not (is_laid_down(account) and installation.row().is_sweep_confirmed):
                    silent.append(account.name)
                continue
            sweep = orphans.plan(account, snapshot, claims.database_now(), at_once=fix)
            present = Stray.objects.filter(account=account, gone_at=None, machine_id__in=list(snapshot.by_id))
            for stray in present.order_by("first_seen_at"):
                found += 1
                price = f"${stray.usd_per_hour:.3f}/h" if stray.usd_per_hour is not None else "price unknown"
                self.stdout.write(
                    f"{account.name}  {stray.machine_id}  {stray.tag}  {stray.get_reason_display()}  {price}"
                )
            if fix:
                orphans.write(orphans.carry_out(sweep, provider), claims.database_now())
                self.stdout.write(f"{account.name}: deletion of {len(sweep.ordered)} ordered")
                if sweep.postponed:
                    self.stderr.write(f"{account.name}: {sweep.postponed} wait for the account's pace")
                if sweep.error:
                    self.stderr.write(f"{account.name}: {sweep.error}")
                if sweep.postponed or sweep.error:
                    unfinished.append(account.name)
        tallies.flush()
        if not fix and found:
            self.stdout.write(f"{found} found. Delete them with: manage.py find_orphans --fix")
        missed = [
            f"{what}: {', '.join(names)}."
            for what, names in (("Not asked", silent), ("Not done with", unfinished))
            if names
        ]
        if missed:
            # Confirmed now, the reconciler would delete machines that nobody has seen in a list.
            again = (
                " Nothing is confirmed: run this again, or confirm on the Installation page." if fix else ""
            )
            raise CommandError(" ".join(missed) + again)
        if fix:
            installation.confirm_sweeps(actor="command:find_orphans", now=claims.database_now())
        elif not found:
            self.stdout.write("No orphans.")
