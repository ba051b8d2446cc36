"""From a game to what Wolf on the machine is told to run. Pure.

A recipe is an app of Wolf: an image, mounts, variables, and a start script laid over the image's own. The image's launcher
writes the command unquoted into a compositor's configuration (games-on-whales, `launch-comp.sh`), so a word of it may hold
nothing a shell or that file would read: whatever people named a game or its file appears in no word, mount or variable.
On the machine the file is known by a name made here (`stored`), and in the container by the game's own (`shown`), which stays whatever
the file is called: emulators name what they save after it.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

# Places on the machine (`Machine`) and inside the app's container. The agent knows the former by `vms/setup/site.py`.
GAMES, APPS, SAVES, TOOLS = "/srv/gamer/roms", "/srv/gamer/apps", "/srv/gamer/saves", "/srv/gamer/tools"
IN_GAMES, IN_APP, IN_SAVES, IN_TOOLS = "/games", "/gamer", "/saves", "/tools"
# What consoles themselves bring, BIOS, keys and firmware: the library's folder of that name, an empty one where it has none.
SYSTEM, IN_SYSTEM = "/srv/gamer/system", "/firmware"
STARTUP = "/opt/gow/startup-app.sh"

WORD = re.compile(r"[A-Za-z0-9_./=-]+\Z")
_NOT_IN_A_TITLE = re.compile(r"[^A-Za-z0-9 _-]+")
EXTENSION = re.compile(r"\.[a-z0-9]{1,10}\Z")
TITLE_LENGTH = 60

# A game's own clock, by libfaketime (its README). The machine writes the file; a game reads it once, when it starts, and sees time go
# on from there. Only the calendar is another: the clock that frames are paced by is left alone, and so are the times of files.
CLOCK_LIBRARY, CLOCK_FILE = "libfaketimeMT.so.1", "clock"
CLOCK_ENV = {
    "FAKETIME_TIMESTAMP_FILE": f"{IN_APP}/{CLOCK_FILE}",
    "FAKETIME_CACHE_DURATION": "1000000000",
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    "NO_FAKE_STAT": "1",
    "TZ": "UTC",
}

# Wolf's documented needs of an app: input devices and a desktop of its own (facts of games-on-whales' images).
DEVICES = "/dev/input/* /dev/dri/* /dev/nvidia*"
HOST_CONFIG = {
    "IpcMode": "host",
    "Privileged": False,
    "CapAdd": ["NET_RAW", "MKNOD", "NET_ADMIN", "SYS_ADMIN", "SYS_NICE"],
}


class NoRecipe(ValueError):
    """Nobody knows how to run this. The text is for people."""


@dataclass(frozen=True, slots=True)
class Display:
    """What the player looks at."""

    width: int = 1920
    height: int = 1080
    refresh_rate: int = 60

    @property
    def is_wide(self) -> bool:
        """Whether two screens fit better side by side than one above the other."""
        return self.width * 3 > self.height * 4


@dataclass(frozen=True, slots=True)
class Emulator:
    """How one emulator is run: a core of RetroArch, or a program of its own (an AppImage in the library's `emulators/`).

    `wide` and `tall` are its settings for two screens side by side and above each other, as lines of its options file.
    `prepare` are lines of shell before its start: they hand a program its settings and lead its saves into the slot.
    """

    name: str
    consoles: tuple[str, ...]
    core: str = ""
    program: str = ""
    arguments: tuple[str, ...] = ()
    wide: str = ""
    tall: str = ""
    prepare: tuple[str, ...] = ()

    @property
    def image(self) -> str:
        return f"ghcr.io/games-on-whales/{'retroarch' if self.core else 'base-app'}:edge"


# Azahar's data are where XDG says, its saves on the console's two disks, which it puts elsewhere only if they are there already
# (azahar, src/common/file_util.cpp and src/citra_qt/configuration/config.cpp). What was set in it stays: of a group that stands
# twice in a file of QSettings, the last value of a key counts.
_AZAHAR = (
    'place="${XDG_CONFIG_HOME:-$HOME/.config}/azahar-emu"',
    f'mkdir -p "$place" {IN_SAVES}/nand {IN_SAVES}/sdmc',
    f'cat {IN_APP}/settings.ini >> "$place/qt-config.ini"',
)
_AZAHAR_DISKS = f"""[Data%20Storage]
use_custom_storage\\default=false
use_custom_storage=true
nand_directory\\default=false
nand_directory={IN_SAVES}/nand/
sdmc_directory\\default=false
sdmc_directory={IN_SAVES}/sdmc/
"""
# Saves, the list that knows whose they are, and the users (Ryujinx, AppDataManager.cs, VirtualFileSystem.cs, AccountSaveDataManager.cs).
# The rest of its folder, caches and firmware, is large and can be had again: it is no save.
_RYUJINX = (
    'place="${XDG_CONFIG_HOME:-$HOME/.config}/Ryujinx"',
    f'mkdir -p "$place/bis/user" "$place/bis/system" "$place/system" {IN_SAVES}/system',
    "for kept in bis/user/save bis/user/saveMeta bis/system/save; do",
    f'  mkdir -p "{IN_SAVES}/$kept"',
    f'  ln -sfnT "{IN_SAVES}/$kept" "$place/$kept"',
    "done",
    f'ln -sfnT {IN_SAVES}/system/Profiles.json "$place/system/Profiles.json"',
    # The library's keys and firmware, unless the player installed a firmware of their own (ContentManager.cs reads `registered`).
    'mkdir -p "$place/bis/system/Contents"',
    "for given in system/prod.keys system/title.keys bis/system/Contents/registered; do",
    f'  found="{IN_SYSTEM}/ryujinx/${{given##*/}}"',
    '  [ -e "$found" ] || continue',
    '  rmdir "$place/$given" 2>/dev/null || true',
    '  ln -sfnT "$found" "$place/$given" || true',
    "done",
)
# What RetroArch keeps for Dolphin's core, a player may bring in a folder by that core's name, too.
_DOLPHIN = (
    f"for found in {IN_SAVES}/*/User; do",
    f'  [ ! -d "$found" ] || [ -e {IN_SAVES}/User ] || mv "$found" {IN_SAVES}/User',
    "done",
)


def _taking_up(core: str) -> tuple[str, ...]:
    """RetroArch reads a save under the game's name alone: one that a player brought under another becomes the game's, unless it has one.

    What other emulators of a cartridge call .sav, its cores call .srm; those of the DS have files of their own. It may lie in a folder
    by the core's name, where a RetroArch that is not told otherwise keeps it.
    """
    ending = () if core in ("melonds", "desmume") else ('  [ "$ending" = sav ] && ending=srm',)
    places = (
        f"{IN_SAVES}/{folder}*.{kind}" for folder in ("", "*/") for kind in ("srm", "sav", "dsv", "rtc")
    )
    return (
        f'game="$(basename {IN_GAMES}/*)"',
        'game="${game%.*}"',
        f"for found in {' '.join(places)}; do",
        '  ending="${found##*.}"',
        *ending,
        f'  case "$found" in {IN_SAVES}/"$game".*) continue ;; esac',
        f'  [ ! -f "$found" ] || [ -e "{IN_SAVES}/$game.$ending" ] || mv "$found" "{IN_SAVES}/$game.$ending"',
        "done",
    )


EMULATORS: tuple[Emulator, ...] = (
    Emulator("Mesen", ("nes",), core="mesen"),
    Emulator("Nestopia", ("nes",), core="nestopia"),
    Emulator("Snes9x", ("snes",), core="snes9x"),
    Emulator("SameBoy", ("gb", "gbc"), core="sameboy"),
    Emulator("Gambatte", ("gb", "gbc"), core="gambatte"),
    Emulator("mGBA", ("gba", "gb", "gbc"), core="mgba"),
    Emulator(
        "melonDS",
        ("nds",),
        core="melonds",
        wide='melonds_screen_layout = "Left/Right"\nmelonds_touch_mode = "Touch"\n',
        tall='melonds_screen_layout = "Top/Bottom"\nmelonds_touch_mode = "Touch"\n',
    ),
    Emulator("DeSmuME", ("nds",), core="desmume"),
    Emulator(
        "Azahar",
        ("3ds",),
        program="azahar",
        arguments=("--fullscreen",),
        wide=f"{_AZAHAR_DISKS}[Layout]\nlayout_option\\default=false\nlayout_option=3\n",
        tall=f"{_AZAHAR_DISKS}[Layout]\nlayout_option\\default=false\nlayout_option=0\n",
        prepare=_AZAHAR,
    ),
    Emulator("Dolphin", ("gamecube", "wii"), core="dolphin", prepare=_DOLPHIN),
    Emulator("Ryubing", ("switch",), program="ryubing", arguments=("--fullscreen",), prepare=_RYUJINX),
    Emulator("Ryujinx", ("switch",), program="ryujinx", arguments=("--fullscreen",), prepare=_RYUJINX),
)
_BY_NAME = {one.name.casefold(): one for one in EMULATORS}


@dataclass(frozen=True, slots=True)
class Recipe:
    """An app of Wolf. `launch` is the command's words, each of them `WORD`; `files` are laid beside it, by name.

    `prepare` are lines of shell before it. `source` is the game's file as the library names it (any text), `stored` the name it gets
    on the machine, `shown` the one in the container; all "" for a game without a file, which starts the emulator alone. `core` or
    `program` is what the emulator needs on the machine. `place` and `saves` are its folders there: of the app's own files, and of the
    saves.
    """

    title: str
    name: str
    image: str
    launch: tuple[str, ...]
    place: str
    saves: str
    mounts: tuple[str, ...]
    env: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    stored: str = ""
    shown: str = ""
    core: str = ""
    program: str = ""
    prepare: tuple[str, ...] = ()

    @property
    def startup(self) -> str:
        """The script that the image runs instead of its own."""
        launch = f"launcher {' '.join(self.launch)}"
        lines = ("#!/bin/bash", "set -e", *self.prepare, "source /opt/gow/launch-comp.sh", launch)
        return "".join(f"{line}\n" for line in lines)


def recipe_for(
    *,
    console: str,
    game_id: str,
    emulator: str,
    title: str = "",
    file: str = "",
    save_key: str = "",
    has_clock: bool = False,
    display: Display | None = None,
) -> Recipe:
    """The recipe of a game in an emulator (`Profile.emulator`). `file` is the game's path in the library, "" for none.

    `save_key` names the folder of the player's saves; without one the game keeps its own. `has_clock`: it sees a time of its own.
    Raises NoRecipe for an emulator nobody knows, or one that does not play the console.
    """
    known = emulator_of(console, emulator)
    key = _key(console, game_id, file)
    stored, shown = _named(key, file), _named(_key(console, game_id), file)
    place, saves = f"{APPS}/{key}", f"{SAVES}/{_key('saves', save_key or game_id, console)}"
    return Recipe(
        title=safe_title(title) or safe_title(game_id) or f"Game {key}",
        name=f"gamer-{key}",
        image=known.image,
        # Only the game sees its clock; the compositor and what else the image starts keep the real one.
        launch=(
            *(("env", f"LD_PRELOAD={IN_TOOLS}/{CLOCK_LIBRARY}") if has_clock else ()),
            *_launch(known, shown),
        ),
        place=place,
        saves=saves,
        mounts=_mounts(place, stored, shown, saves),
        env={
            "RUN_SWAY": "1",
            "GOW_REQUIRED_DEVICES": DEVICES,
            "GAMER_CONSOLE": console,
            "GAMER_RECIPE": key,
            **(CLOCK_ENV if has_clock else {}),
        },
        files=_files(known, display or Display()),
        source=file,
        stored=stored,
        shown=shown,
        core=known.core,
        program=known.program,
        prepare=(*known.prepare, *(_taking_up(known.core) if known.core and shown else ())),
    )


def emulator_of(console: str, name: str) -> Emulator:
    """The emulator staff named, whatever its case. Raises NoRecipe."""
    known = _BY_NAME.get(name.strip().casefold())
    if known is None:
        raise NoRecipe(f"Nobody knows how to run the emulator {name[:60]!r}.")
    if console not in known.consoles:
        raise NoRecipe(f"{known.name} does not play {console}.")
    return known


def safe_title(text: str) -> str:
    """A title as Moonlight shows it; Wolf makes a folder of it, so it holds letters, digits, blanks, - and _ only."""
    return " ".join(_NOT_IN_A_TITLE.sub(" ", text).split())[:TITLE_LENGTH].strip()


def _key(*parts: str) -> str:
    """A short name for exactly these texts; the lengths keep ("a", "bc") from ("ab", "c")."""
    summed = hashlib.sha256()
    for part in parts:
        content = part.encode(errors="surrogatepass")
        summed.update(f"{len(content)}:".encode() + content)
    return summed.hexdigest()[:16]


def _named(key: str, file: str) -> str:
    if not file:
        return ""
    extension = posixpath.splitext(file.lower())[1]
    return key + (extension if EXTENSION.fullmatch(extension) else "")


def _launch(emulator: Emulator, shown: str) -> tuple[str, ...]:
    game = (f"{IN_GAMES}/{shown}",) if shown else ()
    if not emulator.core:
        program = f"{IN_TOOLS}/{emulator.program}.AppImage"
        return (program, "--appimage-extract-and-run", *emulator.arguments, *game)
    settings = f"--appendconfig={IN_APP}/retroarch.cfg"
    core = ("-L", f"{IN_TOOLS}/{emulator.core}_libretro.so") if game else ()
    return ("retroarch", "--fullscreen", settings, *core, *game)


def _mounts(place: str, stored: str, shown: str, saves: str) -> tuple[str, ...]:
    """Of the library a container sees its own game, of the saves its own slot."""
    game = (f"{GAMES}/{stored}:{IN_GAMES}/{shown}:ro",) if stored else ()
    return (
        f"{place}:{IN_APP}:ro",
        f"{place}/startup.sh:{STARTUP}:ro",
        f"{TOOLS}:{IN_TOOLS}:ro",
        f"{SYSTEM}:{IN_SYSTEM}:ro",
        f"{saves}:{IN_SAVES}:rw",
        *game,
    )


def _files(emulator: Emulator, display: Display) -> dict[str, str]:
    screens = emulator.wide if display.is_wide else emulator.tall
    if not emulator.core:
        return {"settings.ini": screens} if screens else {}
    settings = {
        "savefile_directory": IN_SAVES,
        # Else in a folder for each core (RetroArch's config.def.h): neither another core nor what a player brought would be read.
        "sort_savefiles_enable": "false",
        "savestate_directory": f"{IN_SAVES}/states",
        "core_options_path": f"{IN_APP}/core-options.cfg",
        "libretro_directory": IN_TOOLS,
        # On Linux it knows no gamepad by itself, and leaves what it does not know without a single button.
        "joypad_autoconfig_dir": f"{IN_TOOLS}/autoconfig",
        "system_directory": IN_SYSTEM,
        # Progress reaches the disk while the game runs: a machine may go without warning.
        "autosave_interval": "10",
        "savestate_auto_save": "true",
        "video_fullscreen": "true",
        "config_save_on_exit": "false",
        "network_cmd_enable": "false",
        "stdin_cmd_enable": "false",
    }
    config = "".join(f'{name} = "{value}"\n' for name, value in settings.items())
    return {"retroarch.cfg": config, "core-options.cfg": screens}


@dataclass(frozen=True, slots=True)
class Needs:
    """What a machine must have before any game of a console can be launched there: images, cores by name, programs by name."""

    images: tuple[str, ...]
    cores: tuple[str, ...]
    programs: tuple[str, ...]


def needs_of(console: str) -> Needs:
    """For every emulator that plays the console: a game may name another one than its console does."""
    able = [one for one in EMULATORS if console in one.consoles]
    images = tuple(sorted({one.image for one in able}))
    return Needs(
        images,
        tuple(one.core for one in able if one.core),
        tuple(one.program for one in able if one.program),
    )
