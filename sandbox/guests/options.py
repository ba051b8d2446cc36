"""Command lines of the confined guests' applets."""

from __future__ import annotations


class Usage(OSError):
    """A command line that is not understood."""

    def __init__(self, text: str) -> None:
        super().__init__(22, text)


def read_options(
    argv: list[str], flags: str, valued: str = "", long: tuple[str, ...] = ()
) -> tuple[dict[str, str], list[str]]:
    """Options and the rest: `flags` take no value, `valued` do; raises Usage."""
    options: dict[str, str] = {}
    rest: list[str] = []
    words = list(argv[1:])
    while words:
        word = words.pop(0)
        if word == "--":
            return options, rest + words
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            if name not in long:
                raise Usage(f"unknown option {word}")
            options[name] = value
            continue
        if not word.startswith("-") or word == "-":
            rest.append(word)
            continue
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in valued:
                if not letters and not words:
                    raise Usage(f"-{letter} needs a value")
                options[letter] = letters or words.pop(0)
                letters = ""
            elif letter in flags:
                options[letter] = ""
            else:
                raise Usage(f"unknown option -{letter}")
    return options, rest
