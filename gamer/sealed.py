"""Columns encrypted at rest with GAMER_KEYS: the first key seals, every key opens (`rotate_keys` re-seals)."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models


class CannotOpen(Exception):
    """A sealed value that none of GAMER_KEYS opens: a key was dropped before `rotate_keys` ran."""


@lru_cache(maxsize=4)
def _box(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def seal(text: str) -> str:
    return _box(tuple(settings.GAMER_KEYS)).encrypt(text.encode()).decode()


def unseal(token: str) -> str:
    """The text again. Raises CannotOpen, which never shows the value."""
    try:
        return _box(tuple(settings.GAMER_KEYS)).decrypt(token.encode()).decode()
    except InvalidToken:
        raise CannotOpen("no key in GAMER_KEYS opens this value") from None


def is_current(token: str) -> bool:
    """Whether the first key sealed it."""
    try:
        _box(tuple(settings.GAMER_KEYS[:1])).decrypt(token.encode())
    except InvalidToken:
        return False
    return True


def reseal(token: str) -> str:
    """The same text under the first key. Raises CannotOpen."""
    try:
        return _box(tuple(settings.GAMER_KEYS)).rotate(token.encode()).decode()
    except InvalidToken:
        raise CannotOpen("no key in GAMER_KEYS opens this value") from None


class Sealed(str):
    """A secret in memory: prints as dots, so that a log line, a traceback or a page that shows it shows nothing."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'••••'" if len(self) else "''"

    def __str__(self) -> str:
        return "••••" if len(self) else ""

    def __format__(self, format_spec: str) -> str:
        return format(str(self), format_spec)

    def reveal(self) -> str:
        return str.__str__(self)


class SealedTextField(models.TextField):  # type: ignore[type-arg]  # Django's is not generic when it runs
    """Text sealed in the database and a `Sealed` in Python; `.reveal()` where it is used. Empty stays empty."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Sealed | None:
        if value is None:
            return None
        return Sealed(unseal(value)) if value else Sealed("")

    def to_python(self, value: Any) -> Any:
        return value

    def get_prep_value(self, value: Any) -> Any:
        if value is None or value == "":
            return value
        return seal(value.reveal() if isinstance(value, Sealed) else value)


class SealedJSONField(SealedTextField):
    """A flat mapping of secrets, as JSON inside the seal. Python side: `dict[str, str]` in a `SealedDict`."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return SealedDict(json.loads(unseal(value)) if value else {})

    def get_prep_value(self, value: Any) -> Any:
        return seal(json.dumps(dict(value))) if value else ""


class SealedDict(dict[str, str]):
    """Secrets by name; shows the names only."""

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{name!r}: '••••'" for name in self) + "}"

    __str__ = __repr__


def sealed_fields() -> list[tuple[type[models.Model], str]]:
    """Every sealed column of every installed app, for `rotate_keys`."""
    from django.apps import apps

    return [
        (model, field.name)
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, SealedTextField)
    ]
