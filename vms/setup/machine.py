"""What the reconciler does with a machine: set it up, launch a game on it, look, end it. Each call connects, acts and leaves."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from vms.setup import agent_link
from vms.setup.agent_link import NoSuchSession
from vms.setup.orders import Failed, NotYet, Ready, SessionOrder, SessionState, Target
from vms.setup.plan import OutOfTime, Reporter, StepFailed, run_plan
from vms.setup.site import Site, Unfit, survey
from vms.setup.ssh import AuthFailed, HostKeyMismatch, SshError, TimedOut, Unreachable, connect
from vms.setup.steps import first_plan

LOOK_S = 10.0
CONNECT_S = 5.0
SOON_S = 1.0
LATER_S = 5.0


def set_up(target: Target, report: Reporter) -> Ready | NotYet | Failed:
    """Bring the machine as far as one look allows (about 20 s); call until Ready or Failed. Safe to repeat at any time.

    `report` hears of every step, also of those found finished. Raises nothing for what a machine may do; ValueError for unreadable keys.
    """
    deadline = time.monotonic() + LOOK_S
    secrets = [target.agent_token, target.private_key]
    try:
        with _site(target) as site:
            run_plan(site, first_plan(target), report, secrets=secrets, deadline=deadline)
            return Ready(agent_link.state(site))
    except HostKeyMismatch as error:
        return Failed("connect", str(error))
    except Unfit as error:
        return Failed("connect", str(error))
    except StepFailed as error:
        return Failed(error.step, error.reason)
    except OutOfTime as step:
        return NotYet(f"{step} is next", 0)
    except Unreachable as error:
        return NotYet(str(error), SOON_S)
    except (AuthFailed, TimedOut) as error:
        return NotYet(str(error), LATER_S)
    except SshError as error:
        return NotYet(str(error), SOON_S)


def launch_game(target: Target, order: SessionOrder) -> SessionState:
    """Launch the game, once: a session the machine knows is left as it is, a running other one is ended first.

    May take 15 s while the other one ends. Raises SshError: Unreachable, TimedOut, AuthFailed and AgentSilent may be tried again
    (the same order launches nothing twice), HostKeyMismatch and AgentRefused not.
    """
    env = {
        **order.env,
        "GAMER_SESSION_ID": order.session_id,
        "GAMER_GAME_ID": order.game_id,
        "GAMER_CONSOLE": order.console,
        "GAMER_SAVE_ID": order.save_id,
    }
    body = {"session_id": order.session_id, "game_id": order.game_id, "argv": list(order.argv), "env": env}
    with _site(target) as site:
        return agent_link.session(agent_link.ask(site, "POST", "/sessions", body))


def session_state(target: Target, session_id: str) -> SessionState:
    """The session now, with its log's end. Raises NoSuchSession, and what `launch_game` raises."""
    with _site(target) as site:
        return agent_link.session(agent_link.ask(site, "GET", f"/sessions/{session_id}"))


def end_session(target: Target, session_id: str) -> SessionState:
    """End the game, and wait for it (at most 15 s). Ending an unknown or ended session succeeds. Raises as `launch_game` does."""
    with _site(target) as site:
        try:
            return agent_link.session(agent_link.ask(site, "DELETE", f"/sessions/{session_id}"))
        except NoSuchSession:
            return SessionState(session_id, "", "ended", reason="not known to the machine")


@contextlib.contextmanager
def _site(target: Target) -> Iterator[Site]:
    with connect(target.address, target.private_key, target.host_public_key, timeout_s=CONNECT_S) as shell:
        yield survey(shell)
