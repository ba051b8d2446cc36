import django.contrib.postgres.fields
import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [("locations", "0001_initial"), ("locations", "0002_region_gpus_and_finder_answers")]

    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="GeocodedPlace",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.CharField(editable=False, max_length=500, unique=True)),
                ("city", models.CharField(blank=True, max_length=256)),
                ("state", models.CharField(blank=True, max_length=256)),
                ("country", models.CharField(blank=True, max_length=256)),
                (
                    "latitude",
                    models.FloatField(
                        blank=True,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(-90),
                            django.core.validators.MaxValueValidator(90),
                        ],
                    ),
                ),
                (
                    "longitude",
                    models.FloatField(
                        blank=True,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(-180),
                            django.core.validators.MaxValueValidator(180),
                        ],
                    ),
                ),
                (
                    "matched",
                    models.CharField(
                        blank=True,
                        choices=[("city", "city"), ("state", "state"), ("country", "country")],
                        max_length=10,
                    ),
                ),
                ("name", models.CharField(blank=True, max_length=500, verbose_name="found")),
                ("tries", models.PositiveIntegerField(default=0, help_text="In a row without an answer.")),
                ("error", models.CharField(blank=True, max_length=300)),
                ("asked_at", models.DateTimeField(help_text="When it was first needed.")),
                ("answered_at", models.DateTimeField(blank=True, null=True)),
                ("look_at", models.DateTimeField(blank=True, null=True, verbose_name="ask at")),
            ],
            options={
                "ordering": ("-asked_at", "-id"),
                "indexes": [
                    models.Index(
                        condition=models.Q(("look_at__isnull", False)),
                        fields=["look_at", "id"],
                        name="geocoded_place_due",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("latitude__isnull", False),
                                ("latitude__range", (-90, 90)),
                                ("longitude__isnull", False),
                                ("longitude__range", (-180, 180)),
                                models.Q(("matched", ""), _negated=True),
                            ),
                            models.Q(("latitude", None), ("longitude", None), ("matched", "")),
                            _connector="OR",
                        ),
                        name="geocoded_place_position",
                        violation_error_message="Give both a latitude from -90 to 90 and a longitude from -180 to 180.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("latitude__isnull", False), ("look_at", None)),
                            models.Q(("latitude", None), ("look_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="geocoded_place_settled_or_due",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="GeocoderTurn",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("next_at", models.DateTimeField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="geocoder_turn_only_one")
                ],
            },
        ),
        migrations.CreateModel(
            name="Region",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        help_text="As in cloudypad_gcp.", max_length=40, verbose_name="provider"
                    ),
                ),
                ("code", models.CharField(max_length=80)),
                ("name", models.CharField(max_length=200)),
                ("city", models.CharField(blank=True, max_length=200)),
                ("state", models.CharField(blank=True, max_length=200)),
                ("country", models.CharField(blank=True, max_length=200)),
                (
                    "country_code",
                    models.CharField(blank=True, help_text="ISO 3166, in capitals.", max_length=2),
                ),
                ("continent", models.CharField(blank=True, max_length=40)),
                (
                    "latitude",
                    models.FloatField(
                        blank=True,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(-90),
                            django.core.validators.MaxValueValidator(90),
                        ],
                    ),
                ),
                (
                    "longitude",
                    models.FloatField(
                        blank=True,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(-180),
                            django.core.validators.MaxValueValidator(180),
                        ],
                    ),
                ),
                (
                    "edited_at",
                    models.DateTimeField(
                        blank=True,
                        editable=False,
                        help_text="When staff made it theirs: a new version leaves it alone.",
                        null=True,
                    ),
                ),
                (
                    "gpu_models",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=40),
                        blank=True,
                        default=list,
                        help_text="Models that can be rented there, separated by commas. What can be bought now is what offers say.",
                        size=None,
                        verbose_name="GPUs",
                    ),
                ),
                (
                    "is_listed",
                    models.BooleanField(
                        default=True,
                        help_text="Off: no player is told of it, and it is nobody's nearest.",
                        verbose_name="listed",
                    ),
                ),
            ],
            options={
                "ordering": ("kind", "code"),
                "constraints": [
                    models.UniqueConstraint(fields=("kind", "code"), name="region_kind_code"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("latitude__isnull", False),
                                ("latitude__range", (-90, 90)),
                                ("longitude__isnull", False),
                                ("longitude__range", (-180, 180)),
                            ),
                            models.Q(("latitude", None), ("longitude", None)),
                            _connector="OR",
                        ),
                        name="region_position",
                        violation_error_message="Give both a latitude from -90 to 90 and a longitude from -180 to 180, or neither.",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="FinderAnswer",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "source",
                    models.CharField(
                        help_text="A region of Google Cloud.", max_length=80, verbose_name="from"
                    ),
                ),
                ("kind", models.CharField(max_length=40, verbose_name="provider")),
                (
                    "codes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=80),
                        default=list,
                        help_text="The closest first.",
                        size=None,
                        verbose_name="regions",
                    ),
                ),
                ("asked_at", models.DateTimeField(help_text="When it was first needed.")),
                ("queued_at", models.DateTimeField(help_text="When a request last had it refreshed.")),
                ("answered_at", models.DateTimeField(null=True)),
                ("look_at", models.DateTimeField(verbose_name="ask at")),
                ("tries", models.PositiveIntegerField(default=0, help_text="In a row without an answer.")),
                ("error", models.CharField(blank=True, max_length=300)),
            ],
            options={
                "verbose_name": "Location Finder's answer",
                "verbose_name_plural": "Location Finder's answers",
                "ordering": ("source", "kind"),
                "constraints": [
                    models.UniqueConstraint(fields=("source", "kind"), name="finder_answer_source_kind"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("answered_at", None), ("codes", [])),
                            models.Q(("answered_at__isnull", False), models.Q(("codes", []), _negated=True)),
                            _connector="OR",
                        ),
                        name="finder_answer_has_regions",
                    ),
                ],
            },
        ),
    ]
