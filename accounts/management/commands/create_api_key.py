"""`manage.py create_api_key NAME --maker EMAIL --scope read --scope launch`: prints the key, once."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from accounts import keys, services
from accounts.models import Department, Scope, User
from accounts.principal import command
from gamer.commands import QuickCommand
from gamer.errors import GamerError

LONGEST_NAME = 100  # what the column holds
LONGEST_DAYS = 36_500


def name(text: str) -> str:
    found = text.strip()
    if not 0 < len(found) <= LONGEST_NAME:
        raise ArgumentTypeError(
            f"{len(found)} characters; 1 to {LONGEST_NAME} tell later what the key is for"
        )
    return found


def days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= LONGEST_DAYS:
        raise ArgumentTypeError(
            f"{text!r} is not from 1 to {LONGEST_DAYS}; without it the key is good for ever"
        )
    return int(text)


class Command(QuickCommand):
    help = "Makes an API key and prints it. It is shown once and kept nowhere."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", type=name, help="what the key is for")
        parser.add_argument("--maker", default=services.ADMIN_EMAIL, help="whose key it is, by address")
        parser.add_argument(
            "--scope", action="append", dest="scopes", choices=Scope.values, default=None, required=True,
            help="what the key may do; once for each",
        )  # fmt: skip
        parser.add_argument("--department", help="the department whose users the key names")
        parser.add_argument("--days", type=days, help="how long it is good; for ever without")

    def handle(self, *args: Any, **options: Any) -> None:
        maker = User.objects.filter(email=options["maker"].lower()).first()
        if maker is None:
            raise CommandError(
                f"Nobody has the address {options['maker']}. Name whose key it is: --maker ADDRESS."
            )
        if not maker.is_active:
            raise CommandError(f"{options['maker']} is suspended. Name whose key it is: --maker ADDRESS.")
        department = None
        if options["department"]:
            department = Department.objects.filter(name=options["department"]).first()
            if department is None:
                raise CommandError(f"There is no department {options['department']}.")
        now = timezone.now()
        try:
            _, secret = keys.create(
                by=command("create_api_key"),
                maker=maker,
                name=options["name"],
                scopes=options["scopes"],
                department=department,
                expires_at=now + timedelta(days=options["days"]) if options["days"] is not None else None,
                now=now,
            )
        except GamerError as error:
            raise CommandError(error.message) from error
        self.stdout.write(secret)
