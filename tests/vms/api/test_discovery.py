"""What could be had right now: `/launch/vm/optimal-for`, `/launch/hostnodes`, `/launch/locations`, `/config/providers`."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from emulators.models import EmulatorConfig, ProviderPreference
from locations.catalogue import shipped
from locations.models import Region
from locations.regions import seed_regions
from tests.vms.api.asking import DALLAS, LAUNCH, SWITCH, details, post
from vms.models import VM, Offer, ProviderAccount

pytestmark = pytest.mark.usefixtures("plane")
OPTIMAL = "/launch/vm/optimal-for/switch"
AVAILABLE, CLOSEST = "/launch/hostnodes/available", "/launch/hostnodes/closest"
SUMMARY, PROVIDERS = "/launch/locations/summary", "/config/providers"
EVERY = (OPTIMAL, AVAILABLE, f"{CLOSEST}?user_latitude=1&user_longitude=1", SUMMARY, PROVIDERS)


def fill(number: int) -> None:
    """So many more offers, all over the map."""
    account, moment = ProviderAccount.objects.get(), timezone.now()
    Offer.objects.bulk_create(
        Offer(
            account=account,
            offer_id=f"more-{index}",
            region=f"r{index % 40}",
            city=f"City {index % 40}",
            country="Far",
            latitude=index % 170 - 85,
            longitude=index % 350 - 175,
            gpu_model="geforcertx4090-pcie-24gb",
            max_gpus=4,
            max_vcpus=32,
            max_ram_gb=128,
            max_disk_gb=1000,
            usd_per_gpu="0.5",
            has_dedicated_ip=True,
            refreshed_at=moment,
        )
        for index in range(number)
    )


class TestWho:
    @pytest.mark.parametrize("path", EVERY)
    def test_reads_must_say_who_they_are(self, anyone, as_reader, path):
        assert anyone.get(path).status_code == 401
        assert as_reader.get(path).status_code == 200

    @pytest.mark.parametrize("path", EVERY)
    def test_writes_nothing_and_only_reads(self, as_sam, path):
        with CaptureQueriesContext(connection) as seen:
            assert as_sam.get(path).status_code == 200
        assert not [one["sql"] for one in seen if one["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
        assert post(as_sam, path).status_code == 405

    @pytest.mark.parametrize("path", EVERY)
    def test_takes_as_many_queries_for_many_offers_as_for_few(self, as_alice, path):
        def count():
            with CaptureQueriesContext(connection) as seen:
                assert as_alice.get(path).status_code == 200
            return len(seen)

        few = count()
        fill(300)
        assert count() == few <= 10


class TestOptimal:
    def test_recommends_what_a_launch_would_take(self, plane, as_alice):
        body = as_alice.get(OPTIMAL, DALLAS).json()
        assert not VM.objects.exists()
        assert set(body) == {
            *("console_type", "recommended_provider", "preset", "estimated_cost_per_hour"),
            *("max_session_hours", "requirements", "options"),
        }
        assert (body["console_type"], body["recommended_provider"]) == ("switch", "tensordock")
        assert (body["preset"], body["max_session_hours"]) == ("premium", 8)
        assert body["requirements"] == {"min_cpu": 8, "min_ram_gb": 16, "requires_gpu": True}
        post(as_alice, LAUNCH, SWITCH)
        attempt = plane.until(VM.objects.get(), "running").attempt
        best = body["options"][0]
        assert (best["rank"], best["hostnode_id"]) == (1, attempt.offer_id)
        assert best["cost_per_hour"] == body["estimated_cost_per_hour"]
        assert best["cost_per_hour"] == pytest.approx(float(attempt.usd_per_hour))
        assert (best["vcpus"], best["distance_km"]) == (attempt.vcpus, attempt.distance_km)

    def test_says_of_every_option_why_or_why_not(self, as_alice):
        options = as_alice.get(OPTIMAL, DALLAS).json()["options"]
        fitting = [one for one in options if one["rank"]]
        assert [one["hostnode_id"] for one in fitting] == ["joplin-4090", "manassas-4090", "eygelshoven-5090"]
        assert {one["reason"] for one in fitting} == {"fits"}
        why = {(one["provider"], one["reason"]): one["offers"] for one in options if not one["rank"]}
        assert why["tensordock", "the GPU is below the class this console asks for"] == 3
        assert why["tensordock", "has no GPU to give"] == 2
        assert why["libvirt", "offers nothing"] == 0

    def test_shows_as_many_as_asked(self, as_alice):
        options = as_alice.get(OPTIMAL, {**DALLAS, "limit": 1}).json()["options"]
        assert [one["rank"] for one in options if one["rank"]] == [1]

    def test_without_a_position_goes_by_price(self, as_alice):
        best = as_alice.get(OPTIMAL).json()["options"][0]
        assert (best["hostnode_id"], best["distance_km"]) == ("manassas-4090", None)

    def test_recommends_nobody_when_nobody_can(self, as_alice):
        Offer.objects.update(has_dedicated_ip=False)
        body = as_alice.get(OPTIMAL).json()
        assert (body["recommended_provider"], body["estimated_cost_per_hour"]) == (None, None)
        assert body["preset"] == "premium"

    def test_recommends_the_first_of_the_list_before_offers_are_known(self, as_alice):
        Offer.objects.all().delete()
        ProviderAccount.objects.update(offers_refreshed_at=None)
        assert as_alice.get(OPTIMAL).json()["recommended_provider"] == "tensordock"

    def test_of_what_is_no_console_names_it_and_of_an_unconfigured_one_is_not_found(self, as_alice):
        assert "console_type" in details(as_alice.get("/launch/vm/optimal-for/atari"))
        EmulatorConfig.objects.filter(pk="switch").delete()
        assert details(as_alice.get(OPTIMAL), 404) == {"console_type": ["console not configured"]}

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({"user_latitude": 1}, "user_longitude"),
            ({"user_longitude": 1}, "user_latitude"),
            ({"user_latitude": 91, "user_longitude": 1}, "user_latitude"),
            ({"user_latitude": "NaN", "user_longitude": 1}, "user_latitude"),
            ({"limit": 0}, "limit"),
            ({"limit": 101}, "limit"),
            ({"skip": 1}, "skip"),
        ],
    )
    def test_refuses_and_names_the_parameter(self, as_alice, query, field):
        assert field in details(as_alice.get(OPTIMAL, query))


class TestAvailable:
    def test_lists_what_can_be_bought_now_the_cheapest_first(self, as_alice):
        body = as_alice.get(AVAILABLE).json()
        assert body["total_hostnodes"] == len(body["hostnodes"]) == 8  # one has no ports of its own
        prices = [one["price_per_hour"] for one in body["hostnodes"]]
        assert prices == sorted(prices)
        node = next(one for one in body["hostnodes"] if one["id"] == "joplin-4090")
        assert {
            name: node[name] for name in ("city", "state", "region", "country", "status", "provider")
        } == {
            "city": "Joplin",
            "state": "Missouri",
            "region": "us-joplin",
            "country": "United States",
            "status": "available",
            "provider": "tensordock",
        }
        assert node["specs"] == {
            "cpu": 32,
            "ram": 131072,
            "gpu": [{"model": "geforcertx4090-pcie-24gb", "count": 4}],
            "storage": 1000,
        }

    def test_narrows_to_those_with_enough_gpus(self, as_alice):
        body = as_alice.get(AVAILABLE, {"min_gpu_count": 1}).json()
        assert {one["specs"]["gpu"][0]["count"] for one in body["hostnodes"]} == {4}
        assert body["total_hostnodes"] == 6
        assert as_alice.get(AVAILABLE, {"min_gpu_count": 5}).json() == {"total_hostnodes": 0, "hostnodes": []}

    def test_narrows_to_those_that_can_host_a_console_at_what_it_would_pay(self, as_alice):
        body = as_alice.get(AVAILABLE, {"console_type": "switch"}).json()
        assert {one["id"] for one in body["hostnodes"]} == {
            "joplin-4090",
            "manassas-4090",
            "eygelshoven-5090",
        }
        best = as_alice.get(OPTIMAL).json()
        assert body["hostnodes"][0]["price_per_hour"] == best["estimated_cost_per_hour"]

    @pytest.mark.parametrize(
        "gone",
        [
            lambda: Offer.objects.update(cools_until=timezone.now() + timedelta(minutes=1)),
            lambda: Offer.objects.update(refreshed_at=timezone.now() - timedelta(hours=1)),
            lambda: ProviderAccount.objects.update(is_paused=True),
        ],
        ids=["cooling", "stale", "paused"],
    )
    def test_lists_nothing_that_cannot_be_bought_at_this_moment(self, as_alice, gone):
        gone()
        assert as_alice.get(AVAILABLE).json()["hostnodes"] == []

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({"min_gpu_count": -1}, "min_gpu_count"),
            ({"min_gpu_count": "x"}, "min_gpu_count"),
            ({"min_gpu_count": 10**30}, "min_gpu_count"),
            ({"console_type": "atari"}, "console_type"),
            ({"limit": 5}, "limit"),
        ],
    )
    def test_refuses_and_names_the_parameter(self, as_alice, query, field):
        assert field in details(as_alice.get(AVAILABLE, query))


class TestClosest:
    def test_lists_the_nearest_first(self, as_alice):
        body = as_alice.get(CLOSEST, {**DALLAS, "min_gpu_count": 1, "limit": 3}).json()
        assert body["user_location"] == {"latitude": 32.7767, "longitude": -96.797}
        assert body["total_found"] == 6
        found = [(one["hostnode"]["city"], one["location"]) for one in body["closest_hostnodes"]]
        assert found[0] == ("Joplin", "Joplin, Missouri, United States")
        kilometres = [one["distance_km"] for one in body["closest_hostnodes"]]
        assert kilometres == sorted(kilometres)
        assert len(kilometres) == 3

    def test_goes_by_distance_whatever_the_priorities(self, as_alice):
        ProviderPreference.objects.filter(config="switch").delete()
        ProviderPreference.objects.create(config_id="switch", provider="tensordock", priority=9)
        body = as_alice.get(CLOSEST, {**DALLAS, "console_type": "switch"}).json()
        assert [one["hostnode"]["id"] for one in body["closest_hostnodes"]] == [
            *("joplin-4090", "manassas-4090", "eygelshoven-5090"),
        ]

    def test_lists_last_what_is_on_no_map(self, as_alice):
        Offer.objects.filter(offer_id="joplin-4090").update(latitude=None, longitude=None)
        body = as_alice.get(CLOSEST, {**DALLAS, "console_type": "switch"}).json()
        last = body["closest_hostnodes"][-1]
        assert (last["hostnode"]["id"], last["distance_km"]) == ("joplin-4090", None)
        one = as_alice.get(CLOSEST, {**DALLAS, "console_type": "switch", "limit": 2}).json()
        assert None not in [each["distance_km"] for each in one["closest_hostnodes"]]

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({}, "user_latitude"),
            ({"user_latitude": 1}, "user_longitude"),
            ({"user_latitude": -90.1, "user_longitude": 1}, "user_latitude"),
            ({"user_latitude": 1, "user_longitude": "inf"}, "user_longitude"),
            ({**DALLAS, "limit": 101}, "limit"),
            ({**DALLAS, "limit": 0}, "limit"),
        ],
    )
    def test_refuses_and_names_the_parameter(self, as_alice, query, field):
        assert field in details(as_alice.get(CLOSEST, query))


class TestSummary:
    def test_counts_by_country_and_city(self, as_alice):
        body = as_alice.get(SUMMARY).json()
        assert (body["total_hostnodes"], body["total_cities"]) == (8, 6)
        assert [one["country"] for one in body["countries"]] == ["Canada", "Netherlands", "United States"]
        america = body["countries"][2]
        assert america["hostnodes"] == sum(city["hostnodes"] for city in america["cities"]) == 5
        assert america["gpu_models"] == [
            *("geforcertx3090-pcie-24gb", "geforcertx4090-pcie-24gb", "rtxa4000-pcie-16gb"),
        ]
        joplin = next(city for city in america["cities"] if city["city"] == "Joplin")
        assert joplin == {
            "city": "Joplin",
            "state": "Missouri",
            "region": "us-joplin",
            "hostnodes": 2,
            "gpu_models": ["geforcertx4090-pcie-24gb"],
        }


class TestProviders:
    def test_shows_every_kind_with_or_without_an_account(self, as_alice):
        answer = as_alice.get(PROVIDERS)
        assert [one["provider"] for one in answer.json()] == [
            *("tensordock", "cloudypad_gcp", "cloudypad_aws", "cloudypad_azure"),
            *("cloudypad_paperspace", "cloudypad_scaleway", "libvirt"),
        ]
        assert answer["X-Total-Count"] == "7"
        libvirt = answer.json()[-1]
        assert (libvirt["offers"], libvirt["regions"], libvirt["price_range"]) == (0, [], None)
        assert libvirt["health"]["status"] is None
        part = as_alice.get(PROVIDERS, {"skip": 5, "limit": 1})
        assert (part.json(), part["X-Total-Count"]) == (answer.json()[5:6], "7")
        assert "skip=6" in part["Link"]
        assert as_alice.get(PROVIDERS, {"limit": 0}).status_code == 400

    def test_shows_capabilities_regions_health_and_prices(self, as_alice):
        shown = as_alice.get(PROVIDERS).json()[0]
        assert shown["capabilities"] == ["launch", "stop_start", "pinned_host_key", "setup_by_ssh"]
        assert shown["health"]["status"] == "healthy"
        assert (shown["health"]["accounts"], shown["health"]["healthy_accounts"]) == (1, 1)
        assert (shown["offers"], len(shown["regions"])) == (9, 6)
        assert {
            "code": "ca-winnipeg",
            "city": "Winnipeg",
            "state": "Manitoba",
            "country": "Canada",
            "offers": 1,
        } in (shown["regions"])
        prices = shown["price_range"]
        assert 0 < prices["min_per_hour"] < prices["max_per_hour"]
        cheapest = as_alice.get("/launch/vm/optimal-for/nes").json()["estimated_cost_per_hour"]
        assert prices["min_per_hour"] == cheapest

    def test_shows_the_listed_regions_where_there_are_no_offers_now(self, as_alice):
        seed_regions(regions=shipped())
        Region.objects.filter(code="us-south1").update(is_listed=False)
        Region.objects.create(kind="tensordock", code="us-joplin", name="Joplin", city="Elsewhere")
        Region.objects.create(kind="tensordock", code="us-new", name="New")
        tensordock, google, *_ = as_alice.get(PROVIDERS).json()
        assert (google["offers"], len(google["regions"])) == (0, 42)
        assert google["regions"][0] == {
            "code": "africa-south1",
            "city": "Johannesburg",
            "state": None,
            "country": "South Africa",
            "offers": 0,
        }
        assert len(tensordock["regions"]) == 7
        assert [one["offers"] for one in tensordock["regions"] if one["code"] in ("us-joplin", "us-new")] == [
            2,
            0,
        ]

    @pytest.mark.parametrize(
        ("columns", "condition"),
        [
            ({"is_paused": True}, "paused"),
            ({"paused_until": timezone.now() + timedelta(hours=1)}, "paused"),
            ({"failures_in_a_row": 9, "last_error_at": timezone.now() + timedelta(hours=1)}, "failing"),
            ({"offers_refreshed_at": timezone.now() - timedelta(hours=1)}, "failing"),
            ({"offers_refreshed_at": None}, "unknown"),
        ],
    )
    def test_says_how_the_best_account_is_doing(self, plane, as_alice, columns, condition):
        ProviderAccount.objects.update(**columns)
        assert as_alice.get(PROVIDERS).json()[0]["health"]["status"] == condition
        other = plane.add_account("other", kind="tensordock")
        ProviderAccount.objects.filter(pk=other.pk).update(offers_refreshed_at=timezone.now())
        health = as_alice.get(PROVIDERS).json()[0]["health"]
        assert (health["status"], health["accounts"], health["healthy_accounts"]) == ("healthy", 2, 1)

    def test_names_no_account_and_no_credential(self, as_alice):
        ProviderAccount.objects.update(
            name="our secret deal", credentials={"token": "canary"}, last_error="BadCredentials: canary"
        )
        shown = as_alice.get(PROVIDERS).content.decode()
        assert "canary" not in shown
        assert "our secret deal" not in shown
