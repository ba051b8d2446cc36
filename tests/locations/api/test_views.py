import pytest
from django.contrib.auth import get_user_model
from rest_framework.test import APIClient

SEARCH = "/locations/search"


@pytest.fixture
def client(db):
    client = APIClient()
    client.force_authenticate(
        get_user_model().objects.create_user("alice@example.org", "correct horse battery")
    )
    return client


class TestLocationSearch:
    @pytest.mark.parametrize("path", [SEARCH, SEARCH + "/"])
    def test_lists_cities_by_the_beginning_of_their_name(self, client, path):
        answer = client.get(path, {"q": "dall", "limit": "1"})
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

    def test_lists_fifty_unless_told_otherwise(self, client):
        assert len(client.get(SEARCH, {"q": "s"}).json()) == 50
        assert len(client.get(SEARCH, {"q": "s", "limit": 200}).json()) == 200

    def test_lists_nothing_for_a_name_nobody_has(self, client):
        assert client.get(SEARCH, {"q": "zzzzzz"}).json() == []

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
            ({"q": "dal", "prefix": "1"}, "prefix"),
            ({"q": ["dal", "las"]}, "q"),
        ],
    )
    def test_refuses_what_is_no_question_and_names_the_field(self, client, query, field):
        answer = client.get(SEARCH, query)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "validation_error"
        assert field in answer.json()["error"]["details"]

    def test_takes_any_text(self, client):
        for text in ("%", "'", "\N{PILE OF POO}", "\x07", "東京", ",,,", "-"):
            assert client.get(SEARCH, {"q": text}).status_code == 200

    def test_touches_no_table(self, client, django_assert_num_queries):
        client.get(SEARCH, {"q": "dal"})
        with django_assert_num_queries(0):
            client.get(SEARCH, {"q": "dal"})

    def test_is_for_those_who_signed_in(self, db):
        answer = APIClient().get(SEARCH, {"q": "dal"})
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "not_authenticated"

    def test_only_reads(self, client):
        assert client.post(SEARCH, {"q": "dal"}).status_code == 405
