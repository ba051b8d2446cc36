"""Providers' invoices: a CSV file, checked row by row and imported whole or not at all; the same file or line only once."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

from django.db import transaction

from accounts.principal import Principal
from billing import kinds
from billing.models import InvoiceLine, ProviderInvoice
from billing.rating import amount
from events.services import Happening, record
from gamer.errors import Conflict, ValidationError

MOST_BYTES, MOST_LINES, MOST_ERRORS = 50_000_000, 500_000, 20
BATCH = 5_000
MOST_USD = Decimal(10) ** 9
# What vendors call the columns.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "day": ("day", "date", "usage_date"),
    "machine_id": ("machine_id", "instance_id", "machine", "server", "resource_id"),
    "amount": ("amount_usd", "amount", "cost_usd", "cost", "total"),
    "line_id": ("line_id", "id"),
}


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file: lines that are new, and lines that were there already."""

    invoice: ProviderInvoice
    new: int
    known: int


@dataclass(frozen=True, slots=True)
class Line:
    day: date
    machine_id: str
    key: str
    usd: Decimal


def load(*, by: Principal, provider: str, file_name: str, content: bytes, now: datetime) -> Imported:
    """Imports a file. Raises ValidationError naming the provider or every bad line, Conflict for a line that was imported with
    another amount and for a file that was imported as another provider's.
    """
    provider = kinds.known(provider)
    digest = hashlib.sha256(content).hexdigest()
    lines = read(content)
    with transaction.atomic():
        invoice, is_new = ProviderInvoice.objects.get_or_create(
            digest=digest,
            defaults={
                "provider": provider,
                "file_name": file_name[:200],
                "imported_at": now,
                "actor": by.label,
            },
        )
        if invoice.provider != provider:
            raise Conflict(f"This file was imported before, as one of {invoice.provider}.")
        if not is_new:
            return Imported(invoice, 0, len(lines))
        known = _known(provider, lines)
        fresh = [line for line in lines if line.key not in known]
        InvoiceLine.objects.bulk_create(
            (
                InvoiceLine(
                    invoice=invoice, provider=provider, day=line.day, machine_id=line.machine_id, line_key=line.key,
                    amount_usd=line.usd,
                )
                for line in fresh
            ),
            batch_size=BATCH,
        )  # fmt: skip
        details = {"provider": provider, "file": file_name[:200], "lines": len(fresh), "known": len(known)}
        record(
            Happening(
                at=now, actor=by.label, action="invoice_imported", resource="billing", resource_id=f"invoice:{invoice.pk}",
                details=details,
            )
        )  # fmt: skip
        return Imported(invoice, len(fresh), len(known))


def _known(provider: str, lines: Iterable[Line]) -> set[str]:
    """Lines that an earlier file had, too. The same line with another amount is nobody's to decide but a person's."""
    by_key = {line.key: line for line in lines}
    keys = list(by_key)
    found: set[str] = set()
    for start in range(0, len(keys), BATCH):
        rows = InvoiceLine.objects.filter(provider=provider, line_key__in=keys[start : start + BATCH])
        for key, usd in rows.values_list("line_key", "amount_usd"):
            if usd != by_key[key].usd:
                raise Conflict(
                    f"Line {key} was imported before with {usd} USD, and is {by_key[key].usd} USD here.",
                    details={"file": [f"line {key} differs from the one imported before"]},
                )
            found.add(key)
    return found


def read(content: bytes) -> list[Line]:
    """The lines of a file. Raises ValidationError naming the file or every bad line, at most MOST_ERRORS of them."""
    if len(content) > MOST_BYTES:
        raise _bad_file(f"More than {MOST_BYTES // 1_000_000} MB.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _bad_file("Not UTF-8 text.") from None
    rows = csv.reader(io.StringIO(text, newline=""))
    try:
        return _lines(rows)
    except csv.Error as error:
        raise _bad_file(f"Not CSV: {error}.") from None


def _lines(rows: Iterator[list[str]]) -> list[Line]:
    header = next(rows, [])
    places = _places(header)
    found: list[Line] = []
    errors: dict[str, list[str]] = {}
    seen: Counter[str] = Counter()
    keys: set[str] = set()
    for number, row in enumerate(rows, start=2):
        if not any(cell.strip() for cell in row):
            continue
        if number > MOST_LINES:
            raise _bad_file(f"More than {MOST_LINES:,} lines.")
        try:
            line = _line(row, places, seen)
            if line.key in keys:
                raise ValueError(f"the line id {line.key} is there twice")
            keys.add(line.key)
            found.append(line)
        except ValueError as error:
            errors[f"line {number}"] = [str(error)]
            if len(errors) >= MOST_ERRORS:
                break
    if errors:
        raise ValidationError(f"The file has bad lines: {', '.join(errors)}.", details=errors)
    if not found:
        raise _bad_file("No lines.")
    return found


def _places(header: list[str]) -> dict[str, int]:
    names = [cell.strip().lower().replace(" ", "_") for cell in header]
    places = {
        ours: next((names.index(one) for one in theirs if one in names), -1)
        for ours, theirs in COLUMNS.items()
    }
    missing = [" or ".join(COLUMNS[name]) for name in ("day", "machine_id", "amount") if places[name] < 0]
    if missing:
        raise _bad_file(f"The first line names no column {'; none '.join(missing)}.")
    return places


def _line(row: list[str], places: Mapping[str, int], seen: Counter[str]) -> Line:
    cells = {name: row[place].strip() if 0 <= place < len(row) else "" for name, place in places.items()}
    if any("\x00" in cell for cell in row):
        raise ValueError("contains a NUL character")
    try:
        day = date.fromisoformat(cells["day"][:10])
    except ValueError:
        raise ValueError(f"{cells['day'][:40]!r} is not a day like 2026-01-31") from None
    machine_id = cells["machine_id"]
    if not 1 <= len(machine_id) <= 100:
        raise ValueError("the machine's id has 1 to 100 characters")
    try:
        usd = Decimal(cells["amount"].removeprefix("$"))
    except InvalidOperation:
        raise ValueError(f"{cells['amount'][:40]!r} is not an amount") from None
    if not usd.is_finite() or abs(usd) > MOST_USD:
        raise ValueError(f"{cells['amount'][:40]!r} is not an amount")
    place = f"{day}:{machine_id}"
    seen[place] += 1
    # Without the vendor's own id the n-th line of a machine and day is the same line in every file.
    key = cells["line_id"] or f"{hashlib.sha256(place.encode()).hexdigest()[:32]}:{seen[place]}"
    if len(key) > 100:
        raise ValueError("the line's id has more than 100 characters")
    return Line(day, machine_id, key, amount(usd))


def _bad_file(text: str) -> ValidationError:
    return ValidationError(f"file: {text}", details={"file": [text]})
