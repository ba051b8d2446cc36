"""What runs: consoles, sizes of machines, GPU classes, who may host a console, and games."""

from __future__ import annotations

from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import OpClass
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Deferrable, Exists, OuterRef, Q, Subquery
from django.db.models.functions import Upper

from emulators.filenames import MAX_PATH, SAFE_PATH
from emulators.models.library import LibraryFile
from events.history import keeps_history

MAX_VCPUS = 512
MAX_RAM_GB = 4096
MAX_DISK_GB = 65_536
MAX_GPUS = 16
MAX_SESSION_HOURS = 168
MAX_LIST = 50
MAX_USD_PER_1000_KM = 100
GAME_ID = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}\Z"

extension = RegexValidator(
    r"^\.[a-z0-9]{1,10}\Z", "Write an extension as a dot and small letters, such as .nes."
)
library_file = RegexValidator(
    SAFE_PATH,
    "Write a path inside the library, without .. and control characters.",
)
term = RegexValidator(r"^[a-z0-9]{2,40}\Z", "Write a term in small letters and digits only, such as rtx4090.")


class ConsoleType(models.TextChoices):
    """The consoles of the contract; the values are the API's `console_type`."""

    NES = "nes", "Nintendo Entertainment System"
    SNES = "snes", "Super Nintendo"
    GB = "gb", "Game Boy"
    GBC = "gbc", "Game Boy Color"
    GBA = "gba", "Game Boy Advance"
    NDS = "nds", "Nintendo DS"
    N3DS = "3ds", "Nintendo 3DS"
    GAMECUBE = "gamecube", "GameCube"
    WII = "wii", "Wii"
    SWITCH = "switch", "Nintendo Switch"


class ProviderKind(models.TextChoices):
    """The kinds of provider. The sandbox is an account of kind `tensordock`; `memory` serves tests and benchmarks."""

    TENSORDOCK = "tensordock", "TensorDock"
    CLOUDYPAD_GCP = "cloudypad_gcp", "Google Cloud (CloudyPad)"
    CLOUDYPAD_AWS = "cloudypad_aws", "AWS (CloudyPad)"
    CLOUDYPAD_AZURE = "cloudypad_azure", "Azure (CloudyPad)"
    CLOUDYPAD_PAPERSPACE = "cloudypad_paperspace", "Paperspace (CloudyPad)"
    CLOUDYPAD_SCALEWAY = "cloudypad_scaleway", "Scaleway (CloudyPad)"
    LIBVIRT = "libvirt", "Own hosts (libvirt)"
    MEMORY = "memory", "Memory (tests)"


def _between(name: str, low: int, high: int) -> Q:
    return Q(**{f"{name}__gte": low, f"{name}__lte": high})


def _price(help_text: str) -> models.DecimalField[Decimal | str | int | None, Decimal | None]:
    return models.DecimalField(
        "limit (USD per hour)",
        max_digits=10,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[
            MinValueValidator(Decimal("0.000001"), "A limit must be above 0; leave it empty for none.")
        ],
        help_text=help_text,
    )


@keeps_history("emulators", "{slug}")
class Console(models.Model):
    """A console that exists, whether it is configured or not."""

    slug = models.CharField(max_length=10, primary_key=True, choices=ConsoleType.choices)
    display_name = models.CharField(max_length=60, help_text="The name players see.")
    position = models.PositiveSmallIntegerField(default=0, help_text="Lower comes first in lists.")

    class Meta:
        ordering = ("position", "slug")
        constraints = [
            models.CheckConstraint(condition=Q(slug__in=ConsoleType.values), name="console_is_known"),
            models.CheckConstraint(condition=~Q(display_name=""), name="console_has_a_name"),
        ]

    def __str__(self) -> str:
        return self.display_name


