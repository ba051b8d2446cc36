"""The admin's forms: what staff type, read as drafts, and every fault put beside the field it belongs to."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

from django import forms
from unfold.forms import PaginationInlineFormSet
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextInputWidget,
)

from emulators.drafts import ConfigChanges, PreferenceDraft, extensions_in, tidy, words_in
from emulators.models import Console, EmulatorConfig, Game, GpuClass, Preset, ProviderKind, ProviderPreference
from emulators.rules import Faults
from emulators.services import configs, library

CONFIG_FIELDS = (
    *("console", "default_emulator", "default_preset", "min_cpu", "min_ram_gb", "requires_gpu", "gpu_class"),
    *("cost_per_hour_limit", "max_session_hours", "usd_per_1000_km"),
    *("supported_file_extensions", "save_file_extensions"),
)
PREFERENCE_FIELDS = (
    *("provider", "enabled", "preset_override", "gpu_class", "cost_per_hour_limit", "regions", "priority"),
)


class WordsField(forms.CharField):
    """Several short texts in one line, separated by commas; `tidy_up` says how each is written."""

    widget = UnfoldAdminTextInputWidget

    def __init__(
        self, *, tidy_up: Callable[[Sequence[str]], Sequence[str]] = words_in, **options: Any
    ) -> None:
        self.tidy_up = tidy_up
        super().__init__(**options)

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list | tuple) else value

    def to_python(self, value: Any) -> Any:
        return list(self.tidy_up(re.split(r"[,;\n]", value or "")))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(list(initial or []) != self.to_python(data))


class PriceField(forms.DecimalField):
    """USD per hour, shown with cents and as many places more as it has."""

    def __init__(self, **options: Any) -> None:
        attrs = {"style": "width: 6.5rem", "step": "any"}
        super().__init__(required=False, widget=UnfoldAdminDecimalFieldWidget(attrs=attrs), **options)

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, Decimal):
            return value
        whole, _, places = f"{value:.6f}".partition(".")
        return f"{whole}.{places.rstrip('0').ljust(2, '0')}"


def _price(model: type[Any], label: str, name: str = "cost_per_hour_limit") -> PriceField:
    column = model._meta.get_field(name)
    return PriceField(
        label=label,
        help_text=column.help_text,
        max_digits=column.max_digits,
        decimal_places=column.decimal_places,
    )


def _words(model: type[Any], name: str, tidy_up: Callable[[Sequence[str]], Sequence[str]]) -> WordsField:
    column = model._meta.get_field(name)
    return WordsField(
        tidy_up=tidy_up,
        label=column.verbose_name.capitalize(),
        help_text=column.help_text,
        required=not column.blank,
    )


def _terms_in(texts: Sequence[str]) -> Sequence[str]:
    return words_in(re.sub(r"[^a-z0-9]", "", text.lower()) for text in texts)


def _tell(form: forms.BaseForm, faults: Faults) -> None:
    """Puts each fault beside its field, or above the form when it has none."""
    for name, texts in faults.items():
        for text in texts:
            form.add_error(name if name in form.fields else None, text)


class _JudgedForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form whose row is also looked at beside other rows."""

    def faults(self) -> Faults:
        raise NotImplementedError

    def _post_clean(self) -> None:
        # The instance has the form's values only after this hook of Django's.
        super()._post_clean()  # type: ignore[misc]
        if not self.errors:
            _tell(self, self.faults())


def _seen() -> forms.CharField:
    """The row as it was when the page was opened (templates/emulators/seen.html)."""
    return forms.CharField(required=False, widget=forms.HiddenInput)


class ConfigForm(_JudgedForm):
    """A console's own values. What they mean for its providers is judged by the formset below."""

    seen = _seen()
    display_name = forms.CharField(
        max_length=60, widget=UnfoldAdminTextInputWidget, help_text="The name players see."
    )
    supported_file_extensions = _words(EmulatorConfig, "supported_file_extensions", extensions_in)
    save_file_extensions = _words(EmulatorConfig, "save_file_extensions", extensions_in)
    cost_per_hour_limit = _price(EmulatorConfig, "Limit (USD per hour)")
    usd_per_1000_km = _price(EmulatorConfig, "What 1,000 km are worth (USD per hour)", "usd_per_1000_km")

    class Meta:
        model = EmulatorConfig
        fields = CONFIG_FIELDS

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "console" in self.fields:
            consoles = cast("forms.ModelChoiceField[Console]", self.fields["console"])
            consoles.queryset = Console.objects.filter(config=None)
            consoles.help_text = "One that has no configuration yet."
            self.fields["display_name"].required = False
            self.fields["display_name"].help_text = "The name players see; empty for the usual one."
        else:
            self.initial["display_name"] = self.instance.console.display_name
            self.initial["seen"] = configs.seen_in(self.instance)

    def faults(self) -> Faults:
        alone = replace(configs.draft_of(self.instance), preferred_providers=())
        return configs.problems(tidy(alone), before=None).config

    def changes(self) -> ConfigChanges:
        """What the form says of the console, providers apart."""
        values = dict(self.cleaned_data)
        del values["seen"]
        values.pop("console", None)
        if not values["display_name"]:
            del values["display_name"]
        values["default_preset"] = values["default_preset"].slug
        values["gpu_class"] = values["gpu_class"].name if values["gpu_class"] else None
        return cast(ConfigChanges, values)


