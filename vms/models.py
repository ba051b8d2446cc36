"""The rows of the promise: accounts and offers on the vendors' side, VMs, attempts and sessions on the players'."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.contrib.postgres.expressions import ArraySubquery
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Project, User
from events.history import keeps_history
from gamer.sealed import SealedJSONField, SealedTextField
from vms import lookups  # noqa: F401  registers `anyof`
from vms.columns import CLOUD_KINDS as CLOUD_KINDS
from vms.columns import PROVIDER_KINDS as PROVIDER_KINDS
from vms.columns import usd_field as usd_field
from vms.game_session import GameSession as GameSession
from vms.lifecycle import LIVE, TERMINAL, Desired, Phase, Status, columns_of, status_of
from vms.machine_type import MachineType as MachineType
from vms.stray import Stray as Stray

if TYPE_CHECKING:
    from accounts.principal import Principal

# Seconds without a player that a VM may be given.
MIN_AUTO_STOP_S, MAX_AUTO_STOP_S = 60, 86_400

# People whom a query names one by one.
MOST_NAMED = 1000


LIVE_PHASES = [phase.value for phase in LIVE]
TERMINAL_PHASES = sorted(phase.value for phase in TERMINAL)


@keeps_history("installation", "{identifier}")
class Installation(models.Model):
    """This installation: its name in every machine's tag, and the switches that hold for all of it. One row."""

    identifier = models.CharField(max_length=8, unique=True)
    database_mark = models.CharField(
        max_length=100, blank=True, help_text="The database cluster we last ran on."
    )
    is_sweep_confirmed = models.BooleanField(
        default=True,
        help_text="Off after the database moved or was restored: unknown machines are kept until an operator has looked.",
    )
    is_launching = models.BooleanField("accepts new launches", default=True)
    credit_look_at = models.DateTimeField(
        default=timezone.now, editable=False, help_text="When credit is looked at next."
    )

    class Meta:
        verbose_name = "installation"

    def __str__(self) -> str:
        return self.identifier


@keeps_history(
    "provider_accounts",
    "{id}",
    row="{name}",
    # How it is doing, written with every look. A pause of our own is an event by itself.
    unless=(
        "call_tokens", "call_tokens_at", "failures_in_a_row", "last_answered_at", "last_error", "last_error_at",
        "next_refresh_at", "offers_refreshed_at", "next_sweep_at", "paused_until", "paused_why",
        "orders_failed_in_a_row", "order_failed_at",
    ),
)  # fmt: skip
class ProviderAccount(models.Model):
    """Our account at a provider: how to reach it, how much it may hold, and how it is doing."""

    name = models.CharField(max_length=60, unique=True)
    kind = models.CharField(max_length=30, choices=[(kind, kind) for kind in PROVIDER_KINDS])
    base_url = models.CharField(max_length=200, blank=True, help_text="Empty for the vendor's own address.")
    credentials = SealedJSONField(blank=True, default=dict)
    is_paused = models.BooleanField(
        "paused by staff", default=False, help_text="No new machines here; existing ones are kept."
    )
    max_machines = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: no limit.")
    max_usd_per_hour = models.DecimalField(
        max_digits=10,
        decimal_places=4,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal(0))],
        help_text="What all its machines together may cost an hour. Empty: no limit.",
    )
    calls_per_minute = models.PositiveIntegerField(default=90, validators=[MinValueValidator(1)])
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # The reconciler's own columns.
    paused_until = models.DateTimeField(null=True, blank=True, editable=False)
    paused_why = models.CharField(max_length=300, blank=True, editable=False)
    call_tokens = models.FloatField(default=10, editable=False)
    call_tokens_at = models.DateTimeField(default=timezone.now, editable=False)
    failures_in_a_row = models.PositiveIntegerField(default=0, editable=False)
    orders_failed_in_a_row = models.PositiveIntegerField(
        default=0, editable=False, help_text="Machines that did not come, by no fault of theirs who asked."
    )
    order_failed_at = models.DateTimeField(null=True, editable=False)
    last_answered_at = models.DateTimeField(null=True, editable=False)
    last_error = models.CharField(max_length=300, blank=True, editable=False)
    last_error_at = models.DateTimeField(null=True, editable=False)
    next_refresh_at = models.DateTimeField(default=timezone.now, editable=False)
    offers_refreshed_at = models.DateTimeField(null=True, editable=False)
    next_sweep_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def may_buy(self, now: datetime) -> bool:
        return not self.is_paused and not (self.paused_until and self.paused_until > now)


