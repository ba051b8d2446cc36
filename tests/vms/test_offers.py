"""Offers as rows: refreshed, kept, and priced as the vendor will bill them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulators.facts import OfferFacts
from emulators.profile import Floor, Preference
from emulators.services.profiles import gpu_table
from locations.models import Region
from tests.vms.control_plane import ControlPlane
from tests.vms.shelves import profile
from vms import offers
from vms.models import Offer, ProviderAccount
from vms.placement import Wish
from vms.providers import base
from vms.providers.memory.stock import JOPLIN, STOCK

PRICE = st.decimals(min_value=0, max_value=5, places=9, allow_nan=False)


@pytest.fixture
def account(plane: ControlPlane) -> ProviderAccount:
    return ProviderAccount.objects.get()


class TestStore:
    def test_keeps_what_is_sold_with_its_place_on_the_map(
        self, account: ProviderAccount, plane: ControlPlane
    ) -> None:
        offers.store(account, STOCK, plane.now())
        row = Offer.objects.get(offer_id="joplin-4090")
        assert Offer.objects.count() == len(STOCK)
        assert (row.latitude, row.longitude) == (
            pytest.approx(37.08, abs=0.1),
            pytest.approx(-94.51, abs=0.1),
        )
        assert (row.usd_per_gpu, row.order) == (Decimal("0.397"), {"offer": "joplin-4090"})
        account.refresh_from_db()
        assert account.offers_refreshed_at == plane.now()

    def test_places_an_offer_that_names_only_its_region_where_the_region_s_row_says(
        self, account: ProviderAccount, plane: ControlPlane
    ) -> None:
        columns = {"city": "Council Bluffs", "state": "Iowa", "country": "United States"}
        Region.objects.create(
            kind=account.kind, code="us-central1", name="Iowa", latitude=41.5, longitude=-95.5, **columns
        )
        bare, elsewhere = base.Place("us-central1", "", "", ""), base.Place("us-nowhere1", "", "", "")
        named = base.Place("us-central1", "Omaha", "Nebraska", "United States")
        stock = [
            replace(STOCK[0], offer_id=name, place=place)
            for name, place in (("bare", bare), ("named", named), ("elsewhere", elsewhere))
        ]
        offers.store(account, stock, plane.now())
        rows = {row.offer_id: row for row in Offer.objects.all()}
        assert rows["bare"].location_name == "Council Bluffs, Iowa, United States"
        assert rows["named"].city == "Omaha"
        assert {(rows[name].latitude, rows[name].longitude) for name in ("bare", "named")} == {(41.5, -95.5)}
        assert (rows["elsewhere"].latitude, rows["elsewhere"].city) == (None, "")

    def test_places_an_offer_by_its_town_when_its_region_is_on_no_map(
        self, account: ProviderAccount, plane: ControlPlane
    ) -> None:
        region = Region.objects.create(
            kind=account.kind, code="us-1", name="One", city="Dallas", country="US"
        )
        offers.store(account, [replace(STOCK[0], place=base.Place("us-1", "", "", ""))], plane.now())
        row = Offer.objects.get()
        assert (row.city, row.latitude) == (region.city, pytest.approx(32.8, abs=0.1))

    def test_keeps_all_though_a_vendor_s_text_fits_no_column(
        self, account: ProviderAccount, plane: ControlPlane
    ) -> None:
        long = "x" * 300
        places = [base.Place(long, long, "", "Wonderland"), base.Place("us-1", "Nowhere", long, long)]
        stock = [replace(offer, place=place) for offer, place in zip(STOCK, places, strict=False)]
        alike = [replace(STOCK[0], offer_id=f"{long}{number}") for number in range(2)]
        offers.store(account, [*stock, replace(STOCK[2], gpu_model=long), *alike], plane.now())
        assert Offer.objects.count() == 4
        assert Offer.objects.get(region="us-1").state == "x" * 100

    def test_drops_what_is_sold_out_and_takes_changes_and_newcomers(
        self, account: ProviderAccount, plane: ControlPlane
    ) -> None:
        offers.store(account, STOCK, plane.now())
        known = Offer.objects.get(offer_id="joplin-4090").pk
        changed = replace(STOCK[0], usd_per_gpu=Decimal("0.5"))
        offers.store(account, [changed, replace(STOCK[1], offer_id="new")], plane.clock.advance(seconds=60))
        assert set(Offer.objects.values_list("offer_id", flat=True)) == {"joplin-4090", "new"}
        row = Offer.objects.get(offer_id="joplin-4090")
        assert (row.pk, row.usd_per_gpu) == (known, Decimal("0.5"))

    def test_lets_cool_downs_survive(self, account: ProviderAccount, plane: ControlPlane) -> None:
        offers.store(account, STOCK, plane.now())
        until = plane.now() + timedelta(seconds=60)
        Offer.objects.filter(offer_id="joplin-4090").update(cools_until=until, cools_why="sold out")
        offers.store(account, STOCK, plane.clock.advance(seconds=10))
        row = Offer.objects.get(offer_id="joplin-4090")
        assert (row.cools_until, row.cools_why) == (until, "sold out")

    def test_leaves_another_account_alone(self, account: ProviderAccount, plane: ControlPlane) -> None:
        other = plane.add_account("other")
        offers.store(other, STOCK, plane.now())
        offers.store(account, STOCK[:1], plane.clock.advance(seconds=60))
        offers.store(account, [], plane.clock.advance(seconds=60))
        assert Offer.objects.filter(account=account).count() == 0
        assert Offer.objects.filter(account=other).count() == len(STOCK)

    def test_keeps_an_offer_of_a_place_nobody_knows_without_a_position(
        self, account: ProviderAccount, plane: ControlPlane
    ) -> None:
        nowhere = replace(STOCK[0], place=base.Place("x", "Xyzzyville", "", ""))
        offers.store(account, [nowhere], plane.now())
        assert (Offer.objects.get().latitude, Offer.objects.get().longitude) == (None, None)


class TestDue:
    def test_gives_each_account_once_a_minute(self, account: ProviderAccount, plane: ControlPlane) -> None:
        assert [one.pk for one in offers.due(plane.now())] == [account.pk]
        assert offers.due(plane.now()) == []
        assert offers.due(plane.clock.advance(seconds=59)) == []
        assert [one.pk for one in offers.due(plane.clock.advance(seconds=1))] == [account.pk]

    def test_comes_back_soon_when_the_pace_allowed_no_call(
        self, account: ProviderAccount, plane: ControlPlane
    ) -> None:
        offers.due(plane.now())
        offers.postpone(account, plane.now())
        assert [one.pk for one in offers.due(plane.clock.advance(seconds=2))] == [account.pk]


class TestShelf:
    def test_holds_only_what_is_young_enough(self, account: ProviderAccount, plane: ControlPlane) -> None:
        offers.store(account, STOCK, plane.now())
        assert len(offers.load(plane.now()).stock) == len(STOCK)
        shelf = offers.load(plane.clock.advance(minutes=6))
        wish = Wish(profile(Preference(account.kind, 1)))
        assert (len(shelf.stock), shelf.is_refreshed(wish), shelf.is_fresh(wish)) == (len(STOCK), True, False)
        assert len(offers.load(plane.clock.advance(minutes=10)).stock) == 0

    def test_names_accounts_that_take_no_orders(self, account: ProviderAccount, plane: ControlPlane) -> None:
        paused = plane.add_account("paused", is_paused=True)
        told = plane.add_account("told", paused_until=plane.now() + timedelta(minutes=1))
        resting = plane.add_account("resting", failures_in_a_row=3, last_error_at=plane.now())
        assert offers.load(plane.now()).paused == {paused.pk, told.pk, resting.pk}
        assert offers.load(plane.clock.advance(minutes=2)).paused == {paused.pk}

    def test_marks_what_cools_and_what_was_tried(self, account: ProviderAccount, plane: ControlPlane) -> None:
        offers.store(account, STOCK, plane.now())
        Offer.objects.filter(offer_id=STOCK[1].offer_id).update(
            cools_until=plane.now() + timedelta(seconds=1)
        )
        shelf = offers.load(plane.now(), tried=frozenset({(account.pk, STOCK[0].offer_id)}))
        ids = dict(enumerate(shelf.offer_ids))
        assert [ids[row] for row in ids if shelf.stock.is_tried[row]] == [STOCK[0].offer_id]
        assert [ids[row] for row in ids if shelf.stock.is_cooling[row]] == [STOCK[1].offer_id]


class TestExactPrice:
    @settings(max_examples=60, deadline=None)
    @given(
        st.tuples(PRICE, PRICE, PRICE, PRICE, PRICE, PRICE),
        st.tuples(st.integers(0, 8), st.integers(1, 64), st.integers(1, 512), st.integers(10, 4000)),
        st.booleans(),
        st.booleans(),
    )
    def test_is_what_the_order_will_cost(
        self, prices: tuple[Decimal, ...], size: tuple[int, int, int, int], has_ip: bool, maps_ports: bool
    ) -> None:
        known = dict(zip(offers.PRICES, prices, strict=True))
        flags = {"has_dedicated_ip": has_ip, "maps_ports_one_to_one": maps_ports}
        sized = dict(zip(("gpus", "vcpus", "ram_gb", "disk_gb"), size, strict=True))
        spec = base.MachineSpec(
            offer=base.Offer("o", JOPLIN, **known, **flags), **sized,
            ssh_public_key="", ssh_host_key="", ssh_host_public_key="", tcp_ports=(47989,),
        )  # fmt: skip
        assert offers.exact_price(Offer(**known, **flags), **sized) == spec.usd_per_hour


class TestFacts:
    """Of a console that asks for 8 vCPUs, 16 GB, 200 GB and an RTX 4090."""

    SIZE = 8 * Decimal("0.003") + 16 * Decimal("0.002") + 200 * Decimal("0.00005")

    def told(self, *, vcpus: int = 8) -> OfferFacts:
        floor = Floor(vcpus, 16, 200, 1)
        wanted = profile(
            Preference("memory", 1),
            floor=floor,
            presets={"mid": floor},
            gpus=gpu_table(),
            gpu_classes={"": "RTX 4090"},
        )
        return offers.facts(provider="memory", profile=wanted)

    def test_tell_the_cheapest_that_a_launch_would_take_and_every_place(
        self, account: ProviderAccount, plane: ControlPlane
    ) -> None:
        """Orlando's shared 4090 is cheaper than Manassas', and nobody could stream from it."""
        offers.store(account, STOCK, plane.now())
        told = self.told()
        assert told.cheapest_usd_per_hour == Decimal("0.377") + self.SIZE
        assert {place.city for place in told.places} == {offer.place.city for offer in STOCK}

    def test_leave_out_what_has_no_room_for_the_vendor_s_next_legal_size(
        self, account: ProviderAccount, plane: ControlPlane
    ) -> None:
        """9 vCPUs are sold as 10."""
        tight = replace(STOCK[1], max_vcpus=9)
        offers.store(account, [STOCK[0], tight], plane.now())
        cheapest = self.told(vcpus=9).cheapest_usd_per_hour
        assert cheapest == Decimal("0.397") + self.SIZE + 2 * Decimal("0.003")

    def test_count_what_cools_down(self, account: ProviderAccount, plane: ControlPlane) -> None:
        offers.store(account, STOCK, plane.now())
        Offer.objects.update(cools_until=plane.now() + timedelta(days=1))
        assert self.told().cheapest_usd_per_hour == Decimal("0.377") + self.SIZE

    def test_name_the_places_that_are_sold_out_for_the_moment(
        self, account: ProviderAccount, plane: ControlPlane
    ) -> None:
        Region.objects.create(kind="memory", code="de-1", name="One", city="Frankfurt", country="Germany")
        Region.objects.create(kind="cloudypad_gcp", code="fr-1", name="One", city="Paris", country="France")
        offers.store(account, STOCK[:1], plane.now())
        assert {(one.region, one.city) for one in self.told().places} == {
            ("us-joplin", "Joplin"),
            ("de-1", "Frankfurt"),
        }

    def test_know_no_price_where_nothing_fits(self, account: ProviderAccount, plane: ControlPlane) -> None:
        offers.store(account, STOCK, plane.now())
        assert self.told(vcpus=64).cheapest_usd_per_hour is None

    def test_know_nothing_of_a_provider_that_sells_nothing(self, account: ProviderAccount) -> None:
        Region.objects.create(kind="memory", code="de-1", name="One", city="Frankfurt", country="Germany")
        assert self.told() == OfferFacts()
