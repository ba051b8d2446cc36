"""Each sandbox's own network."""

from __future__ import annotations

import random
from contextlib import closing

import pytest

from sandbox.addresses import Addresses


def test_sandboxes_side_by_side_claim_different_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "sample", lambda population, k: list(population)[:k])
    with closing(Addresses()) as one, closing(Addresses()) as other:
        assert one.new() != other.new()
