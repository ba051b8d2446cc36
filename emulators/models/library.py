"""The library of games as we know it: its files, the scans that look, and the uploads on their way into it.

Whether a game's file is there is asked of `LibraryFile` alone, by its path: scans write no game that has one.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q, Value

from emulators import filenames

MAX_LIBRARY_PATH = filenames.MAX_BYTES


class Leased(models.Model):
    """Work of minutes that one process at a time does; whose lease ran out is dead, and anybody begins again."""

    lease_token = models.UUIDField(null=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    tries = models.PositiveSmallIntegerField(default=0, editable=False)

    class Meta:
        abstract = True


class LibraryScan(Leased):
    """One look at the whole library. Its number, the primary key, says of each file when it was last seen."""

    class State(models.TextChoices):
        WAITING = "waiting"
        LISTING = "listing"
        SORTING = "sorting"
        DONE = "done"
        FAILED = "failed"

    OPEN = (State.WAITING, State.LISTING, State.SORTING)

    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    asked_by = models.CharField(max_length=100)
    asked_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    folder = models.CharField(max_length=255, blank=True, help_text="Where it is now.")
    files = models.PositiveBigIntegerField(default=0, help_text="Seen so far.")
    size = models.PositiveBigIntegerField("bytes", default=0)
    made = models.PositiveIntegerField("new games", default=0)
    linked = models.PositiveIntegerField(
        "given a file", default=0, help_text="Games that had none, or whose file has another name now."
    )
    vanished = models.PositiveIntegerField(
        "newly missing", default=0, help_text="Files gone since the scan before."
    )
    missing = models.PositiveIntegerField("games without their file", default=0)
    findings = models.JSONField(default=dict, help_text="Files that are no game's, counted by why.")
    error_text = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ("-pk",)
        constraints = [
            models.UniqueConstraint(
                Value(1), condition=Q(state__in=["waiting", "listing", "sorting"]), name="library_scan_alone"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "listing", "sorting"], ended_at=None)
                | Q(state__in=["done", "failed"], ended_at__isnull=False),
                name="library_scan_ends_once",
            ),
        ]

    def __str__(self) -> str:
        return f"scan {self.pk}"

    @property
    def is_over(self) -> bool:
        return self.state not in self.OPEN


class LibraryFile(models.Model):
    """A file in a console's folder, or one that a game names and that is not there (`missing_since`)."""

    class Finding(models.TextChoices):
        NOTHING = filenames.Finding.NOTHING, "a game's"
        UNKNOWN_FOLDER = filenames.Finding.UNKNOWN_FOLDER, "no console's"
        UNKNOWN_EXTENSION = filenames.Finding.UNKNOWN_EXTENSION, "no game file"
        SEVERAL_FILES = filenames.Finding.SEVERAL_FILES, "one of several"
        UNSAFE_NAME = filenames.Finding.UNSAFE_NAME, "unsafe name"
        EMPTY = filenames.Finding.EMPTY, "empty"
        DUPLICATE = filenames.Finding.DUPLICATE, "another version"

    path = models.CharField(max_length=MAX_LIBRARY_PATH, unique=True)
    console = models.ForeignKey(
        "emulators.Console", null=True, on_delete=models.CASCADE, related_name="+", help_text="By its folder."
    )
    size = models.PositiveBigIntegerField("bytes", default=0)
    title = models.CharField(max_length=filenames.MAX_TITLE, blank=True, help_text="As its name has it.")
    game_id = models.CharField(max_length=filenames.MAX_ID, blank=True, help_text="As its name has it.")
    rank = models.PositiveSmallIntegerField(
        default=0, help_text="Of several versions the lowest is the game's."
    )
    finding = models.CharField(
        max_length=20, choices=Finding.choices, default=Finding.NOTHING, blank=True, verbose_name="what it is"
    )
    scan = models.PositiveBigIntegerField(null=True, help_text="The last scan that knew of it.")
    given_to = models.ForeignKey(
        "emulators.Game",
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="The game a scan gave it to.",
    )
    missing_since = models.DateTimeField(null=True)

    class Meta:
        ordering = ("path",)
        verbose_name = "library file"
        constraints = [
            models.CheckConstraint(
                condition=Q(finding__in=[one.value for one in filenames.Finding]),
                name="library_file_finding_known",
            ),
        ]
        indexes = [
            models.Index(fields=["finding", "path"], condition=~Q(finding=""), name="library_file_findings"),
            models.Index(
                fields=["path"], condition=Q(missing_since__isnull=False), name="library_file_missing"
            ),
        ]

    def __str__(self) -> str:
        return self.path


class GameUpload(Leased):
    """A game's file on its way from staff into the library: received piece by piece into a folder of ours, then moved."""

    class State(models.TextChoices):
        RECEIVING = "receiving"
        WAITING = "waiting"
        MOVING = "moving"
        DONE = "done"
        FAILED = "failed"

    OPEN = (State.RECEIVING, State.WAITING, State.MOVING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.RECEIVING)
    console = models.ForeignKey("emulators.Console", on_delete=models.CASCADE, related_name="+")
    game_id = models.CharField(max_length=filenames.MAX_ID)
    title = models.CharField(max_length=filenames.MAX_TITLE)
    file = models.CharField(max_length=filenames.MAX_PATH, help_text="Where it will lie in the library.")
    replaces = models.BooleanField("replace what is there", default=False)
    size = models.PositiveBigIntegerField("bytes")
    received = models.PositiveBigIntegerField(default=0)
    moved = models.PositiveBigIntegerField(default=0)
    asked_by = models.CharField(max_length=100)
    asked_at = models.DateTimeField()
    changed_at = models.DateTimeField(help_text="The last piece, or move.")
    started_at = models.DateTimeField(null=True, help_text="When it was first written there.")
    ended_at = models.DateTimeField(null=True)
    error_text = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ("-asked_at", "id")
        verbose_name = "upload"
        constraints = [
            # Two that would write the same file would make one of both.
            models.UniqueConstraint(
                fields=["file"],
                condition=Q(state__in=["receiving", "waiting", "moving"]),
                name="game_upload_alone",
            ),
            models.CheckConstraint(condition=Q(received__lte=models.F("size")), name="game_upload_no_more"),
        ]
        indexes = [models.Index(fields=["-asked_at", "id"], name="game_upload_newest")]

    def __str__(self) -> str:
        return self.file

    @property
    def is_over(self) -> bool:
        return self.state not in self.OPEN
