"""`/projects`. Their end and their numbers are in `portal`, which also sees VMs."""

from __future__ import annotations

from django.db.models import Q
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import projects
from accounts.api import examples
from accounts.api.permissions import needs
from accounts.api.tenant_serializers import (
    ProjectChangesSerializer,
    ProjectCreationSerializer,
    ProjectQuerySerializer,
    ProjectSerializer,
)
from accounts.models import Project, Scope
from accounts.principal import principal_of
from accounts.services import resolve_owner
from gamer.web.reading import ListView, body_of, filters_of
from gamer.web.schema import LOCATION, errors

TAGS = ["projects"]
IN_STATE = {
    "open": Q(closing_at=None),
    "closing": Q(closing_at__isnull=False, closed_at=None),
    "closed": Q(closed_at__isnull=False),
}


class ProjectsView(ListView):
    permission_classes = (needs(Scope.LAUNCH),)
    queryset = Project.objects.all()

    @extend_schema(
        operation_id="list_projects",
        tags=TAGS,
        parameters=[ProjectQuerySerializer],
        responses=ProjectSerializer(many=True),
        examples=[examples.PROJECT],
    )
    def get(self, request: Request) -> Response:
        """Your projects and your department's, the newest first."""
        asked = filters_of(request, ProjectQuerySerializer).validated_data
        rows = Project.objects.visible_to(principal_of(request)).select_related("owner")
        if "state" in asked:
            rows = rows.filter(IN_STATE[asked["state"]])
        if "user_id" in asked:
            rows = rows.filter(owner__handle=asked["user_id"])
        return self.page(rows, ProjectSerializer)

    @extend_schema(
        operation_id="create_project",
        tags=TAGS,
        parameters=[LOCATION],
        request=ProjectCreationSerializer,
        responses={201: ProjectSerializer, **errors(409)},
        examples=[examples.PROJECT_CREATION, examples.PROJECT_MADE],
    )
    def post(self, request: Request) -> Response:
        """Makes a project: your own, or with `for_department` one in which all your department's people launch."""
        by, asked = principal_of(request), dict(body_of(request, ProjectCreationSerializer).validated_data)
        owner = resolve_owner(by, asked.pop("user_id", None))
        project = projects.create(by=by, owner=owner, **asked, now=timezone.now())
        headers = {"Location": request.build_absolute_uri(f"/projects/{project.pk}")}
        return Response(ProjectSerializer(project).data, status=201, headers=headers)


class ProjectView(APIView):
    """Without DELETE, which `portal` adds."""

    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="get_project", tags=TAGS, responses=ProjectSerializer, examples=[examples.PROJECT]
    )
    def get(self, request: Request, project_id: str) -> Response:
        """One project."""
        return Response(ProjectSerializer(projects.find(principal_of(request), project_id)).data)

    @extend_schema(
        operation_id="update_project",
        tags=TAGS,
        request=ProjectChangesSerializer,
        responses={200: ProjectSerializer, **errors(409)},
        examples=[examples.PROJECT_CHANGES, examples.PROJECT],
    )
    def patch(self, request: Request, project_id: str) -> Response:
        """Renames or describes a project. Its creator, its department's managers and staff."""
        by = principal_of(request)
        project = projects.find(by, project_id)
        asked = body_of(request, ProjectChangesSerializer).validated_data
        changed = projects.change(by=by, project=project, **asked, now=timezone.now())
        return Response(ProjectSerializer(changed).data)
