"""REQUESTED: choose an offer and record the attempt, under the account's lock so that its caps hold."""

from __future__ import annotations

import secrets
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Count, Sum

from billing import rating
from billing.services import prices
from emulators.profile import Profile
from emulators.services import profile_for
from events.services import record
from gamer.crash import crash_point
from gamer.errors import NotFound
from gamer.prepared import CompiledQuery
from vms import credits, offers, placement, quotas
from vms.installation import identifier
from vms.lifecycle import MAX_ATTEMPTS, PLACING_S, Phase
from vms.models import VM, Attempt, Offer, ProviderAccount
from vms.providers.base import make_tag
from vms.quotas import Use
from vms.reconcile.apply import happening, written
from vms.reconcile.outcome import Fail, Outcome, Subject, Wait
from vms.setup.ssh import make_keypair

ATTEMPTS = CompiledQuery(lambda vm: Attempt.objects.filter(vm=vm).defer("offer").order_by("number"))
# Failures after which the same offer may be tried again in this round: they say nothing about the offer.
NOT_THE_OFFERS_FAULT = ("Unavailable", "BadCredentials", "QuotaExceeded")
# Reasons that pass by themselves: with only these left, a launch waits instead of failing.
PASSING = (placement.Why.COOLING, placement.Why.PAUSED, placement.Why.ACCOUNT_FULL)
WAIT_S = 3
# Failed orders after which all other accounts come first, for this launch: one order may fail by bad luck. Where the provider itself
# gave no sensible answer, the next one would fare no better, and cost the player as much time.
STRIKES = 3
UNANSWERED = ("Unavailable", "OutcomeUnknown")
# The last attempt of a VM whose number fits `base.TAG`. Moves and retries add up.
LAST_NUMBER = 9999
ERRORS = {
    "NoCapacity": "no_capacity",
    "Rejected": "rejected",
    "Unavailable": "provider_unavailable",
    "OutcomeUnknown": "provider_unavailable",
    "BadCredentials": "provider_unavailable",
    "QuotaExceeded": "provider_unavailable",
}


