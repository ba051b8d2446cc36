"""Base exceptions. Each carries the HTTP status and the code of contract.md, so no view translates by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

Details = Mapping[str, Sequence[str]]


class GamerError(Exception):
    """Something the caller can be told. `details` maps a field's name to what is wrong with it."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "error"

    def __init__(
        self, message: str, *, details: Details | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, list[str]] = {name: list(texts) for name, texts in (details or {}).items()}
        self.retry_after = retry_after


class ValidationError(GamerError):
    status = 400
    code = "validation_error"


class InvalidState(GamerError):
    status = 400
    code = "invalid_state"


class NotAuthenticated(GamerError):
    status = 401
    code = "not_authenticated"


class InsufficientCredits(GamerError):
    status = 402
    code = "insufficient_credits"


class PermissionDenied(GamerError):
    status = 403
    code = "permission_denied"


class NotFound(GamerError):
    status = 404
    code = "not_found"


class Conflict(GamerError):
    status = 409
    code = "conflict"


class TooLarge(GamerError):
    status = 413
    code = "too_large"


class RateLimited(GamerError):
    status = 429
    code = "rate_limited"


class NoCapacity(GamerError):
    status = 503
    code = "no_capacity"


class ProviderUnavailable(GamerError):
    status = 503
    code = "provider_unavailable"


class Unavailable(GamerError):
    status = 503
    code = "unavailable"


def bad_field(name: str, text: str) -> ValidationError:
    """The usual refusal: one field, one sentence."""
    return ValidationError(f"{name}: {text}", details={name: [text]})
