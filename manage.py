#!/usr/bin/env python3
"""Django's command line. Without DATABASE_URL it uses the embedded Postgres and starts it when it is not up."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gamer.settings")
    # How long connections are kept depends on the kind of process (settings.DATABASES).
    kinds = {"qworker": "worker", "reconciler": "reconciler"}
    os.environ.setdefault("GAMER_PROCESS", kinds.get("".join(sys.argv[1:2]), "command"))
    from django.core.management import execute_from_command_line

    from gamer.dev import embedded

    with embedded.for_command(sys.argv):
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
