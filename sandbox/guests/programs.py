"""The programs of a confined guest, found by name: Python, the shell, applets and stand-ins."""

from __future__ import annotations

import os
import sys

from sandbox.guests import applets, shell, standins, wolf
from sandbox.guests.confine import BIN_FOLDERS, Confinement, run_python

PYTHONS = ("python3", "python")
SHELLS = ("sh", "bash", "dash")
NAMES = (*PYTHONS, *SHELLS, *applets.APPLETS, *standins.PROGRAMS, standins.WOLF_PROGRAM)


def run(confinement: Confinement, argv: list[str]) -> int:
    """Runs one command line in this process; returns its exit status."""

    def execute(inner: list[str]) -> int:
        return run(confinement, inner)

    parent, name = os.path.split(argv[0])
    if parent and parent not in BIN_FOLDERS and parent != f"{confinement.root}/bin":
        return _run_script(confinement, argv)
    try:
        if name in PYTHONS:
            return run_python(confinement, argv)
        if name in SHELLS:
            return shell.run(argv, execute)
        if name == standins.WOLF_PROGRAM:
            return wolf.run(argv[1:])
        if name in applets.APPLETS:
            return applets.APPLETS[name](argv)
        if name in standins.PROGRAMS or (name in standins.WITH_GPU and os.path.exists(standins.GPU)):
            return standins.run(argv, execute)
    except OSError as error:
        what = f"{error.filename}: " if isinstance(error.filename, str) else ""
        sys.stderr.write(f"{name}: {confinement.folder.guest_path(what)}{error.strerror}\n")
        return 1
    except (IndexError, ValueError):
        sys.stderr.write(f"{name}: cannot read {' '.join(argv[1:])!r}\n")
        return 2
    sys.stderr.write(f"sh: {name}: not found\n")
    return 127


def _run_script(confinement: Confinement, argv: list[str]) -> int:
    """A file of the guest named by its path: by what its first line asks for, Python or the shell."""
    try:
        with open(argv[0], encoding="utf-8", errors="replace") as file:
            first = file.readline()
    except OSError as error:
        sys.stderr.write(f"sh: {argv[0]}: {error.strerror}\n")
        return 126 if isinstance(error, PermissionError) else 127
    interpreter = "python3" if first.startswith("#!") and "python" in first else "sh"
    return run(confinement, [interpreter, *argv])
