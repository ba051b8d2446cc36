"""The scene of the permission matrix, once for all operations."""

from __future__ import annotations

from tests.permissions.shared import db, scene

__all__ = ["db", "scene"]
