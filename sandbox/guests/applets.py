"""The harmless commands of a confined guest, written in Python so that `confine` holds them to the folder.

Fewer options than the real ones; an unknown option is an error, so that nothing is silently done differently.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sandbox.guests import fileapplets
from sandbox.guests.options import Usage, read_options
from sandbox.guests.standins import ask_init

Applet = Callable[[list[str]], int]
SIGNALS = {"HUP": 1, "INT": 2, "QUIT": 3, "KILL": 9, "USR1": 10, "USR2": 12, "TERM": 15}


def _bytes_of(names: list[str]) -> bytes:
    parts = [sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes() for name in names or ["-"]]
    return b"".join(parts)


def _put(content: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def _cat(argv: list[str]) -> int:
    _options, names = read_options(argv, "u")
    _put(_bytes_of(names))
    return 0


def _lines(argv: list[str]) -> tuple[int, list[bytes]]:
    """The number asked for, as `-n 5` or `-5`, and all lines."""
    short = [word[1:] for word in argv[1:] if word.startswith("-") and word[1:].isdigit()]
    options, names = read_options([word for word in argv if word[1:] not in short], "", "n")
    return int(options.get("n", short[0] if short else "10")), _bytes_of(names).splitlines(keepends=True)


def _head(argv: list[str]) -> int:
    count, lines = _lines(argv)
    _put(b"".join(lines[:count]))
    return 0


def _tail(argv: list[str]) -> int:
    count, lines = _lines(argv)
    _put(b"".join(lines[max(0, len(lines) - count) :]))
    return 0


def _tee(argv: list[str]) -> int:
    options, names = read_options(argv, "a")
    content = sys.stdin.buffer.read()
    for name in names:
        with open(name, "ab" if "a" in options else "wb") as file:
            file.write(content)
    _put(content)
    return 0


def _sha256sum(argv: list[str]) -> int:
    # Every confined program loads this module, and hashlib brings OpenSSL.
    import hashlib

    for name in read_options(argv, "b")[1]:
        sys.stdout.write(f"{hashlib.sha256(_bytes_of([name])).hexdigest()}  {name}\n")
    return 0


def _grep(argv: list[str]) -> int:
    options, (pattern, *names) = read_options(argv, "qFE")
    lines = [line for line in _bytes_of(names).splitlines(keepends=True) if pattern.encode() in line]
    if "q" not in options:
        _put(b"".join(lines))
    return 0 if lines else 1


def _test(argv: list[str]) -> int:
    words = argv[1:]
    if os.path.basename(argv[0]) == "[" and (not words or words.pop() != "]"):
        raise Usage("missing ]")
    is_not = bool(words) and words[0] == "!"
    return 0 if _holds(words[1:] if is_not else words) != is_not else 1


def _holds(words: list[str]) -> bool:
    match words:
        case []:
            return False
        case [text]:
            return bool(text)
        case [question, name] if question in _QUESTIONS:
            return _QUESTIONS[question](name)
        case [left, "=" | "==", right]:
            return left == right
        case [left, "!=", right]:
            return left != right
        case [left, comparison, right] if comparison in _COMPARISONS:
            return _COMPARISONS[comparison](int(left), int(right))
    raise Usage(f"cannot read {' '.join(words)}")


def _is_socket(name: str) -> bool:
    return os.path.exists(name) and stat.S_ISSOCK(os.stat(name).st_mode)


_QUESTIONS: dict[str, Callable[[str], bool]] = {
    "-e": os.path.exists,
    "-f": os.path.isfile,
    "-d": os.path.isdir,
    "-L": os.path.islink,
    "-h": os.path.islink,
    "-S": _is_socket,
    "-s": lambda name: os.path.exists(name) and os.path.getsize(name) > 0,
    "-r": lambda name: os.access(name, os.R_OK),
    "-w": lambda name: os.access(name, os.W_OK),
    "-x": lambda name: os.access(name, os.X_OK),
    "-n": lambda text: text != "",
    "-z": lambda text: text == "",
}
_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "-eq": lambda left, right: left == right,
    "-ne": lambda left, right: left != right,
    "-lt": lambda left, right: left < right,
    "-le": lambda left, right: left <= right,
    "-gt": lambda left, right: left > right,
    "-ge": lambda left, right: left >= right,
}


def _echo(argv: list[str]) -> int:
    words = argv[1:]
    end = "\n"
    if words and words[0] == "-n":
        words, end = words[1:], ""
    sys.stdout.write(" ".join(words) + end)
    return 0


def _printf(argv: list[str]) -> int:
    text, words = argv[1], argv[2:]
    for mark, real in (("\\n", "\n"), ("\\t", "\t"), ("\\\\", "\\")):
        text = text.replace(mark, real)
    marks = text.count("%s")
    while True:
        filled = text
        for _ in range(marks):
            filled = filled.replace("%s", words.pop(0) if words else "", 1)
        sys.stdout.write(filled.replace("%%", "%"))
        if not words or not marks:
            return 0


def _env(argv: list[str]) -> int:
    if len(argv) > 1:
        raise Usage("only shows the environment")
    sys.stdout.write("".join(f"{name}={value}\n" for name, value in os.environ.items()))
    return 0


def _uname(argv: list[str]) -> int:
    options, _rest = read_options(argv, "asrnmo")
    fields = {
        "s": "Linux",
        "n": _hostname_text(),
        "r": os.uname().release,
        "m": os.uname().machine,
        "o": "GNU/Linux",
    }
    wanted = "snrmo" if "a" in options else "".join(options) or "s"
    sys.stdout.write(" ".join(fields[each] for each in wanted) + "\n")
    return 0


def _hostname_text() -> str:
    return Path("/etc/hostname").read_text(encoding="utf-8").strip()


def _kill(argv: list[str]) -> int:
    words, number = argv[1:], 15
    if words and words[0].startswith("-"):
        name = words.pop(0)[1:].removeprefix("SIG")
        if name == "s" and words:
            name = words.pop(0).removeprefix("SIG")
        if not name.isdigit() and name not in SIGNALS:
            raise Usage(f"unknown signal {name}")
        number = int(name) if name.isdigit() else SIGNALS[name]
    statuses = []
    for word in words:
        if not word.lstrip("-").isdigit():
            raise Usage(f"no process {word}")
        statuses.append(ask_init("kill", word, str(number)))
    return max(statuses, default=2)


def _sleep(argv: list[str]) -> int:
    factors = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    factor = factors.get(argv[1][-1])
    time.sleep(float(argv[1][:-1]) * factor if factor else 1e9 if argv[1] == "infinity" else float(argv[1]))
    return 0


def _says(text: Callable[[list[str]], str]) -> Applet:
    def applet(argv: list[str]) -> int:
        sys.stdout.write(text(argv) + "\n")
        return 0

    return applet


APPLETS: dict[str, Applet] = {
    "[": _test,
    "basename": _says(lambda argv: os.path.basename(argv[1].rstrip("/")).removesuffix("".join(argv[2:3]))),
    "cat": _cat,
    "chmod": fileapplets.chmod,
    "cp": fileapplets.cp,
    "dirname": _says(lambda argv: os.path.dirname(argv[1]) or "."),
    "echo": _echo,
    "env": _env,
    "false": lambda _argv: 1,
    "grep": _grep,
    "head": _head,
    "hostname": _says(lambda _argv: _hostname_text()),
    "install": fileapplets.install,
    "kill": _kill,
    "ln": fileapplets.ln,
    "ls": fileapplets.ls,
    "mkdir": fileapplets.mkdir,
    "mktemp": fileapplets.mktemp,
    "mv": fileapplets.mv,
    "nproc": _says(lambda _argv: str(os.cpu_count())),
    "printf": _printf,
    "pwd": _says(lambda _argv: os.getcwd()),
    "readlink": _says(lambda argv: os.path.realpath(argv[2]) if argv[1] == "-f" else os.readlink(argv[1])),
    "rm": fileapplets.rm,
    "rmdir": fileapplets.rmdir,
    "sha256sum": _sha256sum,
    "sleep": _sleep,
    "stat": fileapplets.show_status,
    "sync": lambda _argv: 0,
    "tail": _tail,
    "tee": _tee,
    "test": _test,
    "touch": fileapplets.touch,
    "true": lambda _argv: 0,
    "uname": _uname,
}
