"""How the API speaks: errors, pages, throttles, idempotency. No view of a business object lives here."""
