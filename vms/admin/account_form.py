"""The form of a provider account: what is wrong is said in words, and the secret goes in and never comes out."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from gamer.sealed import ShutDict
from vms import provider_accounts
from vms.admin.wording import kind_name
from vms.models import ProviderAccount
from vms.provider_accounts import AccountDraft
from vms.providers import registry

SETTINGS_HELP = (
    "For the clouds, a line each. Google: project_id=…; AWS: access_key_id=…; Azure: subscription_id=…, tenant_id=…, "
    "client_id=…; Scaleway: access_key=…, project_id=…. Google, AWS and Azure may also stand on what the host is signed in as."
)
SECRET_HELP = (
    "TensorDock and Paperspace: the API token. Google: a service account's key (JSON). AWS: the secret access key. "
    "Azure: the client secret. Scaleway: the secret key."
)


class AccountForm(forms.ModelForm):  # type: ignore[type-arg]
    secret = forms.CharField(
        label="Secret",
        required=False,
        strip=True,
        max_length=8000,
        widget=UnfoldAdminPasswordWidget(render_value=False, attrs={"autocomplete": "new-password"}),
    )

    settings = forms.CharField(
        required=False,
        max_length=2000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text=SETTINGS_HELP,
    )

    class Meta:
        model = ProviderAccount
        fields = ("name", "kind", "base_url", "calls_per_minute", "max_machines", "max_usd_per_hour")
        help_texts = {
            "name": "Stays as it is: by the name an account finds its credentials in the environment."
        }
        labels = {
            "base_url": "Address",
            "max_machines": "Most machines",
            "max_usd_per_hour": "Most USD per hour",
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        stored = self.instance.pk is not None and bool(self.instance.credentials)
        state = (
            "Credentials are stored. Leave this empty to keep the secret."
            if stored
            else "None is stored yet."
        )
        if stored and isinstance(self.instance.credentials, ShutDict):
            state = provider_accounts.SHUT
        self.fields["secret"].help_text = f"{state} {SECRET_HELP}"
        if stored and "settings" in self.fields:
            known = provider_accounts.plain_settings(self.instance)
            self.initial["settings"] = "\n".join(f"{name}={value}" for name, value in known.items())
        if "kind" in self.fields:
            kinds = [kind for kind in registry.KINDS if kind != "memory"]
            self.fields["kind"] = forms.ChoiceField(
                choices=[(kind, kind_name(kind)) for kind in kinds], widget=UnfoldAdminSelectWidget
            )

    def draft(self) -> AccountDraft:
        values = self.cleaned_data
        return AccountDraft(
            name=values.get("name") or self.instance.name,
            kind=values.get("kind") or self.instance.kind,
            base_url=values["base_url"].strip(),
            calls_per_minute=values["calls_per_minute"],
            max_machines=values["max_machines"],
            max_usd_per_hour=values["max_usd_per_hour"],
            secret=values["secret"],
            settings=values["settings"],
        )

    def clean_settings(self) -> dict[str, str]:
        lines = [line.strip() for line in self.cleaned_data["settings"].splitlines() if line.strip()]
        pairs = [tuple(part.strip() for part in line.partition("=")[::2]) for line in lines]
        for line, pair in zip(lines, pairs, strict=True):
            if not all(pair):
                raise forms.ValidationError(f"{line!r} is not of the form name=value.")
        return dict(pairs)

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            former = self.instance if self.instance.pk is not None else None
            for name, text in provider_accounts.faults(self.draft(), former=former).items():
                self.add_error(name if name in self.fields else None, text)
        return values
