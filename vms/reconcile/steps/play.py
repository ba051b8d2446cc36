"""READY with a game to launch or to end: tell the agent through the SSH tunnel; it launches nothing twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from emulators.recipes import APPS, GAMES, HOST_CONFIG, SAVES, NoRecipe, Recipe, recipe_for
from gamer.crash import crash_point
from vms import setup
from vms.models import GameSession
from vms.providers.base import Provider
from vms.reconcile.outcome import Outcome, SessionChange, Subject, Wait
from vms.reconcile.steps.setup import target_of

RETRY_S = 1
LIBRARY = "/srv/gamer/games"  # where setup mounts it
GIVE_UP_S = 300
Status = GameSession.Status


def is_wanted(session: GameSession) -> bool:
    """Whether the machine must be told something about this session."""
    return session.is_end_wanted or session.status == Status.QUEUED


def run(subject: Subject, provider: Provider, now: datetime) -> Outcome:
    """Ends what is to end, then launches the newest game; those it overtook never started."""
    changes: list[SessionChange] = []
    try:
        for session in subject.sessions:
            if session.is_end_wanted:
                changes.append(_end(subject, provider, session))
        queued = [
            session
            for session in subject.sessions
            if session.status == Status.QUEUED and not session.is_end_wanted
        ]
        changes += [
            SessionChange(session.pk, Status.ENDED, "another game was asked for") for session in queued[:-1]
        ]
        if queued:
            changes += _launch(subject, provider, queued[-1])
    except (setup.AgentRefused, setup.HostKeyMismatch) as error:
        return Wait(seconds=0, sessions=[*changes, *_failed(subject.sessions, str(error))])
    except setup.SshError as error:
        overdue = [
            one
            for one in subject.sessions
            if is_wanted(one) and (now - one.queued_at).total_seconds() > GIVE_UP_S
        ]
        return Wait(
            seconds=RETRY_S, sessions=[*changes, *_failed(overdue, str(error))], vm={"action_sent_at": now}
        )
    crash_point("play.after_call")
    return Wait(seconds=1, sessions=changes, vm={"last_activity": now, "action_sent_at": None})


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
        )
        state = setup.launch_game(target_of(subject), wanted)
        if state.state in ("failed", "ended"):
            return [SessionChange(session.pk, state.state, state.reason)]
        if state.state == "queued":  # a slow start; asking again launches nothing twice
            return []
    replaced = [one for one in subject.sessions if one.status == Status.LAUNCHED and not one.is_end_wanted]
    return [
        *(SessionChange(one.pk, Status.ENDED, "replaced by another game") for one in replaced),
        SessionChange(session.pk, Status.LAUNCHED),
    ]


def _recipe(subject: Subject, session: GameSession) -> Recipe:
    """Raises NoRecipe, also for a console that is no longer configured."""
    vm, profile = subject.vm, subject.profile
    if profile is None:
        raise NoRecipe("The console is no longer configured.")
    # Saves belong to a player, not to a machine; those of a VM without an owner to the VM.
    whose = f"user {vm.owner_id}" if vm.owner_id else f"vm {vm.pk}"
    return recipe_for(
        console=vm.console_id,
        game_id=session.game_id,
        emulator=profile.emulator,
        title=profile.title,
        # Without a library there is nothing to look for: the emulator is started alone.
        file=profile.file if vm.games_mounted else "",
        save_key=f"{whose}\n{session.game_id}\n{session.save_id}",
    )


def app_of(recipe: Recipe) -> dict[str, Any]:
    """A recipe as the agent takes it: what to lay out on the machine, and what Wolf is told."""
    place = f"{APPS}/{recipe.name.removeprefix('gamer-')}"
    files = {f"{place}/{name}": text for name, text in recipe.files.items()}
    return {
        "name": recipe.name,
        "title": recipe.title,
        "image": recipe.image,
        "mounts": list(recipe.mounts),
        "env": dict(recipe.env),
        "host_config": HOST_CONFIG,
        "files": {**files, f"{place}/startup.sh": recipe.startup},
        "folders": [mount.partition(":")[0] for mount in recipe.mounts if mount.startswith(f"{SAVES}/")],
        "links": {f"{GAMES}/{recipe.stored}": f"{LIBRARY}/{recipe.source}"} if recipe.source else {},
    }


def _failed(sessions: Sequence[GameSession], text: str) -> list[SessionChange]:
    return [SessionChange(one.pk, Status.FAILED, text) for one in sessions if is_wanted(one)]
