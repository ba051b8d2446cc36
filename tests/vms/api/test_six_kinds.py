"""Every answer about what can be had, with accounts of all six kinds and everything they sell."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from emulators.models import ConsoleType
from emulators.shipped import CLOUDS as SHIPPED_ORDER
from locations.catalogue import CLOUDS
from tests.vms.api.asking import DALLAS
from tests.vms.six_kinds import CANARY, KINDS
from vms.models import CLOUD_KINDS, MachineType, Offer, ProviderAccount

pytestmark = pytest.mark.usefixtures("six")
WARSAW = {"user_latitude": 52.23, "user_longitude": 21.01}
EVERY = (
    *("/config/providers", "/launch/locations/summary", "/launch/hostnodes/available"),
    *("/launch/hostnodes/closest?user_latitude=52&user_longitude=21", "/launch/vm/optimal-for/switch"),
)


class TestProviders:
    def test_show_what_each_kind_can_do_where_and_for_how_much(self, as_sam):
        shown = {one["provider"]: one for one in as_sam.get("/config/providers").json()}
        assert [*shown] == [*KINDS, "libvirt"]
        for kind in KINDS:
            one = shown[kind]
            assert {"launch", "stop_start"} <= set(one["capabilities"])
            assert (one["health"]["status"], one["health"]["accounts"]) == ("healthy", 1)
            assert one["offers"] == Offer.objects.filter(account__kind=kind).count() > 0
            assert sum(region["offers"] for region in one["regions"]) == one["offers"]
            assert all(region["city"] and region["country"] for region in one["regions"])
            assert 0 < one["price_range"]["min_per_hour"] < one["price_range"]["max_per_hour"]

    def test_say_which_account_comes_after_all_others(self, as_sam):
        ProviderAccount.objects.filter(kind="cloudypad_aws").update(
            orders_failed_in_a_row=3, order_failed_at=timezone.now()
        )
        shown = {one["provider"]: one["health"] for one in as_sam.get("/config/providers").json()}
        assert (shown["cloudypad_aws"]["status"], shown["cloudypad_aws"]["healthy_accounts"]) == (
            "demoted",
            0,
        )
        assert shown["cloudypad_gcp"]["status"] == "healthy"


class TestHostnodes:
    def test_are_of_every_kind_and_all_on_the_map(self, as_sam):
        found = as_sam.get("/launch/hostnodes/available").json()
        assert {one["provider"] for one in found["hostnodes"]} == {*KINDS}
        assert found["total_hostnodes"] == len(found["hostnodes"]) == Offer.objects.exclude(
            has_dedicated_ip=False, maps_ports_one_to_one=False
        ).count()  # fmt: skip
        assert all(one["city"] and one["country"] and one["price_per_hour"] > 0 for one in found["hostnodes"])

    def test_of_every_kind_can_host_every_console(self, as_sam):
        for console in ConsoleType.values:
            found = as_sam.get("/launch/hostnodes/available", {"console_type": console}).json()["hostnodes"]
            assert {one["provider"] for one in found} == {*KINDS}, console

    def test_closest_are_the_nearest_whoever_sells_them(self, as_sam):
        asked = {**WARSAW, "console_type": "switch", "limit": 4}
        found = as_sam.get("/launch/hostnodes/closest", asked).json()
        nearest = found["closest_hostnodes"]
        assert nearest[0]["hostnode"]["provider"] == "cloudypad_scaleway"
        assert (nearest[0]["location"], nearest[0]["distance_km"] < 5) == ("Warsaw, Poland", True)
        kilometres = [one["distance_km"] for one in nearest]
        assert (len(nearest), kilometres) == (4, sorted(kilometres))
        available = as_sam.get("/launch/hostnodes/available", {"console_type": "switch"}).json()
        assert found["total_found"] == available["total_hostnodes"]


class TestSummary:
    def test_counts_every_hostnode_once_and_a_city_once_whoever_is_there(self, as_sam):
        body = as_sam.get("/launch/locations/summary").json()
        nodes = as_sam.get("/launch/hostnodes/available").json()["hostnodes"]
        countries = {one["country"]: one for one in body["countries"]}
        assert body["total_hostnodes"] == len(nodes) == sum(one["hostnodes"] for one in countries.values())
        assert body["total_cities"] == sum(len(one["cities"]) for one in countries.values())
        assert set(countries) == {one["country"] for one in nodes}
        for name in ("Japan", "Australia", "Canada", "Poland"):
            towns = [one["city"] for one in countries[name]["cities"]]
            assert len(towns) == len(set(towns)), towns
        canada = {one["city"]: one for one in countries["Canada"]["cities"]}
        assert len({*canada} & {"Montreal", "Montréal"}) == 1
        tokyo = next(one for one in countries["Japan"]["cities"] if one["city"] == "Tokyo")
        here = [one for one in nodes if one["city"] == "Tokyo"]
        assert (tokyo["hostnodes"], tokyo["region"]) == (len(here), None)
        assert len({one["provider"] for one in here}) == 4
        assert tokyo["gpu_models"] == sorted({gpu["model"] for one in here for gpu in one["specs"]["gpu"]})


class TestOptimal:
    def test_ranks_all_accounts_in_one_list_and_says_why_not_the_rest(self, as_sam):
        for console in ConsoleType.values:
            body = as_sam.get(f"/launch/vm/optimal-for/{console}", {**DALLAS, "limit": 30}).json()
            fitting = [one for one in body["options"] if one["rank"]]
            assert [one["rank"] for one in fitting] == list(range(1, len(fitting) + 1))
            assert body["recommended_provider"] == fitting[0]["provider"] == "tensordock"
            assert body["estimated_cost_per_hour"] == fitting[0]["cost_per_hour"]
            ranked = list(dict.fromkeys(one["provider"] for one in fitting))
            assert ranked == ["tensordock", *SHIPPED_ORDER][: len(ranked)]
            assert {one["provider"] for one in body["options"]} == {*KINDS, "libvirt"}
            assert sum(one["offers"] for one in body["options"]) == Offer.objects.count()

    def test_is_another_kind_where_the_ones_before_it_are_paused(self, as_sam):
        for kind in KINDS:
            ProviderAccount.objects.update(is_paused=False)
            ProviderAccount.objects.exclude(kind=kind).update(is_paused=True)
            body = as_sam.get("/launch/vm/optimal-for/switch", DALLAS).json()
            assert body["recommended_provider"] == kind
            paused = {one["provider"] for one in body["options"] if "paused" in one["reason"]}
            assert paused == {*KINDS} - {kind}


class TestRegions:
    def test_of_offers_are_regions_of_the_catalogue(self, as_sam):
        for cloud, kind in CLOUDS.items():
            body = as_sam.get(f"/launch/{cloud}/regions/all").json()
            codes = [one["region_code"] for here in body["regions_by_continent"].values() for one in here]
            assert body["total_regions"] == len(codes) == len(set(codes))
            sold = set(Offer.objects.filter(account__kind=kind).values_list("region", flat=True))
            assert sold <= set(codes)
            closest = as_sam.get(f"/launch/{cloud}/regions/closest", {**WARSAW, "limit": 2}).json()
            assert {closest["closest_region"]["region_code"]} < set(codes)
            assert closest["method"] == "distance_calculation"


class TestAll:
    def test_take_as_few_queries_as_for_one_kind_and_name_no_credential(self, as_sam):
        for path in EVERY:
            with CaptureQueriesContext(connection) as seen:
                answer = as_sam.get(path)
            assert (answer.status_code, len(seen) <= 10) == (200, True), path
            assert CANARY not in answer.content.decode()

    def test_place_every_offer_of_a_cloud_where_its_region_stands(self):
        rows = Offer.objects.filter(account__kind__in=CLOUD_KINDS)
        assert not rows.filter(latitude=None).exists()
        assert rows.count() == sum(len(row.zones) for row in MachineType.objects.all())
