"""The machines' part of the admin's front page: what runs, who sells, what went wrong. Bounded queries, only what one may see.

The page itself is portal's, which sees every room.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from vms import installation, queries, spending
from vms.admin.wording import COLOURS, HEALTH_COLOURS, ago, health, hourly, usd
from vms.lifecycle import Phase, Status, status_of
from vms.models import VM, ProviderAccount, Stray

ERRORS_SHOWN = 8
LATELY = timedelta(hours=24)
STRAYS_COUNTED = 100


def machines(request: HttpRequest, now: datetime) -> dict[str, Any]:
    """What `admin/index.html` shows of machines."""
    may = request.user.has_perm
    shown: dict[str, Any] = {}
    if may("vms.view_vm"):
        shown |= {"fleet": _fleet(now), "errors": _errors(now), "unproven": _unproven(now)}
    if may("vms.view_provideraccount"):
        shown["accounts"] = _accounts(now)
    if may("vms.view_stray"):
        count = Stray.objects.filter(gone_at=None)[: STRAYS_COUNTED + 1].count()
        shown["strays"] = f"{STRAYS_COUNTED}+" if count > STRAYS_COUNTED else str(count)
    if may("vms.view_installation"):
        shown["installation"] = installation.row()
    return shown


def _fleet(now: datetime) -> list[dict[str, Any]]:
    """VMs that are not over, by status; and how many launched lately ended in error. Never counts what is long over."""
    counts = dict.fromkeys(Status, 0)
    for row in (
        VM.objects.live().values("desired", "phase").order_by("desired", "phase").annotate(count=Count("pk"))
    ):
        counts[status_of(row["desired"], row["phase"])] += row["count"]
    del counts[Status.TERMINATED]
    since = now - LATELY  # of the launch: no index serves the end
    counts[Status.ERROR] = VM.objects.filter(phase=Phase.FAILED, created_at__gte=since).count()
    lately = f"&{urlencode({'created_at__gte': since.isoformat()})}"
    page = reverse("admin:vms_vm_changelist")
    return [
        {
            "status": "error, launched in 24 h" if status is Status.ERROR else status.value,
            "count": count,
            "colour": COLOURS[status] if count else "default",
            "link": f"{page}?status={status.value}{lately if status is Status.ERROR else ''}",
        }
        for status, count in counts.items()
    ]


def _unproven(now: datetime) -> dict[str, Any] | None:
    """Deletes that do not confirm, and what their machines have cost meanwhile; None while there are none."""
    count, cost = spending.unproven_deletes(now)
    return {"count": count, "cost": usd(cost)} if count else None


def _errors(now: datetime) -> list[dict[str, Any]]:
    """The newest VMs that failed, and those in trouble that are still being taken down."""
    shown = VM.objects.select_related("owner", "console", "attempt").only(
        *("id", "name", "desired", "phase", "error", "error_text", "created_at", "phase_since"),
        *("owner__handle", "console__display_name", "attempt__location_name"),
    )
    failed = shown.filter(phase=Phase.FAILED).order_by("-created_at")[:ERRORS_SHOWN]
    dying = shown.filter(phase=Phase.DELETING).exclude(error="").order_by("-created_at")[:ERRORS_SHOWN]
    newest = sorted([*failed, *dying], key=lambda vm: vm.created_at, reverse=True)[:ERRORS_SHOWN]
    return [
        {"vm": vm, "colour": COLOURS[vm.status], "when": ago(vm.phase_since, now), "owner": vm.owner}
        for vm in newest
    ]


def _accounts(now: datetime) -> list[dict[str, Any]]:
    loads = queries.loads()
    rows = []
    for account in ProviderAccount.objects.defer("credentials"):
        word, sentence = health(account, now)
        load = loads.get(account.pk, queries.Load())
        rows.append(
            {
                "account": account,
                "word": word,
                "colour": HEALTH_COLOURS[word],
                "sentence": sentence,
                "machines": load.machines,
                "spend": hourly(load.usd_per_hour),
                "offers": ago(account.offers_refreshed_at, now),
            }
        )
    return rows
