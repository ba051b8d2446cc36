"""`sh` of a confined guest: runs the grammar of `syntax` with programs of the guest only, each in a forked process."""

from __future__ import annotations

import functools
import glob
import os
import signal
import sys
from collections.abc import Callable

from sandbox.guests.syntax import Command, Part, Redirection, Step, SyntaxProblem, Word, parse

Execute = Callable[[list[str]], int]
BUILTINS = (
    "cd",
    "export",
    "unset",
    "set",
    "exit",
    ":",
    "exec",
    "command",
    "type",
    "wait",
    "umask",
    ".",
    "trap",
    "eval",
)


class Exit(Exception):
    """The shell ends."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Shell:
    """`execute` runs a program of the guest in this process."""

    def __init__(self, execute: Execute, arguments: list[str]) -> None:
        self._execute = execute
        self._arguments = arguments
        self._variables: dict[str, str] = {}
        self._status = 0
        self._background = 0
        self._stops_at_errors = False

    def run_text(self, text: str) -> int:
        """Runs a whole script; raises Exit where it says so."""
        try:
            steps = parse(text)
        except SyntaxProblem as problem:
            sys.stderr.write(f"sh: {problem}\n")
            self._status = 2
            return 2
        return self._run_steps(steps)

    def _run_steps(self, steps: list[Step]) -> int:
        for index, step in enumerate(steps):
            if (step.joined_by == "&&" and self._status) or (step.joined_by == "||" and not self._status):
                continue
            if step.is_background:
                self._background = self._fork(functools.partial(self._run_pipeline, step.pipeline))
                self._status = 0
                continue
            status = self._run_pipeline(step.pipeline)
            self._status = int(not status) if step.is_negated else status
            is_tested = any(each.joined_by != ";" for each in steps[index + 1 : index + 2])
            if self._status and self._stops_at_errors and not is_tested and not step.is_negated:
                raise Exit(self._status)
        return self._status

    def _run_pipeline(self, pipeline: list[Command]) -> int:
        if len(pipeline) == 1:
            return self._run_command(pipeline[0])
        children, source = [], os.dup(0)
        for command in pipeline[:-1]:
            reader, writer = os.pipe()
            children.append(
                self._fork(functools.partial(self._run_command, command), source, writer, (reader,))
            )
            os.close(writer)
            os.close(source)
            source = reader
        children.append(self._fork(lambda: self._run_command(pipeline[-1]), source))
        os.close(source)
        return [_ended(child) for child in children][-1]

    def _fork(
        self, work: Callable[[], int], stdin: int = 0, stdout: int = 1, unwanted: tuple[int, ...] = ()
    ) -> int:
        sys.stdout.flush()
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            os.dup2(stdin, 0)
            os.dup2(stdout, 1)
            for descriptor in {stdin, stdout, *unwanted} - {0, 1, 2}:
                os.close(descriptor)
            status = work()
        except Exit as ended:
            status = ended.status
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except BaseException:  # noqa: BLE001 - a child process: nothing may return into its parent's code
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            os._exit(status & 0xFF)

    def _run_command(self, command: Command) -> int:
        if command.group is not None:
            group = command.group
            return _ended(self._fork(lambda: self._redirected(command, lambda: self._run_steps(group))))
        words = [text for word in command.words for text in self._expand(word)]
        assigned = {name: self._text(word) for name, word in command.assignments}
        if not words:
            for name, value in assigned.items():
                self._assign(name, value)
            return self._redirected(command, lambda: 0)
        if words[0] in BUILTINS:
            os.environ.update(assigned)
            return self._redirected(command, lambda: self._builtin(words))

        def run() -> int:
            os.environ.update(assigned)
            return self._redirected(command, lambda: self._execute(words))

        return _ended(self._fork(run))

    def _assign(self, name: str, value: str) -> None:
        if name in os.environ:
            os.environ[name] = value
        else:
            self._variables[name] = value

    # -- redirections

    def _redirected(self, command: Command, work: Callable[[], int]) -> int:
        saved: list[tuple[int, int]] = []
        try:
            for redirection in command.redirections:
                sys.stdout.flush()
                saved.append((redirection.descriptor, os.dup(redirection.descriptor)))
                self._redirect(redirection)
            return work()
        except OSError as error:
            sys.stderr.write(f"sh: {error.filename or ''}: {error.strerror}\n")
            return 1
        finally:
            sys.stdout.flush()
            for descriptor, copy in reversed(saved):
                os.dup2(copy, descriptor)
                os.close(copy)

    def _redirect(self, redirection: Redirection) -> None:
        target = self._text(redirection.target)
        if redirection.operator == ">&":
            os.dup2(int(target), redirection.descriptor)
            return
        flags = {
            "<": os.O_RDONLY,
            ">": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
            ">>": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
        }[redirection.operator]
        opened = os.open(target, flags, 0o666)
        os.dup2(opened, redirection.descriptor)
        os.close(opened)

    # -- words

    def _expand(self, word: Word) -> list[str]:
        """A word's fields: unquoted values are split at blanks, unquoted patterns matched against files."""
        fields, is_open = [""], bool(word)
        has_pattern = False
        for part in word:
            value = self._value(part)
            if part.kind == "text" or part.is_quoted:
                has_pattern = has_pattern or (not part.is_quoted and part.text in "*?[")
                fields[-1] += value
                continue
            first, *more = value.split() or [""]
            fields[-1] += first
            fields += more
            is_open = is_open and (len(word) > 1 or bool(value.strip()))
        if not is_open:
            return []
        if word[0] == Part("text", "~") and (len(word) == 1 or word[1] == Part("text", "/")):
            fields[0] = os.environ.get("HOME", "/") + fields[0][1:]
        if has_pattern:
            return [name for field in fields for name in (sorted(glob.glob(field)) or [field])]
        return fields

    def _text(self, word: Word) -> str:
        return "".join(self._value(part) for part in word)

    def _value(self, part: Part) -> str:
        if part.kind == "text":
            return part.text
        if part.kind == "command":
            return self._output(part.text)
        name, colon, default = part.text.partition(":-")
        special = {
            "?": str(self._status),
            "$": str(os.getpid()),
            "!": str(self._background),
            "#": str(len(self._arguments) - 1),
            "@": " ".join(self._arguments[1:]),
            "*": " ".join(self._arguments[1:]),
        }
        if name in special:
            return special[name]
        if name.isdigit():
            return self._arguments[int(name)] if int(name) < len(self._arguments) else ""
        value = self._variables.get(name, os.environ.get(name, ""))
        return default if colon and not value else value

    def _output(self, text: str) -> str:
        reader, writer = os.pipe()
        child = self._fork(lambda: self.run_text(text), 0, writer, (reader,))
        os.close(writer)
        with os.fdopen(reader, encoding="utf-8", errors="replace") as file:
            found = file.read()
        self._status = _ended(child)
        return found.rstrip("\n")

    # -- builtins

    def _builtin(self, words: list[str]) -> int:
        name, *rest = words
        match name:
            case "cd":
                os.chdir(rest[0] if rest else os.environ.get("HOME", "/"))
            case "export":
                for word in rest:
                    variable, equals, value = word.partition("=")
                    os.environ[variable] = (
                        value if equals else self._variables.pop(variable, os.environ.get(variable, ""))
                    )
            case "unset":
                for word in rest:
                    self._variables.pop(word, None)
                    os.environ.pop(word, None)
            case "set":
                for word in rest:
                    if word[:1] in ("-", "+") and "e" in word:
                        self._stops_at_errors = word[0] == "-"
            case "exit":
                raise Exit(int(rest[0]) if rest else self._status)
            case "umask":
                os.umask(int(rest[0], 8) if rest else os.umask(0o022))
            case "wait":
                return _ended(self._background) if self._background else 0
            case "command" if rest and rest[0] != "-v":
                return _ended(self._fork(lambda: self._execute(rest)))
            case "command" | "type":
                return _find(rest)
            case "exec" if rest:
                raise Exit(self._execute(rest))
            case "eval":
                return self.run_text(" ".join(rest))
            case ".":
                with open(rest[0], encoding="utf-8") as file:
                    return self.run_text(file.read())
        return 0


