"""Who speaks for a VM: its agent, by the token it got when it registered. Nobody else's credentials count here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from gamer.context import bind
from gamer.errors import NotAuthenticated
from gamer.web.throttles import WriteThrottle
from vms import agents
from vms.models import VM


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent of one VM."""

    vm: VM

    @property
    def identity(self) -> str:
        """Who this is to throttles."""
        return f"agent:{self.vm.pk.hex}"

    @property
    def payers(self) -> tuple[str, ...]:
        return (self.identity,)


class AgentAuthentication(BaseAuthentication):
    """`Authorization: Bearer ga_…`."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Agent] | None:
        scheme, _, token = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        try:
            text = token.strip().decode("ascii")
        except UnicodeDecodeError:
            raise NotAuthenticated("The token is not one of a VM's agent.") from None
        agent = Agent(agents.vm_of(text))
        # On Django's request, where the throttle finds it.
        request._request.principal = agent  # type: ignore[attr-defined]
        bind(actor=f"agent:{agent.vm.code}", vm=str(agent.vm.pk))
        return AnonymousUser(), agent

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class IsAgent(BasePermission):
    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.auth, Agent)


class AgentThrottle(WriteThrottle):
    """A heartbeat every 15 seconds and a few moves of games are far below it."""

    rate_name = "agent"


class AgentSavesThrottle(AgentThrottle):
    """A game saves every few minutes; what is refused for its pace comes a little later."""

    rate_name = "agent_saves"


class AgentScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "vms.api.authentication.AgentAuthentication"
    name = "agentToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


def vm_of(request: Request) -> VM:
    """The VM whose agent asks. Raises NotAuthenticated."""
    if isinstance(request.auth, Agent):
        return request.auth.vm
    raise NotAuthenticated("The token is not one of a VM's agent.")