class PreferenceForm(forms.ModelForm):  # type: ignore[type-arg]
    """One provider. Its place in the list arrives as a number that only the order of counts."""

    regions = _words(ProviderPreference, "regions", words_in)
    cost_per_hour_limit = _price(ProviderPreference, "Limit ($/h)")
    priority = forms.IntegerField(required=False, widget=UnfoldAdminIntegerFieldWidget)

    class Meta:
        model = ProviderPreference
        fields = PREFERENCE_FIELDS

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.instance.pk is None:
            self.initial.pop("priority", None)  # a new row has no place yet: it comes last
        if self.instance.provider != ProviderKind.MEMORY:
            choices = cast(forms.ChoiceField, self.fields["provider"])
            choices.choices = [
                (value, label) for value, label in ProviderKind.choices if value != ProviderKind.MEMORY
            ]

    def _get_validation_exclusions(self) -> set[str]:
        # Rows may swap providers and places in one request; the whole list is judged by the formset.
        return {*super()._get_validation_exclusions(), "provider", "priority"}  # type: ignore[misc]

    def draft(self, priority: int) -> PreferenceDraft:
        """What the form says, in a place of the list."""
        values = self.cleaned_data
        preset, gpu_class = values["preset_override"], values["gpu_class"]
        return PreferenceDraft(
            provider=values["provider"],
            priority=priority,
            enabled=values["enabled"],
            preset_override=preset.slug if preset else None,
            cost_per_hour_limit=values["cost_per_hour_limit"],
            regions=tuple(values["regions"]),
            gpu_class=gpu_class.name if gpu_class else None,
        )


class PreferenceFormSet(PaginationInlineFormSet):  # type: ignore[misc]
    """A console's providers from first to last, judged together with the console's own values."""

    def listed(self) -> list[PreferenceForm]:
        """The rows that stay, in their order; rows without a place come last."""
        staying = [
            form
            for form in self.forms
            if getattr(form, "cleaned_data", {}).get("provider") and not self._should_delete_form(form)
        ]
        places = {id(form): form.cleaned_data.get("priority") for form in staying}
        return sorted(staying, key=lambda form: (places[id(form)] is None, places[id(form)] or 0))

    def drafts(self) -> tuple[PreferenceDraft, ...]:
        return tuple(form.draft(number) for number, form in enumerate(self.listed(), start=1))

    def clean(self) -> None:
        config = cast(EmulatorConfig, self.instance)
        if any(self.errors) or not (config.console_id and config.default_preset_id and config.min_cpu):
            return
        rows = self.listed()
        stored = configs.configs().filter(pk=config.pk).first()
        before = configs.draft_of(stored) if stored else None
        draft = replace(configs.draft_of(config), preferred_providers=self.drafts())
        found = configs.problems(tidy(draft), before=before)
        for form, faults in zip(rows, found.providers, strict=True):
            _tell(form, faults)
        # The rest of what is wrong with the console stands beside its fields already.
        if texts := found.config.get("cost_per_hour_limit"):
            raise forms.ValidationError(texts)


class GameForm(_JudgedForm):
    seen = _seen()

    class Meta:
        model = Game
        fields = (
            *("title", "console", "game_id", "preset", "min_cpu", "min_ram_gb", "requires_gpu"),
            *("gpu_class", "emulator", "file"),
        )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.instance.pk is not None:
            self.initial["seen"] = library.seen_in(self.instance)

    def faults(self) -> Faults:
        return library.game_faults(self.instance)


class PresetForm(_JudgedForm):
    class Meta:
        model = Preset
        fields = ("slug", "vcpus", "ram_gb", "disk_gb", "gpus")

    def faults(self) -> Faults:
        return library.preset_faults(self.instance)


class GpuClassForm(forms.ModelForm):  # type: ignore[type-arg]
    terms = _words(GpuClass, "terms", _terms_in)

    class Meta:
        model = GpuClass
        fields = ("name", "terms")
