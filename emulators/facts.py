"""What rooms above know about the stock, as plain values. Pure; settings.OFFER_FACTS names who is asked."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from emulators.profile import Profile, region_matches


@dataclass(frozen=True, slots=True)
class KnownPlace:
    """Where an offer stands, in the words a preference's region may use; empty when the provider is silent."""

    region: str
    city: str = ""
    state: str = ""
    country: str = ""

    def is_meant_by(self, entry: str) -> bool:
        return region_matches(
            entry, region=self.region, city=self.city, state=self.state, country=self.country
        )


@dataclass(frozen=True, slots=True)
class OfferFacts:
    """One provider's stock: the cheapest price of a machine that a launch would take (USD per hour; None when none is known
    to fit), and the places where it sells something now or is known to have machines; none where it sells nothing."""

    cheapest_usd_per_hour: Decimal | None = None
    places: tuple[KnownPlace, ...] = ()


class OfferFactsSource(Protocol):
    def __call__(self, *, provider: str, profile: Profile) -> OfferFacts:
        """What is known of a provider kind's offers for a console that names this kind only; `OfferFacts()` for nothing.

        Reads the database only.
        """


def no_facts(*, provider: str, profile: Profile) -> OfferFacts:
    """The source of somebody who knows nothing, and so says nothing."""
    return OfferFacts()
