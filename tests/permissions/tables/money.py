"""Money: what was used and what it cost, credit, budgets. Everybody sees their own; what narrows an answer is tested in its room."""

from __future__ import annotations

from tests.permissions.rows import READERS, Audience, Row
from tests.permissions.scene import Scene


def budget(scene: Scene) -> dict[str, int]:
    return {"budget_id": scene.budget.pk}


BILLERS = Audience("sam key:billing key:admin")
# Who may make budgets at all: the staff, keys that bill, and a department's managers for what is the department's.
STEERERS = Audience("mona sam key:admin", hidden="oscar")
# A limit on what somebody spends is known to those who set it.
SEE_BUDGETS = Audience("mona sam key:admin", hidden="alice charlie oscar key:read arcade:read palace:all")
LAST_MONTH = {"start_date": "2026-05-01", "end_date": "2026-05-31"}

ROWS = (
    *(
        Row("GET", name, READERS)
        for name in (
            "credits", "transactions", "combined-usage", "current-month-costs", "daily-costs", "billing-alerts", "billing-report",
            "budgets",
        )
    ),
    Row("GET", "custom-usage", READERS, query=LAST_MONTH),
    Row("GET", "provider-usage", READERS, path=lambda s: {"provider": "tensordock"}),
    Row(
        "POST", "credits", BILLERS, 201,
        body=lambda s: {"user_id": s.world.alice.handle, "amount": 5, "reason": "A gift"},
    ),
    Row(
        "POST", "budgets", STEERERS, 201,
        # To oscar there is no such person; a key that bills but does not read makes none.
        body=lambda s: {"name": "Hers", "limit_usd": 20, "covers": "user", "user_id": s.world.alice.handle},
        odd={"oscar": 400},
    ),
    Row("GET", "budget", SEE_BUDGETS, path=budget),
    Row("PATCH", "budget", STEERERS, path=budget, body=lambda s: {"limit_usd": 30}),
    Row("DELETE", "budget", STEERERS, 204, path=budget),
)  # fmt: skip
