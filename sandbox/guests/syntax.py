"""The grammar of the confined guests' shell: simple commands, pipelines, lists, groups, redirections, $ and quotes.

Not there, and refused by name: if, for, while, case, functions, here-documents, arithmetic.
"""

from __future__ import annotations

from typing import NamedTuple, NoReturn

REFUSED = ("if", "then", "for", "while", "until", "case", "function", "select", "do", "done", "fi", "esac")
_OPERATORS = ("&&", "||", ">>", ">&", "&>", "<<", ";;", ";", "&", "|", "<", ">", "(", ")", "\n")
_NAME = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"


class SyntaxProblem(Exception):
    """What the shell cannot read."""


class Part(NamedTuple):
    """A piece of a word: `kind` is text, variable or command; what is quoted is neither split nor matched."""

    kind: str
    text: str
    is_quoted: bool = False


Word = tuple[Part, ...]


class Redirection(NamedTuple):
    descriptor: int
    operator: str
    target: Word


class Command:
    """A simple command, or a group in parentheses (`group`)."""

    def __init__(self) -> None:
        self.assignments: list[tuple[str, Word]] = []
        self.words: list[Word] = []
        self.redirections: list[Redirection] = []
        self.group: list[Step] | None = None


class Step(NamedTuple):
    """A pipeline and how it hangs on the one before it: `;`, `&&` or `||`."""

    joined_by: str
    pipeline: list[Command]
    is_negated: bool = False
    is_background: bool = False


Token = str | Word


def refuse(text: str) -> NoReturn:
    raise SyntaxProblem(f"{text}: not in the sandbox's small shell")


