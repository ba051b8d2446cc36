"""From a machine that answers SSH to one that runs a game, and the talk with the agent there.

Not here: the database, phases, retries over time (vms.reconcile), and what a console needs (emulators). Nothing of Django is imported.
Start reading at `machine.py`: `set_up`, `launch_game`, `collect_saves`, `end_session`. `ssh.py` is the wire, `drivers/` says what is to be
done, `plan.py` as what, `agent/` is what is uploaded and does it.
"""

from vms.setup.agent_link import AgentError, AgentRefused, AgentSilent, NoSuchSession
from vms.setup.library import Library
from vms.setup.library import parse as parse_library
from vms.setup.machine import (
    collect_saves,
    end_session,
    forget,
    kept,
    launch_game,
    pair,
    pairing,
    set_up,
)
from vms.setup.orders import (
    AgentState,
    Cloudypad,
    Collected,
    Failed,
    NotYet,
    PendingSave,
    Ready,
    SaveOrder,
    SessionOrder,
    SessionState,
    StepReport,
    StoredSave,
    Target,
)
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
    "Cloudypad",
    "Collected",
    "CommandFailed",
    "Failed",
    "HostKeyMismatch",
    "KeyPair",
    "Library",
    "NoSuchSession",
    "NotYet",
    "PendingSave",
    "Ready",
    "SaveOrder",
    "SessionOrder",
    "SessionState",
    "SshError",
    "StepReport",
    "StoredSave",
    "Target",
    "TimedOut",
    "Unreachable",
    "collect_saves",
    "connect",
    "end_session",
    "forget",
    "kept",
    "launch_game",
    "learn_host_key",
    "make_keypair",
    "pair",
    "pairing",
    "parse_library",
    "set_up",
]