@keeps_history("emulators", "preset:{slug}")
class Preset(models.Model):
    """A size of machine, as a floor: the provider's next legal size is what is bought, quoted and shown."""

    slug = models.SlugField(
        "name", max_length=20, primary_key=True, help_text="The API's name of it; never changes."
    )
    vcpus = models.PositiveSmallIntegerField(
        "vCPUs",
        validators=[MinValueValidator(1), MaxValueValidator(MAX_VCPUS)],
        help_text="At least so many.",
    )
    ram_gb = models.PositiveSmallIntegerField(
        "RAM (GB)",
        validators=[MinValueValidator(1), MaxValueValidator(MAX_RAM_GB)],
        help_text="At least so much.",
    )
    disk_gb = models.PositiveIntegerField(
        "disk (GB)",
        validators=[MinValueValidator(1), MaxValueValidator(MAX_DISK_GB)],
        help_text="At least so much.",
    )
    gpus = models.PositiveSmallIntegerField(
        "GPUs", default=0, validators=[MaxValueValidator(MAX_GPUS)], help_text="0 buys none."
    )

    class Meta:
        ordering = ("vcpus", "ram_gb", "disk_gb", "gpus", "slug")
        constraints = [
            models.CheckConstraint(
                condition=_between("vcpus", 1, MAX_VCPUS)
                & _between("ram_gb", 1, MAX_RAM_GB)
                & _between("disk_gb", 1, MAX_DISK_GB)
                & _between("gpus", 0, MAX_GPUS),
                name="preset_is_a_size",
            ),
            models.CheckConstraint(condition=~Q(slug=""), name="preset_has_a_name"),
        ]

    def __str__(self) -> str:
        return self.slug


@keeps_history("emulators", "gpu_class:{name}")
class GpuClass(models.Model):
    """GPUs that are about as good for games, on a ladder. A vendor's model belongs to the class with the longest term in it."""

    name = models.CharField(max_length=40, unique=True, help_text="Named after its best-known card.")
    rank = models.PositiveSmallIntegerField(
        validators=[MinValueValidator(1)],
        help_text="1 is the weakest; asking for a class accepts every higher one.",
    )
    terms = ArrayField(
        models.CharField(max_length=40, validators=[term]),
        size=200,
        help_text="Parts of vendors' model names in small letters and digits, separated by commas: rtx4090, l40s.",
    )

    class Meta:
        ordering = ("rank",)
        verbose_name = "GPU class"
        verbose_name_plural = "GPU classes"
        constraints = [
            # Deferred, so that one statement (or one request) may swap ranks.
            models.UniqueConstraint(fields=["rank"], name="gpu_class_rank", deferrable=Deferrable.DEFERRED),
            models.CheckConstraint(condition=Q(rank__gte=1), name="gpu_class_rank_positive"),
            models.CheckConstraint(condition=~Q(name=""), name="gpu_class_has_a_name"),
            models.CheckConstraint(
                condition=Q(terms__len__gte=1, terms__len__lte=200), name="gpu_class_has_terms"
            ),
        ]

    def __str__(self) -> str:
        return self.name