class _Lexer:
    def __init__(self, text: str) -> None:
        self._text = text.replace("\\\n", "")
        self._at = 0

    def tokens(self) -> list[Token]:
        found: list[Token] = []
        while self._at < len(self._text):
            char = self._text[self._at]
            if char in " \t\r":
                self._at += 1
            elif char == "#":
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            elif (operator := self._operator()) is not None:
                found.append(operator)
            else:
                found.append(self._word())
        return found

    def _operator(self) -> str | None:
        rest = self._text[self._at : self._at + 3]
        if len(rest) > 1 and rest[0].isdigit() and rest[1] in "<>":
            number, self._at = rest[0], self._at + 1
            return number + (self._operator() or "")
        for operator in _OPERATORS:
            if rest.startswith(operator):
                self._at += len(operator)
                return operator
        return None

    def _word(self) -> Word:
        parts: list[Part] = []
        while self._at < len(self._text) and self._text[self._at] not in " \t\r\n;&|<>()":
            char = self._text[self._at]
            self._at += 1
            if char == "'":
                parts.append(Part("text", self._until("'"), is_quoted=True))
            elif char == '"':
                parts += self._double_quoted()
            elif char == "\\":
                parts.append(Part("text", self._text[self._at : self._at + 1], is_quoted=True))
                self._at += 1
            elif char == "$":
                parts.append(self._dollar(is_quoted=False))
            elif char == "`":
                parts.append(Part("command", self._until("`")))
            else:
                parts.append(Part("text", char))
        return tuple(parts)

    def _until(self, mark: str) -> str:
        end = self._text.find(mark, self._at)
        if end < 0:
            raise SyntaxProblem(f"no closing {mark}")
        found, self._at = self._text[self._at : end], end + 1
        return found

    def _double_quoted(self) -> list[Part]:
        parts = [Part("text", "", is_quoted=True)]
        while True:
            if self._at >= len(self._text):
                raise SyntaxProblem('no closing "')
            char = self._text[self._at]
            self._at += 1
            if char == '"':
                return parts
            if char == "\\" and self._text[self._at : self._at + 1] in tuple('"\\$`'):
                parts.append(Part("text", self._text[self._at], is_quoted=True))
                self._at += 1
            elif char == "$":
                parts.append(self._dollar(is_quoted=True))
            elif char == "`":
                parts.append(Part("command", self._until("`"), is_quoted=True))
            else:
                parts.append(Part("text", char, is_quoted=True))

    def _dollar(self, *, is_quoted: bool) -> Part:
        rest = self._text[self._at :]
        if rest.startswith("(("):
            refuse("$((")
        if rest.startswith("("):
            return Part("command", self._parenthesised(), is_quoted)
        if rest.startswith("{"):
            self._at += 1
            return Part("variable", self._until("}"), is_quoted)
        if rest[:1] and rest[0] in "?$#!@*0123456789":
            self._at += 1
            return Part("variable", rest[0], is_quoted)
        length = len(rest) - len(rest.lstrip(_NAME))
        if not length:
            return Part("text", "$", is_quoted)
        self._at += length
        return Part("variable", rest[:length], is_quoted)

    def _parenthesised(self) -> str:
        start, depth, quote = self._at + 1, 0, ""
        while self._at < len(self._text):
            char = self._text[self._at]
            self._at += 1
            if quote:
                quote = "" if char == quote else quote
            elif char in "'\"":
                quote = char
            else:
                depth += (char == "(") - (char == ")")
                if depth == 0:
                    return self._text[start : self._at - 1]
        raise SyntaxProblem("no closing )")


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens[::-1]

    def steps(self, end: str | None = None) -> list[Step]:
        steps: list[Step] = []
        joined_by = ";"
        while True:
            while self._peek() in (";", "\n"):
                self._tokens.pop()
            if self._peek() is None or self._peek() == end:
                if self._peek() is None and end is not None:
                    raise SyntaxProblem(f"no closing {end}")
                return steps
            step = self._step(joined_by)
            joined_by = ";"
            if (following := self._peek()) in ("&&", "||", "&", ";", "\n"):
                self._tokens.pop()
                joined_by = str(following) if following in ("&&", "||") else ";"
            steps.append(step._replace(is_background=following == "&"))

    def _peek(self) -> Token | None:
        return self._tokens[-1] if self._tokens else None

    def _step(self, joined_by: str) -> Step:
        is_negated = self._peek() == (Part("text", "!"),)
        if is_negated:
            self._tokens.pop()
        pipeline = [self._command()]
        while self._peek() == "|":
            self._tokens.pop()
            pipeline.append(self._command())
        return Step(joined_by, pipeline, is_negated)

    def _command(self) -> Command:
        command = Command()
        if self._peek() == "(":
            self._tokens.pop()
            command.group = self.steps(")")
            self._tokens.pop()
        while (token := self._peek()) is not None:
            if isinstance(token, tuple):
                self._tokens.pop()
                self._add_word(command, token)
            elif token.lstrip("0123456789")[:1] in ("<", ">") or token == "&>":
                self._tokens.pop()
                self._add_redirection(command, token)
            else:
                break
        if not (command.words or command.assignments or command.redirections or command.group is not None):
            raise SyntaxProblem(f"unexpected {token!r}")
        return command

    def _add_word(self, command: Command, word: Word) -> None:
        plain = "".join(part.text for part in word if part.kind == "text" and not part.is_quoted)
        if not command.words and len(plain) == len(word) and plain in REFUSED:
            refuse(plain)
        name, equals, _value = plain.partition("=")
        if not command.words and equals and name and not name[0].isdigit() and not name.strip(_NAME):
            command.assignments.append((name, word[len(name) + 1 :]))
        else:
            command.words.append(word)

    def _add_redirection(self, command: Command, operator: str) -> None:
        if operator.endswith("<<"):
            refuse("<<")
        target = self._peek()
        if not isinstance(target, tuple):
            raise SyntaxProblem(f"nothing after {operator}")
        self._tokens.pop()
        if operator == "&>":
            command.redirections.append(Redirection(1, ">", target))
            command.redirections.append(Redirection(2, ">&", (Part("text", "1"),)))
            return
        bare = operator.lstrip("0123456789")
        number = operator[: len(operator) - len(bare)]
        command.redirections.append(Redirection(int(number or (0 if bare == "<" else 1)), bare, target))


def parse(text: str) -> list[Step]:
    """Raises SyntaxProblem."""
    return _Parser(_Lexer(text).tokens()).steps()
