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
    "refusal": None,
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
_PASSWORD = "correct horse battery staple"
_TOKENS = {
    "access": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0b2tlbl90eXBlIjoiYWNjZXNzIn0.…",
    "refresh": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCJ9.…",
}
_PERSON = {
    "user_id": "alice@example.org",
    "email": "alice@example.org",
    "first_name": "Alice",
    "last_name": "",
    "role": "player",
}
SIGNUP = asked(
    "A new player",
    {"email": "alice@example.org", "password": _PASSWORD, "first_name": "Alice", "last_name": ""},
)
SIGNED_UP = said("Logged in at once", {**_TOKENS, "user": _PERSON}, "201")
CREDENTIALS = asked("By password", {"email": "alice@example.org", "password": _PASSWORD})
CREDENTIALS_AND_CODE = asked(
    "By password and one-time code", {"email": "alice@example.org", "password": _PASSWORD, "otp": "492039"}
)
LOGGED_IN = said("Logged in", {**_TOKENS, "user": _PERSON})
_WANTED = "This account also asks for a one-time code."
CODE_WANTED = said(
    "The password is right, a code is wanted, too",
    {
        "error": {"code": "not_authenticated", "message": _WANTED, "details": {"otp": ["required"]}},
        "detail": _WANTED,
    },
    "401",
)
REFRESH = asked("The refresh token that was answered last", {"refresh": _TOKENS["refresh"]})
REFRESHED = said("The next pair", _TOKENS)
PASSWORD_CHANGE = asked(
    "A longer one", {"current_password": "Tr0ub4dor&3", "new_password": "correct horse battery staple"}
)
RESET_WISH = asked("Of a forgotten password", {"email": "alice@example.org"})
RESET_ASKED = said("Whoever it is", {"message": "If somebody has this address, a mail is on its way."}, "202")
RESET = asked(
    "With the text of the mail",
    {"token": "8mWn2dFqv4oZpU3kq0b1cXkq7m5l9sJtYwRzA6hE2gQ", "new_password": _PASSWORD},
)
PROFILE = said(
    "A member of a department",
    {
        **_PERSON,
        "department_id": 7,
        "department_role": "member",
        "is_postpaid": False,
        "asks_otp": False,
        "created_at": "2026-06-15T12:00:00Z",
    },
)
PROFILE_CHANGES = asked("A last name", {"last_name": "Liddell"})
_KEY = {
    "id": 5,
    "name": "Arcade's site",
    "prefix": "3f9a0c1d",
    "scopes": ["read", "launch", "act_as"],
    "department_id": 7,
    "maker": "mona@example.org",
    "created_at": "2026-06-15T12:00:00Z",
    "expires_at": "2027-06-15T12:00:00Z",
    "last_used_at": None,
    "former_until": None,
    "revoked_at": None,
}
_TEXT = "gk_3f9a0c1d_8mWn2dFqv4oZpU3kq0b1cXkq7m5l9sJtYwRzA6hE2gQ"
KEY = said("A department's key", {**_KEY, "last_used_at": "2026-06-16T08:30:00Z"})
KEY_CREATION = asked(
    "For a department's site, which names its players",
    {
        "name": "Arcade's site",
        "scopes": ["read", "launch", "act_as"],
        "department_id": 7,
        "expires_at": "2027-06-15T12:00:00Z",
    },
)
KEY_MADE = said("Its text, once", {**_KEY, "key": _TEXT}, "201")
KEY_CHANGES = asked("It never expires", {"expires_at": None})
ROTATION = asked("The old text is good for an hour more", {"grace_s": 3600})
ROTATED = said("The new text, once", {**_KEY, "former_until": "2026-06-16T09:30:00Z", "key": _TEXT})
