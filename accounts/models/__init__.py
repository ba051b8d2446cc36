"""The rows of people. One module per topic; import from here."""

from __future__ import annotations

from accounts.models.credentials import Authenticator, Login
from accounts.models.keys import ApiKey, ApiKeyQuerySet
from accounts.models.people import (
    HANDLE,
    INVITED,
    MANAGING,
    Department,
    DepartmentQuerySet,
    DepartmentRole,
    Scope,
    User,
    UserQuerySet,
    handle_for,
)
from accounts.models.projects import (
    Invitation,
    InvitationQuerySet,
    Project,
    ProjectQuerySet,
    Quota,
    QuotaQuerySet,
)
from accounts.models.staff import StaffGroup, StaffGroupMember, StaffGroupPermission, StaffPermission

__all__ = [
    "HANDLE",
    "INVITED",
    "MANAGING",
    "ApiKey",
    "ApiKeyQuerySet",
    "Authenticator",
    "Department",
    "DepartmentQuerySet",
    "DepartmentRole",
    "Invitation",
    "InvitationQuerySet",
    "Login",
    "Project",
    "ProjectQuerySet",
    "Quota",
    "QuotaQuerySet",
    "Scope",
    "StaffGroup",
    "StaffGroupMember",
    "StaffGroupPermission",
    "StaffPermission",
    "User",
    "UserQuerySet",
    "handle_for",
]
