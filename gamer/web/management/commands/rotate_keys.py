"""`manage.py rotate_keys`: seals every secret anew with the first of GAMER_KEYS, so that the others can be dropped.

First give every process the new key behind the old ones, so that each can open what another seals; then in front of them; then
run this, and drop the old ones. Each batch is a transaction, and what is current is left alone, so it may be interrupted and repeated.
"""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import CommandError
from django.db import models, transaction
from django.db.models import TextField, Value

from gamer.commands import QuickCommand
from gamer.context import about, note
from gamer.sealed import CannotOpen, as_stored, is_current, reseal, sealed_fields


class Command(QuickCommand):
    help = "Seals every secret anew with the first key of GAMER_KEYS. Safe to interrupt and to repeat."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--batch", type=int, default=500, metavar="ROWS", help="rows per transaction (500)"
        )

    def handle(self, *args: Any, batch: int = 500, **options: Any) -> None:
        with about(actor="command:rotate_keys"):
            results = [self._rotate(model, field, max(1, batch)) for model, field in sealed_fields()]
            done, lost = sum(done for done, _ in results), sum(lost for _, lost in results)
            note("keys_rotated", "installation", "keys", sealed_anew=done, not_opened=lost)
        if lost:
            raise CommandError(
                f"{lost} values are opened by no key in GAMER_KEYS; they were left as they are. Keep the old keys."
            )

    def _rotate(self, model: type[models.Model], field: str, batch: int) -> tuple[int, int]:
        """Goes through one column; how many values were sealed anew, and how many no key opens."""
        rows = as_stored(model, field).order_by("pk")
        done = lost = 0
        last: Any = None
        while True:
            with transaction.atomic():
                ahead = rows if last is None else rows.filter(pk__gt=last)
                # Locked, so that a secret that is replaced meanwhile is not overwritten with the former one.
                found = list(ahead.select_for_update(of=("self",)).values_list("pk", "token")[:batch])
                for pk, token in found:
                    if is_current(token):
                        continue
                    try:
                        fresh = Value(reseal(token), output_field=TextField())
                    except CannotOpen:
                        lost += 1
                        continue
                    model._base_manager.filter(pk=pk).update(**{field: fresh})
                    done += 1
            if not found:
                return done, lost
            last = found[-1][0]
            self.stdout.write(f"{model._meta.label}.{field}: {done} sealed anew, {lost} not opened")
