"""`/departments` and `/invitations`. One member's role and end are in `portal`, which also sees their VMs."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import departments, invitations
from accounts.api import examples
from accounts.api.permissions import needs
from accounts.api.tenant_serializers import (
    AcceptedSerializer,
    AcceptSerializer,
    DepartmentSerializer,
    InvitationSerializer,
    InviteSerializer,
    MemberSerializer,
    NameSerializer,
)
from accounts.models import Department, Invitation, Scope, User
from accounts.principal import principal_of
from gamer.web.reading import ListView, body_of, expect_no_filters, expect_nothing
from gamer.web.schema import LOCATION, errors

TAGS = ["departments"]


def _answer(request: Request, department: Department, status: int = 200) -> Response:
    return Response(DepartmentSerializer(department, context={"request": request}).data, status=status)


class DepartmentsView(ListView):
    permission_classes = (needs(Scope.LAUNCH),)
    queryset = Department.objects.all()

    @extend_schema(
        operation_id="list_departments",
        tags=TAGS,
        responses=DepartmentSerializer(many=True),
        examples=[examples.DEPARTMENT],
    )
    def get(self, request: Request) -> Response:
        """Your department; for staff all of them."""
        expect_no_filters(request)
        return self.page(Department.objects.visible_to(principal_of(request)), DepartmentSerializer)

    @extend_schema(
        operation_id="create_department",
        tags=TAGS,
        parameters=[LOCATION],
        request=NameSerializer,
        responses={201: DepartmentSerializer, **errors(409)},
        examples=[examples.DEPARTMENT_NAME, examples.DEPARTMENT_MADE],
    )
    def post(self, request: Request) -> Response:
        """Makes a department. Staff only; its owner is invited or set in the admin."""
        by, asked = principal_of(request), body_of(request, NameSerializer).validated_data
        department = departments.create(by=by, name=asked["name"], now=timezone.now())
        answer = _answer(request, department, 201)
        answer.headers["Location"] = request.build_absolute_uri(f"/departments/{department.pk}")
        return answer


class DepartmentView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="get_department",
        tags=TAGS,
        responses=DepartmentSerializer,
        examples=[examples.DEPARTMENT],
    )
    def get(self, request: Request, department_id: str) -> Response:
        """One department."""
        by = principal_of(request)
        return _answer(request, departments.find(by, department_id))

    @extend_schema(
        operation_id="rename_department",
        tags=TAGS,
        request=NameSerializer,
        responses={200: DepartmentSerializer, **errors(409)},
        examples=[examples.DEPARTMENT_NAME, examples.DEPARTMENT],
    )
    def patch(self, request: Request, department_id: str) -> Response:
        """Renames a department. Its managers and staff."""
        by = principal_of(request)
        department = departments.find(by, department_id)
        asked = body_of(request, NameSerializer).validated_data
        renamed = departments.rename(by=by, department=department, name=asked["name"], now=timezone.now())
        return _answer(request, renamed)

    @extend_schema(
        operation_id="delete_department", tags=TAGS, request=None, responses={204: None, **errors(409)}
    )
    def delete(self, request: Request, department_id: str) -> Response:
        """Deletes a department that has no people, projects or history. Staff only."""
        by = principal_of(request)
        department = departments.find(by, department_id)
        expect_nothing(request)
        departments.delete(by=by, department=department, now=timezone.now())
        return Response(status=204)


class MembersView(ListView):
    permission_classes = (needs(Scope.LAUNCH),)
    queryset = User.objects.none()

    @extend_schema(
        operation_id="list_members",
        tags=TAGS,
        responses=MemberSerializer(many=True),
        examples=[examples.MEMBER],
    )
    def get(self, request: Request, department_id: str) -> Response:
        """A department's people. Who does not manage it sees themself only."""
        expect_no_filters(request)
        by = principal_of(request)
        department = departments.find(by, department_id)
        return self.page(User.objects.visible_to(by).filter(department=department), MemberSerializer)


class InvitationsView(ListView):
    permission_classes = (needs(Scope.LAUNCH),)
    queryset = Invitation.objects.all()

    @extend_schema(
        operation_id="list_invitations",
        tags=TAGS,
        responses=InvitationSerializer(many=True),
        examples=[examples.INVITATION],
    )
    def get(self, request: Request, department_id: str) -> Response:
        """Seats offered and not yet taken, the newest first. Its managers and staff."""
        expect_no_filters(request)
        by = principal_of(request)
        department = departments.find(by, department_id)
        departments.demand_administration(by, department)
        return self.page(departments.pending_invitations(department), InvitationSerializer)

    @extend_schema(
        operation_id="invite",
        tags=TAGS,
        request=InviteSerializer,
        responses={201: InvitationSerializer, **errors(409)},
        examples=[examples.INVITE, examples.INVITED],
    )
    def post(self, request: Request, department_id: str) -> Response:
        """Offers a seat by mail; a pending offer to the address ends. Only the owner and staff invite managers."""
        by = principal_of(request)
        department = departments.find(by, department_id)
        departments.demand_administration(by, department)
        asked = body_of(request, InviteSerializer).validated_data
        made = invitations.invite(by=by, department=department, **asked, now=timezone.now())
        return Response(InvitationSerializer(made).data, status=201)


class InvitationView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="withdraw_invitation", tags=TAGS, request=None, responses={204: None, **errors(409)}
    )
    def delete(self, request: Request, invitation_id: str) -> Response:
        """Takes an offer back; safe to repeat. The department's managers and staff."""
        by = principal_of(request)
        invitation = invitations.find(by, invitation_id)
        expect_nothing(request)
        invitations.withdraw(by=by, invitation=invitation, now=timezone.now())
        return Response(status=204)


class AcceptView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="accept_invitation",
        tags=TAGS,
        request=AcceptSerializer,
        responses={200: AcceptedSerializer, **errors(404, 409)},
        examples=[examples.ACCEPT, examples.ACCEPTED],
    )
    def post(self, request: Request) -> Response:
        """Takes a seat, with your own login of the address it was mailed to. Its managers then see and steer your new VMs."""
        by, asked = principal_of(request), body_of(request, AcceptSerializer).validated_data
        person = invitations.accept(by=by, token=asked["token"], now=timezone.now())
        return Response(AcceptedSerializer(person).data)