@keeps_history("emulators", "{console_id}")
class EmulatorConfig(models.Model):
    """How a console is run. A console without this row cannot be launched."""

    console = models.OneToOneField(Console, on_delete=models.CASCADE, primary_key=True, related_name="config")
    default_emulator = models.CharField(
        max_length=60, help_text="The program that plays its games, such as Dolphin."
    )
    default_preset = models.ForeignKey(
        Preset, on_delete=models.PROTECT, related_name="+", help_text="The size of machine a launch asks for."
    )
    min_cpu = models.PositiveSmallIntegerField(
        "least vCPUs",
        validators=[MinValueValidator(1), MaxValueValidator(MAX_VCPUS)],
        help_text="No preset below this is accepted.",
    )
    min_ram_gb = models.PositiveSmallIntegerField(
        "least RAM (GB)",
        validators=[MinValueValidator(1), MaxValueValidator(MAX_RAM_GB)],
        help_text="No preset below this is accepted.",
    )
    requires_gpu = models.BooleanField(
        "requires a GPU", default=False, help_text="No preset without a GPU is accepted."
    )
    gpu_class = models.ForeignKey(
        GpuClass,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="GPU class",
        help_text="The least class, asked on TensorDock and on own hosts. A provider's row may name another one.",
    )
    cost_per_hour_limit = _price("Never pay more; empty for no limit. Providers may have their own.")
    usd_per_1000_km = models.DecimalField(
        "what 1,000 km are worth (USD per hour)",
        max_digits=10,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[
            MinValueValidator(
                Decimal(0), "A distance cannot be worth less than nothing; at 0 only the price counts."
            ),
            MaxValueValidator(
                Decimal(MAX_USD_PER_1000_KM),
                f"At most {MAX_USD_PER_1000_KM} dollars an hour for 1,000 km; long before that only the distance counts.",
            ),
        ],
        help_text="With it, offers are tried by score, whoever sells them: the price, and so much for every 1,000 km. "
        "Empty: provider by provider in their order, the nearest offer first.",
    )
    max_session_hours = models.PositiveSmallIntegerField(
        "longest session (hours)",
        default=8,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_SESSION_HOURS)],
        help_text="A machine is ended so many hours after it became ready.",
    )
    supported_file_extensions = ArrayField(
        models.CharField(max_length=11, validators=[extension]),
        verbose_name="game files",
        size=MAX_LIST,
        default=list,
        blank=True,
        help_text="Extensions, separated by commas: .nes, .unf",
    )
    save_file_extensions = ArrayField(
        models.CharField(max_length=11, validators=[extension]),
        verbose_name="save files",
        size=MAX_LIST,
        default=list,
        blank=True,
        help_text="Extensions of files that hold progress: .sav, .srm",
    )

    class Meta:
        ordering = ("console__position", "console_id")
        verbose_name = "console"
        verbose_name_plural = "consoles"
        constraints = [
            models.CheckConstraint(
                condition=_between("min_cpu", 1, MAX_VCPUS) & _between("min_ram_gb", 1, MAX_RAM_GB),
                name="emulator_config_floor",
            ),
            models.CheckConstraint(
                condition=_between("max_session_hours", 1, MAX_SESSION_HOURS), name="emulator_config_session"
            ),
            models.CheckConstraint(
                condition=Q(cost_per_hour_limit=None) | Q(cost_per_hour_limit__gt=0),
                name="emulator_config_limit_positive",
            ),
            models.CheckConstraint(
                condition=Q(usd_per_1000_km=None) | _between("usd_per_1000_km", 0, MAX_USD_PER_1000_KM),
                name="emulator_config_distance",
            ),
            models.CheckConstraint(
                condition=~Q(default_emulator=""),
                name="emulator_config_has_emulator",
            ),
            models.CheckConstraint(
                condition=Q(
                    supported_file_extensions__len__lte=MAX_LIST, save_file_extensions__len__lte=MAX_LIST
                ),
                name="emulator_config_extensions",
            ),
        ]

    def __str__(self) -> str:
        return str(self.console)


@keeps_history("emulators", "{config_id}", row="{provider}")
class ProviderPreference(models.Model):
    """One provider that may host a console, tried in the order of `priority`."""

    config = models.ForeignKey(EmulatorConfig, on_delete=models.CASCADE, related_name="preferences")
    provider = models.CharField(
        max_length=25, choices=ProviderKind.choices, help_text="Who would run the machine; each at most once."
    )
    priority = models.PositiveSmallIntegerField(
        default=1, validators=[MinValueValidator(1)], help_text="1 is tried first."
    )
    enabled = models.BooleanField(default=True, help_text="A switched-off provider is never asked.")
    preset_override = models.ForeignKey(
        Preset,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="preset",
        help_text="Another size of machine here; empty for the console's.",
    )
    cost_per_hour_limit = _price("Never pay more here; empty for the console's limit.")
    regions = ArrayField(
        models.CharField(max_length=100),
        size=MAX_LIST,
        default=list,
        blank=True,
        help_text="Only there: region codes or their beginnings, countries, states or cities, separated by commas; "
        "empty for anywhere.",
    )
    gpu_class = models.ForeignKey(
        GpuClass,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="GPU class",
        help_text="Another least class here; empty for the console's.",
    )

    class Meta:
        ordering = ("config", "priority")
        verbose_name = "provider"
        constraints = [
            models.UniqueConstraint(fields=["config", "provider"], name="preference_provider"),
            # Deferred, so that one statement (or one request) may reorder.
            models.UniqueConstraint(
                fields=["config", "priority"], name="preference_priority", deferrable=Deferrable.DEFERRED
            ),
            models.CheckConstraint(
                condition=Q(provider__in=ProviderKind.values), name="preference_provider_known"
            ),
            models.CheckConstraint(condition=Q(priority__gte=1), name="preference_priority_positive"),
            models.CheckConstraint(
                condition=Q(cost_per_hour_limit=None) | Q(cost_per_hour_limit__gt=0),
                name="preference_limit_positive",
            ),
            models.CheckConstraint(
                condition=Q(regions__len__lte=MAX_LIST),
                name="preference_regions",
            ),
        ]

    def __str__(self) -> str:
        return self.get_provider_display()


