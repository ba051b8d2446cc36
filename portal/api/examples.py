"""Examples for the API's description."""

from __future__ import annotations

from typing import Any

from accounts.api.examples import asked, said
from vms.lifecycle import Status

_USE = {"vms": 2, "gpu_vms": 1, "usd_per_hour": 0.6132}
_SPEND = {"runtime_hours": 12.5, "estimated_cost_usd": 5.79}
_COUNTS: dict[str, int] = {**{one.value: 0 for one in Status}, "running": 2, "terminated": 9}
_LIMITS = {
    "quota_id": 3,
    "kind": "user",
    "user_id": "alice@example.org",
    "project_id": None,
    "department_id": None,
    "max_vms": 3,
    "max_gpu_vms": 1,
    "max_usd_per_hour": 1.5,
    "used": _USE,
}
QUOTA = said("Alice's limits", _LIMITS)
QUOTA_MADE = said("New limits", _LIMITS, "201")
QUOTA_CREATION = asked("Limits for Alice", {"user_id": "alice@example.org", "max_vms": 3, "max_gpu_vms": 1})
QUOTA_CHANGES = asked("One more, and any price", {"max_vms": 4, "max_usd_per_hour": None})
STATS = said(
    "A project's numbers",
    {"project_id": 12, "vms_by_status": _COUNTS, "held": _USE, "total": _SPEND, "this_month": _SPEND},
)
CLOSING = said("Under way", {"message": "Project closing initiated"}, "202")
_ME: dict[str, Any] = {
    "user_id": "alice@example.org",
    "email": "alice@example.org",
    "first_name": "Alice",
    "last_name": "",
    "role": "player",
    "department_id": 7,
    "department_role": "member",
}
DASHBOARD = said(
    "A first page",
    {
        "user": _ME,
        "vms_by_status": _COUNTS,
        "vms": [],
        "held": _USE,
        "this_month": _SPEND,
        "credit_usd": None,
        "projects": [],
        "quotas": [_LIMITS],
        "recent_events": [],
    },
)
_EVENT = {
    "id": 41,
    "at": "2026-06-15T12:00:21Z",
    "actor": "policy:reconciler",
    "action": "power_on",
    "resource": "vms",
    "resource_id": "0f8c2c3e-7a54-4f0f-9d0e-6b7c1d2e3f40",
    "details": {"from": "setting_up"},
}
ACTIVITY = said("A VM runs", _EVENT)
_PERSON = {
    "id": 5,
    **_ME,
    "is_active": False,
    "is_postpaid": False,
    "created_at": "2026-06-01T09:00:00Z",
    "last_login": "2026-06-15T11:58:00Z",
}
PERSON = said("Somebody", _PERSON)
_PROFILE = {
    "person": _PERSON,
    "vms_by_status": _COUNTS,
    "held": {"vms": 0, "gpu_vms": 0, "usd_per_hour": 0.0},
    "this_month": _SPEND,
    "suspended": {"at": "2026-06-15T12:00:00Z", "by": "user:sam@example.org", "reason": "Chargeback"},
}
PROFILE = said("Somebody who is suspended", _PROFILE)
REASON = asked("Why", {"reason": "Chargeback"})
