"""The promise to a player."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.contrib.postgres.expressions import ArraySubquery
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Project, User
from gamer.sealed import SealedTextField
from vms.lifecycle import LIVE, TERMINAL, Desired, Phase, Status, columns_of, status_of
from vms.models.columns import BulkRead, usd_field

if TYPE_CHECKING:
    from accounts.principal import Principal

# Seconds without a player that a VM may be given.
MIN_AUTO_STOP_S, MAX_AUTO_STOP_S = 60, 86_400

# People whom a query names one by one.
MOST_NAMED = 1000


# What placement is asked for.
WISH = ("wanted_provider", "wanted_region", "wanted_preset", "latitude", "longitude")
NO_MOVE: Mapping[str, Any] = {"moves_from": None, "moves_to": {}, "moves_back_to": ""}

LIVE_PHASES = [phase.value for phase in LIVE]
TERMINAL_PHASES = sorted(phase.value for phase in TERMINAL)


class VMQuerySet(models.QuerySet["VM"]):
    def visible_to(self, principal: Principal) -> VMQuerySet:
        """Whose rows a person or a key may see; the one place that decides it."""
        if principal.is_staff:
            return self
        if principal.key is not None:
            people = User.objects.visible_to(principal)
            ids = list(people.order_by().values_list("pk", flat=True)[: MOST_NAMED + 1])
            # Named one by one while they are few: only then does the planner find their rows by index.
            owners = Q(owner__in=ids) if len(ids) <= MOST_NAMED else Q(owner__in=people)
            if principal.key.department_id is not None and principal.key.speaks_for_others:
                # What people launched before they joined stays private, whoever acts as them (decision 0021).
                owners &= Q(department=principal.key.department_id)
            return self.filter(Q(made_by=principal.key) | owners)
        return self._visible_to_person(principal) if principal.user is not None else self.none()

    def _visible_to_person(self, principal: Principal) -> VMQuerySet:
        """One's own, those in projects one made, and for managers all that were launched for the department."""
        projects = Project.objects.filter(owner=principal.user).order_by().values("pk")
        mine = Q(owner=principal.user) | Q(project_id__anyof=ArraySubquery(projects))
        if principal.managed_id is not None:
            mine |= Q(department_id=principal.managed_id)
        return self.filter(mine)

    def live(self) -> VMQuerySet:
        return self.filter(phase__in=LIVE_PHASES)

    def hold(self) -> None:
        """Locks the rows until the end of the transaction, as changing them does: for who tells of a VM and changes nothing on it."""
        list(self.order_by("pk").select_for_update(no_key=True).values_list("pk"))

    def with_status(self, status: Status) -> VMQuerySet:
        """VMs of one API status, translated to the two columns it is made of."""
        return self.with_any_status((status,))

    def with_any_status(self, statuses: tuple[Status, ...]) -> VMQuerySet:
        chosen = Q(pk__in=[])
        for status in statuses:
            for desired, phase in columns_of(status):
                chosen |= Q(desired=desired, phase=phase)
        return self.filter(chosen)


