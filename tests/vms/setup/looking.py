"""What a machine's agent says of itself and of one game, without fetching anything: how tests see what they have done."""

from __future__ import annotations

from tests.waiting import eventually
from vms.setup import AgentState, SessionOrder, SessionState, Target, agent_link, connect, launch_game


def look_at(target: Target) -> AgentState:
    with connect(target.address, target.private_key, target.host_public_key) as shell:
        return agent_link.state(shell)


def playing(target: Target, order: SessionOrder) -> SessionState:
    """Launches the game, until it has begun: an agent does not wait for ever for one that is slow to start."""
    return eventually(lambda: (seen := launch_game(target, order)).state != "queued" and seen)


def session_state(target: Target, session_id: str) -> SessionState:
    """The session now, with its log's end. Raises NoSuchSession."""
    with connect(target.address, target.private_key, target.host_public_key) as shell:
        return agent_link.session(agent_link.ask(shell, "GET", f"/sessions/{session_id}"))
