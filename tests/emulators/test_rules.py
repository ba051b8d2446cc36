"""What is said about a configuration in the light of the stock."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from accounts.principal import policy
from emulators.drafts import ConfigDraft, PreferenceDraft
from emulators.facts import KnownPlace, OfferFacts, no_facts
from emulators.profile import Floor, GpuTable, Profile, region_matches
from emulators.rules import Judge
from emulators.services import configs
from emulators.shipped import CONSOLES, GPU_CLASSES, PRESETS
from gamer.errors import ValidationError
from locations.services import is_place

GPUS = GpuTable(tuple((name, rank, terms) for rank, (name, terms) in enumerate(GPU_CLASSES, start=1)))
CHUBBUCK = KnownPlace("us-chubbuck", "Chubbuck", "Idaho", "United States")
WINNIPEG = KnownPlace("ca-winnipeg", "Winnipeg", "Manitoba", "Canada")
ASKED: list[tuple[str, Profile]] = []


def small_stock(*, provider: str, profile: Profile) -> OfferFacts:
    """TensorDock sells in two cities from 47 cents; of the others nothing is known."""
    ASKED.append((provider, profile))
    if provider != "tensordock":
        return OfferFacts()
    return OfferFacts(Decimal("0.47"), (CHUBBUCK, WINNIPEG))


def draft_with(**changes) -> ConfigDraft:
    limit = changes.pop("config_limit", None)
    only = PreferenceDraft("tensordock", priority=1, **changes)
    return replace(CONSOLES["switch"], preferred_providers=(only,), cost_per_hour_limit=limit)


def faults(draft, before=None, facts=small_stock):
    judge = Judge(PRESETS, GPUS, {"tensordock": "TensorDock"}, facts, is_place, before)
    return judge.problems(draft).details()


class TestLimit:
    @pytest.mark.parametrize("limit", [None, Decimal("0.47"), Decimal(3)])
    def test_that_lets_something_through_is_fine(self, limit):
        assert faults(draft_with(cost_per_hour_limit=limit)) == {}

    def test_under_every_known_price_is_named_with_the_price(self):
        found = faults(draft_with(cost_per_hour_limit=Decimal("0.46")))
        assert found == {
            "preferred_providers.0.cost_per_hour_limit": [
                "TensorDock's cheapest machine for this console costs $0.470 an hour: none would be taken."
            ]
        }

    def test_of_the_console_under_every_known_price_is_named_too(self):
        found = faults(draft_with(config_limit=Decimal("0.10")))
        assert found["cost_per_hour_limit"] == [
            "The cheapest machine known for this console costs $0.470 an hour: nothing could be launched."
        ]

    def test_that_stayed_is_not_held_against_todays_prices(self):
        before = draft_with(cost_per_hour_limit=Decimal("0.10"), config_limit=Decimal("0.10"))
        assert faults(replace(before, max_session_hours=2), before) == {}

    def test_of_a_provider_that_is_off_does_not_matter(self):
        assert faults(draft_with(cost_per_hour_limit=Decimal("0.10"), enabled=False)) == {}

    def test_is_compared_with_what_the_launch_would_ask(self):
        ASKED.clear()
        faults(draft_with(cost_per_hour_limit=Decimal(3), config_limit=Decimal(4), regions=("us",)))
        [(provider, profile)] = ASKED
        [preference] = profile.preferences
        assert provider == preference.provider == "tensordock"
        floor, rank = Floor(8, 16, 200, 1), GPUS.rank_of_class("RTX 4090")
        assert profile.demand(preference)[1:] == (floor, rank)
        # Without what is being judged: no price would be known to be over the limit.
        assert (profile.usd_per_hour_limit, preference.usd_per_hour_limit, preference.regions) == (
            None,
            None,
            (),
        )


class TestRegion:
    @pytest.mark.parametrize("entry", ["us", "US-chub", "ca-winnipeg", "idaho", "Canada", "winnipeg"])
    def test_that_matches_something_is_fine(self, entry):
        assert faults(draft_with(regions=(entry,))) == {}

    @pytest.mark.parametrize("entry", ["Germany", "united-kingdom", "Hesse", "frankfurt", "DE"])
    def test_that_is_sold_out_for_the_moment_is_fine(self, entry):
        assert faults(draft_with(regions=(entry,))) == {}

    def test_that_matches_nothing_is_named_with_what_there_is(self):
        assert faults(draft_with(regions=("us", "Wonderland"))) == {
            "preferred_providers.0.regions": [
                "TensorDock has nothing in “Wonderland”; it has machines in Canada, United States."
            ]
        }

    def test_that_stayed_is_not_held_against_todays_stock(self):
        before = draft_with(regions=("Wonderland",))
        assert faults(replace(before, max_session_hours=2), before) == {}
        more = draft_with(regions=("Wonderland", "Lemuria"))
        assert "Lemuria" in faults(more, before)["preferred_providers.0.regions"][0]

    @pytest.mark.parametrize("entry", ["", "  ", "entral", "us-central1-a"])
    def test_is_neither_blank_nor_a_part_from_the_middle(self, entry):
        assert not region_matches(entry, region="us-central1")


class TestSilence:
    def test_when_nothing_is_known_of_the_stock(self):
        draft = draft_with(
            cost_per_hour_limit=Decimal("0.01"), regions=("Wonderland",), config_limit=Decimal("0.01")
        )
        assert faults(draft, facts=no_facts) == {}


class TestSettings:
    def test_name_who_knows_the_stock(self, shipped, now, settings):
        settings.OFFER_FACTS = "tests.emulators.test_rules.small_stock"
        change = {"cost_per_hour_limit": Decimal("0.10")}
        with pytest.raises(ValidationError) as caught:
            configs.upsert_provider(
                console="switch", provider="tensordock", changes=change, by=policy("test"), now=now
            )
        assert (
            "cheapest machine for this console costs $0.470" in caught.value.details["cost_per_hour_limit"][0]
        )
