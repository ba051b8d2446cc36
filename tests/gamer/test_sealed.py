from __future__ import annotations

import logging
import traceback
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.apps import apps
from django.db import connection

from accounts.models import Authenticator
from gamer.sealed import (
    CannotOpen,
    Sealed,
    SealedDict,
    SealedTextField,
    is_current,
    reseal,
    seal,
    sealed_fields,
    unseal,
)
from tests.world import World
from vms.models import ProviderAccount

CANARY = "canary-3f9c"


@pytest.fixture
def keys(settings: Any) -> list[str]:
    """An old key and a newer one; the old one is in use."""
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.GAMER_KEYS = [old]
    return [old, new]


class TestSeal:
    def test_is_opened_by_any_key_and_never_the_same_twice(self, keys: list[str], settings: Any) -> None:
        old, new = keys
        token = seal(CANARY)
        assert CANARY not in token
        assert token != seal(CANARY)
        settings.GAMER_KEYS = [new, old]
        assert unseal(token) == CANARY

    def test_without_its_key_stays_shut_and_shows_nothing(self, keys: list[str], settings: Any) -> None:
        token = seal(CANARY)
        settings.GAMER_KEYS = [keys[1]]
        for attempt in (unseal, reseal):
            with pytest.raises(CannotOpen) as caught:
                attempt(token)
            assert token not in "".join(traceback.format_exception(caught.value))

    def test_moves_to_the_first_key(self, keys: list[str], settings: Any) -> None:
        old, new = keys
        token = seal(CANARY)
        assert is_current(token)
        settings.GAMER_KEYS = [new, old]
        assert not is_current(token)
        moved = reseal(token)
        assert is_current(moved)
        settings.GAMER_KEYS = [new]
        assert unseal(moved) == CANARY


class TestSealed:
    @pytest.mark.parametrize(
        "shown",
        [
            lambda secret: str(secret),
            lambda secret: repr(secret),
            lambda secret: f"{secret}",
            lambda secret: f"{secret:>40}",
            lambda secret: f"{secret!r}",
            lambda secret: "%s" % secret,  # noqa: UP031
            lambda secret: str([secret]),
            lambda secret: str({"secret": secret}),
            lambda secret: str(SealedDict(secret=secret.reveal())),
            lambda secret: repr(SealedDict(secret=secret.reveal())),
        ],
    )
    def test_shows_dots(self, shown: object) -> None:
        text = shown(Sealed(CANARY))  # type: ignore[operator]
        assert CANARY not in text
        assert "••••" in text

    def test_is_not_in_a_log_line_or_a_traceback(self, caplog: pytest.LogCaptureFixture) -> None:
        secret = Sealed(CANARY)
        logging.getLogger("gamer").warning("about %s and %r", secret, {"key": secret})
        assert CANARY not in "".join(traceback.format_exception(ValueError(secret)))
        assert CANARY not in caplog.text

    def test_is_revealed_where_it_is_used(self) -> None:
        assert Sealed(CANARY).reveal() == CANARY
        assert type(Sealed(CANARY).reveal()) is str

    def test_that_is_empty_shows_nothing(self) -> None:
        assert str(Sealed("")) == ""


@pytest.mark.django_db
class TestColumns:
    def stored(self, account: ProviderAccount) -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT credentials FROM vms_provideraccount WHERE id = %s", [account.pk])
            return str(cursor.fetchone()[0])

    def test_are_sealed_in_the_database_and_open_in_python(self) -> None:
        account = ProviderAccount.objects.create(name="a", kind="memory", credentials={"token": CANARY})
        assert CANARY not in self.stored(account)
        account.refresh_from_db()
        assert account.credentials == {"token": CANARY}
        assert CANARY not in repr(account.credentials)

    def test_that_are_empty_stay_empty(self) -> None:
        account = ProviderAccount.objects.create(name="a", kind="memory")
        assert self.stored(account) == ""
        account.refresh_from_db()
        assert account.credentials == {}

    def test_that_no_key_opens_are_read_and_written_back_as_they_were(
        self, keys: list[str], settings: Any
    ) -> None:
        account = ProviderAccount.objects.create(name="a", kind="memory", credentials={"token": CANARY})
        before = self.stored(account)
        settings.GAMER_KEYS = [keys[1]]
        account = ProviderAccount.objects.get()
        assert (bool(account.credentials), repr(account.credentials)) == (True, "{'••••'}")
        for used in (dict, list, lambda secrets: secrets["token"], lambda secrets: secrets.get("token")):
            with pytest.raises(CannotOpen):
                used(account.credentials)
        account.name = "b"
        account.save()
        assert self.stored(account) == before
        settings.GAMER_KEYS = keys[::-1]
        account.refresh_from_db()
        assert (account.name, account.credentials) == ("b", {"token": CANARY})

    def test_of_text_that_no_key_opens_are_read_and_written_back_as_they_were(
        self, keys: list[str], settings: Any, world: World
    ) -> None:
        Authenticator.objects.create(user=world.alice, secret=Sealed(CANARY))
        settings.GAMER_KEYS = [keys[1]]
        device = Authenticator.objects.get()
        assert (bool(device.secret), str(device.secret)) == (True, "••••")
        with pytest.raises(CannotOpen):
            device.secret.reveal()
        device.save()
        settings.GAMER_KEYS = keys[::-1]
        device.refresh_from_db()
        assert device.secret.reveal() == CANARY

    def test_are_all_known_to_the_rotation(self) -> None:
        found = {
            (model, field.name)
            for model in apps.get_models()
            for field in model._meta.get_fields()
            if isinstance(field, SealedTextField)
        }
        assert (ProviderAccount, "credentials") in found
        assert set(sealed_fields()) == found
