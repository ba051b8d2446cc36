"""Changing how a console is run. The API and the admin call the same functions; a change holds from the next launch on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError as InvalidRow
from django.db import models, transaction
from django.utils.module_loading import import_string

from accounts.principal import Principal
from emulators.drafts import ConfigChanges, ConfigDraft, PreferenceChanges, PreferenceDraft, put, ranked, tidy
from emulators.facts import OfferFactsSource, no_facts
from emulators.models import Console, EmulatorConfig, GpuClass, Preset, ProviderKind, ProviderPreference
from emulators.rules import Judge, Problems
from emulators.services.profiles import gpu_table, not_configured, size_of
from emulators.shipped import CONSOLES
from events.services import Happening, record
from gamer.errors import Conflict, ValidationError, bad_field
from locations.services import is_place

RESOURCE = "emulators"
CHANGED_SINCE = (
    "It was changed after you opened this page, by somebody else or by a scan. Nothing is saved: "
    "open the page anew and make your changes there."
)
PLAIN_FIELDS = (
    "default_emulator",
    "min_cpu",
    "min_ram_gb",
    "requires_gpu",
    "cost_per_hour_limit",
    "usd_per_1000_km",
    "max_session_hours",
)


def create_config(*, console: str, changes: ConfigChanges, by: Principal, now: datetime) -> EmulatorConfig:
    """Configures a console; what is left out takes the shipped value.

    Raises ValidationError (with words per field), or Conflict when the console is configured already.
    """
    with transaction.atomic():
        row = _locked_console(console)
        if row is None:
            raise bad_field("console_type", f"There is no console {console}.")
        if EmulatorConfig.objects.filter(console=row).exists():
            raise Conflict(f"{row} is configured already.", details={"console_type": ["Configured already."]})
        shipped = replace(CONSOLES[row.slug], display_name=row.display_name)
        _write(row, EmulatorConfig(console=row), None, tidy(replace(shipped, **changes)))
        record(Happening(now, by.label, "create", RESOURCE, console))
        return get_config(console=console)


def update_config(
    *, console: str, changes: ConfigChanges, by: Principal, now: datetime, seen: str = ""
) -> EmulatorConfig:
    """Changes what is named and keeps the rest; a given list of providers replaces the old one.

    `seen` is `seen_in` the row that the changes were made on. Raises Conflict when it is another one by now, NotFound
    when the console is not configured, ValidationError (with words per field, providers by their place in the list).
    """
    with transaction.atomic():
        row, config = _locked_config(console)
        before = draft_of(config)
        if seen and seen != digest_of(_plain(before)):
            raise Conflict(CHANGED_SINCE)
        _change(row, config, before, tidy(replace(before, **changes)), by, now)
        return get_config(console=console)


def upsert_provider(
    *, console: str, provider: str, changes: PreferenceChanges, by: Principal, now: datetime
) -> tuple[EmulatorConfig, bool]:
    """Adds a provider to a console's list or changes it there; says whether it is new.

    Without a priority it stays, or comes last; with one that is taken, those in its way move down.
    Raises as `update_config`; faults are named without the list's index.
    """
    with transaction.atomic():
        row, config = _locked_config(console)
        before = draft_of(config)
        listed = put(before.preferred_providers, provider, changes)
        after = tidy(replace(before, preferred_providers=listed))
        number = next(n for n, one in enumerate(after.preferred_providers) if one.provider == provider)
        try:
            _change(row, config, before, after, by, now)
        except ValidationError as error:
            prefix = f"preferred_providers.{number}."
            mine = {name.removeprefix(prefix): texts for name, texts in error.details.items()}
            raise invalid(mine) from None
        is_new = len(listed) > len(before.preferred_providers)
        return get_config(console=console), is_new


def delete_config(*, console: str, by: Principal, now: datetime) -> None:
    """Ends launches of the console. Its games and its machines stay. Raises NotFound when it is not configured."""
    with transaction.atomic():
        _, config = _locked_config(console)
        kept = _plain(draft_of(config))
        config.delete()
        record(Happening(now, by.label, "delete", RESOURCE, console, kept))


def get_config(*, console: str) -> EmulatorConfig:
    """The console's configuration with everything a page shows. Raises NotFound."""
    config = configs().filter(console=console).first()
    if config is None:
        raise not_configured()
    return config


def configs() -> models.QuerySet[EmulatorConfig]:
    """All configurations in the order of the consoles; two queries, however many."""
    listed = ProviderPreference.objects.select_related("gpu_class").order_by("priority")
    return EmulatorConfig.objects.select_related("console", "gpu_class").prefetch_related(
        models.Prefetch("preferences", queryset=listed)
    )


