"""Regions of providers and what the Location Finder said of them; places the geocoder was asked for, and whose turn it is."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from locations.geocoding.base import Matched, Position
from locations.geocoding.names import MAX_NAME

# Nominatim's rule for one application, however many processes it has.
PACE = timedelta(seconds=1)
LONGEST_KEY = 500

# Both spelt out: a comparison with NULL is neither true nor false, and CHECK lets that pass.
_ON_THE_MAP = models.Q(
    latitude__isnull=False, longitude__isnull=False, latitude__range=(-90, 90), longitude__range=(-180, 180)
)
_OFF_THE_MAP = models.Q(latitude=None, longitude=None)


class RegionQuerySet(models.QuerySet["Region"]):
    def listed(self) -> RegionQuerySet:
        """Those that people are told of."""
        return self.filter(is_listed=True)

    def on_the_map(self) -> RegionQuerySet:
        return self.filter(latitude__isnull=False)


class Region(models.Model):
    """A place where a provider rents out machines, under the provider's own code ("us-south1")."""

    kind = models.CharField("provider", max_length=40, help_text="As in cloudypad_gcp.")
    code = models.CharField(max_length=80)
    name = models.CharField(max_length=200)
    city = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=200, blank=True)
    country = models.CharField(max_length=200, blank=True)
    country_code = models.CharField(max_length=2, blank=True, help_text="ISO 3166, in capitals.")
    continent = models.CharField(max_length=40, blank=True)
    latitude = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(-90), MaxValueValidator(90)]
    )
    longitude = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(-180), MaxValueValidator(180)]
    )
    gpu_models = ArrayField(
        models.CharField(max_length=40),
        default=list,
        blank=True,
        verbose_name="GPUs",
        help_text="Models that can be rented there, separated by commas. What can be bought now is what offers say.",
    )
    is_listed = models.BooleanField(
        "listed", default=True, help_text="Off: no player is told of it, and it is nobody's nearest."
    )
    edited_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When staff made it theirs: a new version leaves it alone.",
    )

    objects = RegionQuerySet.as_manager()

    class Meta:
        ordering = ("kind", "code")
        constraints = [
            models.UniqueConstraint(fields=["kind", "code"], name="region_kind_code"),
            models.CheckConstraint(
                condition=_ON_THE_MAP | _OFF_THE_MAP,
                name="region_position",
                violation_error_message="Give both a latitude from -90 to 90 and a longitude from -180 to 180, or neither.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.code}"


class FinderAnswerQuerySet(models.QuerySet["FinderAnswer"]):
    def due(self, now: datetime) -> FinderAnswerQuerySet:
        """Which the Location Finder is to be asked for, the longest waiting first."""
        return self.filter(look_at__lte=now).order_by("look_at", "id")


class FinderAnswer(models.Model):
    """What the Location Finder said: a provider's regions by network latency from a region of Google Cloud.

    Made when somebody first needs it; `look_at` says when to ask (again). Without `answered_at` there is no answer yet.
    """

    source = models.CharField("from", max_length=80, help_text="A region of Google Cloud.")
    kind = models.CharField("provider", max_length=40)
    codes = ArrayField(
        models.CharField(max_length=80), default=list, verbose_name="regions", help_text="The closest first."
    )
    asked_at = models.DateTimeField(help_text="When it was first needed.")
    queued_at = models.DateTimeField(help_text="When a request last had it refreshed.")
    answered_at = models.DateTimeField(null=True)
    look_at = models.DateTimeField("ask at")
    tries = models.PositiveIntegerField(default=0, help_text="In a row without an answer.")
    error = models.CharField(max_length=300, blank=True)

    objects = FinderAnswerQuerySet.as_manager()

    class Meta:
        verbose_name = "Location Finder's answer"
        verbose_name_plural = "Location Finder's answers"
        ordering = ("source", "kind")
        constraints = [
            models.UniqueConstraint(fields=["source", "kind"], name="finder_answer_source_kind"),
            models.CheckConstraint(
                condition=models.Q(answered_at=None, codes=[])
                | (models.Q(answered_at__isnull=False) & ~models.Q(codes=[])),
                name="finder_answer_has_regions",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} from {self.source}"


class GeocodedPlaceQuerySet(models.QuerySet["GeocodedPlace"]):
    def waiting(self, now: datetime) -> GeocodedPlaceQuerySet:
        """Whom the background geocoder owes an answer, the longest waiting first."""
        return self.filter(look_at__lte=now).order_by("look_at", "id")


class GeocodedPlace(models.Model):
    """A place the gazetteer did not know well: what was asked, and what the background geocoder or staff said.

    With a position it is settled for good. Without one `look_at` says when to ask (again): a row never falls asleep.
    """

    key = models.CharField(max_length=LONGEST_KEY, unique=True, editable=False)
    city = models.CharField(max_length=MAX_NAME, blank=True)
    state = models.CharField(max_length=MAX_NAME, blank=True)
    country = models.CharField(max_length=MAX_NAME, blank=True)
    latitude = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(-90), MaxValueValidator(90)]
    )
    longitude = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(-180), MaxValueValidator(180)]
    )
    matched = models.CharField(
        max_length=10, choices=[(level.value, level.value) for level in Matched], blank=True
    )
    name = models.CharField("found", max_length=500, blank=True)
    tries = models.PositiveIntegerField(default=0, help_text="In a row without an answer.")
    error = models.CharField(max_length=300, blank=True)
    asked_at = models.DateTimeField(help_text="When it was first needed.")
    answered_at = models.DateTimeField(null=True, blank=True)
    look_at = models.DateTimeField("ask at", null=True, blank=True)

    objects = GeocodedPlaceQuerySet.as_manager()

    class Meta:
        ordering = ("-asked_at", "-id")
        constraints = [
            models.CheckConstraint(
                condition=(_ON_THE_MAP & ~models.Q(matched="")) | (_OFF_THE_MAP & models.Q(matched="")),
                name="geocoded_place_position",
                violation_error_message="Give both a latitude from -90 to 90 and a longitude from -180 to 180.",
            ),
            models.CheckConstraint(
                condition=models.Q(latitude__isnull=False, look_at=None)
                | models.Q(latitude=None, look_at__isnull=False),
                name="geocoded_place_settled_or_due",
            ),
        ]
        indexes = [
            models.Index(
                fields=["look_at", "id"], condition=models.Q(look_at__isnull=False), name="geocoded_place_due"
            )
        ]

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.city, self.state, self.country)))

    @property
    def position(self) -> Position | None:
        if self.latitude is None or self.longitude is None:
            return None
        return Position(
            latitude=self.latitude, longitude=self.longitude, matched=Matched(self.matched), name=self.name
        )


class GeocoderTurn(models.Model):
    """One row: from when the next request to the background geocoder may go out, whichever process sends it."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    next_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="geocoder_turn_only_one")]

    def __str__(self) -> str:
        return f"from {self.next_at:%H:%M:%S}"

    @staticmethod
    def take(now: datetime) -> bool:
        """Whether the caller may ask now. The row's lock lets one through; the others find the time moved on."""
        GeocoderTurn.objects.bulk_create([GeocoderTurn(next_at=now)], ignore_conflicts=True)
        return GeocoderTurn.objects.filter(id=1, next_at__lte=now).update(next_at=now + PACE) == 1

    @staticmethod
    def postpone(until: datetime) -> None:
        """Nobody asks before `until`."""
        GeocoderTurn.objects.filter(id=1, next_at__lt=until).update(next_at=until)
