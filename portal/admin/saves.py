"""Players' saves: their slots, every version of each, and the ways back to an older one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.validators import RegexValidator
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.models import User
from accounts.principal import at_admin
from emulators.api.downloads import download_of
from emulators.models import GAME_ID, MAX_SAVE_ID, SaveSlot, SaveSlotQuerySet, SaveVersion
from emulators.services import slots
from events.models import Event
from gamer.errors import GamerError
from gamer.web.admin import ReadOnlyAdmin
from portal.admin import acts
from portal.admin.acts import Act
from vms import saves
from vms.admin.page import Line
from vms.admin.wording import NONE, action_words, ago, details_words, duration, unbroken

MOST_VERSIONS = 100
MOST_EVENTS = 50
MOST_MATCHES = 200
WORDS = {
    "create": "Made",
    "delete": "Deleted",
    "save_stored": "Saved",
    "save_conflict": "Kept beside",
    "save_restored": "Restored",
    "save_downloaded": "Downloaded",
}
MOMENT = "%Y-%m-%dT%H:%M"


class NameForm(forms.Form):
    save_id = forms.CharField(
        max_length=MAX_SAVE_ID,
        required=False,
        label="Name",
        help_text="What launches ask for it by: letters, digits and . _ : -. Empty is the usual one.",
        validators=[
            RegexValidator(GAME_ID, "Letters, digits and . _ : - only, starting with a letter or digit.")
        ],
        widget=UnfoldAdminTextInputWidget,
    )


class ClockForm(forms.Form):
    clock_epoch = forms.DateTimeField(
        required=False,
        label="Time in the game before anything was played (UTC)",
        help_text="What was played since is added. Empty: the game goes by the real time.",
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}),
    )


def rename(slot: SaveSlot) -> Act:
    return Act(
        "Rename",
        "The next launch that asks for this name goes on with it.",
        "renamed",
        lambda by, row, given, now: saves.change(slot=row, by=by, now=now, save_id=given["save_id"]),
        form=partial(NameForm, initial={"save_id": slot.save_id}),
    )


def set_clock(slot: SaveSlot) -> Act:
    known = slot.clock_epoch.astimezone(UTC).strftime(MOMENT) if slot.clock_epoch else ""
    return Act(
        "Set the clock",
        f"It holds from the next launch on. So far {duration(slot.played_s)} were played.",
        "clock set",
        lambda by, row, given, now: saves.change(slot=row, by=by, now=now, clock_epoch=given["clock_epoch"]),
        form=partial(ClockForm, initial={"clock_epoch": known}),
    )


def delete(slot: SaveSlot) -> Act:
    return Act(
        "Delete",
        "All its versions go with it, for good. The player begins anew with the next launch.",
        "deleted",
        lambda by, row, given, now: saves.delete(slot=row, by=by, now=now),
        is_dangerous=True,
    )


def restore(number: int) -> Act:
    return Act(
        f"Restore version {number}",
        "Its content becomes the current one, as a new version. Nothing is lost: what is current now stays in the list.",
        f"version {number} restored",
        lambda by, row, given, now: saves.restore(slot=row, number=number, by=by, now=now),
    )


ACTS: dict[str, Callable[[SaveSlot], Act]] = {"rename": rename, "clock": set_clock, "remove": delete}


@admin.register(SaveSlot)
class SaveSlotAdmin(ReadOnlyAdmin):
    empty_hint = "Nobody has played yet: a player's first launch of a game makes a slot."
    list_display = ("game", "save_name", "player", "console_name", "version", "size", "saved", "clock", "use")
    list_display_links = ("game",)
    list_filter = ("console",)
    list_filter_sheet = False
    list_fullwidth = True
    show_facets = admin.ShowFacets.NEVER
    list_before_template = "portal/saves.html"
    search_fields = ("game_id",)
    search_help_text = (
        "The beginning of a player's name or address, of a game's id, or of a slot's or a VM's id"
    )
    ordering = ("-created_at", "id")

    def get_queryset(self, request: HttpRequest) -> SaveSlotQuerySet:
        return saves.visible(at_admin(request)).select_related("console")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        return found_by(queryset, search_term), False

    def get_urls(self) -> list[URLPattern]:
        wrap, slot = self.admin_site.admin_view, "<uuid:slot_id>"
        own = [
            path(f"{slot}/{name}/", wrap(partial(self._act, act=act)), name=f"emulators_saveslot_{name}")
            for name, act in ACTS.items()
        ]
        version = f"{slot}/versions/<str:number>"
        own += [
            path(f"{version}/restore/", wrap(self._restore), name="emulators_saveslot_restore"),
            path(f"{version}/download/", wrap(self._download), name="emulators_saveslot_download"),
        ]
        return [*own, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        slot = self.get_object(request, object_id)
        if not self.has_view_permission(request, slot):
            raise PermissionDenied
        if slot is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[no-any-return]
        shown = {**self._context(request), **story_of(slot, timezone.now())}
        shown |= {"may_change": self._may(request), "original": slot, "title": str(slot)}
        return TemplateResponse(request, "portal/save.html", shown)

    def _act(self, request: HttpRequest, slot_id: UUID, act: Callable[[SaveSlot], Act]) -> HttpResponse:
        slot = self._found(request, slot_id)
        back = "changelist" if act is delete else "change"
        args = [] if act is delete else [slot.pk]
        return acts.ask(
            request,
            slot,
            act(slot),
            reverse(f"admin:emulators_saveslot_{back}", args=args),
            self._context(request),
        )

    def _restore(self, request: HttpRequest, slot_id: UUID, number: str) -> HttpResponse:
        slot, page = self._found(request, slot_id), reverse("admin:emulators_saveslot_change", args=[slot_id])
        return acts.ask(request, slot, restore(_number(number)), page, self._context(request))

    def _download(self, request: HttpRequest, slot_id: UUID, number: str) -> HttpResponseBase:
        slot = self._found(request, slot_id)
        by, now = at_admin(request), timezone.now()
        try:
            return download_of(slots.deliver(slot=slot, number=_number(number), by=by, now=now))
        except GamerError as error:
            messages.error(request, error.message)
            return HttpResponseRedirect(reverse("admin:emulators_saveslot_change", args=[slot.pk]))

    def _found(self, request: HttpRequest, slot_id: UUID) -> SaveSlot:
        """The slot for somebody who may change it: what players keep is not for everybody of the staff."""
        if not self._may(request):
            raise PermissionDenied
        slot: SaveSlot | None = self.get_object(request, str(slot_id))
        if slot is None:
            raise Http404
        return slot

    def _may(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("emulators.change_saveslot"))

    def _context(self, request: HttpRequest) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media}

    @admin.display(description="Game")
    def game(self, slot: SaveSlot) -> str:
        return slot.game_id

    @admin.display(description="Slot")
    def save_name(self, slot: SaveSlot) -> str:
        return slot.save_id or "the usual"

    @admin.display(description="Player")
    def player(self, slot: SaveSlot) -> str:
        return player_of(slot)

    @admin.display(description="Console")
    def console_name(self, slot: SaveSlot) -> str:
        return slot.console_id

    @admin.display(description="Version")
    def version(self, slot: SaveSlot) -> str:
        return str(slot.current.number) if slot.current else NONE

    @admin.display(description="Size")
    def size(self, slot: SaveSlot) -> str:
        return str(filesizeformat(slot.current.archive.size)) if slot.current else NONE

    @admin.display(description="Saved")
    def saved(self, slot: SaveSlot) -> str:
        return unbroken(ago(slot.current.created_at, timezone.now())) if slot.current else "not yet"

    @admin.display(description="In the game")
    def clock(self, slot: SaveSlot) -> str:
        if slot.clock_at is None:
            return "real time"
        return format_html('<span style="white-space: nowrap">{}</span>', moment(slot.clock_at))

    @display(description="Now", label={"played": "success", "rests": "default"})  # type: ignore[untyped-decorator]
    def use(self, slot: SaveSlot) -> str:
        return "played" if vars(slot)["is_in_use"] else "rests"


def player_of(slot: SaveSlot) -> str:
    return slot.owner.handle if slot.owner is not None else f"VM {slot.subject[:8]}"


def moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def found_by(rows: SaveSlotQuerySet, words: str) -> SaveSlotQuerySet:
    """Slots by the beginning of a player's handle or address, of a game's id, or of their own or their VM's id."""
    text = words.strip()[:100]
    if not text:
        return rows
    people = User.objects.filter(Q(handle__startswith=text) | Q(email__startswith=text.lower()))
    wanted = Q(owner__in=list(people.values_list("pk", flat=True)[:MOST_MATCHES]))
    wanted |= Q(game_id__startswith=text) | Q(owner=None, subject__startswith=text.lower())
    digits = text.lower().replace("-", "")
    if len(digits) <= 32 and all(letter in "0123456789abcdef" for letter in digits):
        wanted |= Q(pk__gte=UUID(digits.ljust(32, "0")), pk__lte=UUID(digits.ljust(32, "f")))
    return rows.filter(wanted)