class Chooser:
    """Places the REQUESTED rows of one batch; offers and profiles are read once for all of them."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._shelf: offers.Shelf | None = None
        self._profiles: dict[tuple[str, str], Profile] = {}
        self._card: prices.Card | None = None
        self._full: set[int] = set()
        self._too_dear: dict[int, Decimal] = {}  # by account, the least price its cap has refused

    def run(self, subject: Subject, token: uuid.UUID) -> bool:
        """Chooses and writes. False when the lease was lost."""
        vm = subject.vm
        attempts = ATTEMPTS.all(vm=vm.pk)
        number = attempts[-1].number + 1 if attempts else 1
        if number > LAST_NUMBER:
            text = f"{LAST_NUMBER} machines were ordered for this VM, and no more can be."
            return written(subject, token, Fail(error="launch_failed", text=text), self.now)
        past = [one for one in attempts if one.round == vm.round]
        if _is_over(past, self.now):
            over = _given_up(past, f"{len(past)} orders failed")
            return written(subject, token, over, self.now)
        try:
            profile = self._profile(vm)
        except NotFound:
            gone = Fail(error="console_not_configured", text="The console is no longer configured.")
            return written(subject, token, gone, self.now)
        preset = vm.wish["wanted_preset"]
        if preset and preset not in profile.presets:
            gone = Fail(error="preset_gone", text=f"The preset {preset} no longer exists.")
            return written(subject, token, gone, self.now)
        ranking, shelf = self._rank(subject, profile, past)
        refused: dict[bool, float] = {}  # with and without a GPU, the least price a quota has refused
        for row in map(int, ranking.order):
            has_gpu, price = bool(ranking.choice(row).gpus), float(ranking.usd_per_hour[row])
            if price >= refused.get(has_gpu, float("inf")):
                ranking.why[row] = placement.Why.OVER_QUOTA
                continue
            offer = None if self._is_refused(row, ranking) else shelf.offer(row)
            choice = ranking.choice(row)
            placed = self._place(subject, token, offer, number, choice, ranking) if offer else None
            if isinstance(placed, bool):
                return placed
            if placed is placement.Why.OVER_QUOTA:
                refused[has_gpu] = price
            is_full = self._is_refused(row, ranking)
            ranking.why[row] = placed or (placement.Why.ACCOUNT_FULL if is_full else placement.Why.COOLING)
        return written(subject, token, self._nothing(vm, past, ranking, shelf), self.now)

    def _is_refused(self, row: int, ranking: placement.Ranking) -> bool:
        """Whether a cap of the account has refused as much for another row of this batch."""
        account = int(ranking.stock.account[row])
        dear = self._too_dear.get(account)
        return account in self._full or (
            dear is not None and ranking.usd_per_hour[row] >= float(dear) - 5e-10
        )

    def _profile(self, vm: VM) -> Profile:
        profile = self._profiles.get((vm.console_id, vm.game_id))
        if profile is None:
            profile = profile_for(console=vm.console_id, game_id=vm.game_id or None)
            self._profiles[vm.console_id, vm.game_id] = profile
        return profile

    def _rank(
        self, subject: Subject, profile: Profile, past: Sequence[Attempt]
    ) -> tuple[placement.Ranking, offers.Shelf]:
        tried = frozenset(
            (one.account_id, one.offer_id) for one in past if one.error_class not in NOT_THE_OFFERS_FAULT
        )
        if subject.origin is not None:
            tried |= {(subject.origin.account_id, subject.origin.offer_id)}
        struck = _struck(past)
        shelf = offers.load(self.now, tried=tried, struck=struck) if tried or struck else self._fresh_shelf()
        asked = subject.vm.wish
        wish = placement.Wish(
            profile,
            asked["latitude"],
            asked["longitude"],
            asked["wanted_provider"] or None,
            asked["wanted_preset"] or None,
            asked["wanted_region"],
        )
        return placement.rank(shelf.stock, wish, offers.sizes(), shelf.paused, frozenset(self._full)), shelf

    def _fresh_shelf(self) -> offers.Shelf:
        if self._shelf is None:
            self._shelf = offers.load(self.now)
        return self._shelf

    def _place(
        self,
        subject: Subject,
        token: uuid.UUID,
        offer: Offer,
        number: int,
        choice: placement.Choice,
        ranking: placement.Ranking,
    ) -> bool | placement.Why | None:
        """Records the attempt and moves the VM; why not when a quota or a cap of the account forbids it: the next is asked."""
        price = offers.exact_price(
            offer, gpus=choice.gpus, vcpus=choice.vcpus, ram_gb=choice.ram_gb, disk_gb=choice.disk_gb
        )
        crash_point("choose.before")
        with transaction.atomic():
            # Quotas first: their rows are locked before the account's, here and nowhere the other way round.
            if not _is_let_in(subject.vm, choice.gpus, price, self._charge(price)):
                return placement.Why.OVER_QUOTA
            # Before the attempt: who took the lease over may have recorded one by this number already.
            mine = VM.objects.filter(pk=subject.vm.pk, lease_token=token).select_for_update(no_key=True)
            if not mine.values_list("pk"):
                return False
            # Not FOR UPDATE: rows that only point at the account need not wait, nor be waited for.
            accounts = ProviderAccount.objects.defer("credentials").select_for_update(no_key=True)
            account = accounts.get(pk=offer.account_id)
            if not account.may_buy(self.now) or not has_room(account, Decimal(0)):
                self._full.add(account.pk)
                return None
            if not has_room(account, price):
                self._too_dear[account.pk] = min(price, self._too_dear.get(account.pk, price))
                return None
            attempt = self._attempt(subject.vm, offer, number, choice, price)
            credits.hold_for_machine(subject.vm, attempt.charge_usd_per_hour, self.now)
            changes = {
                **_keys(subject.vm),
                "phase": Phase.CREATING,
                "phase_since": self.now,
                "updated_at": self.now,
            }
            changes |= {
                "attempt": attempt,
                "is_acting": True,
                "next_look_at": self.now,
                "hinted_at": None,
                "error_text": "",
            }
            changes |= {
                "lease_token": None,
                "lease_until": None,
                "action_sent_at": None,
                "parting_since": None,
            }
            if not VM.objects.filter(pk=subject.vm.pk, lease_token=token).update(**changes):
                transaction.set_rollback(True)
                return False
            details: dict[str, Any] = {
                "offer": offer.offer_id,
                "location": offer.location_name,
                "account": account.name,
            }
            details |= {
                "usd_per_hour": rating.told(attempt.charge_usd_per_hour),
                "distance_km": choice.distance_km,
                "considered": len(ranking.why),
            }
            record(happening(subject.vm, "placed", details, self.now))
            crash_point("choose.inside")
        crash_point("choose.after")
        return True

    def _attempt(
        self, vm: VM, offer: Offer, number: int, choice: placement.Choice, price: Decimal
    ) -> Attempt:
        return Attempt.objects.create(
            vm=vm,
            number=number,
            round=vm.round,
            tag=make_tag(identifier(), vm.code, number),
            account_id=offer.account_id,
            offer_id=offer.offer_id,
            offer=_copy(offer),
            region=offer.region,
            location_name=offer.location_name[:200],
            distance_km=choice.distance_km,
            score=None if choice.score is None else round(Decimal(choice.score), 9),
            preset=choice.preset,
            gpus=choice.gpus,
            vcpus=choice.vcpus,
            ram_gb=choice.ram_gb,
            disk_gb=choice.disk_gb,
            usd_per_hour=price,
            charge_usd_per_hour=self._charge(price),
            created_at=self.now,
        )

    def _charge(self, price: Decimal) -> Decimal:
        """What the player will pay an hour for a machine of this price, by the margin of now."""
        if self._card is None:
            self._card = prices.card(self.now)
        return self._card.quoted(price).charge_usd_per_hour

    def _nothing(
        self, vm: VM, past: Sequence[Attempt], ranking: placement.Ranking, shelf: offers.Shelf
    ) -> Outcome:
        """No offer fits now: wait while that may pass, else fail with what everybody said."""
        reasons = "; ".join(f"{kind}: {text}" for kind, text in ranking.reasons_by_kind().items())
        text = f"No provider can host this console. {reasons}".strip()
        if past:
            text = f"{text}. The last order: {past[-1].error_class}: {past[-1].error_text}"
        may_pass = not shelf.is_fresh(ranking.wish) or any((ranking.why == why).any() for why in PASSING)
        # Who moves has a machine to come back to, and may be in the middle of a game.
        if may_pass and not vm.is_moving:
            return Wait(seconds=WAIT_S, vm={"error_text": text[:1000]} if text != vm.error_text else {})
        return _given_up(past, text) if past else Fail(error="no_capacity", text=text)


def _is_over(past: Sequence[Attempt], now: datetime) -> bool:
    """Whether nothing more is ordered for this launch."""
    return bool(past) and (
        len(past) >= MAX_ATTEMPTS or (now - past[0].created_at).total_seconds() >= PLACING_S
    )


def _struck(past: Sequence[Attempt]) -> frozenset[int]:
    """The accounts that have failed this launch so often that all others come first."""
    strikes: Counter[int] = Counter()
    for one in past:
        strikes[one.account_id] += STRIKES if one.error_class in UNANSWERED else 1
    return frozenset(pk for pk, count in strikes.items() if count >= STRIKES)


def _given_up(past: Sequence[Attempt], text: str) -> Fail:
    """The end of a launch whose offers all failed: the last one's cause names the error."""
    last = past[-1]
    return Fail(
        error=ERRORS.get(last.error_class, "launch_failed"),
        text=f"{text}. The last one: {last.error_text}"[:1000],
    )


