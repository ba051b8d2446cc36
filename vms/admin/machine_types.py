"""Machine types of clouds: what is ordered where, at which price, and which presets each is large enough for."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.widgets import UnfoldAdminTextareaWidget

from emulators.admin import by
from emulators.models import Preset
from emulators.services.profiles import size_of
from gamer.web.admin import ServiceAdmin
from vms import machine_types
from vms.admin.wording import NONE, hourly, kind_name
from vms.models import MachineType


class MachineTypeForm(forms.ModelForm):  # type: ignore[type-arg]
    zones = forms.CharField(
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 8}),
        help_text="One a line, one for each region it is ordered in.",
    )

    class Meta:
        model = MachineType
        fields = machine_types.EDITED

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.instance.pk is not None:
            self.initial["zones"] = "\n".join(self.instance.zones)

    def clean_zones(self) -> list[str]:
        lines = (line.strip() for line in self.cleaned_data["zones"].splitlines())
        zones = list(dict.fromkeys(line for line in lines if line))
        if too_long := [zone for zone in zones if len(zone) > 60]:
            raise forms.ValidationError(f"{too_long[0][:60]}… is too long for a zone.")
        return zones

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if not self.errors:
            for name, text in machine_types.faults(self.instance).items():
                self.add_error(name if name in self.fields else None, text)


@admin.register(MachineType)
class MachineTypeAdmin(ServiceAdmin):
    empty_hint = "A cloud that cannot be asked what it sells is bought from by these. Those we ship are filled in by manage.py seed."
    form = MachineTypeForm
    list_display = ("name", "kind_label", "size", "disks", "price", "serves", "places", "is_sold")
    list_display_links = ("name",)
    list_filter = ("kind", "is_sold")
    list_filter_sheet = False
    show_facets = admin.ShowFacets.NEVER
    ordering = ("kind", "usd_per_hour", "name")
    fieldsets = (
        (None, {"fields": (("kind", "name"), "is_sold")}),
        (
            "Size",
            {
                "fields": (
                    ("vcpus", "ram_gb"),
                    ("gpus", "gpu_model"),
                    "gpu_type",
                    ("root_disk_gb", "data_disk_gb"),
                )
            },
        ),
        ("Where, and for how much", {"fields": ("usd_per_hour", "zones")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[MachineType]:
        return MachineType.objects.all()

    def changelist_view(self, request: HttpRequest, *args: Any, **options: Any) -> Any:
        self._presets = [(preset.slug, size_of(preset)) for preset in Preset.objects.all()]
        return super().changelist_view(request, *args, **options)

    def save_model(self, request: HttpRequest, obj: MachineType, form: Any, change: bool) -> None:
        machine_types.save(row=obj, by=by(request), now=timezone.now())

    def delete_model(self, request: HttpRequest, obj: MachineType) -> None:
        machine_types.delete(row=obj, by=by(request), now=timezone.now())

    @admin.display(description="Cloud", ordering="kind")
    def kind_label(self, row: MachineType) -> str:
        return kind_name(row.kind)

    @admin.display(description="Size")
    def size(self, row: MachineType) -> str:
        return f"{row.vcpus} vCPUs, {row.ram_gb} GB RAM, {row.gpus} × {row.gpu_model}"

    @admin.display(description="Disks")
    def disks(self, row: MachineType) -> str:
        return f"{row.root_disk_gb} + {row.data_disk_gb} GB" if row.data_disk_gb else f"{row.root_disk_gb} GB"

    @admin.display(description="Price", ordering="usd_per_hour")
    def price(self, row: MachineType) -> str:
        return hourly(row.usd_per_hour)

    @admin.display(description="Large enough for")
    def serves(self, row: MachineType) -> str:
        disk_gb = row.data_disk_gb or row.root_disk_gb
        found = [
            name
            for name, floor in self._presets
            if row.vcpus >= floor.vcpus
            and row.ram_gb >= floor.ram_gb
            and disk_gb >= floor.disk_gb
            and row.gpus >= floor.gpus
        ]
        return ", ".join(found) or NONE

    @admin.display(description="Zones")
    def places(self, row: MachineType) -> str:
        return str(len(row.zones))
