"""Staff's pages for the library of games: its files, the scans, the uploads. What is under way is looked at live."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from accounts.principal import at_admin as by
from emulators import shelves
from emulators.models import Console, GameUpload, LibraryFile, LibraryScan
from emulators.services import scanning, uploads
from gamer.errors import GamerError
from gamer.web.admin import ReadOnlyAdmin, told

PIECE = 960 * 1024  # below what a request's body may have
POLL_S = 2
SHOWN = 20  # files of each finding on a scan's page
MEANINGS = {
    "unknown_folder": "in a folder of no console, or in none: the folder's name is the console's, such as nes",
    "unknown_extension": "not a game file of its console: the console's page says which those are",
    "several_files": "a list of files, or one of those: games in several files are not played yet",
    "unsafe_name": "a name no game may have: too long, or with a control character or backslash in it",
    "empty": "empty",
    "duplicate": "another version of a game that has its file; a game of its own can be given it by hand",
}
COLOURS = {
    "waiting": "info",
    "listing": "info",
    "sorting": "info",
    "receiving": "info",
    "moving": "info",
    "done": "success",
    "failed": "danger",
}


class LibraryAdmin(ReadOnlyAdmin):
    """A list whose rows lead to pages of our own."""

    list_filter_sheet = False
    show_facets = admin.ShowFacets.NEVER

    def story(
        self, request: HttpRequest, object_id: str, template: str, shown: dict[str, Any]
    ) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "opts": self.opts, **shown}
        return TemplateResponse(request, template, context)

    def row(self, request: HttpRequest, object_id: str) -> Any:
        """The row somebody may see. Raises PermissionDenied; None when there is none."""
        row = self.get_object(request, object_id)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        return row

    @display(description="State", label=COLOURS)  # type: ignore[untyped-decorator]
    def status(self, row: Any) -> str:
        return str(row.state)


class PresenceFilter(admin.SimpleListFilter):
    title = "file"
    parameter_name = "missing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return (("no", "There"), ("yes", "Missing"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[LibraryFile]) -> QuerySet[LibraryFile]:
        return queryset.filter(missing_since__isnull=self.value() == "no") if self.value() else queryset


@admin.register(LibraryFile)
class LibraryFileAdmin(LibraryAdmin):
    empty_hint = "The last scan found none. Upload a game, or put files into the library and scan it under Library scans."
    list_display = ("path", "what", "size_shown", "console", "title", "missing_since")
    list_filter = (PresenceFilter, "finding", "console")
    list_select_related = ("console",)
    list_display_links = None
    search_fields = ("path",)
    search_help_text = "The beginning of a path, such as nes/Cas"
    ordering = ("path",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[LibraryFile], search_term: str
    ) -> tuple[QuerySet[LibraryFile], bool]:
        """The words as typed, blanks included: they begin a path."""
        return (queryset.filter(path__startswith=search_term) if search_term else queryset), False

    @display(description="What it is", label={"a game's": "success", "missing": "danger"})  # type: ignore[untyped-decorator]
    def what(self, file: LibraryFile) -> str:
        return "missing" if file.missing_since is not None else file.get_finding_display()

    @admin.display(description="Size", ordering="size")
    def size_shown(self, file: LibraryFile) -> str:
        return "–" if file.missing_since is not None else filesizeformat(file.size)


@admin.register(LibraryScan)
class LibraryScanAdmin(LibraryAdmin):
    empty_hint = "The library was never looked at."
    list_display = ("number", "status", "asked_at", "took", "files", "made", "linked", "missing", "asked_by")
    list_display_links = ("number",)
    list_filter = ("state",)
    list_before_template = "emulators/scan_button.html"
    ordering = ("-pk",)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """A POST asks for a scan and leads to its page."""
        if request.method == "POST" and "scan" in request.POST:
            if not request.user.has_perm("emulators.add_libraryscan"):
                raise PermissionDenied
            return told(request, lambda: self._ask(request))
        shown = {
            "is_configured": shelves.is_configured(),
            "may_scan": request.user.has_perm("emulators.add_libraryscan"),
            **(extra_context or {}),
        }
        return super().changelist_view(request, shown)  # type: ignore[no-any-return]

    def _ask(self, request: HttpRequest) -> HttpResponse:
        scan, is_new = scanning.ask(by=by(request), now=timezone.now())
        if not is_new:
            messages.info(request, "A scan is under way already: this one.")
        return HttpResponseRedirect(reverse("admin:emulators_libraryscan_change", args=[scan.pk]))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        scan = self.row(request, object_id)
        if scan is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[no-any-return]
        now = timezone.now()
        shown = {
            "scan": scan,
            "colour": COLOURS[scan.state],
            "poll_s": 0 if scan.is_over else POLL_S,
            "facts": _facts_of_scan(scan, now),
            "findings": _findings(scan),
            "missing": _missing(),
            "original": scan,
            "title": f"Library scan {scan.pk}",
        }
        return self.story(request, object_id, "emulators/scan.html", shown)

    @admin.display(description="Scan", ordering="pk")
    def number(self, scan: LibraryScan) -> str:
        return str(scan.pk)

    @admin.display(description="Took")
    def took(self, scan: LibraryScan) -> str:
        return _took(scan.started_at, scan.ended_at)


@admin.register(GameUpload)
class GameUploadAdmin(LibraryAdmin):
    empty_hint = "A game's file is uploaded here piece by piece; one that was broken off is cancelled here and uploaded again."
    list_display = ("file", "status", "size_shown", "asked_at", "asked_by")
    list_filter = ("state", "console")
    list_select_related = ("console",)
    ordering = ("-asked_at", "id")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("emulators.add_gameupload"))

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path("<uuid:upload_id>/piece/", wrap(self.piece), name="emulators_gameupload_piece"),
            path("<uuid:upload_id>/act/", wrap(self.act), name="emulators_gameupload_act"),
        ]
        return [*own, *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The form; a POST from its script announces the file and is answered in JSON."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            return self._begin(request)
        shown = {
            "form": UploadForm(),
            "is_configured": shelves.is_configured(),
            "piece": PIECE,
            "most": filesizeformat(settings.GAMES_UPLOAD_MAX_BYTES),
            "title": "Upload a game",
        }
        return self.story(request, "", "emulators/upload_new.html", shown)

    def _begin(self, request: HttpRequest) -> HttpResponse:
        form = UploadForm(request.POST)
        if not form.is_valid():
            return JsonResponse({"errors": form.errors}, status=400)
        try:
            upload = uploads.begin(by=by(request), now=timezone.now(), **form.cleaned_data)
        except GamerError as error:
            return JsonResponse({"errors": error.details or {"": [error.message]}}, status=error.status)
        names = ("piece", "change")
        links = {name: reverse(f"admin:emulators_gameupload_{name}", args=[upload.pk]) for name in names}
        return JsonResponse(links, status=201)

    def piece(self, request: HttpRequest, upload_id: UUID) -> HttpResponse:
        """One piece as the body, beginning at `?offset=`. The answer says how much is there, whatever went wrong."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        text = request.GET.get("offset", "")
        if request.method != "POST" or not (text.isascii() and text.isdigit() and len(text) < 19):
            return JsonResponse({"message": "POST a piece, with ?offset=."}, status=400)
        try:
            upload = uploads.receive(
                upload_id=upload_id, offset=int(text), piece=request.body, now=timezone.now()
            )
        except GamerError as error:
            there = GameUpload.objects.filter(pk=upload_id).values_list("received", flat=True).first()
            return JsonResponse({"message": error.message, "received": there or 0}, status=error.status)
        return JsonResponse({"received": upload.received, "state": upload.state})

    def act(self, request: HttpRequest, upload_id: UUID) -> HttpResponse:
        """Cancels one, or moves one again."""
        upload = self.row(request, str(upload_id))
        if not self.has_add_permission(request):
            raise PermissionDenied
        page = HttpResponseRedirect(reverse("admin:emulators_gameupload_changelist"))
        if upload is None or request.method != "POST":
            return page
        page = HttpResponseRedirect(reverse("admin:emulators_gameupload_change", args=[upload.pk]))
        verb = {"cancel": uploads.cancel, "retry": uploads.retry}.get(request.POST.get("act", ""))
        try:
            if verb is not None:
                verb(upload=upload, by=by(request), now=timezone.now())
        except GamerError as error:
            messages.error(request, error.message)
        return page

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        upload = self.row(request, object_id)
        if upload is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[no-any-return]
        state, may_act = upload.state, self.has_add_permission(request)
        State = GameUpload.State
        shown = {
            "upload": upload,
            "colour": COLOURS[state],
            "poll_s": 0 if upload.is_over else POLL_S,
            "percent": _percent(upload),
            "facts": _facts_of_upload(upload),
            "may_cancel": may_act and state in (State.RECEIVING, State.WAITING),
            "may_retry": may_act and state == State.FAILED and uploads.staged(upload).exists(),
            "original": upload,
            "title": upload.file,
        }
        return self.story(request, object_id, "emulators/upload.html", shown)

    @admin.display(description="Size", ordering="size")
    def size_shown(self, upload: GameUpload) -> str:
        return filesizeformat(upload.size)


