"""The placement preview says what a launch does."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from emulators.models import EmulatorConfig
from tests.bad_inputs import ODD_TEXTS
from vms.models import VM, Offer, ProviderAccount

PREVIEW = "/admin/vms/vm/preview/"
DALLAS = {"latitude": "32.7767", "longitude": "-96.797"}


@pytest.fixture
def stocked(plane):
    plane.settle(seconds=3)
    return plane


class TestAnswer:
    def test_is_what_a_launch_picks(self, stocked, world, sam):
        for console, place in (
            ("switch", DALLAS),
            ("nes", {}),
            ("wii", {"latitude": "51.5", "longitude": "-0.12"}),
        ):
            best = sam.get(PREVIEW, {"console": console, **place}).context["options"][0]
            wish = {"latitude": None, "longitude": None} | {name: float(text) for name, text in place.items()}
            vm = stocked.until(stocked.launch(console=console, **wish), "running")
            attempt = vm.attempt
            assert best.place == attempt.location_name
            assert (best.account, best.preset) == (attempt.account.name, attempt.preset)
            assert best.price == f"${attempt.usd_per_hour:.3f}/h"

    def test_takes_a_city_by_its_name(self, stocked, sam):
        named = sam.get(PREVIEW, {"console": "switch", "city": "dallas, texas"})
        assert named.context["place"] == "Dallas, Texas, United States"
        placed = sam.get(PREVIEW, {"console": "switch", **DALLAS})
        assert [one.place for one in named.context["options"]] == [
            one.place for one in placed.context["options"]
        ]

    def test_counts_every_offer_once(self, stocked, sam):
        context = sam.get(PREVIEW, {"console": "switch", **DALLAS}).context
        fitting = len(context["options"]) + context["more"]
        assert fitting + sum(reason.count for reason in context["rejected"]) == Offer.objects.count()
        assert {reason.text for reason in context["rejected"]} >= {"has no GPU to give"}

    def test_buys_nothing(self, stocked, sam):
        sam.get(PREVIEW, {"console": "switch", **DALLAS})
        assert not VM.objects.exists()

    def test_names_the_price_that_is_over_the_limit(self, stocked, sam):
        EmulatorConfig.objects.filter(pk="switch").update(cost_per_hour_limit="0.001")
        answer = sam.get(PREVIEW, {"console": "switch", **DALLAS})
        assert answer.context["options"] == []
        notes = [one.note for reason in answer.context["rejected"] for one in reason.options]
        assert any("over the limit of $0.00" in note for note in notes)
        assert "raise a limit" in answer.content.decode()

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda: ProviderAccount.objects.update(is_paused=True), "Every offer is turned down."),
            (lambda: Offer.objects.all().delete(), "No account has a usable offer."),
            (
                lambda: (Offer.objects.all().delete(), ProviderAccount.objects.all().delete()),
                "There is no provider account yet.",
            ),
            (lambda: ProviderAccount.objects.update(max_machines=0), "holds all the machines it may (0)"),
        ],
    )
    def test_says_what_to_do_when_nothing_would_be_picked(self, stocked, sam, change, words):
        change()
        assert words in sam.get(PREVIEW, {"console": "switch"}).content.decode()

    def test_warns_of_a_preset_under_the_floor(self, stocked, sam):
        answer = sam.get(PREVIEW, {"console": "switch", "preset": "retro"})
        assert any("the preset retro is refused" in text for text in answer.context["warnings"])


class TestScore:
    @pytest.mark.parametrize(
        ("worth", "place", "words"),
        [
            (None, DALLAS, "Provider by provider in the console&#x27;s order, the nearest first."),
            (None, {}, "No place given: priority, then price."),
            ("0.01", DALLAS, "By score: the price, and $0.010/h for every 1,000 km."),
            ("0.01", {}, "No place given: by price."),
        ],
    )
    def test_says_what_offers_are_tried_by(self, stocked, sam, worth, place, words):
        EmulatorConfig.objects.filter(pk="switch").update(usd_per_1000_km=worth)
        assert words in sam.get(PREVIEW, {"console": "switch", **place}).content.decode()

    def test_is_shown_beside_price_and_distance(self, stocked, sam):
        EmulatorConfig.objects.filter(pk="switch").update(usd_per_1000_km="0.01")
        answer = sam.get(PREVIEW, {"console": "switch", **DALLAS})
        best = answer.context["options"][0]
        assert (best.price, best.distance, best.score) == ("$0.443/h", "1,864 km", "$0.462/h")
        assert ">Score</th>" in answer.content.decode()
        EmulatorConfig.objects.update(usd_per_1000_km=None)
        assert ">Score</th>" not in sam.get(PREVIEW, {"console": "switch", **DALLAS}).content.decode()


class TestQuestion:
    @pytest.mark.parametrize(
        ("asked", "words"),
        [
            ({"city": "Nowhereville-on-Sea"}, "No such place is known."),
            ({"city": "Dallas", **DALLAS}, "Give a city or coordinates, not both."),
            ({"latitude": "32"}, "Both coordinates or neither."),
            ({"latitude": "91", "longitude": "0"}, "less than or equal to 90"),
            ({"latitude": "nan", "longitude": "0"}, "Enter a number."),
            ({"console": "atari"}, "Select a valid choice."),
            ({"provider": "nobody"}, "Select a valid choice."),
        ],
    )
    def test_is_refused_in_words(self, stocked, sam, asked, words):
        answer = sam.get(PREVIEW, {"console": "switch", **asked})
        assert answer.status_code == 200
        assert words in answer.content.decode()
        assert "is_answered" not in answer.context

    def test_may_be_odd(self, stocked, staff):
        viewer = staff("view_offer")  # her sidebar is a tenth of an administrator's
        for name in ("console", "game_id", "city", "latitude", "longitude", "provider", "preset"):
            for odd in ODD_TEXTS:
                assert viewer.get(PREVIEW, {"console": "switch", name: odd[:500]}).status_code < 500, (
                    name,
                    odd,
                )

    def test_comes_from_the_consoles_page(self, stocked, sam):
        url = reverse("admin:emulators_emulatorconfig_preview", args=["wii"])
        answer = sam.get(url, follow=True)
        assert answer.redirect_chain[0][0] == f"{PREVIEW}?console=wii"
        assert answer.context["form"]["console"].value() == "wii"

    @pytest.mark.parametrize("name", ["view_offer", "view_emulatorconfig"])
    def test_is_for_who_may_see_offers_or_configure(self, world, staff, name):
        assert staff(name).get(PREVIEW).status_code == 200


class TestShelf:
    def test_warns_when_offers_are_old(self, stocked, sam):
        long_ago = timezone.now().replace(year=2020)
        ProviderAccount.objects.update(offers_refreshed_at=long_ago)
        answer = sam.get(PREVIEW, {"console": "switch"})
        assert any("more than 5 minutes ago" in text for text in answer.context["warnings"])
