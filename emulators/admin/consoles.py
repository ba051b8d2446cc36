"""Staff's pages for consoles, games, presets and GPU classes. Each save is one call of a service."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, partial
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from unfold.admin import TabularInline
from unfold.decorators import action, display

from accounts.principal import at_admin
from emulators.forms import ConfigForm, GameForm, GpuClassForm, PreferenceForm, PreferenceFormSet, PresetForm
from emulators.models import EmulatorConfig, Game, GpuClass, Preset, ProviderPreference
from emulators.services import configs, library
from emulators.services.profiles import floor_of
from gamer.web.admin import ServiceAdmin, told

SEEN = "emulators/seen.html"
PREVIEW = "admin:vms_placement_preview"
PROVIDERS_SHOWN = 2
TERMS_SHOWN = 5
by = at_admin
NO_BREAK = "\N{NO-BREAK SPACE}"


class LibraryAdmin(ServiceAdmin):
    """Deletes through the library's service."""

    def delete_queryset(self, request: HttpRequest, queryset: Iterable[Any]) -> None:
        for row in queryset:
            self.delete_model(request, row)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        library.delete_row(row=obj, by=by(request), now=timezone.now())


class PreferenceInline(TabularInline):  # type: ignore[misc]
    model = ProviderPreference
    form = PreferenceForm
    formset = PreferenceFormSet
    ordering = ("priority",)
    ordering_field = "priority"
    hide_ordering_field = True
    hide_title = True
    extra = 0
    verbose_name_plural = (
        "Providers, tried from top to bottom unless a score decides: drag the rows into order"
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProviderPreference]:
        return ProviderPreference.objects.select_related("preset_override", "gpu_class")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        """Narrow columns: choices say what empty means, and have no buttons that lead to the other table."""
        field = super().formfield_for_dbfield(db_field, request, **options)
        if isinstance(getattr(field, "widget", None), RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget
            field.empty_label = "Console's"
            choices = field.choices
            # Read for all rows at once, when the first is shown; a list of the choices themselves would count them before.
            field.choices = cache(lambda: list(iter(choices)))
        return field


@admin.register(EmulatorConfig)
class EmulatorConfigAdmin(LibraryAdmin):
    empty_hint = "Nothing can be launched without one. The ten we ship are filled in by manage.py seed."
    form = ConfigForm
    change_form_before_template = SEEN
    inlines = (PreferenceInline,)
    list_display = ("name", "emulator", "default_preset", "floor", "gpu_class", "limit", "hours", "providers")
    list_display_links = ("name",)
    ordering = ("console__position",)
    actions_detail = ("preview",)
    fieldsets = (
        (None, {"fields": (("console", "display_name"), "default_emulator")}),
        (
            "Machine",
            {"fields": (("default_preset", "gpu_class"), ("min_cpu", "min_ram_gb"), "requires_gpu")},
        ),
        ("Limits", {"fields": (("cost_per_hour_limit", "max_session_hours"),)}),
        ("Files", {"fields": (("supported_file_extensions", "save_file_extensions"),)}),
        ("Which offer first", {"fields": ("usd_per_1000_km",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[EmulatorConfig]:
        return configs.configs().select_related("default_preset")

    def get_fieldsets(self, request: HttpRequest, obj: EmulatorConfig | None = None) -> Any:
        """The console itself is chosen once and never changes."""
        if obj is None:
            return self.fieldsets
        return ((None, {"fields": (("display_name", "default_emulator"),)}), *self.fieldsets[1:])

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        if obj is not None:
            options["exclude"] = ("console",)
        return super().get_form(request, obj, change, **options)

    def save_model(self, request: HttpRequest, obj: EmulatorConfig, form: ConfigForm, change: bool) -> None:
        """Nothing yet: the console and its providers are saved together, below."""

    def save_related(
        self, request: HttpRequest, form: ConfigForm, formsets: list[PreferenceFormSet], change: bool
    ) -> None:
        changes = form.changes()
        for formset in formsets:
            changes["preferred_providers"] = formset.drafts()
            formset.save(commit=False)  # only sorts its rows into new, changed and deleted, for the history
        save = (
            partial(configs.update_config, seen=form.cleaned_data["seen"])
            if change
            else configs.create_config
        )
        save(console=form.instance.pk, changes=changes, by=by(request), now=timezone.now())

    def delete_model(self, request: HttpRequest, obj: EmulatorConfig) -> None:
        configs.delete_config(console=obj.pk, by=by(request), now=timezone.now())

    def has_preview_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Whether there is a preview: the room above brings it."""
        try:
            reverse(PREVIEW)
        except NoReverseMatch:
            return False
        return True

    @action(description="Preview: what would a launch pick?", permissions=["preview"], icon="travel_explore")  # type: ignore[untyped-decorator]
    def preview(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(f"{reverse(PREVIEW)}?{urlencode({'console': object_id})}")

    @admin.display(description="Console", ordering="console__position")
    def name(self, config: EmulatorConfig) -> str:
        return config.console.display_name

    @admin.display(description="Emulator")
    def emulator(self, config: EmulatorConfig) -> str:
        return config.default_emulator

    @admin.display(description="Floor")
    def floor(self, config: EmulatorConfig) -> str:
        floor = floor_of(config)
        parts = [f"{floor.vcpus} vCPUs", f"{floor.ram_gb} GB", "GPU" if floor.gpus else ""]
        return ", ".join(part.replace(" ", NO_BREAK) for part in parts if part)

    @admin.display(description="Limit per hour")
    def limit(self, config: EmulatorConfig) -> str:
        return "none" if config.cost_per_hour_limit is None else f"${config.cost_per_hour_limit:.2f}"

    @admin.display(description="Session")
    def hours(self, config: EmulatorConfig) -> str:
        return f"{config.max_session_hours} h"

    @admin.display(description="Providers")
    def providers(self, config: EmulatorConfig) -> str:
        labels = [one.get_provider_display() for one in config.preferences.all() if one.enabled]
        names = [label.partition(" (")[0] for label in labels]
        more, worth = len(names) - PROVIDERS_SHOWN, config.usd_per_1000_km
        then = " → " if worth is None else ", "
        listed = then.join(name.replace(" ", NO_BREAK) for name in names[:PROVIDERS_SHOWN])
        listed += f" +{NO_BREAK}{more}" if more > 0 else ""
        if worth is not None and listed:
            return f"{listed}, by score (${worth:.2f} per 1,000{NO_BREAK}km)"
        return listed or "none"


class AvailableFilter(admin.SimpleListFilter):
    title = "file"
    parameter_name = "file"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return (("there", "In the library"), ("missing", "Missing"), ("none", "No file"))

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "there" | "missing" as wanted:
                return queryset.available(wanted == "there")
            case "none":
                return queryset.filter(file="")
        return queryset


@admin.register(Game)
class GameAdmin(LibraryAdmin):
    empty_hint = (
        "A game we do not know is launched with its console's values. Games "
        "come from the library by a scan, or are added here."
    )
    form = GameForm
    change_form_before_template = SEEN
    list_display = ("title", "game_id", "console", "in_library", "asks")
    list_filter = ("console", AvailableFilter)
    list_select_related = ("console", "preset", "gpu_class")
    search_fields = ("title__istartswith", "game_id__istartswith")
    search_help_text = "The beginning of a title or id"
    ordering = ("title", "game_id")
    fieldsets = (
        (None, {"fields": ("title", ("console", "game_id"), "file")}),
        (
            "What it asks for itself",
            {
                "description": "Only where it differs from its console.",
                "fields": (
                    ("preset", "gpu_class"),
                    ("min_cpu", "min_ram_gb"),
                    ("requires_gpu", "emulator"),
                ),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Game]:
        return Game.objects.with_availability()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Game], search_term: str
    ) -> tuple[QuerySet[Game], bool]:
        """The words as typed, blanks included: they begin one title or id."""
        words = search_term.strip()
        begins = Q(title__istartswith=words) | Q(game_id__istartswith=words)
        return (queryset.filter(begins) if words else queryset), False

    def save_model(self, request: HttpRequest, obj: Game, form: GameForm, change: bool) -> None:
        library.save_game(game=obj, by=by(request), now=timezone.now(), seen=form.cleaned_data["seen"])

    @display(description="File", label={"there": "success", "missing": "danger", "not looked for": "info"})  # type: ignore[untyped-decorator]
    def in_library(self, game: Game) -> str:
        if not game.file:
            return ""
        return {True: "there", False: "missing"}.get(vars(game)["is_available"], "not looked for")

    @admin.display(description="Asks for itself")
    def asks(self, game: Game) -> str:
        wishes = (
            f"preset {game.preset}" if game.preset else "",
            f"GPU {game.gpu_class}" if game.gpu_class else "",
            f"{game.min_cpu} vCPUs" if game.min_cpu else "",
            f"{game.min_ram_gb} GB RAM" if game.min_ram_gb else "",
            "a GPU" if game.requires_gpu else "",
            game.emulator,
        )
        return ", ".join(filter(None, wishes)) or "–"


@admin.register(Preset)
class PresetAdmin(LibraryAdmin):
    empty_hint = "No console has a size without one. Those we ship are filled in by manage.py seed."
    form = PresetForm
    list_display = ("slug", "vcpus", "ram_gb", "disk_gb", "gpus")
    fieldsets = ((None, {"fields": ("slug", ("vcpus", "gpus"), ("ram_gb", "disk_gb"))}),)

    def get_readonly_fields(self, request: HttpRequest, obj: Preset | None = None) -> tuple[str, ...]:
        return ("slug",) if obj else ()

    def save_model(self, request: HttpRequest, obj: Preset, form: PresetForm, change: bool) -> None:
        library.save_preset(preset=obj, by=by(request), now=timezone.now())


@admin.register(GpuClass)
class GpuClassAdmin(LibraryAdmin):
    empty_hint = "No console that needs graphics finds a machine without one. Those we ship are filled in by manage.py seed."
    form = GpuClassForm
    list_display = ("name", "listed_terms")
    list_per_page = 200
    list_before_template = "emulators/gpu_classes.html"
    ordering = ("rank",)
    ordering_field = "rank"
    hide_ordering_field = True

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if request.method == "POST" and "_save" in request.POST and self.has_change_permission(request):
            return told(request, lambda: self._reorder(request))
        return super().changelist_view(request, extra_context)

    def _reorder(self, request: HttpRequest) -> HttpResponse:
        """The dragged order, all ranks in one statement; Django would save row by row and refuse the first swap."""
        count = min(_number(request.POST.get("form-TOTAL_FORMS")), self.list_per_page)
        rows = [
            (_number(request.POST.get(f"form-{n}-rank")), _number(request.POST.get(f"form-{n}-id")))
            for n in range(count)
        ]
        library.reorder_gpu_classes(ids=[pk for _, pk in sorted(rows)], by=by(request), now=timezone.now())
        messages.success(request, "The order is saved, from weak to strong.")
        return HttpResponseRedirect(request.get_full_path())

    def save_model(self, request: HttpRequest, obj: GpuClass, form: GpuClassForm, change: bool) -> None:
        library.save_gpu_class(gpu_class=obj, by=by(request), now=timezone.now())

    @admin.display(description="Terms")
    def listed_terms(self, gpu_class: GpuClass) -> str:
        more = len(gpu_class.terms) - TERMS_SHOWN
        return ", ".join(gpu_class.terms[:TERMS_SHOWN]) + (f" +{NO_BREAK}{more}" if more > 0 else "")


def _number(text: Any) -> int:
    """A posted whole number; 0 for anything else, which no row has."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 10 else 0
