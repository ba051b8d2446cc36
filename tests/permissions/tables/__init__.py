"""The rows, a table for each room that has doors."""

from __future__ import annotations

from tests.permissions.rows import Row
from tests.permissions.tables import catalogue, doors, machines, money, people, tenants

ROWS: tuple[Row, ...] = (
    *doors.ROWS,
    *people.ROWS,
    *tenants.ROWS,
    *catalogue.ROWS,
    *machines.ROWS,
    *money.ROWS,
)
