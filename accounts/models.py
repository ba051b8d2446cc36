"""People, their departments, their logins, and the keys of services."""

from __future__ import annotations

import hashlib
import re
import uuid
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac

if TYPE_CHECKING:
    from accounts.principal import Principal

HANDLE = r"^[A-Za-z0-9._:@-]{1,64}\Z"
USED_STEP = timedelta(minutes=1)  # a key's last use is written at most this often


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

    def visible_to(self, principal: Principal) -> UserQuerySet:
        """The people a principal may know of: everybody (staff), their department's (managers), those a service speaks for,
        or themself.
        """
        if principal.is_staff:
            return self.all()
        key, user = principal.key, principal.user
        if key is None or not key.maker.is_staff:
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
        super().clean()
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


class ProjectQuerySet(models.QuerySet["Project"]):
    def visible_to(self, principal: Principal) -> ProjectQuerySet:
        """All (staff), one's own and one's department's, or those of the people and the department a key speaks for."""
        if principal.is_staff:
            return self.all()
        if principal.key is not None:
            own = Q(owner__in=User.objects.visible_to(principal).values("pk"))
        else:
            own = Q(owner=principal.user) if principal.user is not None else Q(pk__in=[])
        within = principal.department_id
        return self.filter(own | Q(department_id=within)) if within is not None else self.filter(own)

    def administered_by(self, principal: Principal) -> ProjectQuerySet:
        """Those whose name, end and quota somebody decides: its creator, its department's managers, a key that acts as them."""
        if principal.is_staff:
            return self.all()
        if principal.key is not None:
            if principal.key.maker.is_staff and not principal.may(Scope.ACT_AS):
                return self.none()
            return self.visible_to(principal).filter(owner__in=User.objects.visible_to(principal))
        mine = Q(owner=principal.user) if principal.user is not None else Q(pk__in=[])
        if principal.managed_id is not None:
            mine |= Q(department_id=principal.managed_id)
        return self.filter(mine)

    def open(self) -> ProjectQuerySet:
        return self.filter(closing_at=None)


class Project(models.Model):
    """VMs that belong together: a person's own, or a department's, whose people may all launch in it.

    It closes softly: from `closing_at` on launches refuse it, and `closed_at` says that nothing of it lives any more.
    """

    name = models.CharField(max_length=100)
    description = models.TextField(blank=True)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="projects")
    department = models.ForeignKey(
        Department, null=True, blank=True, on_delete=models.PROTECT, related_name="projects"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    closing_at = models.DateTimeField(null=True, blank=True, editable=False)
    closed_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ProjectQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        indexes = [
            models.Index(
                fields=["closing_at"],
                condition=Q(closing_at__isnull=False, closed_at=None),
                name="project_closing",
            )
        ]
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                "department",
                condition=Q(closing_at=None, department__isnull=False),
                name="project_name_in_department",
            ),
            models.UniqueConstraint(
                Lower("name"),
                "owner",
                condition=Q(closing_at=None, department=None),
                name="project_name_of_owner",
            ),
            models.CheckConstraint(
                condition=Q(closed_at=None) | Q(closing_at__isnull=False), name="project_closes_softly"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def state(self) -> str:
        """`open`, `closing` (nothing new starts, what lives is being ended) or `closed` (nothing lives)."""
        if self.closed_at is not None:
            return "closed"
        return "open" if self.closing_at is None else "closing"


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def pending(self) -> InvitationQuerySet:
        """Neither accepted nor withdrawn; perhaps expired."""
        return self.filter(accepted_at=None, withdrawn_at=None)


class Invitation(models.Model):
    """A seat in a department, offered by mail to one address. The text that takes it is nowhere but in the mail."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    department = models.ForeignKey(Department, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField(help_text="In lower case.")
    role = models.CharField(max_length=10, choices=[(one.value, one.label) for one in INVITED])
    digest = models.CharField(max_length=64, unique=True, editable=False)
    inviter = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", editable=False)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    mailed_at = models.DateTimeField(null=True, editable=False)
    accepted_at = models.DateTimeField(null=True, editable=False)
    withdrawn_at = models.DateTimeField(null=True, editable=False)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")
        constraints = [
            models.UniqueConstraint(
                fields=["department", "email"],
                condition=Q(accepted_at=None, withdrawn_at=None),
                name="invitation_once",
            ),
            models.CheckConstraint(condition=Q(email=Lower("email")), name="invitation_email_lower_case"),
            models.CheckConstraint(condition=Q(role__in=INVITED), name="invitation_never_to_ownership"),
        ]

    def __str__(self) -> str:
        return f"{self.email} to {self.department}"


class QuotaQuerySet(models.QuerySet["Quota"]):
    def visible_to(self, principal: Principal) -> QuotaQuerySet:
        """The limits of the people, projects and department somebody may know of."""
        if principal.is_staff:
            return self.all()
        users = User.objects.visible_to(principal).values("pk")
        projects = Project.objects.visible_to(principal).values("pk")
        seen = Q(user__in=users) | Q(project__in=projects)
        if principal.department_id is not None:
            seen |= Q(department_id=principal.department_id)
        return self.filter(seen)


class Quota(models.Model):
    """How much one user, project or department may hold at once. Empty: no limit. A launch locks the rows it falls under."""

    user = models.OneToOneField(User, null=True, blank=True, on_delete=models.CASCADE, related_name="quota")
    project = models.OneToOneField(
        Project, null=True, blank=True, on_delete=models.CASCADE, related_name="quota"
    )
    department = models.OneToOneField(
        Department, null=True, blank=True, on_delete=models.CASCADE, related_name="quota"
    )
    max_vms = models.PositiveIntegerField("VMs at once", null=True, blank=True)
    max_gpu_vms = models.PositiveIntegerField("VMs with a GPU at once", null=True, blank=True)
    max_usd_per_hour = models.DecimalField(
        "USD per hour",
        max_digits=10,
        decimal_places=4,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal(0))],
    )

    objects = QuotaQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, project=None, department=None)
                | Q(user=None, project__isnull=False, department=None)
                | Q(user=None, project=None, department__isnull=False),
                name="quota_of_one",
            ),
            models.CheckConstraint(
                condition=Q(max_usd_per_hour=None) | Q(max_usd_per_hour__gte=0), name="quota_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"quota of {self.kind} {self.holder}"

    @property
    def holder(self) -> User | Project | Department:
        """Whose limits these are."""
        found = self.user or self.project or self.department
        assert found is not None
        return found

    @property
    def kind(self) -> str:
        """`user`, `project` or `department`."""
        if self.user_id is not None:
            return "user"
        return "project" if self.project_id is not None else "department"


class LoginQuerySet(models.QuerySet["Login"]):
    def live(self, now: datetime) -> LoginQuerySet:
        return self.filter(ended_at=None, expires_at__gt=now)


class Login(models.Model):
    """One person's login by password and the family of refresh tokens that grew from it; only the newest is good.

    `stamp` is the person's session hash at the login: when it differs from today's, the login is over.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="logins")
    stamp = models.CharField(max_length=64)
    current = models.UUIDField(help_text="The id of the refresh token that is good.")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    objects = LoginQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="login_expires_at")]

    def __str__(self) -> str:
        return f"{self.user} since {self.created_at:%Y-%m-%d %H:%M}"


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

    def touch(self, now: datetime) -> None:
        """Notes the use, unless somebody did within the minute."""
        if self.last_used_at is not None and self.last_used_at > now - USED_STEP:
            return
        stale = Q(last_used_at=None) | Q(last_used_at__lte=now - USED_STEP)
        ApiKey.objects.filter(stale, id=self.id).update(last_used_at=now)
