"""What a file's name in the library says of its game: title, id, and how good a version it is. Pure, and the same for ever:
a game's id is what players' saves are kept by.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

MAX_PATH = 300  # characters, as Game.file
MAX_BYTES = 1000  # of a path, as an index of the database takes it
MAX_TITLE = 200
MAX_ID = 100

# A path inside the library and never out of it.
SAFE_PATH = r"^(?!/)(?!(?:.*/)?\.{1,2}(?:/|\Z))[^\x00-\x1f\x7f\\]+(?<!/)\Z"
_SAFE = re.compile(SAFE_PATH)
_TAG = re.compile(r"\s*(\([^()]*\)|\[[^\[\]]*\])")
_KEPT_TAG = re.compile(r"\((?:disc|disk|side|part)\b[^()]*\)", re.I)
_ARTICLE = re.compile(r"(?P<rest>.+?), (?P<article>The|A|An)(?P<more> - .*|)\Z", re.I)
_WORDS = re.compile(r"[a-z0-9]+")
_REGIONS = {
    **dict.fromkeys(("world",), 0),
    **dict.fromkeys(("usa", "us", "u", "north america"), 1),
    **dict.fromkeys(("europe", "eur", "eu", "e", "uk"), 2),
    **dict.fromkeys(("japan", "jpn", "jp", "j"), 3),
}
_OTHER_REGION = 4
# Not the game as it was sold; and of the old habits of naming, dumps that are bad, changed, translated or of another kind.
_ODD = re.compile(
    r"\((beta|proto|prototype|demo|sample|kiosk|pirate|unl|hack|aftermarket)\b|\[[bhtopf][0-9+-]", re.I
)
_ODD_RANK = 10
# A list of other files, and the files such a list names.
_LISTS = frozenset({".cue", ".m3u", ".gdi", ".ccd", ".toc", ".mds"})
_PARTS = frozenset({".bin", ".img", ".sub", ".mdf"})


class Finding(StrEnum):
    """Why a file is no game's."""

    NOTHING = ""
    UNKNOWN_FOLDER = "unknown_folder"
    UNKNOWN_EXTENSION = "unknown_extension"
    SEVERAL_FILES = "several_files"
    UNSAFE_NAME = "unsafe_name"
    EMPTY = "empty"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Named:
    """A game as a file's name has it. Of several files of one game the one with the lowest `rank` is meant."""

    title: str
    game_id: str
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Judged:
    """What a scan makes of a file. `console` is "" in a folder of no console."""

    console: str
    named: Named
    finding: Finding


def console_of(folder: str, consoles: Collection[str]) -> str:
    """The console whose folder it is, whatever its case; "" for none."""
    return folder.casefold() if folder.casefold() in consoles else ""


def is_hidden(path: str) -> bool:
    """Whether it is nobody's business, as what is still being written, or what systems leave behind."""
    return any(part.startswith(".") for part in path.split("/"))


def judge(path: str, size: int, extensions: Mapping[str, Collection[str]]) -> Judged:
    """A file of the library; `extensions` are those of each console's games."""
    console = console_of(path.partition("/")[0], extensions) if "/" in path else ""
    stem, extension = posixpath.splitext(posixpath.basename(path))
    named, extension = named_after(stem), extension.lower()
    if not console:
        return Judged("", named, Finding.UNKNOWN_FOLDER)
    if not is_safe(path):
        return Judged(console, named, Finding.UNSAFE_NAME)
    known = extensions[console]
    if extension in _LISTS or (extension in _PARTS and extension not in known):
        return Judged(console, named, Finding.SEVERAL_FILES)
    if extension not in known:
        return Judged(console, named, Finding.UNKNOWN_EXTENSION)
    return Judged(console, named, Finding.NOTHING if size else Finding.EMPTY)


def is_safe(path: str) -> bool:
    """Whether a game may have the file."""
    return len(path) <= MAX_PATH and bool(_SAFE.match(path))


def named_after(stem: str) -> Named:
    """A file's name without its extension, as it is usual among collectors: `Legend of X, The (USA) (Rev 1)`."""
    text = unicodedata.normalize("NFC", stem)
    text = text if " " in text else text.replace("_", " ")
    tags = _TAG.findall(text)
    kept = "".join(f" {tag}" for tag in _KEPT_TAG.findall(text))
    plain = " ".join(_TAG.sub(" ", text).split()).strip(" -.") or " ".join(text.split()) or "?"
    if article := _ARTICLE.match(plain):
        plain = f"{article['article']} {article['rest']}{article['more']}"
    title = f"{plain[: max(0, MAX_TITLE - len(kept))]}{kept}"[:MAX_TITLE]
    return Named(title, id_of(title), rank_of(tags))


def id_of(title: str) -> str:
    """A title in small letters and digits of ASCII; where that loses something, a sum of the title tells it from others."""
    decomposed = unicodedata.normalize("NFKD", title.casefold().replace("&", " and ").replace("'", ""))
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    made = "-".join(_WORDS.findall(plain))
    is_lossy = not made or any(letter.isalnum() and not letter.isascii() for letter in plain)
    if not is_lossy and len(made) <= MAX_ID:
        return made
    told = hashlib.sha256(title.casefold().encode()).hexdigest()[:8]
    return f"{made[: MAX_ID - 9].rstrip('-') or 'game'}-{told}"


def rank_of(tags: Collection[str]) -> int:
    """By a name's tags, brackets included: versions that most can play come first, and what was never sold last."""
    words = [one for tag in tags for one in re.split(r",\s*", tag.strip("()[]").lower())]
    regions = [_REGIONS[one] for one in words if one in _REGIONS]
    rank = min(regions, default=_OTHER_REGION if tags else 0)
    return rank + (_ODD_RANK if any(_ODD.match(tag) for tag in tags) else 0)
