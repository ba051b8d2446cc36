"""What the commands of every app begin with."""

from django.core.management.base import BaseCommand

from gamer.checks import ENVIRONMENT


class QuickCommand(BaseCommand):
    """Is preceded by the checks of the environment alone: those of the code are for `check`, and import all pages."""

    requires_system_checks = (ENVIRONMENT,)
