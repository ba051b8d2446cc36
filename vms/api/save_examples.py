"""Examples of saves, for the API's description."""

from __future__ import annotations

from vms.api.examples import SESSION_ID, SLOT_ID, VM_ID, asked, said

DIGEST = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
SLOT = said(
    "A slot whose clock is set",
    {
        "slot_id": SLOT_ID,
        "user_id": "alice@example.org",
        "vm_id": None,
        "console_type": "switch",
        "game_id": "mario-odyssey",
        "save_id": "",
        "is_in_use": False,
        "current": {"number": 7, "size": 48213, "digest": DIGEST, "created_at": "2026-06-15T13:00:00Z"},
        "clock_epoch": "2020-03-20T08:00:00Z",
        "clock_at": "2020-03-20T17:42:10Z",
        "played_s": 34930,
        "created_at": "2026-06-01T18:20:00Z",
    },
    "200",
    "201",
)
VERSION = said(
    "What a machine brought",
    {
        "number": 7,
        "is_current": True,
        "is_conflict": False,
        "size": 48213,
        "digest": DIGEST,
        "base": 6,
        "restored_from": None,
        "session_id": SESSION_ID,
        "vm_id": VM_ID,
        "by": "agent:0f8c2c3e",
        "created_at": "2026-06-15T13:00:00Z",
    },
    "200",
    "201",
)
CREATION = asked(
    "A second slot of a game",
    {"console_type": "switch", "game_id": "mario-odyssey", "save_id": "second-run"},
)
CHANGES = asked("Spring in the game", {"clock_epoch": "2020-03-20T08:00:00Z"})
TAKEN = said("It is the current one now", {"slot": SLOT_ID, "number": 7, "is_current": True})
