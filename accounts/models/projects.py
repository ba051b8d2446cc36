"""What tenants have: projects, seats offered by mail, and limits."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import TYPE_CHECKING

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import OuterRef, Q, Subquery, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Concat, Lower
from django.utils import timezone

from accounts.models.people import INVITED, Department, Scope, User
from events.history import keeps_history
from events.models import Event

if TYPE_CHECKING:
    from accounts.principal import Principal


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


@keeps_history("projects", "{id}", row="{name}")
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

    def with_refusals(self) -> InvitationQuerySet:
        """Each with `refusal`: why no mail server will ever take its mail, in words, as the events tell; else None."""
        named = Concat(Value("invitation:"), Cast(OuterRef("pk"), models.CharField()))
        told = Event.objects.filter(action="mail_refused", resource="departments", resource_id=named)
        return self.annotate(refusal=Subquery(told.values_list(KeyTextTransform("why", "details"))[:1]))


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


@keeps_history("quotas", "{id}")
class Quota(models.Model):
    """How much one user, project or department may hold at once. Empty: no limit. A launch locks the rows it falls under."""

    user = models.OneToOneField(User, null=True, blank=True, on_delete=models.CASCADE, related_name="quota")
    project = models.OneToOneField(
        Project, null=True, blank=True, on_delete=models.CASCADE, related_name="quota"
    )
    department = models.OneToOneField(
        Department, null=True, blank=True, on_delete=models.CASCADE, related_name="quota"
    )
    within = models.ForeignKey(
        Department, null=True, on_delete=models.CASCADE, related_name="+", editable=False,
        help_text="Counts and refuses only what the person holds as one of this department's people. Empty: everything.",
    )  # fmt: skip
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
                condition=Q(within=None) | Q(user__isnull=False), name="quota_within_of_person"
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
