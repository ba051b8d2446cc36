"""Names made comparable: without case, accents, punctuation or abbreviations. Pure."""

from __future__ import annotations

import re
import unicodedata

# The longest name in GeoNames has 193 characters; longer text names no place and is not worth the time.
MAX_NAME = 256

_ABBREVIATIONS = {"st": "saint", "ste": "sainte", "ft": "fort", "mt": "mount"}
# Letters that Unicode does not decompose into a base letter and a mark.
_LETTERS = str.maketrans(
    {"ø": "o", "đ": "d", "ð": "d", "ł": "l", "ı": "i", "ħ": "h", "æ": "ae", "œ": "oe", "þ": "th"}
)
_APOSTROPHES = re.compile(r"['’‘ʼʻ`´′]")
_SEPARATORS = re.compile(r"[\W_]+")


def fold(text: str) -> str:
    """`"São-Paulo "` → `"sao paulo"`. Letters and digits of any script stay; the empty string when none is left."""
    if len(text) > MAX_NAME:
        return ""
    text = _APOSTROPHES.sub("", text)
    if not text.isascii():
        text = "".join(
            c for c in unicodedata.normalize("NFKD", text) if not unicodedata.category(c).startswith("M")
        )
    return _SEPARATORS.sub(" ", text.casefold().translate(_LETTERS)).strip()


def key(text: str) -> str:
    """The folded name with its abbreviations spelt out: "St. Louis" and "Saint Louis" have one key."""
    return " ".join(_ABBREVIATIONS.get(word, word) for word in fold(text).split())


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
