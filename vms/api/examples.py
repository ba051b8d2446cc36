"""Examples for the API's description."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample

VM_ID = "0f8c2c3e-7a54-4f0f-9d0e-6b7c1d2e3f40"
SESSION_ID = "5b1f0a52-9c3d-4e2e-8f6a-2d4c6e8f0a1b"
SLOT_ID = "9a1d6f0c-3b52-4c8e-a7f4-1e2d3c4b5a69"
RUNNING = {
    "vm_id": VM_ID,
    "name": "",
    "status": "running",
    "phase": "ready",
    "preset": "premium",
    "console_type": "switch",
    "provider": "tensordock",
    "region": "united-states-missouri-joplin",
    "location_name": "Joplin, Missouri, United States",
    "created_at": "2026-06-15T12:00:00Z",
    "updated_at": "2026-06-15T12:00:21Z",
    "ip_address": "203.0.113.7",
    "wolf_port": 47999,
    "ssh_port": 22,
    "auto_stop_timeout": 900,
    "gaming_environment_ready": True,
    "cloudypad_configured": False,
    "games_mounted": False,
    "last_activity": "2026-06-15T12:00:21Z",
    "last_moonlight_connection": None,
    "user_id": "alice@example.org",
    "project_id": None,
    "hourly_cost_usd": 0.4632,
    "distance_km": 492.3,
    "session_ends_at": "2026-06-15T20:00:21Z",
    "deletes_at": None,
    "error": None,
}
CREATING = {
    **RUNNING,
    "status": "creating",
    "phase": "requested",
    "provider": None,
    "region": None,
    "location_name": None,
    "updated_at": "2026-06-15T12:00:00Z",
    "ip_address": None,
    "gaming_environment_ready": False,
    "last_activity": None,
    "hourly_cost_usd": None,
    "distance_km": None,
    "session_ends_at": None,
}


def said(title: str, value: Any, *statuses: str) -> OpenApiExample:
    return OpenApiExample(title, value=value, response_only=True, status_codes=list(statuses) or ["200"])


def asked(title: str, value: Any) -> OpenApiExample:
    return OpenApiExample(title, value=value, request_only=True)


def _refused(
    title: str, status: str, code: str, message: str, details: dict[str, list[str]]
) -> OpenApiExample:
    error = {"code": code, "message": message, "details": details}
    return said(title, {"error": error, "detail": message}, status)


def message(text: str, **more: Any) -> OpenApiExample:
    """The 202 of an act."""
    return said(text, {"message": text, **more}, "202")


VM = said("A running VM", RUNNING)
VM_CREATING = said("A new VM", CREATING, "201")
VM_CREATION = asked(
    "A Switch near Dallas, without a game yet",
    {
        "console_type": "switch",
        "provider": "tensordock",
        "auto_stop_timeout": 1800,
        "user_location": {"latitude": 32.7767, "longitude": -96.797},
        "name": "living room",
    },
)
VM_CHANGES = asked("Half an hour of patience", {"auto_stop_timeout": 1800})
GAME_LAUNCH = asked(
    "A Switch game for a player in Dallas",
    {
        "console_type": "switch",
        "game_id": "mario-odyssey",
        "user_id": "user123",
        "user_latitude": 32.7767,
        "user_longitude": -96.797,
    },
)
MOVE = asked("To the Netherlands, whoever has a machine there", {"region": "Netherlands"})
GAME_ON_VM = asked("Another game", {"game_id": "zelda-botw", "save_id": "slot-2"})
GAME_QUEUED = message("Game launch queued", session_id=SESSION_ID)
NO_CAPACITY = _refused(
    "Nobody can host it",
    "503",
    "no_capacity",
    "No provider can host this console now.",
    {"tensordock": ["12 × the GPU is below the class this console asks for"]},
)
LAUNCH_ERRORS = (
    _refused(
        "No such console",
        "404",
        "not_found",
        "console not configured",
        {"console_type": ["console not configured"]},
    ),
    _refused(
        "A live VM already",
        "409",
        "conflict",
        f"The player already has a VM of this console: {VM_ID}.",
        {"vm_id": [VM_ID]},
    ),
    NO_CAPACITY,
)
STATUS = said(
    "A running VM",
    {
        "vm_id": VM_ID,
        "status": "running",
        "ip_address": "203.0.113.7",
        "uptime_seconds": 1260,
        "last_activity": "2026-06-15T12:20:02Z",
        "gaming_environment_ready": True,
    },
)
CONNECTION = said(
    "Ready for Moonlight",
    {
        "vm_id": VM_ID,
        "status": "running",
        "is_reachable": True,
        "reason": None,
        "ip_address": "203.0.113.7",
        "wolf_port": 47999,
        "ports": {"tcp": [47984, 47989, 48010], "udp": [47999, 48100, 48200]},
    },
)
PAIRING = said(
    "One device waits",
    {"pending": [{"request_id": "9f2c6c1f0a3b4d5e", "client_ip": "198.51.100.7"}], "paired_clients": 1},
)
PIN = asked("The PIN as Moonlight shows it", {"pin": "4711", "request_id": "9f2c6c1f0a3b4d5e"})
PAIRED = said("The device is paired", {"is_paired": True})
EVENT = said(
    "An offer was chosen",
    {
        "id": 4711,
        "at": "2026-06-15T12:00:01Z",
        "actor": "policy:reconciler",
        "action": "placed",
        "resource": "vms",
        "resource_id": VM_ID,
        "details": {"location": "Joplin, Missouri, United States", "usd_per_hour": 0.4632},
    },
)
ATTEMPT = said(
    "An offer that was sold out",
    {
        "number": 1,
        "round": 1,
        "provider": "tensordock",
        "offer_id": "host:3f2a:geforcertx4090-pcie-24gb",
        "region": "united-states-texas-dallas",
        "location_name": "Dallas, Texas, United States",
        "distance_km": 3.1,
        "preset": "premium",
        "gpus": 1,
        "vcpus": 8,
        "ram_gb": 16,
        "disk_gb": 200,
        "hourly_cost_usd": 0.4632,
        "created_at": "2026-06-15T12:00:01Z",
        "sent_at": "2026-06-15T12:00:01Z",
        "answered_at": None,
        "closed_at": "2026-06-15T12:00:03Z",
        "gone_at": "2026-06-15T12:00:03Z",
        "seconds": None,
        "outcome": "failed",
        "error": {"code": "NoCapacity", "message": "the hostnode is full"},
    },
)
STEP = said(
    "A finished step",
    {
        "name": "agent",
        "title": "Start the agent",
        "state": "done",
        "seconds": 1.204,
        "updated_at": "2026-06-15T12:00:18Z",
    },
)
SESSION = said(
    "A game that runs",
    {
        "session_id": SESSION_ID,
        "vm_id": VM_ID,
        "game_id": "mario-odyssey",
        "slot_id": SLOT_ID,
        "save_id": None,
        "status": "launched",
        "queued_at": "2026-06-15T12:00:00Z",
        "started_at": "2026-06-15T12:00:23Z",
        "ended_at": None,
        "played_s": 1800,
        "error": None,
    },
)
REGISTRATION = asked(
    "A machine that was just set up", {"vm_id": VM_ID, "bootstrap_token": "what setup wrote down"}
)
AGENT_TOKEN = said("The agent's token", {"token": "ga_0f8c2c3e7a544f0f9d0e6b7c1d2e3f40_…"})
HEARTBEAT = asked(
    "A machine with a game on it",
    {
        "boot_id": "c0f1a3de-1f6b-4f5e-8d4b-0a1b2c3d4e5f",
        "sequence": 128004,
        "sent_at": "2026-06-15T12:01:00.000Z",
        "sessions": [{"session_id": SESSION_ID, "state": "launched", "played_s": 37.5}],
        "metrics": {"cpu_percent": 41.5, "ram_used_mb": 3120.2, "disk_used_percent": 38.0, "load": 2.13},
        "activity": {"is_playing": True, "idle_s": None, "connected": 1, "is_wolf_up": True},
    },
)
MANIFEST = said(
    "A machine with a game on it",
    {
        "vm_id": VM_ID,
        "console_type": "switch",
        "status": "running",
        "auto_stop_timeout": 900,
        "session_ends_at": "2026-06-15T20:00:00Z",
        "games_mounted": True,
        "sessions": [
            {
                "session_id": SESSION_ID,
                "game_id": "mario-odyssey",
                "save_id": "",
                "status": "launched",
                "is_end_wanted": False,
                "save": {"slot": "9a1d6f0c-3b52-4c8e-a7f4-1e2d3c4b5a69", "base": 0, "digest": ""},
            }
        ],
    },
)
SESSION_EVENT = asked(
    "A game that ended by itself", {"state": "ended", "at": "2026-06-15T13:00:00.000Z", "exit_code": 0}
)
_HOUR = {"vm_id": VM_ID, "since": "2026-06-15T12:01:00Z", "until": "2026-06-15T13:01:00Z"}
METRICS = said(
    "The processor in the last quarter of an hour",
    {
        "vm_id": VM_ID,
        "since": "2026-06-15T12:45:00Z",
        "until": "2026-06-15T13:00:00Z",
        "step": 300,
        "aggregate": "avg",
        "times": ["2026-06-15T12:45:00Z", "2026-06-15T12:50:00Z", "2026-06-15T12:55:00Z"],
        "metrics": {"cpu_percent": {"unit": "%", "values": [38.25, None, 41.5]}},
    },
)
METRICS_SUMMARY = said(
    "An hour of playing",
    {
        **_HOUR,
        "latest_at": "2026-06-15T13:00:45Z",
        "metrics": {
            "gpu_percent": {"unit": "%", "latest": 64.0, "avg": 58.2, "min": 3.0, "max": 91.0, "count": 239}
        },
    },
)
METRICS_TRENDS = said(
    "A disk that fills",
    {
        **_HOUR,
        "disk_full_at": "2026-06-16T19:20:00Z",
        "metrics": {"disk_used_percent": {"unit": "%", "slope_per_hour": 2.04, "fit": 0.98}},
    },
)
HOSTNODE = {
    "id": "host:3f2a:geforcertx4090-pcie-24gb",
    "provider": "tensordock",
    "city": "Joplin",
    "state": "Missouri",
    "region": "united-states-missouri-joplin",
    "country": "United States",
    "specs": {
        "cpu": 32,
        "ram": 131072,
        "gpu": [{"model": "geforcertx4090-pcie-24gb", "count": 4}],
        "storage": 1000,
    },
    "status": "available",
    "price_per_hour": 0.4632,
}
HOSTNODES = said("One hostnode", {"total_hostnodes": 1, "hostnodes": [HOSTNODE]})
CLOSEST = said(
    "Near Dallas",
    {
        "user_location": {"latitude": 32.7767, "longitude": -96.797},
        "total_found": 14,
        "closest_hostnodes": [
            {"hostnode": HOSTNODE, "distance_km": 492.3, "location": "Joplin, Missouri, United States"}
        ],
    },
)
SUMMARY = said(
    "One country",
    {
        "total_hostnodes": 2,
        "total_cities": 1,
        "countries": [
            {
                "country": "United States",
                "hostnodes": 2,
                "gpu_models": ["geforcertx4090-pcie-24gb"],
                "cities": [
                    {
                        "city": "Joplin",
                        "state": "Missouri",
                        "region": "united-states-missouri-joplin",
                        "hostnodes": 2,
                        "gpu_models": ["geforcertx4090-pcie-24gb"],
                    }
                ],
            }
        ],
    },
)
RECOMMENDATION = said(
    "A Switch near Dallas",
    {
        "console_type": "switch",
        "recommended_provider": "tensordock",
        "preset": "premium",
        "estimated_cost_per_hour": 0.4632,
        "max_session_hours": 8,
        "requirements": {"min_cpu": 8, "min_ram_gb": 16, "requires_gpu": True},
        "options": [
            {
                "rank": 1,
                "provider": "tensordock",
                "reason": "fits",
                "offers": 1,
                "hostnode_id": HOSTNODE["id"],
                "region": HOSTNODE["region"],
                "location_name": "Joplin, Missouri, United States",
                "gpu_model": "geforcertx4090-pcie-24gb",
                "preset": "premium",
                "gpus": 1,
                "vcpus": 8,
                "ram_gb": 16,
                "disk_gb": 200,
                "cost_per_hour": 0.4632,
                "distance_km": 492.3,
                "score": None,
            },
            {
                "rank": None,
                "provider": "tensordock",
                "reason": "the GPU is below the class this console asks for",
                "offers": 12,
                "hostnode_id": None,
                "region": None,
                "location_name": None,
                "gpu_model": None,
                "preset": None,
                "gpus": None,
                "vcpus": None,
                "ram_gb": None,
                "disk_gb": None,
                "cost_per_hour": None,
                "distance_km": None,
                "score": None,
            },
        ],
    },
)
PROVIDER = said(
    "TensorDock",
    {
        "provider": "tensordock",
        "display_name": "TensorDock",
        "capabilities": ["launch", "stop_start", "pinned_host_key", "setup_by_ssh"],
        "health": {
            "status": "healthy",
            "accounts": 1,
            "healthy_accounts": 1,
            "offers_refreshed_at": "2026-06-15T11:59:31Z",
        },
        "offers": 14,
        "regions": [
            {
                "code": "united-states-missouri-joplin",
                "city": "Joplin",
                "state": "Missouri",
                "country": "United States",
                "offers": 2,
            }
        ],
        "price_range": {"min_per_hour": 0.021, "max_per_hour": 1.7632},
    },
)
CLOSEST_REGION = said(
    "Near Dallas",
    {
        "user_location": {"latitude": 32.7767, "longitude": -96.797},
        "method": "google_cloud_location_finder_api",
        "closest_region": {
            "region_code": "us-south1",
            "region_name": "Dallas, Texas, United States",
            "distance_km": 1.1,
            "source": "google_cloud_location_finder_api",
        },
        "alternatives": [
            {
                "region_code": "us-central1",
                "region_name": "Council Bluffs, Iowa, United States",
                "distance_km": 945.3,
                "source": "google_cloud_location_finder_api",
            }
        ],
    },
)
REGIONS = said(
    "One region",
    {
        "total_regions": 1,
        "regions_by_continent": {
            "North America": [
                {
                    "region_code": "us-central1",
                    "region_name": "Council Bluffs, Iowa, United States",
                    "city": "Council Bluffs",
                    "state": "Iowa",
                    "country": "United States",
                    "country_code": "US",
                    "latitude": 41.26194,
                    "longitude": -95.86083,
                    "gpu_models": ["L4", "T4"],
                }
            ]
        },
    },
)
