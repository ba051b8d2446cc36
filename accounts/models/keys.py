"""The keys of services."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models.people import Department, Scope, User
from events.history import keeps_history

if TYPE_CHECKING:
    from accounts.principal import Principal

USED_STEP = timedelta(minutes=1)  # a key's last use is written at most this often


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def usable(self, now: datetime) -> ApiKeyQuerySet:
        return self.filter(revoked_at=None, maker__is_active=True).exclude(expires_at__lte=now)

    def visible_to(self, principal: Principal) -> ApiKeyQuerySet:
        """All of them (staff), or one's own and those of the department one manages."""
        if principal.is_staff:
            return self
        user = principal.user
        if user is None or principal.key is not None:
            return self.none()
        own = Q(maker=user)
        return self.filter(
            own | Q(department=user.department_id) if user.manages(user.department_id) else own
        )


@keeps_history("users", "key:{prefix}", row="{name}", unless=("last_used_at",))
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
    former_digest = models.CharField(
        max_length=64, blank=True, editable=False, help_text="Of the text before the last rotation."
    )
    former_until = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def speaks_for_others(self) -> bool:
        """Whether it may know its department's people: made by staff, or to act for them by who manages it."""
        is_managers = Scope.ACT_AS in self.scopes and self.maker.manages(self.department_id)
        return self.maker.is_staff or is_managers

    def touch(self, now: datetime) -> None:
        """Notes the use, unless somebody did within the minute."""
        if self.last_used_at is not None and self.last_used_at > now - USED_STEP:
            return
        stale = Q(last_used_at=None) | Q(last_used_at__lte=now - USED_STEP)
        ApiKey.objects.filter(stale, id=self.id).update(last_used_at=now)
