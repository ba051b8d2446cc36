"""Offers as rows: refreshed from the accounts in the background, read as columns by a launch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import F, FloatField, QuerySet
from django.db.models.functions import Cast

from billing.budgets import force
from emulators.facts import KnownPlace, OfferFacts
from emulators.profile import Profile
from gamer import prepared
from gamer.prepared import CompiledQuery
from locations import regions
from locations.models import Region
from locations.services import PlaceName, locate_many
from vms import placement
from vms.models import Offer, ProviderAccount
from vms.providers import base, registry
from vms.reconcile.outcome import AccountNote, note_of

REFRESH_EVERY = timedelta(seconds=60)
REFRESH_AGAIN = timedelta(seconds=2)
FRESH = timedelta(minutes=5)
USABLE = timedelta(minutes=15)
# So many orders that failed one after the other put an account behind the others, twice as long with each further one.
DEMOTING_FAILURES = 3
DEMOTED_FOR, DEMOTED_AT_MOST = timedelta(minutes=10), timedelta(hours=2)
RESTING_FAILURES = 3
RESTING = timedelta(seconds=30)
# After every cool-down: an order that failed a moment ago changes nothing of what an offer costs.
LATER = datetime.max.replace(tzinfo=UTC)

PRICES = (
    "usd_per_hour",
    "usd_per_gpu",
    "usd_per_vcpu",
    "usd_per_gb_ram",
    "usd_per_gb_disk",
    "usd_per_dedicated_ip",
)
NUMBERS = ("min_gpus", "max_gpus", "max_vcpus", "max_ram_gb", "max_disk_gb")
FLAGS = ("has_dedicated_ip", "maps_ports_one_to_one")
PLACE = ("region", "city", "state", "country")
COLUMNS = (
    "id", "account_id", "offer_id", *PLACE, "gpu_model", "latitude", "longitude", "cools_until", *NUMBERS, *FLAGS,
)  # fmt: skip

OFFER = CompiledQuery(lambda pk: Offer.objects.filter(pk=pk).order_by())
ACCOUNTS = CompiledQuery(lambda: ProviderAccount.objects.defer("credentials"))


@dataclass(frozen=True, slots=True)
class Shelf:
    """The stock of one moment, and by the same positions the primary keys and the vendors' ids of its rows."""

    stock: placement.Stock
    keys: Sequence[int]
    offer_ids: Sequence[str]
    paused: frozenset[int]
    asked: Sequence[
        tuple[str, datetime | None]
    ]  # of each account that may buy, its kind and when it last told its offers
    now: datetime

    def is_refreshed(self, wish: placement.Wish) -> bool:
        """Whether every account that could host this has been asked at least once."""
        return all(at is not None for kind, at in self.asked if wish.may_use(kind))

    def is_fresh(self, wish: placement.Wish) -> bool:
        """And lately. An account whose offers this launch may not take holds nobody up, however long it is away."""
        return all(at is not None and at >= self.now - FRESH for kind, at in self.asked if wish.may_use(kind))

    def offer(self, row: int) -> Offer | None:
        """The row itself; None when a refresh has found it sold out since."""
        return OFFER.first(pk=self.keys[row])


def _indexed(values: Iterable[Any]) -> tuple[list[Any], np.ndarray[Any, Any]]:
    """Distinct values, and for each given one its position among them."""
    positions: dict[Any, int] = {}
    column = [positions.setdefault(value, len(positions)) for value in values]
    return list(positions), np.array(column, dtype=np.int64)


def load(
    now: datetime,
    *,
    tried: frozenset[tuple[int, str]] = frozenset(),
    struck: frozenset[int] = frozenset(),
) -> Shelf:
    """All usable offers as columns, in three queries. `tried` names (account id, offer id) of this launch's failed orders, `struck`
    the accounts that failed it so often that all others come first.
    """
    accounts = ACCOUNTS.all()
    spent = force.blocked_providers(now)
    rows = _read(Offer.objects.filter(account__in=accounts, refreshed_at__gte=now - USABLE))
    return Shelf(
        stock=_stock(rows, {account.pk: account for account in accounts}, tried, struck, now),
        keys=[row[0] for row in rows],
        offer_ids=[row[2] for row in rows],
        paused=frozenset(
            account.pk
            for account in accounts
            if not account.may_buy(now) or is_resting(account, now) or account.kind in spent
        ),
        asked=[(one.kind, one.offers_refreshed_at) for one in accounts if one.may_buy(now)],
        now=now,
    )


