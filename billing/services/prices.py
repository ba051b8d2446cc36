"""What an hour of a machine costs, and what the customer pays: the vendor's quote, else the rate card; our margin on top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction

from accounts.principal import Principal
from billing import rating
from billing.models import Margin, Rate, RateFactor
from billing.models.usage import PriceSource
from events.services import Happening, record
from gamer.errors import InvalidState, bad_field
from gamer.prepared import CompiledQuery

MARGIN = CompiledQuery(lambda at: Margin.objects.filter(starts_at__lte=at).order_by("-starts_at")[:1])


@dataclass(frozen=True, slots=True)
class Price:
    """A price with where it comes from, as a machine keeps it. USD per hour."""

    source: PriceSource
    cost_usd_per_hour: Decimal
    charge_usd_per_hour: Decimal
    rate_id: int | None = None
    factor_ids: tuple[int, ...] = ()
    margin_id: int | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """The rates, factors and the margin in force at one moment."""

    rates: dict[tuple[str, str], Rate]
    factors: dict[tuple[str, str], RateFactor]
    margin: Margin | None

    def price(self, provider: str, preset: str, console: str, quote: Decimal | None = None) -> Price:
        """The quote as it is, else the rate of the provider and preset times the provider's overhead and the console's factor.

        Without either the cost is unknown and counts as nothing.
        """
        if quote is not None:
            return self.quoted(quote)
        rate = self.rates.get((provider, preset)) or self.rates.get((provider, ""))
        if rate is None:
            return self._priced(PriceSource.UNKNOWN, rating.ZERO)
        names = ((provider, ""), (provider, console))
        factors = [self.factors[name] for name in names if name in self.factors]
        cost = rating.rate_per_hour(rate.usd_per_hour, [one.factor for one in factors])
        return self._priced(PriceSource.RATE, cost, rate, factors)

    def quoted(self, quote: Decimal) -> Price:
        """What somebody was told a machine costs, with our margin of the moment."""
        return self._priced(PriceSource.QUOTE, rating.price(quote))

    def _priced(
        self, source: PriceSource, cost: Decimal, rate: Rate | None = None, factors: Sequence[RateFactor] = ()
    ) -> Price:
        share = self.margin.share if self.margin is not None else rating.ZERO
        return Price(
            source,
            cost,
            rating.charge_per_hour(cost, share),
            rate.pk if rate is not None else None,
            tuple(one.pk for one in factors),
            self.margin.pk if self.margin is not None else None,
        )


def charge_of(quote: Decimal, at: datetime) -> Decimal:
    """What the customer pays an hour for a quote; one query, where a whole card is not needed."""
    return rating.charge_per_hour(rating.price(quote), share_of(at))


def share_of(at: datetime) -> Decimal:
    """Our margin of a moment, as a share of the provider's price."""
    margin = _margin(at)
    return margin.share if margin is not None else rating.ZERO


def card(at: datetime) -> Card:
    """The card of a moment: of each row the newest that has begun. Three small queries; read it once for many prices."""
    rates = Rate.objects.filter(starts_at__lte=at).order_by("starts_at")
    factors = RateFactor.objects.filter(starts_at__lte=at).order_by("starts_at")
    return Card(
        {(one.provider, one.preset): one for one in rates},
        {(one.provider, one.console): one for one in factors},
        _margin(at),
    )


def quoted(at: datetime, quote: Decimal | None) -> Price:
    """What a quote costs and is charged, with our margin of a moment; without one the cost is unknown and counts as nothing."""
    card = Card({}, {}, _margin(at))
    return card.price("", "", "") if quote is None else card.quoted(quote)


def _margin(at: datetime) -> Margin | None:
    return MARGIN.first(at=at)


GRACE = timedelta(minutes=5)  # a form is typed meanwhile


@transaction.atomic
def add(*, row: Rate | RateFactor | Margin, by: Principal, now: datetime) -> None:
    """Puts a row in force from its start on, never before now. Raises ValidationError for one that would change what was already sold."""
    if row.starts_at < now - GRACE:
        raise bad_field("starts_at", "what was sold before was sold at the rates of then")
    # What was quoted while the form was typed is charged as it was quoted.
    row.starts_at = max(row.starts_at, now)
    row.save(force_insert=True)
    record(_about(row, "create", by, now))


@transaction.atomic
def remove(*, row: Rate | RateFactor | Margin, by: Principal, now: datetime) -> None:
    """Takes back a row that has not begun yet. Raises InvalidState for one that has."""
    if row.starts_at <= now:
        raise InvalidState(f"{row} has begun; add a newer row instead.")
    record(_about(row, "delete", by, now))
    row.delete()


def _about(row: Rate | RateFactor | Margin, action: str, by: Principal, now: datetime) -> Happening:
    columns = {field.name: str(getattr(row, field.name)) for field in row._meta.fields if field.name != "id"}
    kind = row._meta.model_name
    return Happening(
        at=now,
        actor=by.label,
        action=action,
        resource="billing",
        resource_id=f"{kind}-{row.pk}",
        details=columns,
    )
