"""`manage.py remove_second_factor ADDRESS`: lets in who lost authenticator and recovery codes, where no administrator is left to do it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from accounts import second_factor
from accounts.models import User
from accounts.principal import command
from gamer.commands import QuickCommand


class Command(QuickCommand):
    help = "Removes somebody's authenticator and recovery codes: they log in with their password only. Leaves an event."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("address", help="whose, by the address they log in with")

    def handle(self, *args: Any, **options: Any) -> None:
        address = options["address"]
        user = User.objects.filter(email=address.strip().lower()).first()
        if user is None:
            raise CommandError(f"Nobody has the address {address}.")
        was_on = second_factor.remove(by=command("remove_second_factor"), user=user, now=timezone.now())
        self.stdout.write(
            f"{user} logs in with the password only." if was_on else f"{user} had no authenticator."
        )
