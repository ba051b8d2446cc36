"""Columns encrypted at rest with GAMER_KEYS: the first key seals, every key opens (`rotate_keys` re-seals)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models
from django.db.models.functions import Cast
from django.utils.crypto import constant_time_compare

from gamer.errors import Unavailable
from redaction.masks import remember


class CannotOpen(Unavailable, ValueError):
    """A sealed value that none of GAMER_KEYS opens: a key was dropped before `rotate_keys` ran, or came here too late.

    Whoever asked for what needs it may come again once it is back.
    """

    def __init__(self) -> None:
        super().__init__("no key in GAMER_KEYS opens this value")


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
        raise CannotOpen from None


def is_openable(token: str) -> bool:
    try:
        unseal(token)
    except CannotOpen:
        return False
    return True


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
        raise CannotOpen from None


class Sealed:
    """A secret in memory. It prints as dots, and is no text: what would write it as JSON or join it to a line raises."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def __repr__(self) -> str:
        return "'••••'" if self else "''"

    def __str__(self) -> str:
        return "••••" if self else ""

    def __format__(self, format_spec: str) -> str:
        return format(str(self), format_spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return constant_time_compare(self._text, other._text) if isinstance(other, Sealed) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)

    def reveal(self) -> str:
        return self._text


class ShutText(Sealed):
    """One that no key opens. Its row can be read, and written: the token goes back as it was. Only who needs the text raises."""

    __slots__ = ()

    @property
    def token(self) -> str:
        return self._text

    def reveal(self) -> str:
        raise CannotOpen


class SealedTextField(models.TextField):  # type: ignore[type-arg]  # Django's is not generic when it runs
    """Text sealed in the database and a `Sealed` in Python; `.reveal()` where it is used. Empty stays empty."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Sealed | None:
        if value is None:
            return None
        try:
            text = unseal(value) if value else ""
        except CannotOpen:
            return ShutText(value)
        remember(text)  # should it ever turn up in an error's text, the log masks it
        return Sealed(text)

    def to_python(self, value: Any) -> Any:
        return value

    def get_prep_value(self, value: Any) -> Any:
        if value is None or value == "":
            return value
        if isinstance(value, ShutText):
            return value.token
        return seal(value.reveal() if isinstance(value, Sealed) else value)


class SealedJSONField(SealedTextField):
    """A flat mapping of secrets, as JSON inside the seal. Python side: `dict[str, str]` in a `SealedDict`."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        if not value:
            return SealedDict()
        try:
            secrets = SealedDict(json.loads(unseal(value)))
        except CannotOpen:
            return ShutDict(value)
        remember(*secrets.values())
        return secrets

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, ShutDict):
            return value.token
        return seal(json.dumps(dict(value))) if value else ""


class SealedDict(Mapping[str, str]):
    """Secrets by name; shows the names only, and is no dict, so that nothing writes it as JSON by mistake."""

    __slots__ = ("_secrets",)

    def __init__(self, secrets: Mapping[str, str] | None = None, /, **more: str) -> None:
        self._secrets = {**(secrets or {}), **more}

    def __getitem__(self, name: str) -> str:
        return self._secrets[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._secrets)

    def __len__(self) -> int:
        return len(self._secrets)

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{name!r}: '••••'" for name in self) + "}"

    __str__ = __repr__


class ShutDict(SealedDict):
    """As `ShutText`: there is something in it, and whoever asks what raises CannotOpen."""

    __slots__ = ("token",)

    def __init__(self, token: str) -> None:
        super().__init__()
        self.token = token

    def __getitem__(self, name: str) -> str:
        raise CannotOpen

    def __iter__(self) -> Iterator[str]:
        raise CannotOpen

    def __len__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return "{'••••'}"

    __str__ = __repr__


def sealed_fields() -> list[tuple[type[models.Model], str]]:
    """Every sealed column of every installed app."""
    from django.apps import apps

    return [
        (model, field.name)
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, SealedTextField)
    ]


def as_stored(model: type[models.Model], field: str) -> models.QuerySet[models.Model]:
    """The rows that hold something in a sealed column, with it as `token`: not opened."""
    rows = model._base_manager.annotate(token=Cast(models.F(field), models.TextField()))
    return rows.filter(token__gt="")
