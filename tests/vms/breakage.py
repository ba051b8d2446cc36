"""Five providers, each broken in a way of its own, and a sixth that works: for the tests of failover and its benchmark."""

from __future__ import annotations

from dataclasses import replace

from tests.vms.control_plane import ControlPlane
from vms.models import ProviderAccount
from vms.providers.memory import STOCK, Fault, MemoryCloud

OFFERS = 20
WORKING = "works"
# By account, in the order they are asked: what is wrong there, for ever.
BROKEN: dict[str, tuple[tuple[Fault, dict[str, object]], ...]] = {
    "bad credentials": ((Fault.BAD_CREDENTIALS, {"verbs": ["create"]}),),
    "quota": ((Fault.QUOTA_EXCEEDED, {}),),
    "no capacity": ((Fault.NO_CAPACITY, {"verbs": ["create"]}),),
    "time-out": ((Fault.LOST_UNMADE, {}),),
    # Nothing it says can be read, neither of the order nor of the machines there are.
    "garbage": ((Fault.LOST_UNMADE, {}), (Fault.INCOMPLETE_LIST, {})),
}
# What the orders of one launch come to.
STORY = [
    ("bad credentials", "BadCredentials"),
    ("quota", "QuotaExceeded"),
    *[("no capacity", "NoCapacity")] * 3,
    ("time-out", "OutcomeUnknown"),
    ("garbage", "OutcomeUnknown"),
    (WORKING, ""),
]


def cloud(place: int) -> MemoryCloud:
    """Twenty offers that fit, a little dearer than those of the place before: so the order of the accounts is told."""
    known = STOCK[0]
    price = known.usd_per_gpu * (100 + place) / 100
    offers = [
        replace(known, offer_id=f"joplin-{number}", usd_per_gpu=price, order={"offer": f"joplin-{number}"})
        for number in range(OFFERS)
    ]
    return MemoryCloud(offers=offers, boot_s=5)


def add_all(plane: ControlPlane) -> None:
    """Their accounts, in place of those there are, with their offers known."""
    ProviderAccount.objects.update(is_paused=True)
    for place, name in enumerate((*BROKEN, WORKING)):
        plane.add_account(name, cloud(place))
    plane.turn()
    plane.turn()


def break_all(plane: ControlPlane) -> None:
    for name, faults in BROKEN.items():
        for fault, particulars in faults:
            cloud_of(plane, name).switch_on(fault, times=None, **particulars)


def cloud_of(plane: ControlPlane, name: str) -> MemoryCloud:
    return plane.clouds[ProviderAccount.objects.get(name=name).pk]