class Offer(models.Model):
    """Something an account could buy when it was last refreshed. Prices in USD per hour, as in `providers.base.Offer`."""

    account = models.ForeignKey(ProviderAccount, on_delete=models.CASCADE, related_name="offers")
    offer_id = models.CharField(max_length=150)
    region = models.CharField(max_length=100)
    city = models.CharField(max_length=100, blank=True)
    state = models.CharField(max_length=100, blank=True)
    country = models.CharField(max_length=100, blank=True)
    latitude = models.FloatField(null=True)
    longitude = models.FloatField(null=True)
    gpu_model = models.CharField(max_length=80, blank=True)
    min_gpus = models.PositiveIntegerField(default=0)
    max_gpus = models.PositiveIntegerField(default=0)
    max_vcpus = models.PositiveIntegerField()
    max_ram_gb = models.PositiveIntegerField()
    max_disk_gb = models.PositiveIntegerField()
    usd_per_hour = usd_field(default=Decimal(0))
    usd_per_gpu = usd_field(default=Decimal(0))
    usd_per_vcpu = usd_field(default=Decimal(0))
    usd_per_gb_ram = usd_field(default=Decimal(0))
    usd_per_gb_disk = usd_field(default=Decimal(0))
    usd_per_dedicated_ip = usd_field(default=Decimal(0))
    has_dedicated_ip = models.BooleanField(default=False)
    maps_ports_one_to_one = models.BooleanField(default=False)
    order = models.JSONField(default=dict)
    refreshed_at = models.DateTimeField()
    cools_until = models.DateTimeField(null=True)
    cools_why = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "offer_id"], name="offer_once_per_account")]

    def __str__(self) -> str:
        return f"{self.offer_id} ({self.location_name})"

    @property
    def location_name(self) -> str:
        return ", ".join(part for part in (self.city, self.state, self.country) if part) or self.region


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

    def with_status(self, status: Status) -> VMQuerySet:
        """VMs of one API status, translated to the two columns it is made of."""
        return self.with_any_status((status,))

    def with_any_status(self, statuses: tuple[Status, ...]) -> VMQuerySet:
        chosen = Q(pk__in=[])
        for status in statuses:
            for desired, phase in columns_of(status):
                chosen |= Q(desired=desired, phase=phase)
        return self.filter(chosen)


class VM(models.Model):
    """Our promise to a player. `desired` is written by services, `phase` and what follows it by the reconciler."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, blank=True)
    owner = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="vms"
    )
    made_by = models.ForeignKey(
        "accounts.ApiKey", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
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
    console = models.ForeignKey("emulators.Console", on_delete=models.PROTECT, related_name="+")
    game_id = models.CharField(max_length=100, blank=True)
    wanted_provider = models.CharField(max_length=30, blank=True)
    wanted_preset = models.CharField(max_length=30, blank=True)
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
    phase_since = models.DateTimeField(default=timezone.now)
    error = models.CharField(max_length=40, blank=True)
    error_text = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    ready_at = models.DateTimeField(null=True)
    max_session_hours = models.PositiveIntegerField(default=8)
    session_ends_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    last_activity = models.DateTimeField(null=True)
    last_moonlight_connection = models.DateTimeField(null=True)
    # What was bought: the current attempt and what is known of its machine.
    attempt = models.ForeignKey("Attempt", null=True, on_delete=models.SET_NULL, related_name="+")
    round = models.PositiveIntegerField(
        default=1, help_text="Counts placements from the start: a retry begins a new one."
    )
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
            models.Index(fields=["-created_at", "-id"], name="vm_newest"),
            models.Index(fields=["owner", "-created_at"], name="vm_of_owner"),
            models.Index(
                fields=["department", "-created_at"],
                condition=Q(department__isnull=False),
                name="vm_of_department",
            ),
            models.Index(fields=["phase", "-created_at"], name="vm_in_phase"),
            models.Index(fields=["ip_address"], opclasses=["varchar_pattern_ops"], name="vm_ip_address"),
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


class AttemptQuerySet(models.QuerySet["Attempt"]):
    def held(self) -> AttemptQuerySet:
        """Attempts that hold a machine or may yet get one: what caps count and a VM's end must prove gone."""
        return self.filter(gone_at=None)


