"""The end of a membership and of a project, a project's numbers, and quotas beside their use."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import departments, projects, quotas
from accounts.api import examples as account_examples
from accounts.api.permissions import needs
from accounts.api.tenant_serializers import MemberSerializer, RoleSerializer
from accounts.api.views import projects as project_views
from accounts.models import Quota, Scope
from accounts.principal import Principal, principal_of
from gamer.web.reading import ListView, body_of, expect_nothing, filters_of, query_of
from gamer.web.schema import LOCATION, errors
from gamer.web.serializers import MessageSerializer
from portal import queries, services
from portal.api import examples
from portal.api.serializers import (
    CascadeSerializer,
    LimitChangesSerializer,
    LimitsSerializer,
    ProjectStatsSerializer,
    QuotaCreationSerializer,
    QuotaQuerySerializer,
)


class MemberView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="set_member_role",
        tags=["departments"],
        request=RoleSerializer,
        responses={200: MemberSerializer, **errors(409)},
        examples=[account_examples.ROLE, account_examples.MEMBER_NOW],
    )
    def patch(self, request: Request, department_id: str, user_id: str) -> Response:
        """Makes somebody a member or a manager, or hands the department over (`owner`). Its owner and staff."""
        by = principal_of(request)
        department = departments.find(by, department_id)
        member = departments.find_member(by, department, user_id)
        asked = body_of(request, RoleSerializer).validated_data
        now = timezone.now()
        changed = departments.set_role(by=by, department=department, member=member, **asked, now=now)
        return Response(MemberSerializer(changed).data)

    @extend_schema(
        operation_id="remove_member",
        tags=["departments"],
        request=None,
        parameters=[CascadeSerializer],
        responses={204: None, **errors(409)},
    )
    def delete(self, request: Request, department_id: str, user_id: str) -> Response:
        """Takes somebody out of a department; with your own user_id you leave it.

        409 while their VMs of the department live, unless `cascade=terminate` ends them.
        """
        by = principal_of(request)
        department = departments.find(by, department_id)
        member = departments.find_member(by, department, user_id)
        cascade = _cascades(request)
        expect_nothing(request)
        services.remove_member(
            by=by, department=department, member=member, cascade=cascade, now=timezone.now()
        )
        return Response(status=204)


class ProjectView(project_views.ProjectView):
    @extend_schema(
        operation_id="close_project",
        tags=["projects"],
        request=None,
        parameters=[CascadeSerializer],
        responses={202: MessageSerializer, **errors(409)},
        examples=[examples.CLOSING],
    )
    def delete(self, request: Request, project_id: str) -> Response:
        """Closes a project for ever; safe to repeat. Its `state` is `closed` once nothing of it lives.

        409 while VMs of it live, unless `cascade=terminate` ends them.
        """
        by = principal_of(request)
        project = projects.find(by, project_id)
        cascade = _cascades(request)
        expect_nothing(request)
        services.close_project(by=by, project=project, cascade=cascade, now=timezone.now())
        return Response({"message": "Project closing initiated"}, status=202)


def _cascades(request: Request) -> bool:
    return "cascade" in query_of(request, CascadeSerializer).validated_data


class ProjectStatsView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="get_project_stats",
        tags=["projects"],
        responses=ProjectStatsSerializer,
        examples=[examples.STATS],
    )
    def get(self, request: Request, project_id: str) -> Response:
        """A project's VMs by status, what it holds now, and its hours and cost, ever and this month."""
        by = principal_of(request)
        project = projects.find(by, project_id)
        return Response(ProjectStatsSerializer(queries.project_stats(by, project, timezone.now())).data)


class QuotasView(ListView):
    permission_classes = (needs(Scope.LAUNCH),)
    queryset = Quota.objects.all()

    @extend_schema(
        operation_id="list_quotas",
        tags=["quotas"],
        parameters=[QuotaQuerySerializer],
        responses=LimitsSerializer(many=True),
        examples=[examples.QUOTA],
    )
    def get(self, request: Request) -> Response:
        """Limits that hold for you and for those whom you manage, beside what is held of them."""
        asked = filters_of(request, QuotaQuerySerializer).validated_data
        by = principal_of(request)
        rows = Quota.objects.visible_to(by).select_related("user", "project", "department")
        if "kind" in asked:
            rows = rows.filter(**{f"{asked['kind']}__isnull": False})
        if "user_id" in asked:
            rows = rows.filter(user__handle=asked["user_id"])
        for name in ("project_id", "department_id"):
            if name in asked:
                rows = rows.filter(**{name: asked[name]})
        found = self.paginate_queryset(rows) or []
        return self.get_paginated_response(
            [LimitsSerializer(one).data for one in queries.with_use(found, by)]
        )

    @extend_schema(
        operation_id="create_quota",
        tags=["quotas"],
        parameters=[LOCATION],
        request=QuotaCreationSerializer,
        responses={201: LimitsSerializer, **errors(409)},
        examples=[examples.QUOTA_CREATION, examples.QUOTA_MADE],
    )
    def post(self, request: Request) -> Response:
        """Sets limits where there are none yet. Staff for all; managers for their department's people and projects."""
        by, asked = principal_of(request), dict(body_of(request, QuotaCreationSerializer).validated_data)
        named = {name: asked.pop(name, None) for name in ("user_id", "project_id", "department_id")}
        holder = quotas.holder_named(by, **named)
        quota = quotas.create(by=by, holder=holder, **asked, now=timezone.now())
        answer = _limits_answer(by, quota, 201)
        answer.headers["Location"] = request.build_absolute_uri(f"/quotas/{quota.pk}")
        return answer


class QuotaView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="get_quota", tags=["quotas"], responses=LimitsSerializer, examples=[examples.QUOTA]
    )
    def get(self, request: Request, quota_id: str) -> Response:
        """One quota, beside what is held of it."""
        by = principal_of(request)
        return _limits_answer(by, quotas.find(by, quota_id))

    @extend_schema(
        operation_id="update_quota",
        tags=["quotas"],
        request=LimitChangesSerializer,
        responses={200: LimitsSerializer, **errors(409)},
        examples=[examples.QUOTA_CHANGES, examples.QUOTA],
    )
    def patch(self, request: Request, quota_id: str) -> Response:
        """Changes limits. Lowering one ends nothing that runs."""
        by = principal_of(request)
        quota = quotas.find(by, quota_id)
        asked = body_of(request, LimitChangesSerializer).validated_data
        return _limits_answer(by, quotas.change(by=by, quota=quota, **asked, now=timezone.now()))

    @extend_schema(operation_id="delete_quota", tags=["quotas"], request=None, responses={204: None})
    def delete(self, request: Request, quota_id: str) -> Response:
        """Takes all limits of a quota away."""
        by = principal_of(request)
        quota = quotas.find(by, quota_id)
        expect_nothing(request)
        quotas.lift(by=by, quota=quota, now=timezone.now())
        return Response(status=204)


def _limits_answer(by: Principal, quota: Quota, status: int = 200) -> Response:
    return Response(LimitsSerializer(queries.with_use([quota], by)[0]).data, status=status)
