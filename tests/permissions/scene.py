"""What the matrix asks about: things of alice's, and the twelve who ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rest_framework.test import APIClient

from accounts.models import ApiKey, Project, Quota, Scope
from tests.factories import ApiKeyFactory, ProjectFactory, QuotaFactory
from tests.vms.control_plane import ControlPlane
from tests.world import World, client_of, client_with_key
from vms.models import VM, GameSession

# alice's things are asked for; charlie is a stranger to them, mona owns her department, oscar another one, sam is of the staff.
PEOPLE = ("alice", "charlie", "mona", "oscar", "sam")
# Keys that sam made, of no department, each with this one scope.
KEYS = tuple(f"key:{scope}" for scope in Scope)
CALLERS = ("nobody", *PEOPLE, *KEYS)


@dataclass(frozen=True)
class Scene:
    world: World
    vm: VM
    session: GameSession
    project: Project  # alice's own
    quota: Quota  # alice's
    key: ApiKey  # alice's
    clients: Mapping[str, APIClient] = field(repr=False)


def clients_of(world: World) -> dict[str, APIClient]:
    """A client for each of CALLERS."""
    people = {name: client_of(getattr(world, name)) for name in PEOPLE}
    keys = {f"key:{scope}": ApiKeyFactory(maker=world.sam, scopes=[scope]) for scope in Scope}
    return {
        "nobody": APIClient(),
        **people,
        **{name: client_with_key(key.secret) for name, key in keys.items()},
    }


def build(world: World, plane: ControlPlane) -> Scene:
    """alice's VM runs a game; she has a project, a quota and a key."""
    vm = plane.until(plane.launch(console="switch", owner=world.alice, game_id="mario-odyssey"), "running")
    return Scene(
        world=world,
        vm=vm,
        session=GameSession.objects.get(vm=vm),
        project=ProjectFactory(owner=world.alice),
        quota=QuotaFactory(user=world.alice, max_vms=5),
        key=ApiKeyFactory(maker=world.alice, scopes=[Scope.READ]),
        clients=clients_of(world),
    )