class UploadForm(forms.Form):
    """What is said of a file before it comes. The file itself is sent by the page's script, piece by piece."""

    console = forms.ChoiceField(widget=UnfoldAdminSelectWidget)
    filename = forms.CharField(max_length=1000, widget=forms.HiddenInput)
    size = forms.IntegerField(min_value=0, widget=forms.HiddenInput)
    title = forms.CharField(
        required=False, max_length=200, widget=UnfoldAdminTextInputWidget,
        help_text="Empty for what the file's name says. A game that is there keeps its own.",
    )  # fmt: skip
    game_id = forms.CharField(
        label="Game id", required=False, max_length=100, widget=UnfoldAdminTextInputWidget,
        help_text="Empty for one made from the title.",
    )  # fmt: skip
    replaces = forms.BooleanField(
        label="Replace what is there", required=False, widget=UnfoldBooleanSwitchWidget,
        help_text="A file of the same name, or the game's present one.",
    )  # fmt: skip

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        consoles = self.fields["console"]
        assert isinstance(consoles, forms.ChoiceField)
        rows = Console.objects.exclude(config=None).select_related("config")
        consoles.choices = [
            (one.pk, f"{one.display_name} ({' '.join(one.config.supported_file_extensions)})") for one in rows
        ]


def _facts_of_scan(scan: LibraryScan, now: datetime) -> list[tuple[str, str]]:
    facts = [
        ("Asked by", scan.asked_by),
        ("Asked", f"{scan.asked_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("Took" if scan.is_over else "For", _took(scan.started_at, scan.ended_at or now)),
        ("Now in", scan.folder),
        ("Files", f"{scan.files:,}"),
        ("In all", filesizeformat(scan.size)),
    ]
    if scan.state == LibraryScan.State.DONE:
        facts += [
            ("New games", f"{scan.made:,}"),
            ("Games given a file", f"{scan.linked:,}"),
            ("Files newly gone", f"{scan.vanished:,}"),
            ("Games without their file", f"{scan.missing:,}"),
        ]
    return [(label, text) for label, text in facts if text]


def _findings(scan: LibraryScan) -> list[dict[str, Any]]:
    """What a finished scan found to be no game's: the first of each kind, as they are now, and where the rest is listed."""
    page = reverse("admin:emulators_libraryfile_changelist")
    found = []
    for finding, count in sorted(scan.findings.items(), key=lambda one: -one[1]):
        rows = LibraryFile.objects.filter(finding=finding, missing_since=None).order_by("path")
        found.append(
            {
                "label": MEANINGS.get(finding, finding),
                "count": count,
                "paths": list(rows.values_list("path", flat=True)[:SHOWN]),
                "all": f"{page}?finding__exact={finding}&missing=no",
            }
        )
    return found


def _missing() -> list[str]:
    rows = LibraryFile.objects.filter(missing_since__isnull=False).order_by("path")
    return list(rows.values_list("path", flat=True)[:SHOWN])


def _facts_of_upload(upload: GameUpload) -> list[tuple[str, str]]:
    facts = [
        ("Console", str(upload.console)),
        ("Game", f"{upload.title} ({upload.game_id})"),
        ("Size", filesizeformat(upload.size)),
        ("Received", filesizeformat(upload.received)),
        ("In the library", filesizeformat(upload.moved) if upload.moved else ""),
        ("Asked by", upload.asked_by),
        ("Asked", f"{upload.asked_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("Ended", f"{upload.ended_at:%Y-%m-%d %H:%M:%S} UTC" if upload.ended_at else ""),
    ]
    return [(label, text) for label, text in facts if text]


def _percent(upload: GameUpload) -> int:
    done = upload.received if upload.state == GameUpload.State.RECEIVING else upload.moved
    return int(100 * done / upload.size)


def _took(start: datetime | None, end: datetime | None) -> str:
    if start is None or end is None:
        return "–" if start is None else ""
    seconds = max(0, int((end - start).total_seconds()))
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
