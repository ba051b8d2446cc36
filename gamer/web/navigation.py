"""The admin's sidebar in plain words; each entry is there for those who may see its page. Pages are named by URL only."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse

# (title, icon, URL name, permissions of which one is enough)
GROUPS: tuple[tuple[str, tuple[tuple[str, str, str, tuple[str, ...]], ...]], ...] = (
    (
        "Play",
        (
            ("Overview", "home", "index", ()),
            ("Machines", "dns", "vms_vm_changelist", ("vms.view_vm",)),
            ("Saves", "save", "emulators_saveslot_changelist", ("emulators.view_saveslot",)),
            (
                "What would a launch pick?", "travel_explore", "vms_placement_preview",
                ("vms.view_offer", "emulators.view_emulatorconfig"),
            ),
        ),
    ),
    (
        "Providers",
        (
            ("Accounts", "cloud", "vms_provideraccount_changelist", ("vms.view_provideraccount",)),
            ("Offers", "sell", "vms_offer_changelist", ("vms.view_offer",)),
            ("Machine types", "developer_board", "vms_machinetype_changelist", ("vms.view_machinetype",)),
            ("Stray machines", "running_with_errors", "vms_stray_changelist", ("vms.view_stray",)),
            ("Installation", "toggle_on", "vms_installation_changelist", ("vms.view_installation",)),
        ),
    ),
    (
        "Consoles",
        (
            ("Consoles", "stadia_controller", "emulators_emulatorconfig_changelist", ("emulators.view_emulatorconfig",)),
            ("Games", "sports_esports", "emulators_game_changelist", ("emulators.view_game",)),
            ("Library files", "folder_open", "emulators_libraryfile_changelist", ("emulators.view_libraryfile",)),
            ("Library scans", "manage_search", "emulators_libraryscan_changelist", ("emulators.view_libraryscan",)),
            ("Uploads", "upload", "emulators_gameupload_changelist", ("emulators.view_gameupload",)),
            ("Machine sizes", "straighten", "emulators_preset_changelist", ("emulators.view_preset",)),
            ("GPU classes", "memory", "emulators_gpuclass_changelist", ("emulators.view_gpuclass",)),
        ),
    ),
    (
        "Money",
        (
            ("Costs", "monitoring", "billing_usageday_changelist", ("billing.view_usageday",)),
            ("Credit accounts", "account_balance_wallet", "billing_creditaccount_changelist", ("billing.view_creditaccount",)),
            ("Ledger", "receipt_long", "billing_entry_changelist", ("billing.view_entry",)),
            ("Usage", "timer", "billing_usagerecord_changelist", ("billing.view_usagerecord",)),
            ("Budgets", "savings", "billing_budget_changelist", ("billing.view_budget",)),
            ("Crossed budgets", "notification_important", "billing_budgetcrossing_changelist", ("billing.view_budgetcrossing",)),
            ("Provider balances", "account_balance", "billing_providerbalance_changelist", ("billing.view_providerbalance",)),
            ("Provider invoices", "request_quote", "billing_providerinvoice_changelist", ("billing.view_providerinvoice",)),
            ("Provider differences", "difference", "billing_fleetdifference_changelist", ("billing.view_fleetdifference",)),
            ("Rates", "price_change", "billing_rate_changelist", ("billing.view_rate",)),
            ("Factors", "percent", "billing_ratefactor_changelist", ("billing.view_ratefactor",)),
            ("Margin", "trending_up", "billing_margin_changelist", ("billing.view_margin",)),
            ("Proofs", "verified", "billing_verification_changelist", ("billing.view_verification",)),
        ),
    ),
    (
        "People",
        (
            ("People", "person", "accounts_user_changelist", ("accounts.view_user",)),
            ("Departments", "groups", "accounts_department_changelist", ("accounts.view_department",)),
            ("Projects", "folder", "accounts_project_changelist", ("accounts.view_project",)),
            ("Quotas", "speed", "accounts_quota_changelist", ("accounts.view_quota",)),
            ("Invitations", "mail", "accounts_invitation_changelist", ("accounts.view_invitation",)),
            ("API keys", "key", "accounts_apikey_changelist", ("accounts.view_apikey",)),
            ("What staff may do", "shield_person", "auth_group_changelist", ("auth.view_group",)),
        ),
    ),
    (
        "Records",
        (
            ("What happened", "history", "events_event_changelist", ("events.view_event",)),
            ("Messages sent", "send", "events_delivery_changelist", ("events.view_delivery",)),
            ("Places looked up", "location_on", "locations_geocodedplace_changelist", ("locations.view_geocodedplace",)),
            ("Regions", "public", "locations_region_changelist", ("locations.view_region",)),
            ("Location Finder", "network_ping", "locations_finderanswer_changelist", ("locations.view_finderanswer",)),
            ("Failed tasks", "error", "django_q_failure_changelist", ("django_q.view_failure",)),
            ("Schedules", "schedule", "django_q_schedule_changelist", ("django_q.view_schedule",)),
        ),
    ),
)  # fmt: skip


def favicon(request: HttpRequest) -> str:
    """Where the tab's picture lies."""
    return static("gamer/favicon.svg")


def stylesheet(request: HttpRequest) -> str:
    """Where what every page needs beyond unfold's own lies."""
    return static("gamer/admin.css")


def account(request: HttpRequest) -> list[dict[str, Any]]:
    """The links under the name of who is signed in."""
    links = (("Your account", "accounts_own"), ("Change password", "password_change"))
    return [{"title": title, "link": reverse(f"admin:{name}")} for title, name in links]


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Unfold's navigation for this person."""
    groups = []
    for title, entries in GROUPS:
        items = [_item(request, *entry) for entry in entries]
        if any(items):
            groups.append({"title": title, "separator": True, "items": [item for item in items if item]})
    return groups


def _item(
    request: HttpRequest, title: str, icon: str, name: str, permissions: tuple[str, ...]
) -> dict[str, Any] | None:
    if permissions and not any(request.user.has_perm(one) for one in permissions):
        return None
    try:
        link = reverse(f"admin:{name}")
    except NoReverseMatch:
        return None  # its app is not installed
    # Unfold's own guess takes every page below an address for that page, the preview for the fleet too.
    is_here = request.path == link or (name.endswith("_changelist") and _is_below(request, link))
    return {"title": title, "icon": icon, "link": link, "active": is_here}


def _is_below(request: HttpRequest, link: str) -> bool:
    match = request.resolver_match
    return request.path.startswith(link) and match is not None and match.url_name != "vms_placement_preview"
