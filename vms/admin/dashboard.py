"""The admin's front page: what runs, who sells, what went wrong. Bounded queries, and only what one may see."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from vms import installation, queries
from vms.admin.wording import COLOURS, HEALTH_COLOURS, ago, health, hourly
from vms.lifecycle import Phase, Status, status_of
from vms.models import VM, ProviderAccount, Stray

ERRORS_SHOWN = 8
LATELY = timedelta(hours=24)
STRAYS_COUNTED = 100


def front_page(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's dashboard callback: adds what `admin/index.html` shows."""
    may = request.user.has_perm
    shown = {**context, "title": "Overview"}
    if may("vms.view_vm"):
        shown |= {"fleet": _fleet(), "errors": _errors()}
    if may("vms.view_provideraccount"):
        shown["accounts"] = _accounts()
    if may("vms.view_stray"):
        count = Stray.objects.filter(gone_at=None)[: STRAYS_COUNTED + 1].count()
        shown["strays"] = f"{STRAYS_COUNTED}+" if count > STRAYS_COUNTED else str(count)
    if may("vms.view_installation"):
        shown["installation"] = installation.row()
    return shown


def _fleet() -> list[dict[str, Any]]:
    """VMs that are not over, by status; and how many ended in error lately. Never counts what is long over."""
    counts = dict.fromkeys(Status, 0)
    for row in (
        VM.objects.live().values("desired", "phase").order_by("desired", "phase").annotate(count=Count("pk"))
    ):
        counts[status_of(row["desired"], row["phase"])] += row["count"]
    del counts[Status.TERMINATED]
    lately = Q(phase=Phase.FAILED, created_at__gte=timezone.now() - LATELY)
    counts[Status.ERROR] = VM.objects.filter(lately).count()
    page = reverse("admin:vms_vm_changelist")
    return [
        {
            "status": "error, last 24 h" if status is Status.ERROR else status.value,
            "count": count,
            "colour": COLOURS[status] if count else "default",
            "link": f"{page}?status={status.value}",
        }
        for status, count in counts.items()
    ]


def _errors() -> list[dict[str, Any]]:
    """The newest VMs that failed, and those in trouble that are still being taken down."""
    now = timezone.now()
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


def _accounts() -> list[dict[str, Any]]:
    now, loads = timezone.now(), queries.loads()
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