class VM(BulkRead):
    """Our promise to a player. `desired` is written by services, `phase` and what follows it by the reconciler."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, blank=True)
    owner = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="vms", db_index=False
    )
    made_by = models.ForeignKey(
        "accounts.ApiKey", null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    project = models.ForeignKey(
        "accounts.Project", null=True, blank=True, on_delete=models.PROTECT, related_name="vms"
    )
    department = models.ForeignKey(
        "accounts.Department",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="vms",
        db_index=False,
        help_text="Whom it was launched for; stays so when its owner leaves.",
    )
    console = models.ForeignKey(
        "emulators.Console", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    game_id = models.CharField(max_length=100, blank=True)
    wanted_provider = models.CharField(max_length=30, blank=True)
    wanted_preset = models.CharField(max_length=30, blank=True)
    wanted_region = models.CharField(
        max_length=100,
        blank=True,
        help_text="A region's code or its beginning, a country, a state or a city.",
    )
    latitude = models.FloatField(null=True, blank=True)
    longitude = models.FloatField(null=True, blank=True)
    auto_stop_timeout = models.PositiveIntegerField(
        default=900,
        validators=[MinValueValidator(MIN_AUTO_STOP_S), MaxValueValidator(MAX_AUTO_STOP_S)],
        help_text="Seconds without a player.",
    )
    desired = models.CharField(
        max_length=10, default=Desired.RUNNING, choices=[(one, one) for one in Desired]
    )
    phase = models.CharField(max_length=12, default=Phase.REQUESTED, choices=[(one, one) for one in Phase])
    # Later by the time in which nobody came to look, in phases that have a deadline.
    phase_since = models.DateTimeField(default=timezone.now)
    error = models.CharField(max_length=40, blank=True)
    error_text = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    ready_at = models.DateTimeField(null=True)
    max_session_hours = models.PositiveIntegerField(default=8)
    session_ends_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    archived_at = models.DateTimeField(
        null=True, help_text="Since when it has no keys, no position and no logs any more."
    )
    last_activity = models.DateTimeField(null=True)
    last_moonlight_connection = models.DateTimeField(null=True)
    # What was bought: the current attempt and what is known of its machine.
    attempt = models.ForeignKey("Attempt", null=True, on_delete=models.SET_NULL, related_name="+")
    round = models.PositiveIntegerField(
        default=1, help_text="Counts placements from the start: a retry or a move begins a new one."
    )
    # A move: the machine it leaves, kept until another one runs; where it goes; and, once it has left, the phase to come back to.
    moves_from = models.ForeignKey(
        "Attempt", null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    moves_to = models.JSONField(default=dict, help_text="The wish once it has arrived, by its columns.")
    moves_back_to = models.CharField(max_length=12, blank=True)
    quoted_usd_per_hour = usd_field(null=True, help_text="What quotas count until a machine is ordered.")
    quoted_gpus = models.PositiveIntegerField(default=0)
    ip_address = models.CharField(max_length=60, blank=True)
    ssh_port = models.PositiveIntegerField(default=22)
    ssh_user = models.CharField(max_length=32, blank=True)
    machine_raw = models.JSONField(default=dict)
    gaming_environment_ready = models.BooleanField(default=False)
    cloudypad_configured = models.BooleanField(default=False)
    games_mounted = models.BooleanField(default=False)
    # Keys of this VM alone; pins belong to it, never to an address.
    ssh_private_key = SealedTextField(blank=True, default="")
    ssh_public_key = models.CharField(max_length=200, blank=True)
    host_private_key = SealedTextField(blank=True, default="")
    host_public_key = models.CharField(max_length=200, blank=True)
    agent_bootstrap = SealedTextField(blank=True, default="")
    agent_token_digest = models.CharField(max_length=64, blank=True)
    agent_seen_at = models.DateTimeField(null=True)
    agent_boot_id = models.CharField(max_length=64, blank=True)
    agent_sequence = models.BigIntegerField(default=0, help_text="Of the last heartbeat taken in this boot.")
    agent_sent_at = models.DateTimeField(null=True)
    agent_refusals = models.PositiveIntegerField(
        default=0, help_text="Messages of its agent that were refused: malformed, replayed, from the future."
    )
    # The idle clock: since when nobody plays, null while somebody does or may; and when that was last proven.
    idle_since = models.DateTimeField(null=True)
    idle_seen_at = models.DateTimeField(null=True)
    idle_warned_at = models.DateTimeField(null=True)
    end_warned_at = models.DateTimeField(null=True)
    watched_at = models.DateTimeField(null=True, help_text="When its agent was last asked over SSH.")
    # The reconciler's lease and its next look.
    is_acting = models.BooleanField(default=False)
    next_look_at = models.DateTimeField(null=True, default=timezone.now)
    is_poked = models.BooleanField(
        default=False, help_text="Somebody changed the wish while a step was under way: look at once."
    )
    hinted_at = models.DateTimeField(null=True)
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    action_sent_at = models.DateTimeField(
        null=True, help_text="When the phase's own order (stop, start, delete) was last sent."
    )
    parting_since = models.DateTimeField(
        null=True, help_text="When its machine was first asked for its saves before it is left."
    )
    alarmed_at = models.DateTimeField(null=True)
    missing_since = models.DateTimeField(null=True)
    missing_looks = models.PositiveIntegerField(default=0)

    objects = VMQuerySet.as_manager()

    class Meta:
        verbose_name = "VM"
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "console"],
                condition=Q(desired=Desired.RUNNING.value) & ~Q(phase__in=TERMINAL_PHASES),
                name="vm_one_live_per_owner_and_console",
            ),
            models.CheckConstraint(
                condition=Q(latitude=None, longitude=None)
                | Q(
                    latitude__isnull=False,
                    longitude__isnull=False,
                    latitude__gte=-90,
                    latitude__lte=90,
                    longitude__gte=-180,
                    longitude__lte=180,
                ),
                name="vm_position_whole_and_on_earth",
            ),
            models.CheckConstraint(
                condition=Q(auto_stop_timeout__gte=MIN_AUTO_STOP_S, auto_stop_timeout__lte=MAX_AUTO_STOP_S),
                name="vm_auto_stop_timeout",
            ),
            models.CheckConstraint(
                condition=Q(phase__in=TERMINAL_PHASES, next_look_at=None)
                | (~Q(phase__in=TERMINAL_PHASES) & Q(next_look_at__isnull=False)),
                name="vm_looked_at_until_terminal",
            ),
            models.CheckConstraint(
                condition=~Q(phase=Phase.DELETED.value, error__gt=""), name="vm_error_ends_failed"
            ),
        ]
        indexes = [
            models.Index(
                fields=["is_acting", "next_look_at"], condition=~Q(phase__in=TERMINAL_PHASES), name="vm_due"
            ),
            # Every look writes a row anew, with all its places in indexes: there are as few as will do.
            models.Index(fields=["-created_at", "-id"], name="vm_newest"),
            models.Index(fields=["console"], name="vm_of_console"),
            models.Index(fields=["made_by"], condition=Q(made_by__isnull=False), name="vm_made_by"),
            models.Index(fields=["moves_from"], condition=Q(moves_from__isnull=False), name="vm_moves_from"),
            models.Index(fields=["owner", "-created_at"], name="vm_of_owner"),
            models.Index(
                fields=["department", "-created_at"],
                condition=Q(department__isnull=False),
                name="vm_of_department",
            ),
            models.Index(fields=["phase", "-created_at"], name="vm_in_phase"),
            models.Index(fields=["ip_address"], opclasses=["varchar_pattern_ops"], name="vm_ip_address"),
            models.Index(
                fields=["ended_at"],
                condition=Q(ended_at__isnull=False, archived_at=None),
                name="vm_to_archive",
            ),
        ]

    def __str__(self) -> str:
        return self.name or f"{self.console_id} {str(self.id)[:8]}"

    def save(self, *args: Any, **options: Any) -> None:
        """Is launched for its owner's department unless said otherwise."""
        if self._state.adding and self.department_id is None and self.owner is not None:
            self.department_id = self.owner.department_id
        super().save(*args, **options)

    @property
    def status(self) -> Status:
        return status_of(self.desired, self.phase)

    @property
    def code(self) -> str:
        """The VM's part of a machine's tag."""
        return self.id.hex[:12]

    @property
    def is_terminal(self) -> bool:
        return Phase(self.phase) in TERMINAL

    @property
    def wish(self) -> dict[str, Any]:
        """What placement is asked for, by its columns; of a VM that moves, what the move asks."""
        return {name: getattr(self, name) for name in WISH} | (self.moves_to if self.moves_from_id else {})

    @property
    def is_asked_to_move(self) -> bool:
        """Whether it shall leave its machine for another, and has not left yet. Who wants it stopped or gone comes first."""
        is_asked = self.moves_from_id is not None and not self.moves_back_to
        return is_asked and self.desired == Desired.RUNNING

    @property
    def is_moving(self) -> bool:
        """Whether it has left a machine that is kept for it until another one runs."""
        return self.moves_from_id is not None and bool(self.moves_back_to)
