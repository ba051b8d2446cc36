from __future__ import annotations

import io
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection

from gamer.sealed import is_current
from vms.models import ProviderAccount

pytestmark = pytest.mark.django_db
OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
def accounts(settings: Any) -> list[ProviderAccount]:
    """Five, sealed with the old key while the new one is already first."""
    settings.GAMER_KEYS = [OLD]
    made = [
        ProviderAccount.objects.create(
            name=f"a{number}", kind="memory", credentials={"token": f"secret {number}"}
        )
        for number in range(5)
    ]
    settings.GAMER_KEYS = [NEW, OLD]
    return made


def tokens() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT credentials FROM vms_provideraccount ORDER BY id")
        return [token for (token,) in cursor.fetchall()]


def rotate(output: io.StringIO | None = None, **options: int) -> str:
    output = output or io.StringIO()
    call_command("rotate_keys", stdout=output, **options)
    return output.getvalue()


class Interrupting(io.StringIO):
    """A terminal on which somebody presses Ctrl-C after the first line."""

    def write(self, text: str) -> int:
        raise KeyboardInterrupt


class TestRotateKeys:
    @pytest.mark.django_db(transaction=True)
    def test_seals_every_secret_with_the_first_key(
        self, accounts: list[ProviderAccount], settings: Any
    ) -> None:
        said = rotate(batch=2)
        assert "vms.ProviderAccount.credentials: 2 sealed anew" in said
        assert "vms.ProviderAccount.credentials: 5 sealed anew, 0 not opened" in said
        settings.GAMER_KEYS = [NEW]
        for number, account in enumerate(accounts):
            account.refresh_from_db()
            assert account.credentials == {"token": f"secret {number}"}

    def test_leaves_alone_what_is_current(self, accounts: list[ProviderAccount]) -> None:
        rotate()
        before = tokens()
        assert "0 sealed anew" in rotate()
        assert tokens() == before

    def test_leaves_empty_columns_empty(self, accounts: list[ProviderAccount]) -> None:
        ProviderAccount.objects.create(name="empty", kind="memory")
        rotate()
        assert tokens()[-1] == ""

    def test_can_be_interrupted_and_repeated(self, accounts: list[ProviderAccount]) -> None:
        with pytest.raises(KeyboardInterrupt):
            rotate(Interrupting(), batch=2)
        assert [is_current(token) for token in tokens()] == [True, True, False, False, False]
        rotate(batch=2)
        assert all(is_current(token) for token in tokens())

    def test_tells_what_no_key_opens_and_does_the_rest(self, accounts: list[ProviderAccount]) -> None:
        lost = Fernet(Fernet.generate_key()).encrypt(b"{}").decode()
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE vms_provideraccount SET credentials = %s WHERE id = %s", [lost, accounts[0].pk]
            )
        with pytest.raises(CommandError, match="1 values are opened by no key in GAMER_KEYS"):
            rotate()
        assert tokens()[0] == lost
        assert all(is_current(token) for token in tokens()[1:])
