"""READY with a game to launch or to end: tell the agent through the SSH tunnel; it launches nothing twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from emulators import archives
from emulators.recipes import CLOCK_FILE, GAMES, HOST_CONFIG, SYSTEM, TOOLS, NoRecipe, Recipe, recipe_for
from emulators.services import saves
from gamer.crash import crash_point
from vms import setup
from vms.models import GameSession
from vms.providers.base import Provider
from vms.reconcile.outcome import Outcome, SessionChange, Subject, Wait
from vms.reconcile.steps.setup import target_of

RETRY_S = 1
EMPTY = archives.digest_of_files(())  # of a slot with nothing in it yet
LIBRARY = "/srv/gamer/games"  # where setup mounts it
GIVE_UP_S = 300
# Nothing will be different the next time.
FOR_GOOD = (setup.AgentRefused, setup.HostKeyMismatch)
Status = GameSession.Status


def is_wanted(session: GameSession) -> bool:
    """Whether the machine must be told something about this session."""
    return session.is_end_wanted or session.status == Status.QUEUED


def queued_in(sessions: Sequence[GameSession]) -> list[GameSession]:
    """The games that wait to be launched, oldest first: the last one will be."""
    return [one for one in sessions if one.status == Status.QUEUED and not one.is_end_wanted]


def run(subject: Subject, provider: Provider, now: datetime) -> Outcome:
    """Ends what is to end, then launches the newest game; those it overtook never started."""
    changes: list[SessionChange] = []
    try:
        for session in subject.sessions:
            if session.is_end_wanted:
                changes.append(_end(subject, provider, session))
        queued = queued_in(subject.sessions)
        changes += [
            SessionChange(session.pk, Status.ENDED, "another game was asked for") for session in queued[:-1]
        ]
        if queued:
            changes += _launch(subject, provider, queued[-1])
    except (setup.SshError, saves.SaveUnavailable) as error:
        is_for_good = isinstance(error, FOR_GOOD)
        hopeless = [
            one for one in queued_in(subject.sessions) if is_for_good or _is_overdue(subject, one, now)
        ]
        changes += [SessionChange(one.pk, Status.FAILED, str(error)) for one in hopeless]
        return Wait(seconds=RETRY_S, sessions=changes, vm={"action_sent_at": now})
    crash_point("play.after_call")
    return Wait(seconds=1, sessions=changes, vm={"last_activity": now, "action_sent_at": None})


def _is_overdue(subject: Subject, session: GameSession, now: datetime) -> bool:
    """Whether a launch has been tried in vain for long enough, since the machine could first be asked for it.

    An end is not given up: until the machine was told, the game may play on, and save.
    """
    first = max(session.queued_at, subject.vm.phase_since)
    return (now - first).total_seconds() > GIVE_UP_S


def _end(subject: Subject, provider: Provider, session: GameSession) -> SessionChange:
    if provider.has_shell:
        setup.end_session(target_of(subject), str(session.pk))
    return SessionChange(session.pk, Status.ENDED)


def _launch(subject: Subject, provider: Provider, session: GameSession) -> list[SessionChange]:
    """The launch's own change, and the end of the game it replaced."""
    if provider.has_shell:
        try:
            recipe = _recipe(subject, session)
        except NoRecipe as error:
            return [SessionChange(session.pk, Status.FAILED, str(error))]
        wanted = setup.SessionOrder(
            session_id=str(session.pk),
            game_id=session.game_id,
            console=subject.vm.console_id,
            save_id=session.save_id,
            app=app_of(recipe),
            save=save_of(subject, recipe),
        )
        state = setup.launch_game(target_of(subject), wanted, partial(_bring, subject))
        if state.state in ("failed", "ended"):
            return [SessionChange(session.pk, state.state, state.reason)]
        if state.state == "queued":  # a slow start; asking again launches nothing twice
            return []
    replaced = [one for one in subject.sessions if one.status == Status.LAUNCHED and not one.is_end_wanted]
    return [
        *(SessionChange(one.pk, Status.ENDED, "replaced by another game") for one in replaced),
        SessionChange(session.pk, Status.LAUNCHED, base=subject.save.number if subject.save else None),
    ]


def _bring(subject: Subject) -> bytes:
    """The archive of what the game begins with, from the row or from the storage."""
    assert subject.save is not None
    archive = saves.read(subject.save)
    crash_point("play.before_delivery")
    return archive


def save_of(subject: Subject, recipe: Recipe) -> setup.SaveOrder | None:
    """The save as the machine is told it; None for a session without a slot."""
    save = subject.save
    if save is None:
        return None
    return setup.SaveOrder(
        slot=str(save.slot_id),
        folder=recipe.saves,
        base=save.number,
        digest=save.digest or EMPTY,
        clock=None if save.clock_at is None else int(save.clock_at.timestamp()),
        clock_file=f"{recipe.place}/{CLOCK_FILE}",
    )


def _recipe(subject: Subject, session: GameSession) -> Recipe:
    """Raises NoRecipe, also for a console that is no longer configured."""
    vm, profile = subject.vm, subject.profile
    if profile is None:
        raise NoRecipe("The console is no longer configured.")
    return recipe_for(
        console=vm.console_id,
        game_id=session.game_id,
        emulator=profile.emulator,
        title=profile.title,
        # Without a library there is nothing to look for: the emulator is started alone.
        file=profile.file if vm.games_mounted else "",
        # A folder for each slot; what has none is the VM's own.
        save_key=str(session.slot_id or f"{vm.pk} {session.pk}"),
        has_clock=subject.save is not None and subject.save.clock_at is not None,
    )


def app_of(recipe: Recipe) -> dict[str, Any]:
    """A recipe as the agent takes it: what to lay out on the machine, and what Wolf is told."""
    files = {f"{recipe.place}/{name}": text for name, text in recipe.files.items()}
    links = {f"{GAMES}/{recipe.stored}": f"{LIBRARY}/{recipe.source}"} if recipe.source else {}
    if recipe.source and recipe.program:
        # For the look alone: the machine refuses in words what is not there, where the player would see nothing.
        tool = f"{recipe.program}.AppImage"
        links[f"{GAMES}/{tool}"] = f"{TOOLS}/{tool}"
    return {
        "name": recipe.name,
        "title": recipe.title,
        "image": recipe.image,
        "mounts": list(recipe.mounts),
        "env": dict(recipe.env),
        "host_config": HOST_CONFIG,
        "files": {**files, f"{recipe.place}/startup.sh": recipe.startup},
        "folders": [recipe.saves],
        "links": links,
        "shared": {SYSTEM: f"{LIBRARY}/system"},
    }
