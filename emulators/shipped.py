"""What an empty installation starts with: presets, GPU classes, ten consoles, a few games. Values only; staff edit the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from emulators.drafts import ConfigDraft, PreferenceDraft
from emulators.profile import Floor

PRESETS: Mapping[str, Floor] = {
    "retro": Floor(2, 4, 50, 0),
    "advanced": Floor(4, 8, 100, 1),
    "premium": Floor(8, 16, 200, 1),
}

# Weak to strong, by what the cards do in games. A100, H100 and their like draw little and have no video encoder
# (NVIDIA's Video Encode and Decode GPU Support Matrix), so they stand below every card that can stream.
GPU_CLASSES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Compute only", ("a30", "a100", "h100", "h200", "gh200", "b200", "gb200", "p100", "mi300")),
    (
        "GTX 1060",
        ("gtx1060", "gtx1070", "gtx1650", "gtx1660", "p4000", "m4000", "m60", "quadrot1000", "a1000"),
    ),
    ("T4", ("t4", "gtx1080", "rtx2060", "rtx2070", "quadrortx4000", "p5000", "p6000", "a2000")),
    (
        "L4/A10G",
        (
            *(
                "l4",
                "a10",
                "a10g",
                "v100",
                "rtx2080",
                "rtx3050",
                "rtx3060",
                "rtx3070",
                "rtx4060",
                "a4000",
                "a4500",
            ),
            *("quadrortx5000", "quadrortx6000", "rtx4000ada", "rtx4000sffada"),
        ),
    ),
    ("RTX 3080", ("rtx3080", "rtx4070", "a5000", "a5500", "rtx4500ada", "a40")),
    ("RTX 3090", ("rtx3090", "rtx4080", "rtx5070", "a6000", "rtx5000ada")),
    ("RTX 4090", ("rtx4090", "rtx5080", "l40", "l40s", "rtx6000ada")),
    ("RTX 5090", ("rtx5090", "rtxpro6000")),
)

RETRO_LIMITS = ("0.50", "0.60")
ADVANCED_LIMITS = ("1.00", "1.25")
PREMIUM_LIMITS = ("2.00", "2.50")
SWITCH_LIMITS = ("2.50", "3.00")
CLOUDS = ("cloudypad_gcp", "cloudypad_aws", "cloudypad_azure", "cloudypad_scaleway", "cloudypad_paperspace")


def _providers(limits: tuple[str, str]) -> tuple[PreferenceDraft, ...]:
    """TensorDock, then the clouds, then own hosts (which have no limit: their rate is ours)."""
    tensordock, cloud = map(Decimal, limits)
    return (
        PreferenceDraft("tensordock", cost_per_hour_limit=tensordock),
        *(PreferenceDraft(kind, cost_per_hour_limit=cloud) for kind in CLOUDS),
        PreferenceDraft("libvirt"),
    )


def _retro(name: str, emulator: str, files: str, saves: str = ".sav .srm") -> ConfigDraft:
    return ConfigDraft(
        display_name=name,
        default_emulator=emulator,
        default_preset="retro",
        min_cpu=2,
        min_ram_gb=4,
        requires_gpu=False,
        gpu_class=None,
        cost_per_hour_limit=Decimal("1.00"),
        max_session_hours=12,
        supported_file_extensions=tuple(files.split()),
        save_file_extensions=tuple(saves.split()),
        preferred_providers=_providers(RETRO_LIMITS),
    )


def _disc(name: str, files: str, saves: str) -> ConfigDraft:
    """GameCube and Wii: one emulator, one appetite."""
    return ConfigDraft(
        display_name=name,
        default_emulator="Dolphin",
        default_preset="premium",
        min_cpu=4,
        min_ram_gb=8,
        requires_gpu=True,
        gpu_class="GTX 1060",
        cost_per_hour_limit=Decimal("2.50"),
        max_session_hours=8,
        supported_file_extensions=tuple(files.split()),
        save_file_extensions=tuple(saves.split()),
        preferred_providers=_providers(PREMIUM_LIMITS),
    )


CONSOLES: Mapping[str, ConfigDraft] = {
    "nes": _retro("Nintendo Entertainment System", "Mesen", ".nes .unf .unif .fds"),
    "snes": _retro("Super Nintendo", "Snes9x", ".sfc .smc .fig .swc", ".srm"),
    "gb": _retro("Game Boy", "SameBoy", ".gb"),
    "gbc": _retro("Game Boy Color", "SameBoy", ".gbc .gb"),
    "gba": _retro("Game Boy Advance", "mGBA", ".gba"),
    "nds": ConfigDraft(
        display_name="Nintendo DS",
        default_emulator="melonDS",
        default_preset="advanced",
        min_cpu=2,
        min_ram_gb=4,
        requires_gpu=False,
        gpu_class=None,
        cost_per_hour_limit=Decimal("1.25"),
        max_session_hours=8,
        supported_file_extensions=(".nds", ".srl"),
        save_file_extensions=(".sav", ".dsv"),
        preferred_providers=_providers(ADVANCED_LIMITS),
    ),
    "3ds": ConfigDraft(
        display_name="Nintendo 3DS",
        default_emulator="Azahar",
        default_preset="advanced",
        min_cpu=4,
        min_ram_gb=8,
        requires_gpu=True,
        gpu_class="GTX 1060",
        cost_per_hour_limit=Decimal("1.25"),
        max_session_hours=8,
        supported_file_extensions=(".3ds", ".3dsx", ".cci", ".cxi", ".cia", ".app"),
        save_file_extensions=(".sav", ".bin", ".dat", ".metadata"),
        preferred_providers=_providers(ADVANCED_LIMITS),
    ),
    "gamecube": _disc("GameCube", ".iso .gcm .gcz .ciso .rvz .dol", ".gci .raw .sav"),
    "wii": _disc("Wii", ".iso .wbfs .wia .rvz .gcz .wad", ".bin .dat"),
    "switch": ConfigDraft(
        display_name="Nintendo Switch",
        default_emulator="Ryubing",
        default_preset="premium",
        min_cpu=8,
        min_ram_gb=16,
        requires_gpu=True,
        gpu_class="RTX 4090",
        cost_per_hour_limit=Decimal("3.00"),
        max_session_hours=8,
        supported_file_extensions=(".nsp", ".xci", ".nca", ".nro", ".nso"),
        save_file_extensions=(".sav", ".bin", ".dat"),
        preferred_providers=_providers(SWITCH_LIMITS),
    ),
}


@dataclass(frozen=True, slots=True)
class ShippedGame:
    """A game for trying out. Two show what a game may ask for itself."""

    console: str
    game_id: str
    title: str
    preset: str | None = None
    gpu_class: str | None = None


GAMES: tuple[ShippedGame, ...] = (
    ShippedGame("nes", "castle-of-blocks", "Castle of Blocks"),
    ShippedGame("nes", "raccoon-racer", "Raccoon Racer"),
    ShippedGame("snes", "crystal-quest", "Crystal Quest"),
    ShippedGame("snes", "star-lander", "Star Lander"),
    ShippedGame("gb", "pocket-puzzles", "Pocket Puzzles"),
    ShippedGame("gb", "tower-of-tiles", "Tower of Tiles"),
    ShippedGame("gbc", "rainbow-run", "Rainbow Run"),
    ShippedGame("gbc", "monster-meadow", "Monster Meadow"),
    ShippedGame("gba", "sky-pirates", "Sky Pirates"),
    ShippedGame("gba", "kart-island", "Kart Island"),
    ShippedGame("nds", "detective-club", "Detective Club"),
    # Flat pictures need no GPU: the smaller machine is the cheaper launch.
    ShippedGame("nds", "daily-sudoku", "Daily Sudoku", preset="retro"),
    ShippedGame("3ds", "kingdom-in-depth", "Kingdom in Depth"),
    ShippedGame("3ds", "street-tennis", "Street Tennis"),
    ShippedGame("gamecube", "haunted-manor", "Haunted Manor"),
    ShippedGame("gamecube", "party-planet", "Party Planet"),
    ShippedGame("wii", "bowling-night", "Bowling Night"),
    ShippedGame("wii", "orbit-runner", "Orbit Runner"),
    ShippedGame("switch", "mario-odyssey", "Mario Odyssey"),
    ShippedGame("switch", "open-plains", "Open Plains"),
    ShippedGame("switch", "farm-letters", "Farm Letters", gpu_class="RTX 3080"),
)
