"""People, their departments, and the keys of services."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

HANDLE = r"^[A-Za-z0-9._:@-]{1,64}\Z"


class Department(models.Model):
    """A tenant: the people and keys that share an account and see each other's machines where allowed."""

    name = models.CharField(max_length=100, unique=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(
            email=self.normalize_email(email).lower(), **{"handle": email.lower()[:64], **fields}
        )
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, **{"is_staff": True, "is_superuser": True, **fields})


class User(AbstractBaseUser, PermissionsMixin):
    """A person, or somebody a service speaks for. `handle` is the `user_id` of the API, unique in its department.

    Users named by a service key have neither email nor password, and are postpaid: the department answers for them.
    """

    handle = models.CharField(
        max_length=64, validators=[RegexValidator(HANDLE)], help_text="The API's user_id."
    )
    email = models.EmailField(
        null=True,
        blank=True,
        unique=True,
        error_messages={"unique": "This address is taken."},
        help_text="In lower case.",
    )
    first_name = models.CharField(max_length=100, blank=True)
    last_name = models.CharField(max_length=100, blank=True)
    department = models.ForeignKey(
        Department, null=True, blank=True, on_delete=models.PROTECT, related_name="users"
    )
    is_staff = models.BooleanField("staff", default=False, help_text="May use the admin; sees everything.")
    is_active = models.BooleanField("active", default=True)
    is_postpaid = models.BooleanField(
        "postpaid", default=False, help_text="Plays without credit; somebody else is billed."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        ordering = ("id",)
        constraints = [
            models.UniqueConstraint(
                fields=["department", "handle"], name="user_handle_in_department", nulls_distinct=False
            ),
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="user_email_lower_case"),
        ]

    def __str__(self) -> str:
        return self.handle

    @property
    def role(self) -> str:
        return "staff" if self.is_staff else "player"

    def get_full_name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip() or self.handle

    def get_short_name(self) -> str:
        return self.first_name or self.handle


class Scope(models.TextChoices):
    """What a key may do. `admin` includes the others."""

    READ = "read", "read"
    LAUNCH = "launch", "launch"
    ACT_AS = "act_as", "act as a user"
    CONFIG = "config", "change configuration"
    BILLING = "billing", "billing"
    ADMIN = "admin", "everything"


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def usable(self, now: datetime) -> ApiKeyQuerySet:
        return self.filter(revoked_at=None, maker__is_active=True).exclude(expires_at__lte=now)


class ApiKey(models.Model):
    """A service's key. Only its SHA-256 is kept (256 random bits need no slow hash); `prefix` finds the row."""

    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    scopes = ArrayField(models.CharField(max_length=10, choices=Scope.choices), default=list)
    department = models.ForeignKey(
        Department, null=True, blank=True, on_delete=models.PROTECT, related_name="api_keys"
    )
    maker = models.ForeignKey(User, on_delete=models.PROTECT, related_name="api_keys", editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