def is_resting(account: ProviderAccount, now: datetime) -> bool:
    """Whether the account failed so often just now that new machines are not ordered there for a moment."""
    return bool(
        account.failures_in_a_row >= RESTING_FAILURES
        and account.last_error_at
        and now - account.last_error_at < RESTING
    )


def demoted_until(account: ProviderAccount, now: datetime) -> datetime | None:
    """Until when an account comes after all others, because its orders failed one after the other; None when it does not."""
    excess = account.orders_failed_in_a_row - DEMOTING_FAILURES
    if excess < 0 or account.order_failed_at is None:
        return None
    until = account.order_failed_at + min(DEMOTED_FOR * 2 ** min(excess, 10), DEMOTED_AT_MOST)
    return until if until > now else None


def _read(chosen: QuerySet[Offer]) -> list[tuple[Any, ...]]:
    prices = (Cast(F(name), FloatField()) for name in PRICES)
    return list(chosen.order_by("id").values_list(*COLUMNS, *prices))


def _stock(
    rows: Sequence[tuple[Any, ...]],
    accounts: Mapping[int, ProviderAccount],
    tried: frozenset[tuple[int, str]],
    struck: frozenset[int],
    now: datetime,
) -> placement.Stock:
    names = (*COLUMNS, *PRICES)
    columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(names, ())
    account, offer_id = columns["account_id"], columns["offer_id"]
    kind_names, kind = _indexed(accounts[one].kind for one in account)
    places, place = _indexed(zip(*(columns[name] for name in PLACE), strict=True))
    gpu_models, gpu = _indexed(columns["gpu_model"])
    was_tried = (
        [pair in tried for pair in zip(account, offer_id, strict=True)] if tried else [False] * len(rows)
    )
    numbers: dict[str, Any] = {name: np.array(columns[name], dtype=np.int64) for name in NUMBERS}
    decimals: dict[str, Any] = {
        name: np.array(columns[name], dtype=np.float64) for name in ("latitude", "longitude", *PRICES)
    }
    return placement.Stock(
        kinds=kind_names,
        places=[base.Place(*words) for words in places],
        gpu_models=gpu_models,
        kind=kind,
        account=np.array(account, dtype=np.int64),
        place=place,
        gpu=gpu,
        has_dedicated_ip=np.array(columns["has_dedicated_ip"], dtype=bool),
        maps_ports=np.array(columns["maps_ports_one_to_one"], dtype=bool),
        is_cooling=np.array(
            [moment is not None and moment > now for moment in columns["cools_until"]], dtype=bool
        ),
        is_tried=np.array(was_tried, dtype=bool),
        is_demoted=np.isin(
            account, [pk for pk, one in accounts.items() if pk in struck or demoted_until(one, now)]
        ),
        **numbers,
        **decimals,
    )


def sizes() -> dict[str, base.Sizes]:
    """The legal sizes of every provider kind there is an adapter for."""
    return {kind: adapter.sizes for kind, adapter in registry.KINDS.items()}


def exact_price(offer: Offer, *, gpus: int, vcpus: int, ram_gb: int, disk_gb: int) -> Decimal:
    """What a size of an offer costs, USD per hour, as the vendor will bill it."""
    takes_address = offer.has_dedicated_ip and not offer.maps_ports_one_to_one
    address = offer.usd_per_dedicated_ip if takes_address else Decimal(0)
    parts = (
        gpus * offer.usd_per_gpu
        + vcpus * offer.usd_per_vcpu
        + ram_gb * offer.usd_per_gb_ram
        + disk_gb * offer.usd_per_gb_disk
    )
    return Decimal(offer.usd_per_hour + parts + address)


def due(now: datetime, *, limit: int = 10) -> list[ProviderAccount]:
    """Takes the accounts whose offers are due for a refresh; each is taken by one process only."""
    taken = [pk for (pk,) in prepared.rows(DUE, [now + REFRESH_EVERY, now, limit])]
    return list(ProviderAccount.objects.filter(pk__in=taken).order_by("pk")) if taken else []


