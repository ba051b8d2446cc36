"""What a machine's agent says of itself and of one game, without fetching anything: how tests see what they have done."""

from __future__ import annotations

from vms.setup import AgentState, SessionState, Target, agent_link, connect


def look_at(target: Target) -> AgentState:
    with connect(target.address, target.private_key, target.host_public_key) as shell:
        return agent_link.state(shell)


def session_state(target: Target, session_id: str) -> SessionState:
    """The session now, with its log's end. Raises NoSuchSession."""
    with connect(target.address, target.private_key, target.host_public_key) as shell:
        return agent_link.session(agent_link.ask(shell, "GET", f"/sessions/{session_id}"))
