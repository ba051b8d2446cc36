"""Thirty days of people who never were, for whoever looks at the pages for the first time: metered by billing's own services, so
that the ledger and the daily sums are as exact as those of real people. What their machines measured is made up by monitoring.

Everything is called `demo`: people `demo-…`, departments and projects “Demo …”, machines `demo:…`, the actor of the events.
The same day is the same whenever it is made, and made once.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random

from django.db import transaction

from accounts import departments, projects
from accounts.models import Department, Project, User
from accounts.principal import Principal
from billing import rating
from billing.models import Subject
from billing.models.usage import UsageKind
from billing.services import accounts, metering, prices
from billing.services.metering import Dimensions, Machine, State
from billing.services.prices import Price
from emulators.models import Console
from events.services import Happening, record
from monitoring import services as monitoring
from vms.lifecycle import Desired, Phase
from vms.models import VM

OURS = Principal(command="seed_demo")
DAYS = 30
MARGIN = Decimal("0.25")
STOPPED_SHARE = Decimal("0.2")
BOOTS = timedelta(minutes=6)
SPACE = uuid.UUID("5bd6a1fa-6f4a-4f0b-9a1c-de3000000000")
DEPARTMENTS = {"Demo Arcade": ("mario", "luigi", "peach", "toad", "daisy", "yoshi"),
               "Demo Academy": ("zelda", "link", "impa", "ganon"), "": ("samus", "kirby", "fox")}  # fmt: skip
PROJECTS = {"Demo Tournament": "demo-mario", "Demo Course": "demo-zelda"}
# What is played where: console, machine size, provider, region, and how often.
PLACES = (
    ("switch", "premium", "tensordock", "us-east", 6), ("switch", "premium", "cloudypad_gcp", "us-central1", 2),
    ("wii", "premium", "tensordock", "eu-west", 3), ("gamecube", "premium", "cloudypad_gcp", "europe-west4", 2),
    ("3ds", "advanced", "tensordock", "us-west", 3), ("nds", "advanced", "cloudypad_aws", "us-east-1", 2),
    ("snes", "retro", "tensordock", "us-east", 3), ("gba", "retro", "cloudypad_scaleway", "fr-par-1", 1),
)  # fmt: skip


class NoConsoles(Exception):
    """Nothing is seeded yet."""


@dataclass(frozen=True, slots=True)
class Session:
    """One machine: ordered, played on, perhaps stopped for a while, gone."""

    key: str
    person: User
    project: Project | None
    place: tuple[str, str, str, str, int]
    ordered_at: datetime
    stopped_at: datetime
    gone_at: datetime

    @property
    def vm(self) -> uuid.UUID:
        return uuid.uuid5(SPACE, self.key)


def seed(now: datetime, told: Callable[[int, int], None] = lambda done, all_: None) -> int:
    """Makes what is not there yet of the last days; how many machines that was. `told` hears how far it is."""
    if not Console.objects.exists():
        raise NoConsoles
    people, shared = _people(now), _projects(now)
    known = set(Subject.objects.filter(key__startswith="demo:").values_list("key", flat=True))
    today = now.astimezone(UTC).date()
    wanted = [
        session
        for back in range(DAYS, -1, -1)
        for person in people
        for session in _sessions(person, shared, today - timedelta(days=back))
        if session.gone_at <= now and session.key not in known
    ]
    for number, session in enumerate(wanted):
        _play(session, now)
        told(number + 1, len(wanted))
    return len(wanted)


@transaction.atomic
def _people(now: datetime) -> list[User]:
    people = []
    for name, handles in DEPARTMENTS.items():
        department = _department(name, now) if name else None
        for handle in handles:
            person, is_new = User.objects.get_or_create(
                handle=f"demo-{handle}",
                department=department,
                defaults={"is_postpaid": True, "created_at": now},
            )
            if is_new:
                person.set_unusable_password()
                person.save(update_fields=["password"])
            people.append(person)
    return people


def _department(name: str, now: datetime) -> Department:
    found = Department.objects.filter(name=name).first()
    return found or departments.create(by=OURS, name=name, now=now)


def _projects(now: datetime) -> dict[int, Project]:
    """By department, the project its people launch in."""
    found = {}
    for name, handle in PROJECTS.items():
        owner = User.objects.get(handle=handle)
        row = Project.objects.filter(name=name, owner=owner).first()
        row = row or projects.create(by=OURS, owner=owner, name=name, for_department=True, now=now)
        assert owner.department_id is not None
        found[owner.department_id] = row
    return found


def _sessions(person: User, shared: dict[int, Project], day: date) -> Iterator[Session]:
    """What somebody played on a day: always the same for the same person and day; more on weekends."""
    dice = Random(f"{person.handle}:{day}")  # noqa: S311  # play, not secrecy
    begin = datetime.combine(day, time(hour=dice.randint(8, 16), minute=dice.randint(0, 59)), UTC)
    for number in range(dice.choices((0, 1, 2), (2, 5, 3) if day.weekday() > 4 else (4, 5, 1))[0]):
        place = dice.choices(PLACES, [one[4] for one in PLACES])[0]
        played = timedelta(minutes=dice.randint(25, 200), seconds=dice.randint(0, 59))
        stopped_at = begin + BOOTS + played
        rests = place[2] != "tensordock" and dice.random() < 0.5
        gone_at = stopped_at + (timedelta(minutes=dice.randint(40, 400)) if rests else timedelta(0))
        project = shared.get(person.department_id or 0) if dice.random() < 0.4 else None
        yield Session(
            f"demo:{person.handle}:{day}:{number}", person, project, place, begin, stopped_at, gone_at
        )
        begin = gone_at + timedelta(minutes=dice.randint(5, 90))


@transaction.atomic
def _play(session: Session, now: datetime) -> None:
    """The life of one machine, as the reconciler would have told it."""
    VM.objects.bulk_create(
        [
            VM(
                id=session.vm, name=f"Demo {session.place[0]}", owner=session.person, project=session.project,
                department=session.person.department, console_id=session.place[0], desired=Desired.GONE,
                phase=Phase.DELETED, phase_since=session.gone_at, created_at=session.ordered_at,
                updated_at=session.gone_at, ready_at=session.ordered_at + BOOTS, ended_at=session.gone_at,
                last_activity=session.stopped_at, next_look_at=None,
            )
        ],
        ignore_conflicts=True,
    )  # fmt: skip
    is_kept = session.gone_at > session.stopped_at
    moments: list[tuple[datetime, State | None, str]] = [
        (session.ordered_at, State(UsageKind.RUNNING), "create"),
        (session.ordered_at + BOOTS, State(UsageKind.RUNNING, is_charged=True), "power_on"),
        (session.gone_at, None, "delete"),
    ]
    if is_kept:
        stopped = _price(session).cost_usd_per_hour * STOPPED_SHARE
        moments.insert(
            2,
            (
                session.stopped_at,
                State(UsageKind.STOPPED, stopped_usd_per_hour=rating.price(stopped)),
                "power_off",
            ),
        )
    for at, state, action in moments:
        metering.follow(key=session.key, state=state, now=at, describe=lambda: _machine(session))
        record(_happening(session, at, action))
    monitoring.seed_demo(
        subject=session.vm, since=session.ordered_at + BOOTS, until=session.stopped_at, now=now
    )


def _machine(session: Session) -> Machine:
    console, preset, provider, region, _ = session.place
    person, project = session.person, session.project
    payer = accounts.payer_of(
        user=person, project=project, department=person.department, now=session.ordered_at
    )
    dimensions = Dimensions(
        payer_id=payer.pk, provider=provider, region=region, console=console, preset=preset, user_id=person.pk,
        project_id=project.pk if project is not None else None, department_id=person.department_id,
    )  # fmt: skip
    return Machine(dimensions, _price(session), session.ordered_at, session.vm)


def _price(session: Session) -> Price:
    """The rate card's, with a margin, so that there is something to see."""
    console, preset, provider, *_ = session.place
    price = prices.card(session.ordered_at).price(provider, preset, console)
    charge = rating.charge_per_hour(price.cost_usd_per_hour, MARGIN)
    return replace(price, charge_usd_per_hour=charge, margin_id=None)


def _happening(session: Session, at: datetime, action: str) -> Happening:
    return Happening(
        at, OURS.label, action, "vms", str(session.vm), {"demo": True}, owner_id=session.person.pk,
        project_id=session.project.pk if session.project is not None else None,
        department_id=session.person.department_id,
    )  # fmt: skip
