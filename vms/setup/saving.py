"""Saves over an open shell: a stored version brought to the machine, pending ones fetched from it."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterable, Mapping

from vms.setup import agent_link
from vms.setup.agent_link import AgentSilent, NoSuchSession
from vms.setup.orders import Collected, PendingSave, StoredSave
from vms.setup.site import survey
from vms.setup.ssh import Shell, SshError

MAX_ARCHIVE = 64 * 1024 * 1024
# Fetched in one look; at least one version is. Kept in memory until it is written down.
MAX_FETCHED = 64 * 1024 * 1024
TRANSFER_S, FLUSH_S, END_S = 60.0, 30.0, 20.0
# Gone through in one look: the machine is a player's, may say that thousands wait, and take its time at each.
MOST, LOOK_S = 64, 60.0


def deliver(shell: Shell, digest: str, archive: bytes) -> None:
    """Put the archive where the agent looks for it. Raises what `survey` and `Shell.put` raise."""
    shell.put(survey(shell).arrived(digest), archive, mode=0o600, as_root=True, timeout_s=TRANSFER_S)


def collect(
    shell: Shell,
    stored: Mapping[tuple[str, str, int | None], StoredSave],
    refuse: Callable[[PendingSave, bytes | None], str],
) -> Collected:
    """Tell the agent what is `stored`, and fetch what waits beside, as far as one look may.

    `stored` is by slot, digest and base, None for the current one.
    `refuse` says why a version is not believed: by its description first, by its content then; "" for one that is. The agent forgets
    those. A version that cannot be had now is left, and costs no other: raises as `agent_link.ask` does where it got nothing at all.
    """
    agent = agent_link.state(shell)
    fetched: list[tuple[PendingSave, bytes]] = []
    refused: list[tuple[PendingSave, str]] = []
    trouble: SshError | None = None
    left = size = 0
    until = time.monotonic() + LOOK_S
    for number, save in enumerate(_in_turn(agent.saves)):
        # The first one always: each look gets somewhere.
        if number == MOST or (number and time.monotonic() > until):
            left += len(agent.saves) - number
            break
        known = stored.get((save.slot, save.digest, None)) or stored.get((save.slot, save.digest, save.base))
        if known is not None:
            # Stored it is, also where the machine cannot write that down: then it is told at the next look.
            with contextlib.suppress(SshError):
                _tell(shell, "stored", save, number=known.number, is_current=known.is_current)
            continue
        try:
            why = refuse(save, None)
            if not why and fetched and size + save.size > MAX_FETCHED:
                left += 1
                continue
            archive = None if why else _fetch(shell, save)
            if archive is not None:
                why = refuse(save, archive)
            if why:
                _tell(shell, "refused", save)
                refused.append((save, why))
            elif archive is not None:
                fetched.append((save, archive))
                size += len(archive)
        except SshError as error:
            trouble = error
            left += 1
    if trouble is not None and not (fetched or refused):
        raise trouble
    return Collected(agent, tuple(fetched), left, tuple(refused), agent.save_errors)


def _in_turn(saves: Iterable[PendingSave]) -> list[PendingSave]:
    """Slot after slot, each time in another order: what is never taken, for want of room say, hides no other slot's for ever."""
    turns = {save.slot: random.random() for save in saves}  # noqa: S311 - guards nothing
    return sorted(saves, key=lambda save: turns[save.slot])


def _fetch(shell: Shell, save: PendingSave) -> bytes | None:
    """The archive; None when a newer one has just taken its place."""
    try:
        path = str(agent_link.ask(shell, "GET", f"/saves/{save.slot}/{save.digest}").get("path"))
    except NoSuchSession:
        return None
    try:
        return shell.get(path, max_bytes=MAX_ARCHIVE, as_root=True, timeout_s=TRANSFER_S)
    except ValueError as error:
        raise AgentSilent(f"a save is larger than {MAX_ARCHIVE >> 20} MiB") from error


def _tell(shell: Shell, what: str, save: PendingSave, **more: object) -> None:
    agent_link.ask(shell, "POST", f"/saves/{what}", {"slot": save.slot, "digest": save.digest, **more})
