#!/usr/bin/env python3
"""Django's command line. Without DATABASE_URL it uses the embedded Postgres and starts it when it is not up."""

import os
import sys

# How long connections are kept depends on the kind of process (settings).
KINDS = {"qworker": "worker", "reconciler": "reconciler"}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gamer.settings")
    os.environ.setdefault("GAMER_PROCESS", KINDS.get("".join(sys.argv[1:2]), "command"))
    from gamer.monitored import unknown_for_errors

    with unknown_for_errors(sys.argv):
        run()


def run() -> None:
    import django
    from django.core.management import execute_from_command_line

    from gamer import heap
    from gamer.context import act_as
    from gamer.dev import embedded
    from gamer.ownership import refuse_root

    refuse_root(sys.argv)
    # Who acts in this process; its forks inherit it. What runs for ever is a policy, what somebody types is a command.
    name = "".join(sys.argv[1:2])
    act_as(f"policy:{name}" if name in KINDS else f"command:{name}")
    with embedded.for_command(sys.argv):
        with heap.loading():
            django.setup()
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
