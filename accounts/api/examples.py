"""Examples for the API's description."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample


def said(title: str, value: Any, status: str = "200") -> OpenApiExample:
    return OpenApiExample(title, value=value, response_only=True, status_codes=[status])


def asked(title: str, value: Any) -> OpenApiExample:
    return OpenApiExample(title, value=value, request_only=True)


_DEPARTMENT = {"department_id": 7, "name": "Arcade", "role": "owner", "created_at": "2026-06-15T12:00:00Z"}
DEPARTMENT = said("As its owner sees it", _DEPARTMENT)
DEPARTMENT_MADE = said("A new department", {**_DEPARTMENT, "role": None}, "201")
DEPARTMENT_NAME = asked("A name", {"name": "Arcade"})
_MEMBER = {
    "user_id": "alice@example.org",
    "email": "alice@example.org",
    "first_name": "Alice",
    "last_name": "",
    "role": "member",
    "is_active": True,
}
MEMBER = said("A member", _MEMBER)
ROLE = asked("A new manager", {"role": "manager"})
MEMBER_NOW = said("A manager now", {**_MEMBER, "role": "manager"})
_INVITATION = {
    "invitation_id": "0f8c2c3e-7a54-4f0f-9d0e-6b7c1d2e3f40",
    "email": "kim@example.org",
    "role": "member",
    "invited_by": "mona@example.org",
    "created_at": "2026-06-15T12:00:00Z",
    "expires_at": "2026-06-22T12:00:00Z",
    "mailed_at": "2026-06-15T12:00:01Z",
}
INVITATION = said("A seat that waits", _INVITATION)
INVITED = said("A seat offered", {**_INVITATION, "mailed_at": None}, "201")
INVITE = asked("A seat for Kim", {"email": "kim@example.org", "role": "member"})
ACCEPT = asked("The text of the mail", {"token": "8mWn2dFqv4oZpU3kq0b1cXkq7m5l9sJtYwRzA6hE2gQ"})
ACCEPTED = said("A member now", {"department_id": 7, "role": "member"})
_PROJECT = {
    "project_id": 12,
    "name": "Tournament",
    "description": "The summer cup",
    "user_id": "alice@example.org",
    "department_id": 7,
    "state": "open",
    "created_at": "2026-06-15T12:00:00Z",
    "closing_at": None,
    "closed_at": None,
}
PROJECT = said("A department's project", _PROJECT)
PROJECT_MADE = said("A new project", _PROJECT, "201")
PROJECT_CREATION = asked(
    "For the whole department",
    {"name": "Tournament", "description": "The summer cup", "for_department": True},
)
PROJECT_CHANGES = asked("Another name", {"name": "Winter cup"})
