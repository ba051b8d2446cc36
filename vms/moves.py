"""Moves: a VM leaves its machine for another one elsewhere and stays the same VM: its id, its owner, its games, its saves.

What is asked here the reconciler carries out (`reconcile/steps/move.py`). A move is refused here while nothing fits; where the orders fail
later, the VM comes back to the machine it left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Q

from accounts.principal import Principal
from emulators.profile import region_matches
from emulators.services import profile_for
from events.services import record
from gamer.errors import InvalidState, NoCapacity, bad_field
from locations.models import Region
from vms import credits, offers, placement, quotas, services
from vms.lifecycle import Desired, Status
from vms.models import VM, GameSession, Offer
from vms.reconcile.apply import happening
from vms.services import Order, Quote

MOVABLE = (Status.RUNNING, Status.STOPPED)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to. `provider` and `region` left empty ask for any; `preset` and the position stay as they were. Degrees, both or neither."""

    provider: str = ""
    region: str = ""
    preset: str = ""
    latitude: float | None = None
    longitude: float | None = None


def move(*, vm: VM, to: Destination, by: Principal, now: datetime) -> None:
    """Asks for another machine for a running or a stopped VM, which then runs there; what is played now is played again there.

    Raises InvalidState, ValidationError, InsufficientCredits, Conflict, NoCapacity, Unavailable; nothing has changed then.
    """
    _demand_movable(vm)
    if to.region and not is_known(to.region):
        raise bad_field("region", "no provider has a region, a country, a state or a city of this name")
    order = order_of(vm, to)
    profile = profile_for(console=vm.console_id, game_id=vm.game_id or None)
    quote = services.check(order, profile, now, without=left_behind(vm))
    if quote.usd_per_hour is None:
        raise NoCapacity("What could be had there is not known at the moment. Try again in a minute.")
    try:
        with transaction.atomic():
            tenant = quotas.lock_for(vm)
            _ask(vm, order, quote, now)
            services.admit_again(vm, tenant, quote.use_at(now), now)
            record(happening(vm, "move_asked", _told(to), now, by.label))
            _play_on(vm, by, now)
            # Last, because the account that pays is locked from here to the commit.
            credits.hold_for_quote(vm, now)
            services.poke(vm, now)
    except IntegrityError as error:
        raise services.taken(error, vm.owner, vm.console_id) from error


def preview(*, vm: VM, to: Destination, now: datetime) -> tuple[offers.Shelf, placement.Ranking]:
    """What the move would pick at this moment, and why not the rest. Buys nothing. Raises NotFound for a console no longer configured."""
    profile = profile_for(console=vm.console_id, game_id=vm.game_id or None)
    return services.rank(order_of(vm, to), profile, now, without=left_behind(vm))


def order_of(vm: VM, to: Destination) -> Order:
    """The move as a launch would be asked for."""
    order = Order(
        console=vm.console_id,
        provider=to.provider,
        region=to.region,
        preset=to.preset or vm.wanted_preset,
        latitude=vm.latitude,
        longitude=vm.longitude,
    )
    return order if to.latitude is None else replace(order, latitude=to.latitude, longitude=to.longitude)


def left_behind(vm: VM) -> services.Without:
    """What the VM is on now: the same again would be no move."""
    return frozenset() if vm.attempt is None else frozenset({(vm.attempt.account_id, vm.attempt.offer_id)})


def is_known(entry: str) -> bool:
    """Whether any provider has a place that is meant by an entry such as a preference's: a code or its beginning, a name."""
    places = Offer.objects.order_by().values_list("region", "city", "state", "country").distinct()
    regions = Region.objects.listed().values_list("code", "city", "state", "country")
    return any(
        region_matches(entry, region=region, city=city, state=state, country=country)
        for rows in (places, regions)
        for region, city, state, country in rows
    )


def _ask(vm: VM, order: Order, quote: Quote, now: datetime) -> None:
    """Writes the wish, if the VM may move at this very moment. From a stop it also wishes to run, which the law may refuse."""
    rows = VM.objects.filter(
        Q(moves_from=None) | ~Q(desired=Desired.RUNNING), pk=vm.pk, attempt__isnull=False
    )
    wish = {
        "wanted_provider": order.provider,
        "wanted_region": order.region,
        "wanted_preset": order.preset,
        "latitude": order.latitude,
        "longitude": order.longitude,
    }
    asked = {
        "desired": Desired.RUNNING,
        "moves_from": F("attempt"),
        "moves_to": wish,
        "moves_back_to": "",  # of a move that was lost to a stop, before such were taken back
        "quoted_usd_per_hour": quote.usd_per_hour,
        "quoted_gpus": quote.gpus,
        "updated_at": now,
    }
    changed = rows.with_any_status(MOVABLE).update(**asked)
    vm.refresh_from_db()
    if not changed:
        _demand_movable(vm)
        raise InvalidState("The VM is being moved already.")


def _demand_movable(vm: VM) -> None:
    if vm.status not in MOVABLE:
        raise InvalidState(f"The VM is {vm.status}; it must be {' or '.join(MOVABLE)} to be moved.")


def _play_on(vm: VM, by: Principal, now: datetime) -> None:
    """What runs now waits once more, for the machine that comes; what waits already is left alone."""
    wanted = vm.sessions.filter(status__in=GameSession.OPEN, is_end_wanted=False)
    latest = wanted.order_by("-queued_at").first()
    if latest is None or latest.status != GameSession.Status.LAUNCHED:
        return
    record(services.told(services.queued(vm, latest.game_id, latest.save_id, now), by, now))


def _told(to: Destination) -> Mapping[str, Any]:
    """Where to, without where the player is: events are read by many."""
    return {name: value for name in ("provider", "region", "preset") if (value := getattr(to, name))}
