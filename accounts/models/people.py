"""People and their departments."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac

from events.history import keeps_history

if TYPE_CHECKING:
    from accounts.principal import Principal

HANDLE = r"^[A-Za-z0-9._:@-]{1,64}\Z"


def handle_for(email: str) -> str:
    """The `user_id` of somebody who signs up: the address, or what a handle can hold of it with its hash."""
    fitting = re.sub(r"[^A-Za-z0-9._:@-]", "-", email)
    if fitting == email and len(email) <= 64:
        return email
    return f"{fitting[:55]}-{hashlib.sha256(email.encode()).hexdigest()[:8]}"


class DepartmentQuerySet(models.QuerySet["Department"]):
    def visible_to(self, principal: Principal) -> DepartmentQuerySet:
        """All of them (staff), or the one a person or a key is of."""
        if principal.is_staff:
            return self.all()
        return self.filter(pk=principal.department_id) if principal.department_id is not None else self.none()

    def administered_by(self, principal: Principal) -> DepartmentQuerySet:
        """Those whose people, invitations and quotas somebody may change: never by a key that is not the staff's."""
        if principal.is_staff:
            return self.all()
        return self.filter(pk=principal.managed_id) if principal.managed_id is not None else self.none()


@keeps_history("departments", "{id}", row="{name}")
class Department(models.Model):
    """A tenant: the people, projects and keys that share an account. Its managers see all that is its own."""

    name = models.CharField(max_length=100, unique=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar[DepartmentQuerySet] = DepartmentQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class DepartmentRole(models.TextChoices):
    """What a person is in their department. A manager sees and steers all that is the department's; the owner also its managers."""

    MEMBER = "member", "member"
    MANAGER = "manager", "manager"
    OWNER = "owner", "owner"


MANAGING = (DepartmentRole.MANAGER, DepartmentRole.OWNER)
INVITED = (DepartmentRole.MEMBER, DepartmentRole.MANAGER)


class Scope(models.TextChoices):
    """What a key may do. `admin` includes the others."""

    READ = "read", "read"
    LAUNCH = "launch", "launch"
    ACT_AS = "act_as", "act as a user"
    CONFIG = "config", "change configuration"
    BILLING = "billing", "billing"
    ADMIN = "admin", "everything"


class UserQuerySet(models.QuerySet["User"]):
    def within(self, department_id: int | None) -> UserQuerySet:
        """The users of a department, or those of none."""
        return (
            self.filter(department=None)
            if department_id is None
            else self.filter(department_id=department_id)
        )

    def players(self) -> UserQuerySet:
        return self.filter(is_staff=False, is_superuser=False)

    def end_logins(self) -> int:
        """Ends every login and admin session of these people at once."""
        return self.update(token_epoch=F("token_epoch") + 1)

    def visible_to(self, principal: Principal) -> UserQuerySet:
        """The people a principal may know of: everybody (staff), their department's (managers), those a service speaks for,
        or themself.
        """
        if principal.is_staff:
            return self.all()
        key, user = principal.key, principal.user
        if key is None or not key.speaks_for_others:
            mine = Q(pk=user.pk) if user is not None else Q(pk__in=[])
            if principal.managed_id is not None:
                mine |= Q(department_id=principal.managed_id)
            return self.filter(mine)
        if key.department_id is not None:
            return self.players().filter(department_id=key.department_id)
        return self.players() if Scope.ACT_AS in key.scopes else self.filter(pk=key.maker_id)


class UserManager(BaseUserManager["User"]):
    def get_queryset(self) -> UserQuerySet:
        return UserQuerySet(self.model, using=self._db)

    def within(self, department_id: int | None) -> UserQuerySet:
        return self.get_queryset().within(department_id)

    def visible_to(self, principal: Principal) -> UserQuerySet:
        return self.get_queryset().visible_to(principal)

    def get_by_natural_key(self, username: str | None) -> User:
        """Addresses are kept in lower case, and typed as people like."""
        return self.get(email=(username or "").strip().lower())

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        email = email.strip().lower()
        user = self.model(email=email, **{"handle": handle_for(email), **fields})
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, **{"is_staff": True, "is_superuser": True, **fields})


@keeps_history("users", "{handle}", unless=("last_login",))
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
    department_role = models.CharField(
        max_length=10, blank=True, choices=DepartmentRole.choices, help_text="Empty without a department."
    )
    is_staff = models.BooleanField("staff", default=False, help_text="May use the admin; sees everything.")
    is_active = models.BooleanField("active", default=True)
    is_postpaid = models.BooleanField(
        "postpaid", default=False, help_text="Plays without credit; somebody else is billed."
    )
    token_epoch = models.PositiveIntegerField(
        default=0, editable=False, help_text="Counted up to end every login at once."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        ordering = ("id",)
        indexes = [models.Index(fields=["handle"], opclasses=["varchar_pattern_ops"], name="user_handle")]
        constraints = [
            models.UniqueConstraint(
                fields=["department", "handle"], name="user_handle_in_department", nulls_distinct=False
            ),
            models.CheckConstraint(
                condition=Q(handle__regex=r"^[A-Za-z0-9._:@-]+$"), name="user_handle_shape"
            ),
            models.CheckConstraint(condition=Q(email=Lower("email")), name="user_email_lower_case"),
            models.CheckConstraint(
                condition=Q(department=None, department_role="")
                | Q(department__isnull=False, department_role__in=DepartmentRole.values),
                name="user_role_with_department",
            ),
            models.UniqueConstraint(
                fields=["department"],
                condition=Q(department_role=DepartmentRole.OWNER.value),
                name="department_one_owner",
            ),
        ]

    def __str__(self) -> str:
        return self.handle

    def clean(self) -> None:
        self.email = (self.email or "").strip().lower() or None

    def save(self, *args: Any, **options: Any) -> None:
        """Who has a department has a role in it; joining without one makes a member."""
        role = (self.department_role or DepartmentRole.MEMBER) if self.department_id is not None else ""
        if role != self.department_role:
            self.department_role = role
            if (names := options.get("update_fields")) is not None:
                options["update_fields"] = {*names, "department_role"}
        super().save(*args, **options)

    @property
    def role(self) -> str:
        return "staff" if self.is_staff else "player"

    def manages(self, department_id: int | None) -> bool:
        """Whether they are a manager or the owner of this department."""
        is_theirs = department_id is not None and department_id == self.department_id
        return is_theirs and self.department_role in MANAGING

    def get_username(self) -> str:
        """What they log in by; who has no address, cannot, and is named by their handle."""
        return self.email or self.handle

    def get_full_name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip() or self.handle

    def get_short_name(self) -> str:
        return self.first_name or self.handle

    def get_session_auth_hash(self) -> str:
        """What a login remembers of its person. Another password or epoch ends admin sessions and tokens alike."""
        return salted_hmac(
            "accounts.login", f"{self.token_epoch}:{self.password}", algorithm="sha256"
        ).hexdigest()

    def get_session_auth_fallback_hash(self) -> list[str]:
        return []
