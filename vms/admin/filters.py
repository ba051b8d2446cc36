"""How the fleet is narrowed: by what is seen of a VM, which is not always one column."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import User
from monitoring import queries as monitoring
from vms.admin.wording import kind_name
from vms.lifecycle import Phase, Status
from vms.models import VM, Attempt, ProviderAccount, VMQuerySet

# People and machines whose beginning is typed: so many are looked for, the next letter finds the rest.
MOST_MATCHES = 200
# Four heartbeats that did not come.
SILENT = timedelta(minutes=1)
HEX = re.compile(r"[0-9a-f]{1,32}\Z")


class StatusFilter(admin.SimpleListFilter):
    """By the API's word, which is made of the wish and the phase; or all that are not over."""

    title = "status"
    parameter_name = "status"
    LIVE = "live"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(self.LIVE, "all that are not over"), *((one.value, one.value) for one in Status)]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        rows: VMQuerySet = queryset
        value = self.value()
        if value == self.LIVE:
            return rows.live()
        return rows.with_status(Status(value)) if value in list(Status) else rows


class ProviderFilter(admin.SimpleListFilter):
    title = "provider"
    parameter_name = "provider"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        kinds = ProviderAccount.objects.order_by("kind").values_list("kind", flat=True).distinct()
        return [(kind, kind_name(kind)) for kind in kinds]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(attempt__account__kind=self.value()) if self.value() else queryset


class ConditionFilter(admin.SimpleListFilter):
    """Machines somebody should look at, by what their agents tell: one query more, and only when it is asked."""

    title = "condition"
    parameter_name = "condition"
    SILENT = "silent"
    BUSY = {"busy": ("cpu_percent", 90.0), "hot": ("gpu_celsius", 85.0), "full": ("disk_used_percent", 90.0)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [
            (self.SILENT, "silent for a minute"),
            ("busy", "processor above 90 %"),
            ("hot", "graphics above 85 °C"),
            ("full", "disk above 90 %"),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value, now = self.value(), timezone.now()
        if value == self.SILENT:
            # Agents that never spoke are silent too, once their machine has run for so long.
            heard = Q(agent_seen_at__lt=now - SILENT) | Q(agent_seen_at=None)
            return queryset.filter(heard, phase=Phase.READY, ready_at__lt=now - SILENT)
        if value in self.BUSY:
            name, least = self.BUSY[value]
            return queryset.live().filter(pk__in=monitoring.busy(name=name, least=least, now=now))
        return queryset


class AccountFilter(admin.SimpleListFilter):
    title = "account"
    parameter_name = "account"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        accounts = ProviderAccount.objects.order_by("name").values_list("pk", "name")
        return [(str(pk), name) for pk, name in accounts]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value() or ""
        is_number = value.isascii() and value.isdigit() and len(value) < 10
        return queryset.filter(attempt__account=int(value)) if is_number else queryset


def found_by(rows: VMQuerySet, words: str) -> VMQuerySet:
    """VMs by the beginning of an id, of their owner's handle or address, of a machine id, or by IP address.

    Each is looked up first by an index of its own; a search over joined tables would read the whole fleet.
    """
    text = words.strip()[:100]
    if not text:
        return rows
    people = User.objects.filter(Q(handle__startswith=text) | Q(email__startswith=text.lower()))
    machines = Attempt.objects.filter(machine_id__startswith=text)
    addresses = VM.objects.filter(ip_address__startswith=text)
    wanted = Q(owner__in=list(people.values_list("pk", flat=True)[:MOST_MATCHES]))
    wanted |= Q(pk__in=list(machines.values_list("vm", flat=True)[:MOST_MATCHES]))
    wanted |= Q(pk__in=list(addresses.values_list("pk", flat=True)[:MOST_MATCHES]))
    digits = text.lower().replace("-", "")
    if HEX.match(digits):
        wanted |= Q(pk__gte=UUID(digits.ljust(32, "0")), pk__lte=UUID(digits.ljust(32, "f")))
    return rows.filter(wanted)