class Attempt(models.Model):
    """One order of one machine. `sent_at` is written before the order leaves; `gone_at` once no machine can be left of it."""

    vm = models.ForeignKey(VM, on_delete=models.PROTECT, related_name="attempts")
    number = models.PositiveIntegerField()
    round = models.PositiveIntegerField(default=1)
    tag = models.CharField(max_length=60, unique=True)
    account = models.ForeignKey(ProviderAccount, on_delete=models.PROTECT, related_name="attempts")
    offer_id = models.CharField(max_length=150)
    offer = models.JSONField(default=dict, help_text="The offer as it was bought.")
    region = models.CharField(max_length=100, blank=True)
    location_name = models.CharField(max_length=200, blank=True)
    distance_km = models.FloatField(null=True)
    preset = models.CharField(max_length=30)
    gpus = models.PositiveIntegerField()
    vcpus = models.PositiveIntegerField()
    ram_gb = models.PositiveIntegerField()
    disk_gb = models.PositiveIntegerField()
    usd_per_hour = usd_field()
    charge_usd_per_hour = usd_field(
        default=Decimal(0), help_text="What the player pays: the price when it was chosen, and our margin."
    )
    stopped_usd_per_hour = usd_field(null=True, help_text="What it costs while stopped, once that is known.")
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    machine_id = models.CharField(max_length=100, blank=True)
    unseen_since = models.DateTimeField(null=True)
    unseen_looks = models.PositiveIntegerField(default=0)
    closed_at = models.DateTimeField(null=True)
    gone_at = models.DateTimeField(null=True)
    error_class = models.CharField(max_length=30, blank=True)
    error_text = models.CharField(max_length=500, blank=True)

    objects = AttemptQuerySet.as_manager()

    class Meta:
        ordering = ("vm", "number")
        constraints = [
            models.UniqueConstraint(fields=["vm", "number"], name="attempt_number_once"),
            models.UniqueConstraint(
                fields=["account", "machine_id"], condition=~Q(machine_id=""), name="attempt_machine_once"
            ),
            models.CheckConstraint(
                condition=Q(sent_at__isnull=False) | Q(machine_id=""), name="attempt_sent_before_machine"
            ),
        ]
        indexes = [
            models.Index(fields=["account"], condition=Q(gone_at=None), name="attempt_held"),
            models.Index(fields=["machine_id"], opclasses=["varchar_pattern_ops"], name="attempt_machine_id"),
        ]

    def __str__(self) -> str:
        return self.tag

    @property
    def outcome(self) -> str:
        """`open`, `failed` (another offer was tried after it) or `won`."""
        if self.error_class:
            return "failed"
        return "won" if self.machine_id else "open"


class SetupStep(models.Model):
    """One step of making a machine a console, as last reported. Replaced, not appended, when it runs again."""

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveIntegerField()
    name = models.CharField(max_length=40)
    title = models.CharField(max_length=100)
    state = models.CharField(max_length=10)
    seconds = models.FloatField(null=True)
    log_tail = models.TextField(blank=True)
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ("attempt", "position")
        constraints = [models.UniqueConstraint(fields=["attempt", "name"], name="step_once_per_attempt")]

    def __str__(self) -> str:
        return f"{self.name}: {self.state}"
