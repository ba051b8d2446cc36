"""Who pays: the project's account if it has one, else the department's, else the user's own, opened on first look."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import transaction

from accounts.models import Department, Project, User
from billing import ledger
from billing.models import CreditAccount, Entry
from billing.models.ledger import AccountKind
from billing.services.grants import give

Owner = User | Project | Department


def payer_of(
    *, user: User | None, project: Project | None, department: Department | None, now: datetime
) -> CreditAccount:
    """The account that a machine for them is charged to. What nobody owns is ours."""
    if project is not None and (found := CreditAccount.objects.filter(project=project).first()):
        return found
    if department is not None and (found := CreditAccount.objects.filter(department=department).first()):
        return found
    return account_of(user, now) if user is not None else unowned()


def unowned() -> CreditAccount:
    """Our own account that pays for what nobody owns."""
    return ledger.house(ledger.UNOWNED)


def account_of(owner: Owner, now: datetime) -> CreditAccount:
    """The owner's account, opened when it is looked at for the first time. People who sign up start with some credit."""
    kind = _kind_of(owner)
    return CreditAccount.objects.filter(**{kind: owner}).first() or _open(kind, owner, now)


@transaction.atomic
def _open(kind: AccountKind, owner: Owner, now: datetime) -> CreditAccount:
    """Two first looks at once: the unique owner lets one row in, the entry's key one credit."""
    is_postpaid = isinstance(owner, User) and (owner.is_postpaid or owner.is_staff)
    CreditAccount.objects.bulk_create(
        [CreditAccount(kind=kind, is_postpaid=is_postpaid, opened_at=now, **{kind.value: owner})],
        ignore_conflicts=True,
    )
    account = CreditAccount.objects.get(**{kind: owner})
    if isinstance(owner, User) and owner.is_postpaid != account.is_postpaid:
        User.objects.filter(pk=owner.pk).update(is_postpaid=account.is_postpaid)
    credit = settings.SIGNUP_CREDIT_USD
    if isinstance(owner, User) and not is_postpaid and credit > 0:
        give(
            account=account,
            usd=credit,
            key=f"signup:{owner.pk}",
            kind=Entry.Kind.SIGNUP,
            actor="policy:signup",
            reason="Welcome",
            now=now,
        )
    account.refresh_from_db()
    return account


def _kind_of(owner: Owner) -> AccountKind:
    if isinstance(owner, User):
        return AccountKind.USER
    return AccountKind.PROJECT if isinstance(owner, Project) else AccountKind.DEPARTMENT
