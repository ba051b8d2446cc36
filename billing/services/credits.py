"""Credit that staff give and take, and what people may see of it."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.models import Department, Project, User
from accounts.principal import Principal
from billing import ledger, rating
from billing.models import CreditAccount, Entry, Leg
from billing.models.ledger import AccountKind
from billing.services.accounts import Owner, account_of
from billing.services.grants import about, give
from billing.services.holds import plain
from billing.sight import sight_of
from events.services import record
from gamer.errors import InsufficientCredits, bad_field

MOST = Decimal(1_000_000)


@transaction.atomic
def change(
    *,
    by: Principal,
    owner: Owner,
    usd: Decimal,
    reason: str,
    now: datetime,
    expires_at: datetime | None = None,
    key: str | None = None,
) -> CreditAccount:
    """Gives credit, or takes it where `usd` is negative. Under the same `key` it happens once. Returns the account.

    Raises ValidationError naming the field, InsufficientCredits when more is taken than is free on a prepaid account.
    """
    usd = rating.amount(usd)
    if not usd or abs(usd) > MOST:
        raise bad_field("amount", f"must be other than 0, and at most {MOST:,} USD either way")
    if not reason.strip():
        raise bad_field("reason", "this field is required")
    if expires_at is not None and (usd < 0 or expires_at <= now):
        raise bad_field(
            "expires_at", "must be in the future" if usd > 0 else "only credit that is given expires"
        )
    account = CreditAccount.objects.select_for_update(no_key=True).get(pk=account_of(owner, now).pk)
    key = f"credit:{key or uuid.uuid4().hex}"
    if usd > 0:
        posted = give(
            account=account, usd=usd, key=key, kind=Entry.Kind.GRANT, actor=by.label, reason=reason,
            now=now, expires_at=expires_at,
        )  # fmt: skip
    else:
        sides = [ledger.Side(account.pk, usd), ledger.Side(ledger.house(ledger.GIVEN).pk, -usd)]
        if not account.is_postpaid and account.available_usd + usd < 0 and not _is_booked(key):
            raise InsufficientCredits(
                f"{account} has {plain(account.available_usd)} USD free; {plain(-usd)} USD cannot be taken.",
                details={
                    "amount": [f"at most {plain(max(account.available_usd, rating.ZERO))} can be taken"]
                },
            )
        (posted,) = ledger.post_many([ledger.Posting(key, Entry.Kind.DEDUCT, sides, by.label, reason)], now)
    if posted.is_new:
        what = "credit_given" if usd > 0 else "credit_taken"
        record(about(account, what, {"usd": rating.told(abs(usd)), "reason": reason}, now, by.label))
    account.refresh_from_db()
    return account


def _is_booked(key: str) -> bool:
    return Entry.objects.filter(key=key).exists()


def set_postpaid(*, by: Principal, account: CreditAccount, is_postpaid: bool, now: datetime) -> None:
    """Lets an account play without credit, or no longer."""
    with transaction.atomic():
        if account.user_id is not None:
            # Before the account, as a launch does: it would wait for us as we for it.
            User.objects.select_for_update(no_key=True).get(pk=account.user_id)
        if CreditAccount.objects.filter(pk=account.pk, is_postpaid=not is_postpaid).update(
            is_postpaid=is_postpaid
        ):
            if account.user_id is not None:
                # The person's page and lists show it, too.
                User.objects.filter(pk=account.user_id).update(is_postpaid=is_postpaid)
            record(about(account, "update", {"is_postpaid": str(is_postpaid)}, now, by.label))
    account.refresh_from_db(fields=["is_postpaid"])


def accounts_of(principal: Principal, now: datetime) -> QuerySet[CreditAccount]:
    """The accounts a principal may look at: staff all; people their own and their projects', managers the department's."""
    theirs = CreditAccount.objects.exclude(kind=AccountKind.HOUSE)
    sight = sight_of(principal)
    if sight.is_everything:
        return theirs
    user = principal.user if principal.key is None else None
    if user is not None:
        account_of(user, now)
    if sight.department_id is not None:
        mine = (
            Q(department=sight.department_id)
            | Q(project__department=sight.department_id)
            | Q(user__department=sight.department_id)
        )
        return theirs.filter(mine if user is None else mine | Q(user=user) | Q(project__owner=user))
    if sight.user_id is not None:
        return theirs.filter(Q(user=sight.user_id) | Q(project__owner=sight.user_id))
    return theirs.filter(user__is_staff=False, user__is_superuser=False)


def transactions_of(principal: Principal, now: datetime) -> QuerySet[Leg]:
    """What moved on those accounts. Of people's own, managers see no use but the department's: what was before they joined is theirs."""
    legs = Leg.objects.filter(account__in=accounts_of(principal, now))
    sight = sight_of(principal)
    if sight.department_id is not None:
        elsewhere = Q(account__user__isnull=False, record__isnull=False) & ~Q(
            record__centre__department=sight.department_id
        )
        if principal.user is not None and principal.key is None:
            elsewhere &= ~Q(account__user=principal.user)
        legs = legs.exclude(elsewhere)
    return legs.select_related("entry", "account", "record__subject")


def owner_named(
    by: Principal,
    *,
    user_id: str | None = None,
    project_id: int | None = None,
    department_id: int | None = None,
) -> Owner:
    """Whose account a request means: exactly one of three, and within the department of a key that has one.

    Raises ValidationError naming the field.
    """
    given = {
        name: value
        for name, value in {
            "user_id": user_id,
            "project_id": project_id,
            "department_id": department_id,
        }.items()
        if value is not None
    }
    if len(given) != 1:
        raise bad_field(next(iter(given), "user_id"), "exactly one of user_id, project_id and department_id")
    people, projects, departments = User.objects.all(), Project.objects.all(), Department.objects.all()
    sight = sight_of(by)
    if not sight.is_everything:
        within = sight.department_id
        people, projects = people.filter(department=within), projects.filter(department=within)
        departments = departments.filter(pk__in=[within])
    found: Owner | None
    if user_id is not None:
        matches = list(people.filter(handle=user_id)[:2])
        if len(matches) > 1:
            raise bad_field("user_id", "several departments have a user of this name")
        found = matches[0] if matches else None
    elif project_id is not None:
        found = projects.filter(pk=project_id).first()
    else:
        assert department_id is not None
        found = departments.filter(pk=department_id).first()
    if found is None:
        raise bad_field(next(iter(given)), "there is none")
    return found
