"""What the matrix asks about: things of alice's, and those who ask.

Everything a right request needs is here: a stopped VM to start, a failed one to retry, tokens that are good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from django.utils import timezone
from rest_framework.test import APIClient

from accounts import invitations, logins, passwords
from accounts.models import ApiKey, Department, DepartmentRole, Invitation, Project, Quota, Scope
from accounts.principal import Principal
from billing.budgets import rows as budgets
from billing.budgets.rows import Target
from billing.models import Budget
from emulators.models import ProviderPreference, SaveSlot
from emulators.services.configs import delete_config
from tests.emulators.saving import brought, slot_of
from tests.factories import ApiKeyFactory, DepartmentFactory, ProjectFactory, QuotaFactory
from tests.vms.control_plane import ControlPlane
from tests.world import World, client_of, client_with_key
from vms import services
from vms.models import VM, GameSession, Offer, ProviderAccount
from vms.providers.memory import Fault

# alice's things are asked for; charlie is a stranger to them, mona owns her department, oscar another one, sam is of the staff.
PEOPLE = ("alice", "charlie", "mona", "oscar", "sam")
# Keys that sam made, of no department, each with this one scope.
KEYS = tuple(f"key:{scope}" for scope in Scope)
# What a department's manager can give a key of the department.
GIVEN = (Scope.READ, Scope.LAUNCH, Scope.ACT_AS)
# Keys that mona made for her department, each with one of these scopes.
ARCADE_KEYS = tuple(f"arcade:{scope}" for scope in GIVEN)
# What oscar made for his department: everything that he can give.
PALACE_KEY = "palace:all"
CALLERS = ("nobody", *PEOPLE, *KEYS, *ARCADE_KEYS, PALACE_KEY)


@dataclass(frozen=True)
class Scene:
    world: World
    vm: VM  # alice's, running a game
    stopped: VM  # alice's
    failed: VM  # alice's
    session: GameSession  # of `vm`
    save: SaveSlot  # alice's, with a version that is not its current one
    project: Project  # alice's own
    quota: Quota  # alice's
    budget: Budget  # mona's, of what alice spends
    key: ApiKey  # alice's
    empty: Department  # nobody's
    offer: Invitation  # of Arcade, to charlie
    refresh: str  # alice's token
    reset: str  # alice's token
    secrets: Mapping[str, str] = field(repr=False)  # of the keys

    def credentials(self, caller: str) -> tuple[str, str]:
        """What one of CALLERS who is somebody sends: a header and its text. People log in anew each time, because an access
        token is good for five minutes only.
        """
        if caller in self.secrets:
            return "X-API-Key", self.secrets[caller]
        login = logins.begin(user=getattr(self.world, caller), now=timezone.now())
        return "Authorization", f"Bearer {login.access}"

    def client(self, caller: str) -> APIClient:
        """One of CALLERS."""
        if caller in self.secrets:
            return client_with_key(self.secrets[caller])
        return client_of(getattr(self.world, caller)) if caller in PEOPLE else APIClient()


def secrets_of(world: World) -> dict[str, str]:
    """The text of each key among CALLERS."""
    keys = {f"key:{scope}": ApiKeyFactory(maker=world.sam, scopes=[scope]) for scope in Scope}
    mona, arcade = {"maker": world.mona, "department": world.arcade}, zip(ARCADE_KEYS, GIVEN, strict=True)
    keys |= {name: ApiKeyFactory(**mona, scopes=[scope]) for name, scope in arcade}
    keys[PALACE_KEY] = ApiKeyFactory(maker=world.oscar, department=world.palace, scopes=list(GIVEN))
    return {name: key.secret for name, key in keys.items()}


def build(world: World, plane: ControlPlane) -> Scene:
    """alice's VM runs a game, another is stopped, a third failed; she has a project, a quota and a key."""
    # Of the kind that the seeded consoles prefer; the memory cloud's own is not the API's to tell.
    ProviderAccount.objects.update(kind="tensordock")
    ProviderPreference.objects.filter(provider="memory").delete()
    plane.turn()
    now = timezone.now()
    alice, mona = Principal(user=world.alice), Principal(user=world.mona)
    vm = plane.until(plane.launch(owner=world.alice), "running")
    stopped = plane.until(plane.launch(owner=world.alice, console="3ds"), "running")
    services.stop(vm=stopped, by=alice, now=plane.clock())
    stopped = plane.until(stopped, "stopped")
    delete_config(console="gba", by=Principal(user=world.sam), now=now)
    return Scene(
        world=world,
        vm=vm,
        stopped=stopped,
        failed=_failed(world, plane),
        session=GameSession.objects.get(vm=vm),
        save=_save(world),
        project=ProjectFactory(owner=world.alice),
        quota=QuotaFactory(user=world.alice, max_vms=5),
        budget=budgets.create(
            by=Principal(user=world.mona),
            now=now,
            name="Alice's",
            limit_usd=Decimal(50),
            target=Target(user=world.alice),
        ).budget,
        key=ApiKeyFactory(maker=world.alice, scopes=[Scope.READ]),
        empty=DepartmentFactory(name="Empty"),
        offer=invitations.invite(
            by=mona, department=world.arcade, email="charlie@gamer.test", role=DepartmentRole.MEMBER, now=now
        ),
        refresh=logins.begin(user=world.alice, now=now).refresh,
        reset=passwords.make_token(world.alice),
        secrets=secrets_of(world),
    )


def _save(world: World) -> SaveSlot:
    """A slot that nobody plays on, with two versions."""
    slot = slot_of(world.alice, timezone.now())
    for number, text in enumerate((b"one", b"two")):
        brought(slot, text, timezone.now(), base=number)
    return slot


def _failed(world: World, plane: ControlPlane) -> VM:
    """A VM that no machine would have."""
    fault = plane.cloud.switch_on(Fault.REJECTED, times=None)
    vm = plane.until(plane.launch(owner=world.alice, console="nds"), "error")
    plane.cloud.switch_off(fault)
    # What was refused cools down, in the time of requests.
    Offer.objects.update(cools_until=None)
    return vm
