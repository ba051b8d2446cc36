"""Provider accounts: how each is doing, what it holds and may hold, and what staff do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.views import ChangeList

from emulators.admin import by
from gamer.web.admin import ServiceAdmin
from gamer.web.confirming import PAGE, Question, asks, tell_it_was_so
from vms import provider_accounts, queries
from vms.admin.account_form import AccountForm
from vms.admin.wording import HEALTH_COLOURS, ago, health, hourly, kind_name
from vms.models import ProviderAccount


@dataclass(frozen=True, slots=True)
class Verb:
    """What staff do with an account: asked for on a page of its own, or from the list."""

    label: str
    meaning: str
    done: str
    call: Callable[..., Any]
    is_dangerous: bool = False


PAUSE = Verb(
    "Pause",
    "No new machines are made here. Existing ones go on, and are still stopped and deleted as usual.",
    "paused.",
    provider_accounts.pause,
    is_dangerous=True,
)
RESUME = Verb(
    "Resume",
    "New machines may be made here again. It is asked at once.",
    "resumed.",
    provider_accounts.resume,
)
REFRESH = Verb(
    "Refresh now",
    "Its offers are fetched and its machines compared with ours at once, not when their turn comes.",
    "will be asked in a moment.",
    provider_accounts.refresh_now,
)


class AccountList(ChangeList):  # type: ignore[misc]
    """The accounts with what each holds, in one further statement."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        loads = queries.loads()
        for account in self.result_list:
            vars(account)["load"] = loads.get(account.pk, queries.Load())


