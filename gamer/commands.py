"""What the commands of every app begin with."""

from argparse import ArgumentTypeError
from datetime import date

from django.core.management.base import BaseCommand

from gamer.checks import ENVIRONMENT


class QuickCommand(BaseCommand):
    """Is preceded by the checks of the environment alone: those of the code are for `check`, and import all pages."""

    requires_system_checks = (ENVIRONMENT,)


def day(text: str) -> date:
    """An option's day (argparse's `type`)."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a day like 2026-01-31") from None
