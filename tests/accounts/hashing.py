"""Counting what takes the time of a login: hashes of passwords."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import QuickArgon2


def count_hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows by each password that is hashed or compared from now on."""
    hashed: list[str] = []
    for name in ("encode", "verify"):
        real = getattr(QuickArgon2, name)

        def noted(self: Any, *args: Any, real: Any = real, name: str = name) -> Any:
            hashed.append(name)
            return real(self, *args)

        monkeypatch.setattr(QuickArgon2, name, noted)
    return hashed
