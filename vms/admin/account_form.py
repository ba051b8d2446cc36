"""The form of a provider account: what is wrong is said in words, and the secret goes in and never comes out."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminSelectWidget

from vms import provider_accounts
from vms.admin.wording import kind_name
from vms.models import ProviderAccount
from vms.provider_accounts import AccountDraft
from vms.providers import registry


class AccountForm(forms.ModelForm):  # type: ignore[type-arg]
    secret = forms.CharField(
        label="API token",
        required=False,
        strip=True,
        max_length=2000,
        widget=UnfoldAdminPasswordWidget(render_value=False, attrs={"autocomplete": "new-password"}),
    )

    class Meta:
        model = ProviderAccount
        fields = ("name", "kind", "base_url", "calls_per_minute", "max_machines", "max_usd_per_hour")
        labels = {
            "base_url": "Address",
            "max_machines": "Most machines",
            "max_usd_per_hour": "Most USD per hour",
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        stored = self.instance.pk is not None and bool(self.instance.credentials)
        self.fields["secret"].help_text = (
            "One is stored. Leave this empty to keep it." if stored else "None is stored yet."
        )
        if "kind" in self.fields:
            kinds = [kind for kind in registry.KINDS if kind != "memory"]
            self.fields["kind"] = forms.ChoiceField(
                choices=[(kind, kind_name(kind)) for kind in kinds], widget=UnfoldAdminSelectWidget
            )

    def draft(self) -> AccountDraft:
        values = self.cleaned_data
        return AccountDraft(
            name=values["name"],
            kind=values.get("kind") or self.instance.kind,
            base_url=values["base_url"].strip(),
            calls_per_minute=values["calls_per_minute"],
            max_machines=values["max_machines"],
            max_usd_per_hour=values["max_usd_per_hour"],
            secret=values["secret"],
        )

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            has_secret = self.instance.pk is not None and bool(self.instance.credentials)
            for name, text in provider_accounts.faults(self.draft(), has_secret=has_secret).items():
                self.add_error(name if name in self.fields else None, text)
        return values
