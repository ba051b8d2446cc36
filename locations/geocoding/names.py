"""Names made comparable: without case, accents, punctuation or abbreviations. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import islice

# The longest name in GeoNames has 193 characters; longer text names no place and is not worth the time.
MAX_NAME = 256

# So many names are folded at once: far quicker than one by one, and in little memory.
_AT_ONCE = 10_000

_ABBREVIATIONS = {"st": "saint", "ste": "sainte", "ft": "fort", "mt": "mount"}
# Letters that Unicode does not decompose into a base letter and a mark.
_LETTERS = {"ø": "o", "đ": "d", "ð": "d", "ł": "l", "ı": "i", "ħ": "h", "æ": "ae", "œ": "oe", "þ": "th"}
_APOSTROPHES = re.compile(r"['’‘ʼʻ`´′]")
_SEPARATORS = re.compile(r"[^\w\n]+")
_ABBREVIATED = re.compile(rf"\b(?:{'|'.join(_ABBREVIATIONS)})\b")


def fold(text: str) -> str:
    """`"São-Paulo "` → `"sao paulo"`. Letters and digits of any script stay; the empty string when none is left."""
    return _folded(_line(text)).strip()


def key(text: str) -> str:
    """The folded name with its abbreviations spelt out: "St. Louis" and "Saint Louis" have one key."""
    return _spelt_out(fold(text))


def keys(texts: Iterable[str]) -> list[str]:
    """The `key` of each of very many names."""
    found: list[str] = []
    names = map(_line, texts)
    while lines := list(islice(names, _AT_ONCE)):
        found += [line.strip() for line in _spelt_out(_folded("\n".join(lines))).split("\n")]
    return found


def _line(text: str) -> str:
    return text.replace("\n", " ") if len(text) <= MAX_NAME else ""


def _folded(lines: str) -> str:
    """Each of these lines folded, between spaces perhaps: no step looks beyond the end of a line or makes one."""
    lines = _APOSTROPHES.sub("", lines)
    if not lines.isascii():
        lines = unicodedata.normalize("NFKD", lines)
        marks = {ord(c): None for c in set(lines) if unicodedata.category(c).startswith("M")}
        lines = lines.translate(marks)
    lines = lines.casefold()
    for letter, plain in _LETTERS.items():
        lines = lines.replace(letter, plain)
    return _SEPARATORS.sub(" ", lines.replace("_", " "))


def _spelt_out(folded: str) -> str:
    return _ABBREVIATED.sub(lambda found: _ABBREVIATIONS[found[0]], folded)


def prefixes(text: str) -> set[str]:
    """The keys a half-typed name may begin with: a last word "st" is an abbreviation or the start of "stuttgart"."""
    folded = fold(text)
    if not folded:
        return set()
    head, _, last = folded.rpartition(" ")
    return {f"{key(head)} {word}".strip() for word in {last, _ABBREVIATIONS.get(last, last)}}


def compact(text: str) -> str:
    """The folded name in one word, without a leading "the": for countries, which vendors write in many ways."""
    return fold(text).removeprefix("the ").replace(" ", "")