def story_of(slot: SaveSlot, now: datetime) -> dict[str, Any]:
    """The context of `portal/save.html`."""
    versions = list(saves.versions_of(slot)[: MOST_VERSIONS + 1])
    events = Event.objects.about("saves", slot.pk).order_by("-id")[:MOST_EVENTS]
    playing = saves.playing_on(slot)
    return {
        "slot": slot,
        "player": player_of(slot),
        "is_in_use": playing is not None,
        "vm_id": str(playing.vm_id) if playing is not None else slot.subject,
        "facts": _facts(slot, now),
        "versions": [_version(one, slot, now) for one in versions[:MOST_VERSIONS]],
        "has_more": len(versions) > MOST_VERSIONS,
        "lines": [_line(event) for event in events],
    }


def _facts(slot: SaveSlot, now: datetime) -> list[tuple[str, str]]:
    current = slot.current
    return [
        ("Player", player_of(slot)),
        ("Console", slot.console.display_name),
        ("Game", slot.game_id),
        ("Name", slot.save_id or "the usual"),
        (
            "Current version",
            f"{current.number}, {filesizeformat(current.archive.size)}" if current else "none yet",
        ),
        ("Saved", ago(current.created_at, now) if current else "not yet"),
        ("Time in the game", f"{moment(slot.clock_at)} UTC" if slot.clock_at else "the real time"),
        ("Played", duration(slot.played_s) if slot.played_s else "not yet"),
        ("Made", ago(slot.created_at, now)),
    ]


def _version(version: SaveVersion, slot: SaveSlot, now: datetime) -> dict[str, Any]:
    is_current = version.pk == slot.current_id
    return {
        "number": version.number,
        "is_current": is_current,
        "at": version.created_at,
        "ago": ago(version.created_at, now),
        "size": filesizeformat(version.archive.size),
        "vm_id": version.subject,
        "by": version.by,
        "restored_from": version.restored_from,
        "is_conflict": version.is_conflict,
        "is_waiting": version.archive.stored_at is None,
    }


def _line(event: Event) -> Line:
    told = dict(event.details)
    parts = [
        f"version {told['number']}" if "number" in told else "",
        f"of version {told['restored_from']}" if "restored_from" in told else "",
        str(filesizeformat(told["bytes"])) if "bytes" in told else "",
        f"VM {told['vm'][:8]}" if told.get("vm") else "",
        # What was changed: before and after.
        details_words({name: value for name, value in told.items() if isinstance(value, list)}),
    ]
    words = WORDS.get(event.action) or action_words(event.action)
    return Line(event.at, event.actor, words, ", ".join(filter(None, parts)), event.action == "save_conflict")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Http404
    return int(text)
