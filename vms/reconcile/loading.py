"""From leased ids to subjects: three queries for any number of rows, and only the columns a step reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from gamer.prepared import CompiledQuery
from vms.lifecycle import Phase
from vms.models import VM, Attempt, GameSession, ProviderAccount
from vms.reconcile.outcome import Subject

# Sealed columns cost a decryption each, and what only people read costs its parsing: a look does without them.
SECRETS = ("ssh_private_key", "host_private_key", "agent_bootstrap")
FOR_PEOPLE = (
    "machine_raw", "name", "made_by", "created_at", "updated_at", "last_moonlight_connection",
    "agent_token_digest", "hinted_at", "lease_token", "lease_until", "games_mounted", "cloudypad_configured",
    "gaming_environment_ready", "is_poked", "host_public_key", "agent_boot_id", "agent_sequence", "agent_sent_at",
    "agent_refusals", "archived_at",
)  # fmt: skip
ORDERED = (
    "offer",
    "preset",
    "gpus",
    "vcpus",
    "ram_gb",
    "disk_gb",
    "region",
    "distance_km",
    "error_class",
    "error_text",
)


def _vms(ids: Any) -> QuerySet[VM]:
    return VM.objects.filter(pk__anyof=ids).order_by("next_look_at")


def _attempts(ids: Any) -> QuerySet[Attempt]:
    return Attempt.objects.held().filter(vm_id__anyof=ids).order_by("number")


WHOLE = CompiledQuery(_vms), CompiledQuery(_attempts)
READ = (
    CompiledQuery(lambda ids: _vms(ids).defer(*SECRETS, *FOR_PEOPLE)),
    CompiledQuery(lambda ids: _attempts(ids).defer(*ORDERED)),
)
SESSIONS = CompiledQuery(
    lambda ids: GameSession.objects.filter(vm_id__anyof=ids, status__in=GameSession.OPEN).order_by(
        "queued_at"
    )
)


def subjects(ids: Sequence[UUID], *, with_secrets: bool = False) -> list[Subject]:
    """The rows with all a step may read. `with_secrets` adds what only acting steps need: keys, and the order's particulars."""
    if not ids:
        return []  # as most turns are: three questions about nothing cost more than the rest of the turn
    vms, attempts = WHOLE if with_secrets else READ
    held: dict[UUID, list[Attempt]] = defaultdict(list)
    for attempt in attempts.all(ids=ids):
        held[attempt.vm_id].append(attempt)
    accounts = ProviderAccount.objects.in_bulk({one.account_id for some in held.values() for one in some})
    for some in held.values():
        for attempt in some:
            attempt.account = accounts[attempt.account_id]
    sessions: dict[UUID, list[GameSession]] = defaultdict(list)
    for session in SESSIONS.all(ids=ids):
        sessions[session.vm_id].append(session)
    return [_subject(vm, held[vm.pk], sessions[vm.pk]) for vm in vms.all(ids=ids)]


def _subject(vm: VM, held: list[Attempt], sessions: list[GameSession]) -> Subject:
    current = next((attempt for attempt in held if attempt.pk == vm.attempt_id), None)
    return Subject(vm, current, held, sessions)


def account_of(subject: Subject) -> ProviderAccount | None:
    """The account this VM's present step is about: its attempt's, else that of a machine still to be proven gone."""
    if subject.vm.phase != Phase.DELETING:
        return subject.attempt.account if subject.attempt is not None else None
    return next((attempt.account for attempt in subject.to_end), None)