class GameQuerySet(models.QuerySet["Game"]):
    def of_console(self, console: str) -> GameQuerySet:
        return self.filter(console=console)

    def matching(self, words: str) -> GameQuerySet:
        """Games whose title or id contains the words, whatever their case."""
        return self.filter(Q(title__icontains=words) | Q(game_id__icontains=words))

    def with_availability(self) -> GameQuerySet:
        """Adds `is_available`: whether the library has its file; None for a game without one, and as long as no scan has looked."""
        file = LibraryFile.objects.filter(path=OuterRef("file"))
        return self.annotate(is_available=Subquery(file.values(there=Q(missing_since=None))[:1]))

    def available(self, is_available: bool) -> GameQuerySet:
        """Those whose file is in the library, or those whose file is known not to be."""
        file = LibraryFile.objects.filter(path=OuterRef("file"))
        return self.filter(Exists(file.filter(missing_since__isnull=is_available)))


@keeps_history("emulators", "game:{console_id}/{game_id}")
class Game(models.Model):
    """A game we know. One we do not know is launched with its console's values."""

    game_id = models.CharField(
        max_length=100,
        validators=[
            RegexValidator(
                GAME_ID, "Use letters, digits and . _ : - only, at most 100, starting with a letter or digit."
            )
        ],
        help_text="The API's name of it, unique in its console.",
    )
    console = models.ForeignKey(
        Console, on_delete=models.PROTECT, related_name="games", help_text="What it is played on."
    )
    title = models.CharField(max_length=200, help_text="The title players see.")
    preset = models.ForeignKey(
        Preset,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Another size of machine for this game, at every provider; empty for the console's.",
    )
    min_cpu = models.PositiveSmallIntegerField(
        "least vCPUs",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_VCPUS)],
        help_text="Raises the console's; never lowers it.",
    )
    min_ram_gb = models.PositiveSmallIntegerField(
        "least RAM (GB)",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_RAM_GB)],
        help_text="Raises the console's; never lowers it.",
    )
    requires_gpu = models.BooleanField(
        "requires a GPU", default=False, help_text="Asks for a GPU even where the console does not."
    )
    gpu_class = models.ForeignKey(
        GpuClass,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="GPU class",
        help_text="Another least class for this game, wherever one is asked; empty for the console's.",
    )
    emulator = models.CharField(
        max_length=60, blank=True, help_text="Another emulator; empty for the console's."
    )
    file = models.CharField(
        max_length=MAX_PATH,
        blank=True,
        validators=[library_file],
        help_text="Where it lies in the library of games, such as nes/Castle of Blocks (World).nes.",
    )

    objects = GameQuerySet.as_manager()

    class Meta:
        ordering = ("title", "game_id")
        constraints = [
            models.UniqueConstraint(
                fields=["console", "game_id"],
                name="game_id_in_console",
                violation_error_message="This console has a game with this id.",
            ),
            models.CheckConstraint(condition=~Q(game_id="") & ~Q(title=""), name="game_has_a_name"),
            models.CheckConstraint(
                condition=(Q(min_cpu=None) | _between("min_cpu", 1, MAX_VCPUS))
                & (Q(min_ram_gb=None) | _between("min_ram_gb", 1, MAX_RAM_GB)),
                name="game_floor",
            ),
        ]
        indexes = [
            models.Index(fields=["title", "game_id"], name="game_by_title"),
            # What the admin's search by the beginning asks: UPPER(…) LIKE 'MAR%'.
            models.Index(OpClass(Upper("title"), "text_pattern_ops"), name="game_title_begins"),
            models.Index(OpClass(Upper("game_id"), "text_pattern_ops"), name="game_id_begins"),
            models.Index(fields=["file"], name="game_by_file"),
        ]

    def __str__(self) -> str:
        return self.title