@admin.register(ProviderAccount)
class ProviderAccountAdmin(ServiceAdmin):
    empty_hint = (
        "Nothing can be bought without an account. Add one with the provider's "
        "credentials, or set them in the environment and run manage.py seed."
    )
    form = AccountForm
    list_display = ("name", "kind_label", "state", "why", "machines", "spend", "offers_age")
    list_display_links = ("name",)
    ordering = ("name",)
    actions = ("pause", "resume", "refresh")
    actions_detail = ("offers_page", "fleet_page", "pause_one", "resume_one", "refresh_one")
    show_facets = admin.ShowFacets.NEVER

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProviderAccount]:
        rows = ProviderAccount.objects.order_by("name")
        is_list = request.resolver_match is not None and "object_id" not in request.resolver_match.kwargs
        return rows.defer("credentials") if is_list else rows

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return AccountList

    def get_fieldsets(self, request: HttpRequest, obj: ProviderAccount | None = None) -> Any:
        who = ("name", "kind") if obj is None else ("name",)
        now = () if obj is None else (("Now", {"fields": ("health_now", "load_now")}),)
        # What the clouds are told besides is no secret, but who may not change it need not see whose account it is.
        secret = ("base_url", "settings", "secret") if self._may_write(request, obj) else ("base_url",)
        return (
            *now,
            ("Account", {"fields": (who, *secret)}),
            ("Limits", {"fields": (("max_machines", "max_usd_per_hour"), "calls_per_minute")}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name", "health_now", "load_now") if obj is not None else ()

    def _may_write(self, request: HttpRequest, obj: ProviderAccount | None) -> bool:
        return bool(
            self.has_add_permission(request) if obj is None else self.has_change_permission(request, obj)
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # its orders and their costs stay on record; it is paused

    def save_model(self, request: HttpRequest, obj: ProviderAccount, form: AccountForm, change: bool) -> None:
        now, who = timezone.now(), by(request)
        if change:
            provider_accounts.change(account=obj, draft=form.draft(), by=who, now=now)
        else:
            obj.pk = provider_accounts.create(draft=form.draft(), by=who, now=now).pk

    def _each(self, request: HttpRequest, accounts: Iterable[ProviderAccount], verb: Verb) -> None:
        for account in accounts:
            if verb.call(account=account, by=by(request), now=timezone.now()) is False:
                tell_it_was_so(request, account)
            else:
                messages.success(request, f"{account}: {verb.done}")

    def _asked(self, request: HttpRequest, object_id: str, verb: Verb) -> HttpResponse:
        """GET asks, POST does it."""
        account = self.get_object(request, object_id)
        if account is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[no-any-return]
        page = reverse("admin:vms_provideraccount_change", args=[account.pk])
        if request.method == "POST":
            self._each(request, [account], verb)
            return HttpResponseRedirect(page)
        shown = {
            "act": verb,
            "title": f"{verb.label}: {account}",
            "opts": self.opts,
            "original": account,
            "back": page,
        }
        return TemplateResponse(request, PAGE, {**self.admin_site.each_context(request), **shown})

    @admin.action(description="Pause: no new machines", permissions=["change"])
    @asks(Question(PAUSE.label, PAUSE.meaning, is_dangerous=True))
    def pause(self, request: HttpRequest, queryset: QuerySet[ProviderAccount]) -> None:
        self._each(request, queryset, PAUSE)

    @admin.action(description="Resume", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[ProviderAccount]) -> None:
        self._each(request, queryset, RESUME)

    @admin.action(description="Refresh now: offers and machines", permissions=["change"])
    def refresh(self, request: HttpRequest, queryset: QuerySet[ProviderAccount]) -> None:
        self._each(request, queryset, REFRESH)

    @action(
        description="Pause",
        permissions=["change"],
        icon="pause",
        variant=ActionVariant.WARNING,
        url_path="pause",
    )  # type: ignore[untyped-decorator]
    def pause_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._asked(request, object_id, PAUSE)

    @action(
        description="Resume",
        permissions=["change"],
        icon="play_arrow",
        variant=ActionVariant.SUCCESS,
        url_path="resume",
    )  # type: ignore[untyped-decorator]
    def resume_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._asked(request, object_id, RESUME)

    @action(description="Refresh now", permissions=["change"], icon="refresh", url_path="refresh")  # type: ignore[untyped-decorator]
    def refresh_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._asked(request, object_id, REFRESH)

    @action(description="Offers", permissions=["offers"], icon="sell", url_path="offers")  # type: ignore[untyped-decorator]
    def offers_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(f"{reverse('admin:vms_offer_changelist')}?account__id__exact={object_id}")

    @action(description="Machines", permissions=["fleet"], icon="dns", url_path="machines")  # type: ignore[untyped-decorator]
    def fleet_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(f"{reverse('admin:vms_vm_changelist')}?status=live&account={object_id}")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Pause where staff have not, also while we have for some minutes; Resume where anybody has. Whoever comes to another, from
        a page of before, is told: not by permissions, for then it would be said that one's login has none."""
        offered: list[Any] = super().get_actions_detail(request, object_id)
        account = self.get_object(request, object_id)
        if account is None:
            return offered
        idle: set[str] = {"pause_one"} if account.is_paused else set()
        if account.may_buy(timezone.now()):
            idle.add("resume_one")
        return [one for one in offered if one.method.__name__ not in idle]

    # Not as dotted names: unfold's check would look those up in the database, which `migrate` has yet to fill.
    def has_offers_permission(self, request: HttpRequest, object_id: str) -> bool:
        return request.user.has_perm("vms.view_offer")

    def has_fleet_permission(self, request: HttpRequest, object_id: str) -> bool:
        return request.user.has_perm("vms.view_vm")

    @admin.display(description="Kind")
    def kind_label(self, account: ProviderAccount) -> str:
        return kind_name(account.kind)

    @display(description="Health", label=HEALTH_COLOURS)  # type: ignore[untyped-decorator]
    def state(self, account: ProviderAccount) -> str:
        return health(account, timezone.now())[0]

    @admin.display(description="In words")
    def why(self, account: ProviderAccount) -> str:
        return health(account, timezone.now())[1]

    @admin.display(description="Machines")
    def machines(self, account: ProviderAccount) -> str:
        held, most = _load(account).machines, account.max_machines
        return f"{held}, no limit" if most is None else f"{held} of {most}"

    @admin.display(description="Spend now")
    def spend(self, account: ProviderAccount) -> str:
        held, most = hourly(_load(account).usd_per_hour), account.max_usd_per_hour
        return f"{held}, no limit" if most is None else f"{held} of {hourly(most)}"

    @admin.display(description="Offers")
    def offers_age(self, account: ProviderAccount) -> str:
        return ago(account.offers_refreshed_at, timezone.now())

    @admin.display(description="Health")
    def health_now(self, account: ProviderAccount) -> str:
        word, sentence = health(account, timezone.now())
        return f"{word.capitalize()}. {sentence} Offers fetched {self.offers_age(account)}."

    @admin.display(description="Holds")
    def load_now(self, account: ProviderAccount) -> str:
        return f"Machines: {self.machines(account)}. Spend: {self.spend(account)}."


def _load(account: ProviderAccount) -> queries.Load:
    """What the list has looked up for all its rows, or looked up now for the one of a page."""
    known: queries.Load | None = vars(account).get("load")
    return known if known is not None else queries.loads().get(account.pk, queries.Load())
