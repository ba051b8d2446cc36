from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from accounts.models import User, handle_for
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


class TestHandleFor:
    @pytest.mark.parametrize("email", ["alice@gamer.test", "a.b-c_d@gamer.test"])
    def test_is_the_address_where_a_handle_can_hold_it(self, email: str) -> None:
        assert handle_for(email) == email

    def test_is_another_one_for_each_address_it_cannot_hold(self) -> None:
        emails = ["a+b@gamer.test", "a'b@gamer.test", "x" * 60 + "@gamer.test", "x" * 61 + "@gamer.test"]
        users = [UserFactory(email=email) for email in emails]
        for user in users:
            user.full_clean()
        assert len({user.handle for user in users}) == 4


class TestLaws:
    @pytest.mark.parametrize(
        "fields",
        [
            {"handle": "a b"},
            {"handle": ""},
            {"handle": "a\nb"},
            {"email": "Upper@gamer.test"},
            {"handle": "taken"},
            {"email": "taken@gamer.test"},
        ],
    )
    def test_are_held_by_the_database(self, fields: dict[str, Any]) -> None:
        UserFactory(handle="taken", email="taken@gamer.test")
        with pytest.raises(IntegrityError), transaction.atomic():
            User.objects.bulk_create([User(**{"handle": "free", "email": "free@gamer.test", **fields})])


class TestManager:
    def test_makes_people_with_lower_case_addresses(self) -> None:
        user = User.objects.create_user(" Kim@Gamer.TEST ", "a long password")
        assert (user.email, user.handle) == ("kim@gamer.test", "kim@gamer.test")
        assert User.objects.get_by_natural_key(" KIM@gamer.test") == user

    def test_makes_administrators(self) -> None:
        user = User.objects.create_superuser("root@gamer.test", "a long password")
        assert (user.is_staff, user.is_superuser, user.role) == (True, True, "staff")
