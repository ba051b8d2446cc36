"""Rows for tests, made with factory-boy."""

from __future__ import annotations

from functools import cache
from typing import Any

import factory
from django.contrib.auth.hashers import Argon2PasswordHasher, make_password

from accounts import services
from accounts.models import ApiKey, Department, Project, Quota, Scope, User, handle_for

PASSWORD = "correct horse battery"


class QuickArgon2(Argon2PasswordHasher):
    """The same hash without the price that protects it."""

    time_cost, memory_cost, parallelism = 1, 8, 1


@cache
def hashed_password() -> str:
    """Hashed once per run, because many people have it."""
    return make_password(PASSWORD)


class DepartmentFactory(factory.django.DjangoModelFactory[Department]):
    class Meta:
        model = Department

    name = factory.Sequence(lambda number: f"Department {number}")


class UserFactory(factory.django.DjangoModelFactory[User]):
    """A player who signed up; their password is PASSWORD."""

    class Meta:
        model = User

    email = factory.Sequence(lambda number: f"player{number}@gamer.test")
    handle = factory.LazyAttribute(lambda user: handle_for(user.email))
    first_name = factory.Faker("first_name")
    password = factory.LazyFunction(hashed_password)


class ProjectFactory(factory.django.DjangoModelFactory[Project]):
    """Somebody's own project, unless it is given a department."""

    class Meta:
        model = Project

    name = factory.Sequence(lambda number: f"Project {number}")
    owner = factory.SubFactory(UserFactory)


class QuotaFactory(factory.django.DjangoModelFactory[Quota]):
    """Limits of the `user`, `project` or `department` that is given."""

    class Meta:
        model = Quota


class ApiKeyFactory(factory.django.DjangoModelFactory[ApiKey]):
    """A key whose text is `key.secret`, an attribute that only the new instance has."""

    class Meta:
        model = ApiKey

    name = factory.Sequence(lambda number: f"Key {number}")
    maker = factory.SubFactory(UserFactory, is_staff=True)
    scopes = factory.LazyFunction(lambda: [Scope.READ, Scope.LAUNCH])

    @classmethod
    def _create(cls, model_class: type[ApiKey], *args: Any, **fields: Any) -> ApiKey:
        secret = services.make_secret()
        fields.update(prefix=services.prefix_of(secret), digest=services.digest_of(secret))
        key = super()._create(model_class, *args, **fields)
        key.secret = secret
        return key
