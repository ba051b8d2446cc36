"""The page of a quota: limits beside what is held of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from unfold.views import ChangeList

from accounts import quotas
from accounts.models import Quota
from accounts.principal import policy
from emulators.admin import by as principal_at
from gamer.web.admin import ServiceAdmin
from portal import queries

KINDS = ("user", "project", "department")


def to_limits(page: Any, request: HttpRequest, object_id: str) -> HttpResponse:
    """Leads to where the limits of a page's user, project or department are set: their quota's page, or a new one's."""
    holder = page.get_object(request, object_id)
    if holder is None:
        gone: HttpResponse = page._get_obj_does_not_exist_redirect(request, page.opts, object_id)
        return gone
    quota = quotas.of(holder)
    if quota is not None:
        return HttpResponseRedirect(reverse("admin:accounts_quota_change", args=[quota.pk]))
    new = reverse("admin:accounts_quota_add")
    return HttpResponseRedirect(f"{new}?{page.opts.model_name}={holder.pk}")


def limits_words(holder: quotas.Holder) -> str:
    """The limits of one holder beside what is held."""
    quota = quotas.of(holder)
    return "none of its own" if quota is None else _words(_with_use([quota])[0])


def _with_use(rows: Sequence[Quota]) -> list[queries.Limits]:
    return queries.with_use(rows, policy("limits"))  # staff's pages show all of it


def _words(limits: queries.Limits) -> str:
    quota, used = limits.quota, limits.used
    said = [
        f"{used.vms} of {quota.max_vms} VMs" if quota.max_vms is not None else "",
        f"{used.gpu_vms} of {quota.max_gpu_vms} VMs with a GPU" if quota.max_gpu_vms is not None else "",
        f"{used.usd_per_hour:.2f} of {quota.max_usd_per_hour:.2f} USD an hour"
        if quota.max_usd_per_hour is not None
        else "",
    ]
    return ", ".join(one for one in said if one) or "no limit is set"


class QuotaForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Quota
        fields = (*KINDS, *quotas.LIMITS)

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if self.instance.pk is None and sum(given.get(kind) is not None for kind in KINDS) != 1:
            raise forms.ValidationError("Choose one: a person, a project or a department.")
        return given


class QuotaList(ChangeList):  # type: ignore[misc]
    """One page of quotas with what is held of each, in three further statements at most."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        for one in _with_use(list(self.result_list)):
            vars(one.quota)["words"] = _words(one)


@admin.register(Quota)
class QuotaAdmin(ServiceAdmin):
    empty_hint = (
        "Everybody may hold as many VMs as credit and provider accounts "
        "allow. A quota limits one person, project or department."
    )
    form = QuotaForm
    list_display = ("whose", "kind", "use")
    list_select_related = (*KINDS, "within")
    autocomplete_fields = KINDS
    readonly_fields = ("whose", "use")

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return QuotaList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Quota]:
        return Quota.objects.select_related(*KINDS, "within").order_by("-id")

    def get_fields(self, request: HttpRequest, obj: Quota | None = None) -> tuple[str, ...]:
        """Whose it is never changes."""
        return (*KINDS, *quotas.LIMITS) if obj is None else ("whose", "use", *quotas.LIMITS)

    def save_model(self, request: HttpRequest, obj: Quota, form: QuotaForm, change: bool) -> None:
        limits = {name: form.cleaned_data[name] for name in quotas.LIMITS if name in form.changed_data}
        by, now = principal_at(request), timezone.now()
        if change:
            quotas.change(by=by, quota=obj, **limits, now=now)
        else:
            obj.pk = quotas.create(by=by, holder=obj.holder, **limits, now=now).pk

    def delete_model(self, request: HttpRequest, obj: Quota) -> None:
        quotas.lift(by=principal_at(request), quota=obj, now=timezone.now())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Quota]) -> None:
        for quota in queryset:
            self.delete_model(request, quota)

    @admin.display(description="Whose")
    def whose(self, quota: Quota) -> str:
        return f"{quota.holder}" if quota.within is None else f"{quota.holder} in {quota.within}"

    @admin.display(description="Held now")
    def use(self, quota: Quota) -> str:
        return vars(quota).get("words") or _words(_with_use([quota])[0])
