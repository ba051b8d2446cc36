"""Examples of credit for the API's description."""

from __future__ import annotations

from billing.api.report_examples import asked, said

_ACCOUNT = {
    "account_id": 4,
    "kind": "user",
    "user_id": "alice@example.org",
    "project_id": None,
    "department_id": None,
    "is_postpaid": False,
    "balance_usd": 13.44,
    "held_usd": 1.56,
    "available_usd": 11.88,
    "opened_at": "2026-06-15T12:00:00Z",
}
CREDIT = said("A player's own account", _ACCOUNT)
CREDIT_GIVEN = said("The account afterwards", _ACCOUNT, "201")
GIVE = asked("Ten dollars for a month", {
    "user_id": "alice@example.org", "amount": 10, "reason": "Compensation for a lost save", "expires_at": "2026-07-15T12:00:00Z",
})  # fmt: skip
TAKE = asked("A mistake put right", {"department_id": 7, "amount": -25.5, "reason": "Credited twice"})
TRANSACTION = said("An hour played", {
    "transaction_id": 81, "account_id": 4, "at": "2026-06-15T13:00:04Z", "kind": "usage", "amount_usd": -1.56, "reason": "",
    "vm_id": "0b5fb9a4-6a0c-4d63-9f43-6e1c5d9b7a52", "used_from": "2026-06-15T12:00:00Z",
    "used_until": "2026-06-15T13:00:00Z",
})  # fmt: skip