def draft_of(config: EmulatorConfig) -> ConfigDraft:
    """A row of `configs()` as plain values."""
    return ConfigDraft(
        display_name=config.console.display_name,
        default_emulator=config.default_emulator,
        default_preset=config.default_preset_id,
        min_cpu=config.min_cpu,
        min_ram_gb=config.min_ram_gb,
        requires_gpu=config.requires_gpu,
        gpu_class=config.gpu_class.name if config.gpu_class else None,
        cost_per_hour_limit=config.cost_per_hour_limit,
        usd_per_1000_km=config.usd_per_1000_km,
        max_session_hours=config.max_session_hours,
        supported_file_extensions=tuple(config.supported_file_extensions),
        save_file_extensions=tuple(config.save_file_extensions),
        preferred_providers=tuple(
            PreferenceDraft(
                provider=one.provider,
                priority=one.priority,
                enabled=one.enabled,
                preset_override=one.preset_override_id,
                cost_per_hour_limit=one.cost_per_hour_limit,
                regions=tuple(one.regions),
                gpu_class=one.gpu_class.name if one.gpu_class else None,
            )
            for one in config.preferences.all()
        ),
    )


def problems(draft: ConfigDraft, *, before: ConfigDraft | None) -> Problems:
    """What is wrong with a draft, in words; three queries and what the stock's source needs."""
    name = getattr(settings, "OFFER_FACTS", "")
    facts: OfferFactsSource = import_string(name) if name else no_facts
    judge = Judge(
        presets={preset.slug: size_of(preset) for preset in Preset.objects.all()},
        gpus=gpu_table(),
        labels=dict(ProviderKind.choices),
        facts=facts,
        is_on_map=is_place,
        before=before,
    )
    return judge.problems(draft)


def _locked_console(console: str) -> Console | None:
    """Locks the console for this transaction, against other changes but not against launches (which reference it)."""
    return Console.objects.select_for_update(no_key=True).filter(slug=console).first()


def _locked_config(console: str) -> tuple[Console, EmulatorConfig]:
    row = _locked_console(console)
    if row is None:
        raise not_configured()
    return row, get_config(console=console)


def _change(
    row: Console,
    config: EmulatorConfig,
    before: ConfigDraft,
    after: ConfigDraft,
    by: Principal,
    now: datetime,
) -> None:
    if before == ranked(after):
        return
    _write(row, config, before, after)
    old, new = _plain(before), _plain(ranked(after))
    changed = {name: [old[name], new[name]] for name in new if old[name] != new[name]}
    record(Happening(now, by.label, "update", RESOURCE, row.slug, changed))


def _write(row: Console, config: EmulatorConfig, before: ConfigDraft | None, draft: ConfigDraft) -> None:
    """Makes the rows say what the draft says, once it is found sound. Raises ValidationError."""
    classes = {known.name: known for known in GpuClass.objects.all()}
    row.display_name = draft.display_name
    for name in PLAIN_FIELDS:
        setattr(config, name, getattr(draft, name))
    config.supported_file_extensions = list(draft.supported_file_extensions)
    config.save_file_extensions = list(draft.save_file_extensions)
    config.default_preset_id = draft.default_preset
    config.gpu_class = classes.get(draft.gpu_class or "")
    preferences = [_preference(config, one, classes) for one in draft.preferred_providers]
    faults = faults_of(row, "slug") | faults_of(config, "console", "default_preset", "gpu_class")
    for number, one in enumerate(preferences):
        found = faults_of(one, "config", "preset_override", "gpu_class")
        faults |= {f"preferred_providers.{number}.{name}": texts for name, texts in found.items()}
    if faults := faults or problems(draft, before=before).details():
        raise invalid(faults)
    row.save(update_fields=["display_name"])
    config.save()
    config.preferences.exclude(provider__in=[one.provider for one in preferences]).delete()
    ProviderPreference.objects.bulk_create(
        preferences,
        update_conflicts=True,
        unique_fields=["config", "provider"],
        update_fields=[
            "priority",
            "enabled",
            "preset_override",
            "cost_per_hour_limit",
            "regions",
            "gpu_class",
        ],
    )


def _preference(
    config: EmulatorConfig, draft: PreferenceDraft, classes: dict[str, GpuClass]
) -> ProviderPreference:
    return ProviderPreference(
        config=config,
        provider=draft.provider,
        priority=draft.priority or 0,
        enabled=draft.enabled,
        preset_override_id=draft.preset_override,
        cost_per_hour_limit=draft.cost_per_hour_limit,
        regions=list(draft.regions),
        gpu_class=classes.get(draft.gpu_class or ""),
    )


def faults_of(row: models.Model, *unchecked: str) -> dict[str, list[str]]:
    """What the columns' own validators say, by field; no query."""
    try:
        row.clean_fields(exclude=set(unchecked))
    except InvalidRow as error:
        return {name: list(texts) for name, texts in error.message_dict.items()}
    return {}


def invalid(details: dict[str, list[str]]) -> ValidationError:
    """Faults by field as the error of a refused change."""
    name, texts = next(iter(details.items()))
    return ValidationError(f"{name}: {texts[0]}", details=details)


def seen_in(config: EmulatorConfig) -> str:
    """What a page that shows a row of `configs()` gives back with its changes, for `update_config`."""
    return digest_of(_plain(draft_of(config)))


def digest_of(plain: dict[str, Any]) -> str:
    """A short text that differs where the values do."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:32]


def _plain(draft: ConfigDraft) -> dict[str, Any]:
    """The draft as JSON for an event: numbers of money as text, because they are exact."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(draft), default=str))
    return plain
