"""Examples for the API's description."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample

SWITCH = {
    "console_type": "switch",
    "display_name": "Nintendo Switch",
    "default_emulator": "Ryubing",
    "default_preset": "premium",
    "min_cpu": 8,
    "min_ram_gb": 16,
    "requires_gpu": True,
    "gpu_class": "RTX 4090",
    "cost_per_hour_limit": 3.0,
    "usd_per_1000_km": None,
    "max_session_hours": 8,
    "supported_file_extensions": [".nsp", ".xci"],
    "save_file_extensions": [".sav", ".bin"],
    "preferred_providers": [
        {
            "provider": "tensordock",
            "priority": 1,
            "enabled": True,
            "preset_override": None,
            "cost_per_hour_limit": 2.5,
            "regions": [],
            "gpu_class": None,
        },
        {
            "provider": "cloudypad_gcp",
            "priority": 2,
            "enabled": True,
            "preset_override": None,
            "cost_per_hour_limit": 3.0,
            "regions": ["us-central", "us-east"],
            "gpu_class": None,
        },
    ],
}

EMULATOR = OpenApiExample("Nintendo Switch", value=SWITCH, response_only=True)
CREATION = OpenApiExample(
    "As we ship it, but shorter",
    value={"console_type": "switch", "max_session_hours": 4},
    request_only=True,
)
SCORE = OpenApiExample(
    "The cheapest machine, unless another is nearer: 1,000 km are worth 25 cents an hour",
    value={"usd_per_1000_km": 0.25},
    request_only=True,
)
CHANGES = OpenApiExample(
    "A new limit, own hosts first",
    value={
        "cost_per_hour_limit": 2.0,
        "preferred_providers": [{"provider": "libvirt"}, {"provider": "tensordock"}],
    },
    request_only=True,
)
PREFERENCE = OpenApiExample(
    "Google Cloud, in two regions only",
    value={"provider": "cloudypad_gcp", "priority": 2, "regions": ["us-central", "us-east"]},
    request_only=True,
)
PRESET = OpenApiExample(
    "The size for GameCube, Wii and Switch",
    value={"name": "premium", "vcpus": 8, "ram_gb": 16, "disk_gb": 200, "gpus": 1},
    response_only=True,
)
GAME = OpenApiExample(
    "A game that is content with less",
    value={
        "game_id": "farm-letters",
        "console_type": "switch",
        "title": "Farm Letters",
        "available": True,
        "preset": None,
        "min_cpu": None,
        "min_ram_gb": None,
        "requires_gpu": False,
        "gpu_class": "RTX 3080",
        "emulator": "",
    },
    response_only=True,
)
DELETED = OpenApiExample(
    "No longer launched", value={"message": "Emulator configuration deleted"}, response_only=True
)
