"""Which installation we are: the name in every tag, so that two on one provider account leave each other's machines alone."""

from __future__ import annotations

import secrets
from datetime import datetime

from django.db import connection

from events.services import Happening, record
from vms.models import Installation

_identifiers: dict[str, str] = {}


def row() -> Installation:
    """The one row, made on first look."""
    known = _identifiers.get(_database())
    found, _ = Installation.objects.get_or_create(
        pk=1, defaults={"identifier": known or secrets.token_hex(4)}
    )
    return found


def is_launching() -> bool:
    """Whether new machines are made at all; asked by every launch."""
    known = Installation.objects.filter(pk=1).values_list("is_launching", flat=True).first()
    return row().is_launching if known is None else known


def identifier() -> str:
    """This installation's part of a tag; never changes, so each process asks its database once."""
    if _database() not in _identifiers:
        _identifiers[_database()] = row().identifier
    return _identifiers[_database()]


def _database() -> str:
    return f"{connection.settings_dict['HOST']}/{connection.settings_dict['NAME']}"


def notice_a_move(*, now: datetime) -> None:
    """Compares the database cluster with the one we last ran on; after a move or restore unknown machines wait for an operator."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT system_identifier FROM pg_control_system()")
        system = cursor.fetchone()[0]
        cursor.execute("SELECT timeline_id FROM pg_control_checkpoint()")
        timeline = cursor.fetchone()[0]
        # A dump restored into the same server makes the tables anew.
        cursor.execute("SELECT 'vms_installation'::regclass::oid")
        mark = f"{system}/{timeline}/{cursor.fetchone()[0]}"
    known = row()
    if known.database_mark == mark:
        return
    is_moved = bool(known.database_mark)
    changes: dict[str, object] = {"database_mark": mark}
    if is_moved:
        changes["is_sweep_confirmed"] = False
        record(
            Happening(
                at=now, actor="policy:reconciler", action="database_moved", resource="installation", resource_id=known.identifier,
                details={"from": known.database_mark, "to": mark, "next": "manage.py find_orphans --fix"},
            )
        )  # fmt: skip
    Installation.objects.filter(pk=known.pk).update(**changes)


def confirm_sweeps(*, actor: str, now: datetime) -> None:
    """An operator has looked: unknown machines are deleted again without asking."""
    if Installation.objects.filter(is_sweep_confirmed=False).update(is_sweep_confirmed=True):
        record(
            Happening(
                at=now,
                actor=actor,
                action="sweep_confirmed",
                resource="installation",
                resource_id=identifier(),
            )
        )


def allow_launches(*, is_launching: bool, actor: str, now: datetime) -> bool:
    """The one switch over all accounts: whether new machines are made at all. False when it stood so already."""
    changed = Installation.objects.filter(is_launching=not is_launching).update(is_launching=is_launching)
    if changed:
        record(
            Happening(
                at=now,
                actor=actor,
                action="launches_allowed" if is_launching else "launches_stopped",
                resource="installation",
                resource_id=identifier(),
            )
        )
    return bool(changed)
