"""What players keep: slots for saves, their versions, and the archives these hold.

Whoever changes what a slot has, its versions and which one is current, holds the lock of the slot's row.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from django.db import connection, models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import User
from emulators.models.consoles import Console

if TYPE_CHECKING:
    from accounts.principal import Principal

MAX_SAVE_ID = 100


class SaveSlotQuerySet(models.QuerySet["SaveSlot"]):
    def visible_to(self, principal: Principal) -> SaveSlotQuerySet:
        """Whose saves a person or a key may see: a person their own, a key those of its people, and of VMs it made for nobody."""
        if principal.is_staff:
            return self
        if principal.key is not None:
            people = User.objects.visible_to(principal).order_by().values("pk")
            return self.filter(Q(made_by=principal.key) | Q(owner__in=people))
        return self.filter(owner=principal.user) if principal.user is not None else self.none()


class SaveSlot(models.Model):
    """A player's named place for one game's saves. It outlives every VM; one of a VM without an owner is that VM's (`subject`)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="save_slots", db_index=False
    )
    subject = models.CharField(max_length=36, blank=True, help_text="Without an owner: the VM it is of.")
    made_by = models.ForeignKey(
        "accounts.ApiKey",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="Without an owner: the key that may see it.",
    )
    console = models.ForeignKey(Console, on_delete=models.PROTECT, related_name="+")
    game_id = models.CharField(max_length=100)
    save_id = models.CharField(
        max_length=MAX_SAVE_ID,
        blank=True,
        help_text="The name a launch asks for it by; empty is the usual one.",
    )
    current = models.ForeignKey(
        "SaveVersion", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    last_number = models.PositiveIntegerField(default=0, help_text="Numbers of versions are given once.")
    clock_epoch = models.DateTimeField(
        null=True, blank=True, help_text="What time it is in the game at first; empty for the real time."
    )
    played_s = models.PositiveBigIntegerField(default=0, help_text="All its sessions together.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = SaveSlotQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "id")
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "console", "game_id", "save_id"],
                condition=Q(owner__isnull=False),
                name="save_slot_of_owner",
            ),
            models.UniqueConstraint(
                fields=["subject", "console", "game_id", "save_id"],
                condition=Q(owner=None),
                name="save_slot_of_subject",
            ),
            models.CheckConstraint(
                condition=(Q(owner=None) & ~Q(subject="")) | Q(owner__isnull=False, subject=""),
                name="save_slot_is_somebodys",
            ),
            models.CheckConstraint(condition=~Q(game_id=""), name="save_slot_has_a_game"),
        ]
        indexes = [
            models.Index(fields=["-created_at", "id"], name="save_slot_newest"),
            # What the admin's search by the beginning asks.
            models.Index(fields=["game_id"], opclasses=["varchar_pattern_ops"], name="save_slot_game_begins"),
        ]

    def __str__(self) -> str:
        return f"{self.game_id} ({self.save_id})" if self.save_id else self.game_id

    @property
    def clock_at(self) -> datetime | None:
        """What time it is in the game; None for the real time."""
        return None if self.clock_epoch is None else self.clock_epoch + timedelta(seconds=self.played_s)


class SaveArchive(models.Model):
    """One content of a slot: `unstored` until it is in the storage (`stored_at`), then under `name` there and nowhere else.

    Names are used once, so that a late delete can never hit what came after it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slot = models.ForeignKey(SaveSlot, null=True, on_delete=models.SET_NULL, related_name="archives")
    digest = models.CharField(max_length=64)
    size = models.PositiveIntegerField(help_text="Bytes, packed.")
    name = models.CharField(max_length=200, unique=True)
    created_at = models.DateTimeField()
    stored_at = models.DateTimeField(null=True)
    doomed_at = models.DateTimeField(null=True, help_text="Since then no version holds it, nor ever will.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["slot", "digest"], condition=Q(doomed_at=None), name="save_archive_once"
            ),
            models.CheckConstraint(
                condition=Q(slot__isnull=False) | Q(doomed_at__isnull=False), name="save_archive_is_of_a_slot"
            ),
        ]
        indexes = [
            models.Index(
                fields=["doomed_at"], condition=Q(doomed_at__isnull=False), name="save_archive_doomed"
            )
        ]

    def __str__(self) -> str:
        return self.name


class UnstoredArchiveQuerySet(models.QuerySet["UnstoredArchive"]):
    """Bytes go in and out by psycopg's own cursor, in the protocol's binary form: as text of a statement 64 MiB are half a gigabyte."""

    def keep(self, archive: SaveArchive, content: bytes, now: datetime) -> None:
        """Writes an archive's bytes down, due at once."""
        _binary(
            "INSERT INTO emulators_unstoredarchive (archive_id, content, taken_at, next_try_at, tries, last_error)"
            " VALUES (%s, %b, %s, %s, 0, '')",
            [archive.pk, content, now, now],
        )

    def contents(self, archives: Collection[uuid.UUID]) -> dict[uuid.UUID, bytes]:
        """The bytes of those that are not stored yet, in one statement."""
        sql = "SELECT archive_id, content FROM emulators_unstoredarchive WHERE archive_id = ANY(%s)"
        return dict(_binary(sql, [list(archives)])) if archives else {}


def _binary(sql: str, values: list[Any]) -> list[Any]:
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor[Any](connection.connection) as cursor:
        cursor.execute(sql, values, binary=True)
        return cursor.fetchall() if cursor.description else []


class UnstoredArchive(models.Model):
    """The bytes of an archive on their way to the storage, and how the way goes. Apart, so that no list ever loads them."""

    archive = models.OneToOneField(
        SaveArchive, on_delete=models.CASCADE, primary_key=True, related_name="unstored"
    )
    content = models.BinaryField()
    taken_at = models.DateTimeField()
    next_try_at = models.DateTimeField(db_index=True)
    tries = models.PositiveIntegerField(default=0)
    token = models.UUIDField(null=True, help_text="Whose turn it is, until the next try.")
    last_error = models.CharField(max_length=300, blank=True)

    objects = UnstoredArchiveQuerySet.as_manager()

    def __str__(self) -> str:
        return str(self.archive_id)


class SaveVersion(models.Model):
    """A slot's content at one time. `base` is the number of the version it was made from, 0 for none."""

    slot = models.ForeignKey(SaveSlot, on_delete=models.CASCADE, related_name="versions", db_index=False)
    number = models.PositiveIntegerField()
    archive = models.ForeignKey(SaveArchive, on_delete=models.PROTECT, related_name="versions")
    base = models.PositiveIntegerField(default=0)
    is_conflict = models.BooleanField(
        default=False, help_text="It came after a version that its maker did not know, and was kept beside."
    )
    restored_from = models.PositiveIntegerField(null=True)
    session_id = models.UUIDField(null=True, help_text="The game session that played it.")
    subject = models.CharField(max_length=36, blank=True, help_text="The VM it came from.")
    played_s = models.PositiveBigIntegerField(default=0, help_text="How far its session was.")
    by = models.CharField(max_length=100)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("-number",)
        constraints = [
            models.UniqueConstraint(fields=["slot", "number"], name="save_version_number_once"),
            models.CheckConstraint(condition=Q(base__lt=F("number")), name="save_version_after_its_base"),
        ]

    def __str__(self) -> str:
        return f"version {self.number}"