DUE = """
UPDATE vms_provideraccount SET next_refresh_at = %s
 WHERE id = ANY (ARRAY(
    SELECT id FROM vms_provideraccount WHERE next_refresh_at <= %s ORDER BY next_refresh_at LIMIT %s FOR UPDATE SKIP LOCKED))
RETURNING id
"""


def postpone(account: ProviderAccount, now: datetime) -> None:
    """The account's pace allows no call now: a busy account is asked in between, or its offers would grow too old to use."""
    ProviderAccount.objects.filter(pk=account.pk).update(next_refresh_at=now + REFRESH_AGAIN)


def store(account: ProviderAccount, found: Sequence[base.Offer], now: datetime) -> None:
    """Replaces an account's offers by what it sells now, in one upsert; cool-downs survive, what is sold out goes.

    An offer in a region that staff's list knows stands where that list says.
    """
    known = regions.by_code(kind=account.kind)
    found = [replace(offer, place=_named(offer.place, known)) for offer in found]
    places = {_name(offer.place) for offer in found if not _has_position(known.get(offer.place.region))}
    positions: dict[PlaceName, Any] = locate_many(places=places, now=now) if places else {}
    rows = {row.offer_id: row for row in (_row(account, offer, known, positions, now) for offer in found)}
    with transaction.atomic():
        Offer.objects.bulk_create(
            rows.values(),
            update_conflicts=True,
            unique_fields=["account", "offer_id"],
            update_fields=[
                *PLACE,
                "latitude",
                "longitude",
                "gpu_model",
                *NUMBERS,
                *FLAGS,
                *PRICES,
                "order",
                "refreshed_at",
            ],
        )
        Offer.objects.filter(account=account, refreshed_at__lt=now).delete()
        ProviderAccount.objects.filter(pk=account.pk).update(offers_refreshed_at=now)


def _name(place: base.Place) -> PlaceName:
    return PlaceName(place.city, place.state, place.country)


def _named(place: base.Place, known: Mapping[str, Region]) -> base.Place:
    """The place with the names of its region where the vendor gives no more than a code."""
    region = known.get(place.region)
    if region is None or any(_name(place)):
        return place
    return replace(place, city=region.city, state=region.state, country=region.country)


def _has_position(region: Region | None) -> bool:
    return region is not None and region.latitude is not None


def _row(
    account: ProviderAccount,
    offer: base.Offer,
    known: Mapping[str, Region],
    positions: Mapping[PlaceName, Any],
    now: datetime,
) -> Offer:
    place, region = offer.place, known.get(offer.place.region)
    position = region if _has_position(region) else positions.get(_name(place))
    return Offer(
        account=account,
        offer_id=offer.offer_id[:150],
        region=place.region[:100],
        city=place.city[:100],
        state=place.state[:100],
        country=place.country[:100],
        latitude=position.latitude if position else None,
        longitude=position.longitude if position else None,
        gpu_model=offer.gpu_model[:80],
        order=dict(offer.order),
        refreshed_at=now,
        **{name: getattr(offer, name) for name in (*NUMBERS, *FLAGS, *PRICES)},
    )


def fetch(provider: base.Provider) -> Sequence[base.Offer] | AccountNote:
    """An account's offers, or what to note of its failure. Touches no database: it runs in a thread."""
    try:
        return provider.offers(base.Need())
    except base.ProviderError as error:
        return note_of(error)


def facts(*, provider: str, profile: Profile) -> OfferFacts:
    """What the console pages may say of a provider's stock: the least that a launch would pay there, and its places."""
    accounts = {one.pk: one for one in ProviderAccount.objects.filter(kind=provider).defer("credentials")}
    stock = _stock(
        _read(Offer.objects.filter(account__in=accounts)), accounts, frozenset(), frozenset(), LATER
    )
    found = placement.rank(stock, placement.Wish(profile, provider=provider), sizes())
    prices = found.usd_per_hour[found.why == placement.Why.FITS]
    places = [KnownPlace(one.region, one.city, one.state, one.country) for one in stock.places]
    if places:
        # What is sold out has no row, and may be asked for all the same where the provider has machines.
        listed = regions.by_code(kind=provider).values()
        places += [KnownPlace(one.code, one.city, one.state, one.country) for one in listed]
    return OfferFacts(
        # The columns are floats; what they were made of has nine places.
        cheapest_usd_per_hour=round(Decimal(float(prices.min())), 9) if len(prices) else None,
        places=tuple(places),
    )
