import pytest

from tests.bad_inputs import sweep_query

SEARCH = "/locations/search"


class TestLocationSearch:
    @pytest.mark.parametrize("path", [SEARCH, SEARCH + "/"])
    def test_lists_cities_by_the_beginning_of_their_name(self, as_alice, path):
        answer = as_alice.get(path, {"q": "dall", "limit": "1"})
        assert answer.status_code == 200
        assert answer.json() == [
            {
                "name": "Dallas",
                "state": "Texas",
                "country": "United States",
                "country_code": "US",
                "latitude": 32.78306,
                "longitude": -96.80667,
                "population": answer.json()[0]["population"],
            }
        ]
        assert answer.json()[0]["population"] > 1_000_000

    def test_lists_fifty_unless_told_otherwise(self, as_alice):
        assert len(as_alice.get(SEARCH, {"q": "s"}).json()) == 50
        assert len(as_alice.get(SEARCH, {"q": "s", "limit": 200}).json()) == 200

    def test_goes_on_where_a_page_ended(self, as_alice):
        whole = as_alice.get(SEARCH, {"q": "dall", "limit": 200})
        assert whole.headers["X-Total-Count"] == str(len(whole.json()))
        assert "Link" not in whole.headers
        pages, path = [], f"{SEARCH}?q=dall&limit=20"
        while path:
            page = as_alice.get(path)
            assert page.headers["X-Total-Count"] == whole.headers["X-Total-Count"]
            pages += page.json()
            path = page.headers.get("Link", "").partition("<")[2].partition(">")[0]
        assert pages == whole.json()
        assert as_alice.get(SEARCH, {"q": "dall", "skip": len(pages) - 1}).json() == pages[-1:]

    def test_goes_no_further_than_other_lists(self, as_alice):
        last = as_alice.get(SEARCH, {"q": "s", "limit": 200, "skip": 10_000})
        assert len(last.json()) == 200
        assert int(last.headers["X-Total-Count"]) > 10_200
        assert "Link" not in last.headers

    def test_lists_nothing_for_a_name_nobody_has(self, as_alice):
        answer = as_alice.get(SEARCH, {"q": "zzzzzz"})
        assert (answer.json(), answer.headers["X-Total-Count"]) == ([], "0")

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({}, "q"),
            ({"q": ""}, "q"),
            ({"q": "  "}, "q"),
            ({"q": "x" * 101}, "q"),
            ({"q": "dal\0las"}, "q"),
            ({"q": "dal", "limit": 0}, "limit"),
            ({"q": "dal", "limit": 201}, "limit"),
            ({"q": "dal", "limit": "many"}, "limit"),
            ({"q": "dal", "limit": "1.5"}, "limit"),
            ({"q": "dal", "skip": 10_001}, "skip"),
            ({"q": "dal", "cursor": "x"}, "cursor"),
            ({"q": "dal", "prefix": "1"}, "prefix"),
            ({"q": ["dal", "las"]}, "q"),
        ],
    )
    def test_refuses_what_is_no_question_and_names_the_field(self, as_alice, query, field):
        answer = as_alice.get(SEARCH, query)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "validation_error"
        assert field in answer.json()["error"]["details"]

    def test_answers_every_odd_query(self, as_alice):
        assert sweep_query(as_alice, SEARCH, {"q": "dal", "limit": "10"}) > 20

    def test_takes_any_text(self, as_alice):
        for text in ("%", "'", "\N{PILE OF POO}", "\x07", "東京", ",,,", "-"):
            assert as_alice.get(SEARCH, {"q": text}).status_code == 200

    def test_asks_the_database_only_who_is_asking(self, as_alice, django_assert_num_queries):
        as_alice.get(SEARCH, {"q": "dal"})
        with django_assert_num_queries(1):
            as_alice.get(SEARCH, {"q": "dal"})

    def test_is_for_those_who_signed_in(self, anyone, db):
        answer = anyone.get(SEARCH, {"q": "dal"})
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "not_authenticated"

    def test_is_open_to_services(self, as_service):
        assert as_service.get(SEARCH, {"q": "dal"}).status_code == 200

    def test_only_reads(self, as_alice):
        assert as_alice.post(SEARCH, {"q": "dal"}).status_code == 405
