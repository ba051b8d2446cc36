"""What the agent of a VM may do: register, say that it lives, tell what became of the VM's own games, and bring their saves.

All of it only speeds up what the reconciler sees over SSH. A token reaches its VM and nothing else; it ends with the VM's
machine, and a new registration replaces it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, OuterRef, Q, Subquery

from emulators.models import SaveVersion
from emulators.services import saves
from emulators.services.saves import Taken
from events.models import Event
from events.services import record
from gamer.errors import Conflict, NotAuthenticated, NotFound, bad_field
from gamer.web.throttles import Rate, demand, give_back
from monitoring import services as monitoring
from monitoring.measures import Reading
from redaction.masks import mask
from vms import activity, sessions
from vms.models import VM, GameSession, VMQuerySet
from vms.reconcile.apply import happening

# The VM's id finds the row, so that no digest needs an index.
TOKEN = re.compile(r"ga_(?P<vm>[0-9a-f]{32})_[A-Za-z0-9_-]{43}")
# A heartbeat moves the game's clock by whole minutes; what is left over comes with the session's end.
PLAYED_STEP_S = 60
# A machine's clock may be ahead of ours by so much.
AHEAD = timedelta(minutes=5)


def register(*, vm_id: UUID, bootstrap_token: str, ip: str, now: datetime) -> str:
    """A new token for the VM's agent; one it had before is good no more.

    Raises NotAuthenticated, the same for every reason, or RateLimited after repeated failures from one address.
    """
    tries = (f"agent-register-ip:{ip}", Rate.named("agent_register_ip"))
    demand(*tries, now=now)
    vm = _with_a_machine().only("agent_bootstrap").filter(pk=vm_id).first()
    known = vm.agent_bootstrap.reveal() if vm is not None else ""
    is_known = hmac.compare_digest(known.encode(), bootstrap_token.encode())
    if vm is None or not known or not is_known:
        raise _refused()
    give_back(*tries)
    demand(f"agent-register:{vm.pk.hex}", Rate.named("agent"), now=now)
    token = f"ga_{vm.pk.hex}_{secrets.token_urlsafe(32)}"
    given = {"agent_token_digest": _digest(token), "agent_seen_at": now}
    if not _with_a_machine().filter(pk=vm.pk).update(**given):
        raise _refused()
    return token


def vm_of(token: str) -> VM:
    """The VM whose agent has this token. Raises NotAuthenticated, the same for every reason."""
    match = TOKEN.fullmatch(token)
    rows = VM.objects.live().only("owner_id", "agent_token_digest")
    vm = rows.filter(pk=UUID(match["vm"])).first() if match else None
    known = vm.agent_token_digest if vm is not None else ""
    if not hmac.compare_digest(known, _digest(token)) or vm is None:
        raise _refused()
    return vm


def heartbeat(
    *,
    vm: VM,
    boot_id: str,
    sequence: int,
    sent_at: datetime,
    is_playing: bool | None,
    idle_s: float | None,
    measured: Mapping[str, float],
    now: datetime,
    played: Mapping[UUID, float] | None = None,
    earlier: Sequence[Reading] = (),
    unpacked: Mapping[UUID, str] | None = None,
) -> None:
    """Notes that the agent lives, whether somebody plays, and what it measured. 2,000 machines send one every 15 s.

    `played` is how long each of its sessions has been played in all, in seconds; `earlier` what it measured while we were away;
    `unpacked` why what a session's game saves cannot be packed there, which is told once.

    Raises ValidationError when it speaks from the future, Conflict for a message that was taken before: within one boot numbers
    rise, and a boot begins later than the one before.
    """
    _check_clock("sent_at", sent_at, now)
    fresh = Q(agent_boot_id=boot_id, agent_sequence__lt=sequence) | (
        ~Q(agent_boot_id=boot_id) & (Q(agent_sent_at=None) | Q(agent_sent_at__lt=sent_at))
    )
    known = {
        "agent_boot_id": boot_id,
        "agent_sequence": sequence,
        "agent_sent_at": sent_at,
        "agent_seen_at": now,
    }
    known |= activity.columns(is_playing, idle_s, now)
    if not VM.objects.filter(fresh, pk=vm.pk).update(**known):
        raise Conflict("This heartbeat was taken before.")
    if played:
        sessions.note_played(vm_id=vm.pk, played=played, now=now, step_s=PLAYED_STEP_S)
    samples = [*([Reading(sent_at, measured)] if measured else ()), *earlier]
    if samples:
        monitoring.record(subject=vm.pk, samples=samples, now=now)
    if unpacked:
        _tell_unpacked(vm, unpacked, now)


def _tell_unpacked(vm: VM, unpacked: Mapping[UUID, str], now: datetime) -> None:
    """Heartbeats repeat it: each session's is an event once, and only of sessions that are the VM's."""
    told = Event.objects.about("vms", vm.pk).filter(action="save_unpacked")
    with transaction.atomic():
        VM.objects.filter(pk=vm.pk).hold()
        known = {str(one["session_id"]) for one in told.values_list("details", flat=True)}
        mine = set(GameSession.objects.filter(vm=vm.pk, pk__in=unpacked).values_list("pk", flat=True))
        news = [{"session_id": str(pk), "why": why} for pk, why in unpacked.items() if pk in mine]
        for details in news:
            if details["session_id"] not in known:
                record(happening(vm, "save_unpacked", details, now, f"agent:{vm.code}"))


def count_refusal(vm: VM) -> None:
    """One more message of the VM's agent that was not taken; staff see how many."""
    VM.objects.filter(pk=vm.pk).update(agent_refusals=F("agent_refusals") + 1)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a machine may know of itself: its own VM, and the games that are wanted on it."""

    vm: VM
    sessions: Sequence[GameSession]


def manifest(*, vm: VM) -> Manifest:
    columns = ("console_id", "desired", "phase", "auto_stop_timeout", "session_ends_at", "games_mounted")
    row = VM.objects.only(*columns).get(pk=vm.pk)
    given = SaveVersion.objects.filter(slot=OuterRef("slot"), number=OuterRef("base"))
    wanted = row.sessions.filter(status__in=GameSession.OPEN).order_by("queued_at")
    return Manifest(row, list(wanted.annotate(digest=Subquery(given.values("archive__digest")[:1]))))


def report(
    *,
    vm: VM,
    session_id: UUID,
    state: str,
    at: datetime,
    exit_code: int | None,
    now: datetime,
    reason: str = "",
) -> None:
    """Moves one of the VM's own sessions forward; what is no step forward was told before and changes nothing.

    `reason` is in the machine's words why it failed: nobody can tell it later, for a session that has moved is not looked at again.

    Raises NotFound for a session of another VM, ValidationError for a moment in the future.
    """
    _check_clock("at", at, now)
    why = ""
    if state == GameSession.Status.FAILED:
        # A session keeps it as it is; what is read over SSH is masked where outcomes are written.
        why = mask(reason) or ("the game was killed" if exit_code is None else f"exit status {exit_code}")
    with transaction.atomic():
        VM.objects.filter(pk=vm.pk).hold()  # first, as wherever a session moves
        if sessions.move(vm_id=vm.pk, session_id=session_id, status=state, at=min(at, now), error_text=why):
            told = {"session_id": str(session_id), "why": why}
            record(happening(vm, f"session_{state}", told, now, f"agent:{vm.code}"))
        elif not GameSession.objects.filter(pk=session_id, vm=vm).exists():
            raise NotFound("This VM has no such session.")


def take_save(
    *, vm: VM, session_id: UUID, base: int, digest: str, played_s: float, archive: bytes, now: datetime
) -> tuple[UUID, Taken]:
    """Takes an archive of one of the VM's own sessions; the slot's id, and where it went there. Told twice, it is taken once.

    Raises NotFound for a session of another VM or without a slot, and as `saves.take`.
    """
    row = GameSession.objects.filter(pk=session_id, vm=vm.pk, vm__in=_with_a_machine()).first()
    if row is None or row.slot_id is None:
        raise NotFound("This VM has no such session.")
    taken = saves.take(
        slot_id=row.slot_id,
        session_id=row.pk,
        subject=str(vm.pk),
        base=base,
        digest=digest,
        archive=archive,
        by=f"agent:{vm.code}",
        played_s=int(played_s),
        now=now,
    )
    sessions.note_played(vm_id=vm.pk, played={row.pk: played_s}, now=now)
    return row.slot_id, taken


def _with_a_machine() -> VMQuerySet:
    return VM.objects.live().exclude(attempt=None)


def _check_clock(name: str, moment: datetime, now: datetime) -> None:
    if moment > now + AHEAD:
        raise bad_field(name, "In the future.")


def _refused() -> NotAuthenticated:
    return NotAuthenticated("The token is not one of a VM's agent.")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
