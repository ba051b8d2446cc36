from __future__ import annotations

from typing import Any

import pytest
from django.urls import include, path
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView

from accounts.api.permissions import StaffOnly, needs
from accounts.models import Scope
from accounts.principal import principal_of
from gamer.web.routing import route
from tests.bad_inputs import assert_error
from tests.world import World, client_of

pytestmark = pytest.mark.django_db


class Open(APIView):
    permission_classes: tuple[type[BasePermission], ...] = (needs(Scope.LAUNCH),)

    def get(self, request: Request) -> Response:
        return Response({"who": principal_of(request).label})

    def post(self, request: Request) -> Response:
        return self.get(request)


class Config(Open):
    permission_classes = (needs(Scope.CONFIG),)


class Bills(Open):
    permission_classes = (needs(Scope.BILLING, read=Scope.BILLING),)


class Staff(Open):
    permission_classes = (StaffOnly,)


urlpatterns = [
    *[route(view.__name__.lower(), view.as_view()) for view in (Open, Config, Bills, Staff)],
    path("", include("gamer.urls")),
]


@pytest.fixture(autouse=True)
def _site(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__


MATRIX = {
    # path: GET and POST as nobody, alice, sam, reader, service, admin key
    "/open": ("401 401", "200 200", "200 200", "200 403", "200 200", "200 200"),
    "/config": ("401 401", "200 403", "200 200", "200 403", "200 403", "200 200"),
    "/bills": ("401 401", "403 403", "200 200", "403 403", "403 403", "200 200"),
    "/staff": ("401 401", "403 403", "200 200", "403 403", "403 403", "200 200"),
}


class TestMatrix:
    @pytest.mark.parametrize("path", MATRIX)
    def test_lets_in_who_may(
        self,
        path: str,
        anyone: APIClient,
        as_alice: APIClient,
        as_sam: APIClient,
        as_reader: APIClient,
        as_service: APIClient,
        as_admin_key: APIClient,
    ) -> None:
        clients = (anyone, as_alice, as_sam, as_reader, as_service, as_admin_key)
        for client, wanted in zip(clients, MATRIX[path], strict=True):
            answers = (client.get(path), client.post(path, {}))
            assert " ".join(str(answer.status_code) for answer in answers) == wanted
            for answer in answers:
                if answer.status_code != 200:
                    assert_error(answer)

    def test_says_which_scope_is_missing(self, as_reader: APIClient) -> None:
        assert as_reader.post("/open", {}).json()["detail"] == "This needs the scope launch."


class TestPrincipalOf:
    def test_is_who_sent_the_request(self, world: World, as_alice: APIClient, as_service: APIClient) -> None:
        assert as_alice.get("/open").json() == {"who": "user:alice@gamer.test"}
        assert as_service.get("/open").json() == {"who": f"key:{world.service_key.prefix}"}


class TestCost:
    def test_is_one_query_to_know_who_it_is(
        self, as_alice: APIClient, as_service: APIClient, django_assert_num_queries: Any
    ) -> None:
        as_service.get("/open")  # writes down the use
        for client in (as_alice, as_service):
            with django_assert_num_queries(1):
                client.get("/open")


class TestAdminSession:
    def test_needs_the_csrf_token_to_write(self, world: World) -> None:
        browser = APIClient(enforce_csrf_checks=True)
        browser.force_login(world.sam)
        refused = browser.post("/open", {})
        assert refused.status_code == 403
        assert_error(refused)
        browser.get("/admin/password_change/")
        token = browser.cookies["csrftoken"].value
        assert browser.post("/open", {}, HTTP_X_CSRFTOKEN=token).status_code == 200

    def test_is_not_asked_of_tokens(self, world: World) -> None:
        assert client_of(world.alice, enforce_csrf_checks=True).post("/open", {}).status_code == 200
