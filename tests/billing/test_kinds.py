from __future__ import annotations

from billing.kinds import KINDS
from emulators.models import ProviderKind


def test_are_those_that_consoles_prefer() -> None:
    """Two rooms beside each other, of which neither imports the other."""
    assert list(KINDS) == ProviderKind.values