def _find(words: list[str]) -> int:
    """`command -v NAME`, `type NAME`."""
    found = [name for name in words if os.path.exists(f"/bin/{name}")]
    sys.stdout.write("".join(f"/bin/{name}\n" for name in found))
    return 0 if found else 127


def _ended(child: int) -> int:
    _pid, wait_status = os.waitpid(child, 0)
    status = os.waitstatus_to_exitcode(wait_status)
    return status if status >= 0 else 128 - status


def run(argv: list[str], execute: Execute) -> int:
    """`sh [-e…] -c TEXT [name argument…]`, `sh FILE [argument…]`, or commands line by line from standard input."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    rest, letters = argv[1:], ""
    while rest and rest[0].startswith("-"):
        letters += rest.pop(0)[1:]
    try:
        if "c" in letters:
            shell = Shell(execute, rest[1:] or ["sh"])
            return _begin(shell, letters, rest[0])
        if rest:
            with open(rest[0], encoding="utf-8") as file:
                text = file.read()
            return _begin(Shell(execute, rest), letters, text)
        shell, status = Shell(execute, ["sh"]), 0
        for line in sys.stdin:
            status = _begin(shell, letters, line)
        return status
    except Exit as ended:
        return ended.status


def _begin(shell: Shell, letters: str, text: str) -> int:
    return shell.run_text(f"set -e\n{text}" if "e" in letters else text)
