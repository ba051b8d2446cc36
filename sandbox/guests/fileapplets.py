"""Applets that change files of a confined guest."""

from __future__ import annotations

import functools
import operator
import os
import shutil
import stat
import sys

from sandbox.guests.options import Usage, read_options


def mkdir(argv: list[str]) -> int:
    options, names = read_options(argv, "pv", "m")
    for name in names:
        if "p" in options:
            os.makedirs(name, exist_ok=True)
        else:
            os.mkdir(name)
        if "m" in options:
            os.chmod(name, int(options["m"], 8))
    return 0


def rmdir(argv: list[str]) -> int:
    for name in read_options(argv, "")[1]:
        os.rmdir(name)
    return 0


def rm(argv: list[str]) -> int:
    options, names = read_options(argv, "rRfv", long=("no-preserve-root", "recursive", "force"))
    status = 0
    is_recursive, is_forced = {"r", "R", "recursive"} & set(options), {"f", "force"} & set(options)
    for name in names:
        try:
            if is_recursive and os.path.isdir(name) and not os.path.islink(name):
                shutil.rmtree(name)
            else:
                os.unlink(name)
        except FileNotFoundError:
            status = status if is_forced else _complain("rm", name, "No such file or directory")
        except OSError as error:
            status = _complain("rm", name, str(error.strerror))
    return status


def _complain(program: str, name: str, why: str) -> int:
    sys.stderr.write(f"{program}: {name}: {why}\n")
    return 1


def _into(target: str, source: str) -> str:
    return os.path.join(target, os.path.basename(source.rstrip("/"))) if os.path.isdir(target) else target


def mv(argv: list[str]) -> int:
    (*sources, target) = read_options(argv, "fvnT")[1]
    for source in sources:
        os.replace(source, _into(target, source))
    return 0


def cp(argv: list[str]) -> int:
    options, (*sources, target) = read_options(argv, "rRafpv")
    for source in sources:
        if os.path.isdir(source) and options.keys() & {"r", "R", "a"}:
            shutil.copytree(source, _into(target, source), symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy(source, _into(target, source))
    return 0


def install(argv: list[str]) -> int:
    options, names = read_options(argv, "dDv", "mog")
    mode = int(options.get("m", "755"), 8)
    if "d" in options:
        return mkdir(["mkdir", "-p", "-m", f"{mode:o}", *names])
    (*sources, target) = names
    if "D" in options:
        os.makedirs(os.path.dirname(target), exist_ok=True)
    for source in sources:
        shutil.copyfile(source, _into(target, source))
        os.chmod(_into(target, source), mode)
    return 0


def ln(argv: list[str]) -> int:
    options, (source, target) = read_options(argv, "sfnT")
    path = _into(target, source) if "n" not in options and "T" not in options else target
    if "f" in options and os.path.lexists(path):
        os.unlink(path)
    if "s" in options:
        os.symlink(source, path)
    else:
        os.link(source, path)
    return 0


def touch(argv: list[str]) -> int:
    for name in read_options(argv, "c")[1]:
        with open(name, "ab"):
            os.utime(name)
    return 0


def chmod(argv: list[str]) -> int:
    """Octal modes, and `+x` with its like."""
    options, (mode, *names) = read_options(
        [argv[0], *(("--", *argv[1:]) if argv[1:2] and argv[1][1:2] in "rwx" else argv[1:])], "Rv"
    )
    for name in names:
        inner = [
            each
            for found in os.walk(name)
            for each in (os.path.join(found[0], n) for n in found[1] + found[2])
        ]
        for path in [name, *(inner if "R" in options else [])]:
            os.chmod(path, _mode(mode, os.stat(path).st_mode))
    return 0


def _mode(text: str, now: int) -> int:
    if text.isdigit():
        return int(text, 8)
    bits = {"r": 0o444, "w": 0o222, "x": 0o111, "X": 0o111}
    masks = {"u": 0o700, "g": 0o070, "o": 0o007, "a": 0o777}
    result = stat.S_IMODE(now)
    for part in text.split(","):
        sign = next((each for each in "+-=" if each in part), "")
        who, _, what = part.partition(sign) if sign else ("", "", "")
        if not sign or not set(what) <= set(bits) or not set(who) <= set(masks):
            raise Usage(f"cannot read the mode {text}")
        mask = sum(masks[each] for each in set(who) - {"a"}) if who and "a" not in who else 0o777
        wanted = mask & functools.reduce(operator.or_, (bits[each] for each in what), 0)
        result = {"+": result | wanted, "-": result & ~wanted, "=": result & ~mask | wanted}[sign]
    return result


def ls(argv: list[str]) -> int:
    options, names = read_options(argv, "la1dAhRt")
    status = 0
    for name in names or ["."]:
        if not os.path.lexists(name):
            status = _complain("ls", name, "No such file or directory")
            continue
        is_listed = os.path.isdir(name) and "d" not in options
        found = sorted(os.listdir(name)) if is_listed else [name]
        for each in found:
            if is_listed and each.startswith(".") and not {"a", "A"} & set(options):
                continue
            path = os.path.join(name, each) if is_listed else name
            details = os.lstat(path)
            row = f"{stat.filemode(details.st_mode)} 1 root root {details.st_size} " if "l" in options else ""
            sys.stdout.write(f"{row}{each}\n")
    return status


def show_status(argv: list[str]) -> int:
    options, names = read_options(argv, "L", "c")
    for name in names:
        details = os.stat(name) if "L" in options else os.lstat(name)
        values = {
            "%s": str(details.st_size),
            "%a": f"{stat.S_IMODE(details.st_mode):o}",
            "%n": name,
            "%Y": str(int(details.st_mtime)),
            "%F": "directory" if stat.S_ISDIR(details.st_mode) else "regular file",
        }
        text = options.get("c", "%n %s %a")
        for mark, value in values.items():
            text = text.replace(mark, value)
        sys.stdout.write(text + "\n")
    return 0


def mktemp(argv: list[str]) -> int:
    options, rest = read_options(argv, "d", "pt")
    name = (rest or [f"{options.get('p', '/tmp')}/tmp.XXXXXXXX"])[0]  # noqa: S108 - the guest's own
    path = name.rstrip("X") + os.urandom(4).hex()
    if "d" in options:
        os.mkdir(path, 0o700)
    else:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    sys.stdout.write(path + "\n")
    return 0
