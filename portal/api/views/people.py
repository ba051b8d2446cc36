"""`/users`: about oneself, and for staff about everybody."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.permissions import StaffOnly
from accounts.models import User
from accounts.principal import principal_of
from events.api.serializers import EventSerializer
from events.models import Event
from gamer.web.reading import ListView, body_of, expect_nothing, filters_of
from gamer.web.schema import errors
from portal import queries, services
from portal.api import examples
from portal.api.permissions import PersonOnly
from portal.api.serializers import (
    ActivityQuerySerializer,
    DashboardSerializer,
    KnownPersonSerializer,
    PeopleQuerySerializer,
    ProfileSerializer,
    ReasonSerializer,
)

TAGS = ["users"]


def _me(request: Request) -> User:
    user = principal_of(request).user
    assert user is not None
    return user


class DashboardView(APIView):
    permission_classes = (PersonOnly,)

    @extend_schema(
        operation_id="get_my_dashboard",
        tags=TAGS,
        responses=DashboardSerializer,
        examples=[examples.DASHBOARD],
    )
    def get(self, request: Request) -> Response:
        """Your VMs, spend, credit, projects, limits and latest events in one answer."""
        found = queries.dashboard(principal_of(request), _me(request), timezone.now())
        return Response(DashboardSerializer(found).data)


class ActivityView(ListView):
    permission_classes = (PersonOnly,)
    queryset = Event.objects.all()

    @extend_schema(
        operation_id="list_my_activity",
        tags=TAGS,
        parameters=[ActivityQuerySerializer],
        responses=EventSerializer(many=True),
        examples=[examples.ACTIVITY],
    )
    def get(self, request: Request) -> Response:
        """What happened to you and to what is yours, the newest first."""
        asked = filters_of(request, ActivityQuerySerializer).validated_data
        return self.page(queries.activity(_me(request), asked), EventSerializer)


class PeopleView(ListView):
    permission_classes = (StaffOnly,)
    queryset = User.objects.none()

    @extend_schema(
        operation_id="list_users",
        tags=TAGS,
        parameters=[PeopleQuerySerializer],
        responses=KnownPersonSerializer(many=True),
        examples=[examples.PERSON],
    )
    def get(self, request: Request) -> Response:
        """Everybody, the newest first. Staff only."""
        asked = filters_of(request, PeopleQuerySerializer).validated_data
        return self.page(queries.people(asked), KnownPersonSerializer)


class PersonView(APIView):
    permission_classes = (StaffOnly,)

    @extend_schema(
        operation_id="get_user", tags=TAGS, responses=ProfileSerializer, examples=[examples.PROFILE]
    )
    def get(self, request: Request, id: str) -> Response:
        """Somebody with what they hold. Staff only."""
        return _profile_answer(request, queries.find_person(id))


class SuspendView(APIView):
    permission_classes = (StaffOnly,)

    @extend_schema(
        operation_id="suspend_user",
        tags=TAGS,
        request=ReasonSerializer,
        responses={200: ProfileSerializer, **errors(409)},
        examples=[examples.REASON, examples.PROFILE],
    )
    def post(self, request: Request, id: str) -> Response:
        """Ends somebody's logins, keys and VMs, and lets them in no more; safe to repeat. Staff only."""
        user = queries.find_person(id)
        asked = body_of(request, ReasonSerializer).validated_data
        services.suspend(by=principal_of(request), user=user, reason=asked["reason"], now=timezone.now())
        return _profile_answer(request, user)


class ReinstateView(APIView):
    permission_classes = (StaffOnly,)

    @extend_schema(
        operation_id="reinstate_user",
        tags=TAGS,
        request=None,
        responses={200: ProfileSerializer},
        examples=[examples.PROFILE],
    )
    def post(self, request: Request, id: str) -> Response:
        """Lets somebody in again. What was ended stays ended. Staff only."""
        user = queries.find_person(id)
        expect_nothing(request)
        services.reinstate(by=principal_of(request), user=user, now=timezone.now())
        return _profile_answer(request, user)


def _profile_answer(request: Request, user: User) -> Response:
    return Response(ProfileSerializer(queries.profile(principal_of(request), user, timezone.now())).data)