def _is_let_in(vm: VM, gpus: int, price: Decimal, charge: Decimal) -> bool:
    """Whether the VM's quotas allow this: what it was quoted at its launch they do; more is counted anew, at the customer's price."""
    quoted = vm.quoted_usd_per_hour
    if quoted is not None and price <= quoted and gpus <= vm.quoted_gpus:
        return True
    return quotas.has_room(vm, Use(1, int(gpus > 0), charge))


def has_room(account: ProviderAccount, price: Decimal) -> bool:
    """Whether one more machine at this price stays within the account's caps. Call under the account's row lock."""
    if account.max_machines is None and account.max_usd_per_hour is None:
        return True
    held = (
        Attempt.objects.held()
        .filter(account=account)
        .aggregate(machines=Count("pk"), usd=Sum("usd_per_hour"))
    )
    if account.max_machines is not None and held["machines"] + 1 > account.max_machines:
        return False
    return account.max_usd_per_hour is None or (held["usd"] or Decimal(0)) + price <= account.max_usd_per_hour


def _copy(offer: Offer) -> dict[str, Any]:
    """The offer as bought, JSON-able, for `steps.create.offer_of`."""
    row = {name: getattr(offer, name) for name in (*offers.NUMBERS, *offers.FLAGS)}
    prices = {name: str(getattr(offer, name)) for name in offers.PRICES}
    place = {name: getattr(offer, name) for name in offers.PLACE}
    return {**row, **prices, "place": place, "gpu_model": offer.gpu_model, "order": offer.order}


def _keys(vm: VM) -> dict[str, Any]:
    """Key pairs of this VM, made once, before its first order."""
    if vm.ssh_public_key:
        return {}
    host, login = make_keypair(), make_keypair()
    return {
        "host_private_key": host.private_openssh,
        "host_public_key": host.public_line,
        "ssh_private_key": login.private_openssh,
        "ssh_public_key": login.public_line,
        "agent_bootstrap": secrets.token_urlsafe(32),
    }
