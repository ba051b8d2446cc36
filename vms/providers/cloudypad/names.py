"""A tag as a name the tool takes, and back. Pure.

The tool asks an unanswerable question about every name that its kebab-case would change: letters and digits may not touch, so
hexadecimal ids are out. What a tag says is written in letters alone, of fixed length: `gamer-abcdefghi-abcdefghijklmn-1`.
"""

from __future__ import annotations

import re

from vms.providers.base import TAG

# What `get`, `start`, `stop` and `destroy` may be given: they use it as a folder's name, unchecked.
SAFE = re.compile(r"^[a-z]+(-([a-z]+|[0-9]+))*\Z")

_NAME = re.compile(r"^gamer-([a-z]{9})-([a-z]{14})-([0-9]{1,4})\Z")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
# 36^8 < 26^9 and 36^12 < 26^14: nothing is lost.
_WIDTHS = {8: 9, 12: 14}


def name_of(tag: str) -> str:
    """Raises ValueError for what is no tag."""
    match = TAG.match(tag)
    if match is None:
        raise ValueError(f"not a tag: {tag!r}")
    return f"gamer-{_to_letters(match['installation'])}-{_to_letters(match['vm'])}-{match['attempt']}"


def tag_of(name: str) -> str:
    """The tag a name stands for; "" for a name that we did not make."""
    match = _NAME.match(name)
    if match is None:
        return ""
    installation, vm = _to_digits(match[1], 8), _to_digits(match[2], 12)
    return f"gamer-{installation}-{vm}-{match[3]}" if installation and vm else ""


def _to_letters(text: str) -> str:
    number, letters = int(text, 36), ""
    for _ in range(_WIDTHS[len(text)]):
        number, letter = divmod(number, 26)
        letters = _LETTERS[letter] + letters
    return letters


def _to_digits(letters: str, width: int) -> str:
    """ "" for letters that stand for more than fits."""
    number, text = 0, ""
    for letter in letters:
        number = number * 26 + _LETTERS.index(letter)
    for _ in range(width):
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return "" if number else text
