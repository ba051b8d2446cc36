"""From a machine that answers SSH to one that runs a game, and the talk with the agent there.

Not here: the database, phases, retries over time (vms.reconcile), and what a console needs (emulators). Nothing of Django is imported.
Start reading at `machine.py`: `set_up`, `launch_game`, `session_state`, `end_session`. `ssh.py` is the wire, `plan.py` runs the steps of
`steps.py`, `agent/` is what is uploaded.
"""

from vms.setup.agent_link import AgentError, AgentRefused, AgentSilent, NoSuchSession
from vms.setup.machine import end_session, launch_game, session_state, set_up
from vms.setup.orders import AgentState, Failed, NotYet, Ready, SessionOrder, SessionState, StepReport, Target
from vms.setup.ssh import (
    Address,
    AuthFailed,
    CommandFailed,
    HostKeyMismatch,
    KeyPair,
    SshError,
    TimedOut,
    Unreachable,
    connect,
    learn_host_key,
    make_keypair,
)

__all__ = [
    "Address",
    "AgentError",
    "AgentRefused",
    "AgentSilent",
    "AgentState",
    "AuthFailed",
    "CommandFailed",
    "Failed",
    "HostKeyMismatch",
    "KeyPair",
    "NoSuchSession",
    "NotYet",
    "Ready",
    "SessionOrder",
    "SessionState",
    "SshError",
    "StepReport",
    "Target",
    "TimedOut",
    "Unreachable",
    "connect",
    "end_session",
    "launch_game",
    "learn_host_key",
    "make_keypair",
    "session_state",
    "set_up",
]
