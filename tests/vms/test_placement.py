"""Which offer a launch takes, and why not the others."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulators.profile import Preference
from locations.distance import distance_km
from tests.vms.shelves import (
    DALLAS,
    JOPLIN,
    NOWHERE,
    ORLANDO,
    SIZES,
    WINNIPEG,
    Row,
    naive_key,
    profile,
    stock,
)
from vms.placement import Ranking, Why, Wish, rank
from vms.providers.base import Place


def by_score(weight: str, *preferences: Preference) -> Wish:
    return Wish(profile(*preferences, usd_per_1000_km=Decimal(weight)), *DALLAS)


CANADA = Place("ca-winnipeg", "Winnipeg", "Manitoba", "Canada")


def judged(*rows: Row, wish: Wish | None = None, **accounts: frozenset[int]) -> Ranking:
    return rank(stock(*rows), wish or Wish(profile(), *DALLAS), SIZES, **accounts)


class TestQuestions:
    @pytest.mark.parametrize(
        ("row", "why", "text"),
        [
            (Row(), Why.FITS, "fits"),
            (Row(gpus=0), Why.GPU_MISSING, "has no GPU to give"),
            (Row(gpu="geforcegtx1060"), Why.GPU_TOO_WEAK, "the GPU is below the class this console asks for"),
            (Row(gpu="mystery"), Why.GPU_TOO_WEAK, "the GPU is below the class this console asks for"),
            (Row(vcpus=2), Why.CPU, "has too few vCPUs"),
            (Row(ram_gb=4), Why.RAM, "has too little memory"),
            (Row(disk_gb=50), Why.DISK, "has too little disk"),
            (
                Row(has_ip=False),
                Why.PORTS,
                "neither a dedicated IP nor a 1:1 port mapping, which Moonlight needs",
            ),
            (Row(kind="b"), Why.PROVIDER_OFF, "the provider is not enabled for this console"),
            (Row(tried=True), Why.TRIED, "was already tried for this launch"),
            (Row(cools=True), Why.COOLING, "failed a moment ago and cools down"),
        ],
    )
    def test_name_the_first_one_that_an_offer_failed(self, row: Row, why: Why, text: str) -> None:
        ranking = judged(row)
        assert ranking.why.tolist() == [why]
        assert ranking.reason(0) == text

    def test_are_asked_in_order(self) -> None:
        """An offer that fails everything is told of the earliest; with each one mended, of the next."""
        console = profile(Preference("a", 1, regions=("Canada",), usd_per_hour_limit=Decimal("0.3")))
        row = Row(gpus=0, vcpus=2, ram_gb=4, disk_gb=50, has_ip=False, tried=True, cools=True, gpu="weak")
        seen = []
        for mended in (
            {"gpus": 4}, {"gpu": "rtx4090"}, {"vcpus": 32}, {"ram_gb": 128}, {"disk_gb": 1000}, {"has_ip": True},
            {"usd_per_gpu": 0.1}, {"place": CANADA}, {}, {"tried": False}, {"cools": False}, {},
        ):  # fmt: skip
            is_paused = seen[-1:] == [Why.REGION]
            ranking = judged(row, wish=Wish(console, *DALLAS), paused=frozenset({1} if is_paused else ()))
            seen.append(Why(int(ranking.why[0])))
            row = replace(row, **mended)
        assert seen == [
            Why.GPU_MISSING, Why.GPU_TOO_WEAK, Why.CPU, Why.RAM, Why.DISK, Why.PORTS, Why.PRICE, Why.REGION,
            Why.PAUSED, Why.TRIED, Why.COOLING, Why.FITS,
        ]  # fmt: skip

    def test_find_accounts_that_are_paused_or_full(self) -> None:
        ranking = judged(
            Row(account=1), Row(account=2), Row(account=3), paused=frozenset({1}), full=frozenset({2})
        )
        assert [Why(int(one)) for one in ranking.why] == [Why.PAUSED, Why.ACCOUNT_FULL, Why.FITS]

    def test_accept_a_host_that_maps_ports_one_to_one(self) -> None:
        assert len(judged(Row(has_ip=False, maps_ports=True)).order) == 1

    def test_need_no_gpu_where_the_console_needs_none(self) -> None:
        console = profile(
            floor=replace(profile().floor, gpus=0), presets={"mid": replace(profile().presets["mid"], gpus=0)}
        )
        assert len(judged(Row(gpus=0, gpu=""), wish=Wish(console)).order) == 1


class TestPrice:
    def test_over_the_preferences_limit_is_told_with_both_numbers(self) -> None:
        console = profile(
            Preference("a", 1, usd_per_hour_limit=Decimal("0.35")), usd_per_hour_limit=Decimal(3)
        )
        assert judged(Row(), wish=Wish(console)).reason(0) == "costs over the limit of $0.35 an hour"

    def test_is_also_limited_by_the_console(self) -> None:
        console = profile(usd_per_hour_limit=Decimal("0.39"))
        assert judged(Row(), wish=Wish(console)).why.tolist() == [Why.PRICE]

    def test_exactly_at_the_limit_fits(self) -> None:
        console = profile(usd_per_hour_limit=Decimal("0.3"))
        assert len(judged(Row(usd=0.1, usd_per_gpu=0.2), wish=Wish(console)).order) == 1

    def test_is_that_of_the_next_legal_size_address_included(self) -> None:
        row = Row(usd=0.01, usd_per_vcpu=0.01, usd_per_gb_ram=0.001, usd_per_gb_disk=0.0001, usd_per_ip=0.05)
        choice = judged(row).choice(0)
        assert (choice.gpus, choice.vcpus, choice.ram_gb, choice.disk_gb) == (1, 4, 8, 100)
        assert choice.usd_per_hour == pytest.approx(0.01 + 0.4 + 0.04 + 0.008 + 0.01 + 0.05)

    def test_leaves_the_address_out_where_ports_are_mapped(self) -> None:
        assert judged(Row(usd_per_ip=0.05, maps_ports=True)).choice(0).usd_per_hour == pytest.approx(0.4)

    def test_of_a_whole_offer_is_the_offers(self) -> None:
        row = Row(kind="whole", gpus=2, vcpus=12, ram_gb=48, disk_gb=300, usd=0.7, usd_per_gpu=0)
        choice = judged(row, wish=Wish(profile(Preference("whole", 1)))).choice(0)
        assert (choice.gpus, choice.vcpus, choice.ram_gb, choice.disk_gb) == (2, 12, 48, 300)
        assert choice.usd_per_hour == pytest.approx(0.7)

    def test_counts_the_gpus_an_order_must_take(self) -> None:
        assert judged(Row(min_gpus=2)).choice(0).usd_per_hour == pytest.approx(0.8)

    def test_needs_a_legal_size_that_the_host_has(self) -> None:
        """5 vCPUs exist, but the ladder goes from 4 to 6."""
        console = profile(presets={"mid": replace(profile().presets["mid"], vcpus=5)})
        assert judged(Row(vcpus=5), wish=Wish(console)).why.tolist() == [Why.CPU]

    def test_is_not_asked_where_the_ladder_ends_below_the_floor(self) -> None:
        console = profile(presets={"mid": replace(profile().presets["mid"], disk_gb=1001)})
        assert judged(Row(disk_gb=5000), wish=Wish(console)).why.tolist() == [Why.NO_LEGAL_SIZE]


class TestOrder:
    def test_is_by_priority_before_distance_and_price(self) -> None:
        console = profile(Preference("b", 1), Preference("a", 2))
        ranking = judged(
            Row("a", usd=0, at=JOPLIN), Row("b", usd=5, at=WINNIPEG), wish=Wish(console, *DALLAS)
        )
        assert ranking.order.tolist() == [1, 0]

    def test_is_by_distance_before_price(self) -> None:
        assert judged(Row(at=ORLANDO), Row(at=JOPLIN, usd=5)).order.tolist() == [1, 0]

    def test_is_by_price_in_one_city(self) -> None:
        assert judged(Row(usd=0.2), Row(usd=0.1)).order.tolist() == [1, 0]

    def test_has_what_cannot_be_placed_on_the_map_last(self) -> None:
        ranking = judged(Row(at=NOWHERE), Row(at=ORLANDO, usd=9))
        assert ranking.order.tolist() == [1, 0]
        assert ranking.choice(0).distance_km is None

    def test_is_by_priority_then_price_without_a_position(self) -> None:
        console = profile(Preference("b", 1), Preference("a", 2))
        ranking = judged(
            Row("a", at=JOPLIN),
            Row("b", at=WINNIPEG, usd=0.2),
            Row("b", at=ORLANDO, usd=0.1),
            wish=Wish(console),
        )
        assert ranking.order.tolist() == [2, 1, 0]
        assert {ranking.choice(row).distance_km for row in range(3)} == {None}

    def test_shows_the_geodesic(self) -> None:
        assert judged(Row(at=ORLANDO)).choice(0).distance_km == round(distance_km(DALLAS, ORLANDO), 1)


class TestScore:
    """Joplin is 492 km from Dallas, Orlando 1,551 km, Winnipeg 1,904 km."""

    @pytest.mark.parametrize(
        ("weight", "first"),
        [("0", ORLANDO), ("0.09", ORLANDO), ("0.1", JOPLIN), ("100", JOPLIN)],
    )
    def test_weighs_the_distance_against_the_price(self, weight: str, first: tuple[float, float]) -> None:
        """Joplin is 10 cents dearer and 1,059 km nearer: from 9.44 cents per 1,000 km on it is the better one."""
        ranking = judged(Row(at=ORLANDO, usd=0.1), Row(at=JOPLIN, usd=0.2), wish=by_score(weight))
        assert ranking.order.tolist() == [[0, 1], [1, 0]][first == JOPLIN]

    def test_is_the_price_and_what_the_distance_is_worth(self) -> None:
        choice = judged(Row(at=ORLANDO), wish=by_score("0.5")).choice(0)
        assert choice.score == pytest.approx(0.4 + 0.5 * distance_km(DALLAS, ORLANDO) / 1000)
        assert judged(Row(at=ORLANDO)).choice(0).score is None

    def test_goes_before_priorities_which_settle_what_it_leaves_even(self) -> None:
        lists = Preference("b", 1), Preference("a", 2)
        better, even = (Row("a", usd=0.1), Row("b", usd=0.2)), (Row("a"), Row("b"))
        assert judged(*better, wish=by_score("0.25", *lists)).order.tolist() == [0, 1]
        assert judged(*even, wish=by_score("0.25", *lists)).order.tolist() == [1, 0]

    def test_lets_no_offer_in_that_a_question_turned_down(self) -> None:
        console = by_score("0", Preference("a", 1, usd_per_hour_limit=Decimal("0.5")), Preference("b", 2))
        ranking = judged(Row("a", usd=0.2), Row("b", usd=0.3), wish=console)
        assert (ranking.order.tolist(), ranking.why.tolist()) == ([1], [Why.PRICE, Why.FITS])

    def test_has_demoted_accounts_and_what_is_on_no_map_last(self) -> None:
        rows = Row(at=NOWHERE), Row(usd=0, demoted=True), Row(usd=9), Row(at=NOWHERE, demoted=True)
        ranking = judged(*rows, wish=by_score("0.25"))
        assert ranking.order.tolist() == [2, 0, 1, 3]
        assert ranking.choice(0).score is None

    def test_without_a_position_is_the_price(self) -> None:
        wish = replace(by_score("0.25", Preference("a", 1), Preference("b", 2)), latitude=None)
        ranking = judged(Row("a", usd=0.2), Row("b", usd=0.1, at=ORLANDO), wish=wish)
        assert ranking.order.tolist() == [1, 0]
        assert ranking.choice(0).score == ranking.choice(0).usd_per_hour


class TestWish:
    def test_for_a_provider_is_binding(self) -> None:
        console = profile(Preference("a", 1), Preference("b", 2))
        ranking = judged(Row("a"), Row("b"), wish=Wish(console, provider="b"))
        assert ranking.order.tolist() == [1]
        assert ranking.reason(0) == "the launch asked for another provider"

    def test_for_a_provider_needs_no_preference(self) -> None:
        assert judged(Row("b"), wish=Wish(profile(), provider="b")).order.tolist() == [0]

    def test_for_a_provider_that_staff_switched_off_is_refused(self) -> None:
        console = profile(Preference("a", 1, is_enabled=False))
        assert judged(Row(), wish=Wish(console, provider="a")).why.tolist() == [Why.PROVIDER_OFF]

    def test_for_a_preset_goes_before_the_providers_own(self) -> None:
        console = profile(Preference("a", 1, preset="mid"))
        choice = judged(Row(), wish=Wish(console, preset="big")).choice(0)
        assert (choice.preset, choice.gpus, choice.ram_gb, choice.disk_gb) == ("big", 2, 32, 500)

    def test_without_a_preset_takes_the_providers_own(self) -> None:
        assert judged(Row(), wish=Wish(profile(Preference("a", 1, preset="big")))).choice(0).preset == "big"

    def test_is_never_met_below_the_consoles_floor(self) -> None:
        console = profile(floor=replace(profile().floor, ram_gb=64))
        assert judged(Row(), wish=Wish(console)).choice(0).ram_gb == 64

    def test_asks_another_gpu_class_of_a_provider_that_names_one(self) -> None:
        console = profile(Preference("a", 1), Preference("b", 1, gpu_class="1060"))
        rows = Row("a", gpu="gtx1060"), Row("b", gpu="gtx1060")
        assert judged(*rows, wish=Wish(console)).order.tolist() == [1]

    @pytest.mark.parametrize("entry", ["ca-", "ca-winnipeg", "Canada", "manitoba", "Winnipeg"])
    def test_for_a_region_matches_code_prefix_country_state_and_city(self, entry: str) -> None:
        console = profile(Preference("a", 1, regions=(entry,)))
        assert judged(Row(), Row(place=CANADA, at=WINNIPEG), wish=Wish(console)).order.tolist() == [1]


class TestReasonsByKind:
    def test_name_what_came_closest_first_and_count_the_offers(self) -> None:
        ranking = judged(Row(gpus=0), Row(gpus=0), Row(cools=True), Row("b"))
        assert ranking.reasons_by_kind() == {
            "a": "1 × failed a moment ago and cools down; 2 × has no GPU to give",
            "b": "1 × the provider is not enabled for this console",
        }

    def test_leave_out_a_kind_that_can_host(self) -> None:
        assert judged(Row(), Row(gpus=0)).reasons_by_kind() == {}


latitudes, longitudes = st.floats(-90, 90), st.floats(-180, 180)
positions = st.one_of(
    st.sampled_from([JOPLIN, ORLANDO, WINNIPEG, NOWHERE, DALLAS]), st.tuples(latitudes, longitudes)
)
prices = st.sampled_from([0.0, 0.125, 0.25, 0.5])
# Most offers fit and differ in what the order asks; the others fail one question or several.
fitting_rows = st.builds(
    Row,
    kind=st.sampled_from(["a", "b"]),
    at=positions,
    usd=prices,
    usd_per_gpu=prices,
    usd_per_ip=prices,
    maps_ports=st.booleans(),
)
any_rows = st.builds(
    Row,
    kind=st.sampled_from(["a", "b", "whole"]),
    at=positions,
    place=st.sampled_from([Row().place, CANADA]),
    gpu=st.sampled_from(["rtx4090", "rtx3090", "gtx1060", ""]),
    gpus=st.integers(0, 3),
    min_gpus=st.integers(0, 2),
    vcpus=st.integers(2, 12),
    ram_gb=st.integers(6, 40),
    disk_gb=st.sampled_from([50, 100, 120, 600]),
    usd=prices,
    usd_per_gpu=prices,
    usd_per_vcpu=st.sampled_from([0.0, 0.0625]),
    usd_per_ip=prices,
    has_ip=st.booleans(),
    maps_ports=st.booleans(),
    cools=st.sampled_from([False, False, True]),
    demoted=st.sampled_from([False, False, True]),
    tried=st.sampled_from([False, False, True]),
)
rows = st.one_of(fitting_rows, fitting_rows, any_rows)
plain_preferences = st.builds(Preference, provider=st.sampled_from(["a", "b"]), priority=st.integers(1, 2))
any_preferences = st.builds(
    Preference,
    provider=st.sampled_from(["a", "b", "whole"]),
    priority=st.integers(1, 2),
    is_enabled=st.sampled_from([True, True, False]),
    preset=st.sampled_from([None, "mid", "big"]),
    usd_per_hour_limit=st.sampled_from([None, Decimal("0.5"), Decimal(1)]),
    regions=st.sampled_from([(), ("Canada",), ("us-", "ca-w")]),
    gpu_class=st.sampled_from([None, "1060", "4090"]),
)
preferences = st.one_of(plain_preferences, plain_preferences, any_preferences)
weights = st.sampled_from([None, None, *map(Decimal, ("0", "0.25", "1", "100"))])
wishes = st.builds(
    lambda known, at, provider, preset, weight: Wish(
        profile(*known, usd_per_1000_km=weight), *(at or (None, None)), provider, preset
    ),
    st.lists(preferences, min_size=1, max_size=3, unique_by=lambda one: one.provider),
    st.one_of(st.none(), st.tuples(latitudes, longitudes), st.just(DALLAS)),
    st.sampled_from([None, None, "a", "b"]),
    st.sampled_from([None, None, "mid", "big"]),
    weights,
)


weighed_wishes = st.builds(
    lambda known, at, weight: Wish(profile(*known, usd_per_1000_km=weight), *at),
    st.lists(plain_preferences, min_size=1, max_size=2, unique_by=lambda one: one.provider),
    st.one_of(st.tuples(latitudes, longitudes), st.just(DALLAS)),
    st.sampled_from([Decimal("0"), Decimal("0.25"), Decimal(1)]),
)


def worth_of(wish: Wish) -> Decimal:
    assert wish.profile.usd_per_1000_km is not None
    return wish.profile.usd_per_1000_km


def weighing(wish: Wish, weight: Decimal) -> Wish:
    return replace(wish, profile=replace(wish.profile, usd_per_1000_km=weight))


def doubled(row: Row) -> Row:
    prices = ("usd", "usd_per_gpu", "usd_per_vcpu", "usd_per_gb_ram", "usd_per_gb_disk", "usd_per_ip")
    return replace(row, **{name: 2 * getattr(row, name) for name in prices})


def is_nearly_even(key: tuple[float, ...], winner: tuple[float, ...]) -> bool:
    """Whether two offers differ in something by less than the arithmetic may be off."""
    pairs = zip(key, winner, strict=True)
    return any(one != other and math.isclose(one, other, rel_tol=1e-9) for one, other in pairs)


class TestProperties:
    @settings(max_examples=150, deadline=None)
    @given(st.lists(rows, max_size=40), wishes)
    def test_the_winner_is_the_naive_one(self, offers: list[Row], wish: Wish) -> None:
        ranking = judged(*offers, wish=wish)
        keys = [naive_key(row, wish) for row in offers]
        fitting = [key for key in keys if key is not None]
        assert sorted(ranking.order.tolist()) == [index for index, key in enumerate(keys) if key is not None]
        if fitting:
            assert keys[int(ranking.order[0])] == pytest.approx(min(fitting), rel=1e-9, abs=1e-9)

    @settings(max_examples=100, deadline=None)
    @given(st.lists(rows, max_size=40), wishes)
    def test_every_offer_is_ranked_once_or_has_a_reason(self, offers: list[Row], wish: Wish) -> None:
        ranking = judged(*offers, wish=wish)
        ranked = ranking.order.tolist()
        assert len(ranked) == len(set(ranked))
        for row in range(len(offers)):
            assert (row in ranked) == (ranking.reason(row) == "fits")

    @settings(max_examples=100, deadline=None)
    @given(st.lists(rows, min_size=1, max_size=20), wishes, rows)
    def test_another_offer_takes_first_place_only_by_being_better(
        self, offers: list[Row], wish: Wish, another: Row
    ) -> None:
        before, after = judged(*offers, wish=wish).order, judged(*offers, another, wish=wish).order
        if not len(before):
            return
        winner, key = naive_key(offers[int(before[0])], wish), naive_key(another, wish)
        assert winner is not None
        if key is None or (key > winner and not is_nearly_even(key, winner)):
            assert after[0] == before[0]

    @settings(max_examples=100, deadline=None)
    @given(st.lists(rows, min_size=1, max_size=30), wishes, st.randoms(use_true_random=False))
    def test_the_winner_does_not_depend_on_the_order_of_the_offers(
        self, offers: list[Row], wish: Wish, chance: Random
    ) -> None:
        shuffled = list(offers)
        chance.shuffle(shuffled)
        winners = [
            naive_key(stocked[int(order[0])], wish)
            for stocked in (offers, shuffled)
            if len(order := judged(*stocked, wish=wish).order)
        ]
        assert winners == winners[:1] * len(winners)
        assert len(winners) != 1

    @settings(max_examples=100, deadline=None)
    @given(st.lists(fitting_rows, max_size=30), weighed_wishes)
    def test_a_score_is_in_dollars_whichever_they_are(self, offers: list[Row], wish: Wish) -> None:
        """With every price and the worth of distance doubled, all scores are doubled and the order stays."""
        before = judged(*offers, wish=wish)
        after = judged(*map(doubled, offers), wish=weighing(wish, 2 * worth_of(wish)))
        assert after.order.tolist() == before.order.tolist()
        for row in before.order.tolist():
            score, twice = before.choice(row).score, after.choice(row).score
            assert twice == (score if score is None else 2 * score)

    @settings(max_examples=100, deadline=None)
    @given(st.lists(fitting_rows, min_size=1, max_size=30), weighed_wishes)
    def test_the_more_a_distance_is_worth_the_nearer_the_winner(self, offers: list[Row], wish: Wish) -> None:
        near, far = (
            judged(*offers, wish=weighing(wish, worth_of(wish) + more)) for more in (Decimal(1), Decimal(0))
        )
        if len(near.order):
            chosen = near.choice(int(near.order[0])), far.choice(int(far.order[0]))
            distances = [math.inf if one.distance_km is None else one.distance_km for one in chosen]
            assert distances[0] <= distances[1]
            assert chosen[0].usd_per_hour >= chosen[1].usd_per_hour - 1e-9 or distances[1] == math.inf
