"""What is wrong with a configuration, in words. The database holds the plain ranges; here is what takes two rows to see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from emulators.drafts import ConfigDraft, PreferenceDraft
from emulators.facts import KnownPlace, OfferFacts, OfferFactsSource
from emulators.profile import Floor, GpuTable, Preference, Profile, classes_asked

Faults = dict[str, list[str]]
PLACES_NAMED = 8


@dataclass(slots=True)
class Problems:
    """Faults by field: of the console, and of each provider in the draft's order."""

    config: Faults = field(default_factory=dict)
    providers: list[Faults] = field(default_factory=list)

    def details(self) -> Faults:
        """All of them under the API's names; empty when there is none."""
        found = {name: list(texts) for name, texts in self.config.items()}
        for number, faults in enumerate(self.providers):
            for name, texts in faults.items():
                found[f"preferred_providers.{number}.{name}"] = texts
        return found


def size_in_words(floor: Floor) -> str:
    """`8 vCPUs, 16 GB RAM and a GPU`"""
    gpus = {0: "no GPU", 1: "a GPU"}.get(floor.gpus, f"{floor.gpus} GPUs")
    return f"{floor.vcpus} vCPUs, {floor.ram_gb} GB RAM and {gpus}"


def is_below(size: Floor, floor: Floor) -> bool:
    return size != size.raised_to(floor)


def below_floor(name: str, size: Floor, floor: Floor, whose: str = "the console's") -> str:
    """The sentence about a preset that is too small; empty when it is not."""
    if not is_below(size, floor):
        return ""
    return f"{name} ({size_in_words(size)}) is below {whose} floor of {size_in_words(floor)}."


@dataclass(frozen=True, slots=True)
class Judge:
    """Looks at a draft beside what is known: presets, the GPU ladder, the names of providers, the stock, and the map.

    Only values that differ from `before` are held against the stock, because prices move while a row stays.
    """

    presets: Mapping[str, Floor]
    gpus: GpuTable
    labels: Mapping[str, str]
    facts: OfferFactsSource
    is_on_map: Callable[[str], bool]
    before: ConfigDraft | None = None

    def problems(self, draft: ConfigDraft) -> Problems:
        floor = Floor(draft.min_cpu, draft.min_ram_gb, 0, int(draft.requires_gpu))
        found = Problems(providers=[{} for _ in draft.preferred_providers])
        self._check_preset(draft.default_preset, floor, found.config, "default_preset")
        self._check_class(draft.gpu_class, found.config)
        self._check_doubles(draft.preferred_providers, found.providers)
        for one, faults in zip(draft.preferred_providers, found.providers, strict=True):
            if one.preset_override is not None:
                self._check_preset(one.preset_override, floor, faults, "preset_override")
            self._check_class(one.gpu_class, faults)
        if not found.details():
            self._check_stock(draft, floor, found)
        return found

    def _check_doubles(self, drafts: Sequence[PreferenceDraft], faults: list[Faults]) -> None:
        for number, one in enumerate(drafts):
            earlier = drafts[:number]
            if any(other.provider == one.provider for other in earlier):
                _add(faults[number], "provider", f"{self._label(one)} is listed twice.")
            elif other := next((other for other in earlier if other.priority == one.priority), None):
                text = f"{self._label(other)} has priority {one.priority} already."
                _add(faults[number], "priority", text)

    def _label(self, one: PreferenceDraft) -> str:
        return self.labels.get(one.provider, one.provider)

    def _check_preset(self, name: str, floor: Floor, faults: Faults, where: str) -> None:
        if name not in self.presets:
            _add(faults, where, f"There is no preset {name}; there are {_listed(self.presets)}.")
        elif text := below_floor(f"Preset {name}", self.presets[name], floor):
            _add(faults, where, text)

    def _check_class(self, name: str | None, faults: Faults) -> None:
        known = [known for known, _, _ in self.gpus.classes]
        if name is not None and name not in known:
            _add(faults, "gpu_class", f"There is no GPU class {name}; there are {_listed(known)}.")

    def _check_stock(self, draft: ConfigDraft, floor: Floor, found: Problems) -> None:
        profile = Profile(
            console="",
            preset=draft.default_preset,
            floor=floor,
            presets=self.presets,
            gpu_classes=classes_asked(draft.gpu_class),
            gpus=self.gpus,
            preferences=(),
            usd_per_hour_limit=None,
            max_session_hours=draft.max_session_hours,
        )
        prices = []
        for one, faults in zip(draft.preferred_providers, found.providers, strict=True):
            if one.enabled:
                asked = Preference(one.provider, 1, preset=one.preset_override, gpu_class=one.gpu_class)
                known = self.facts(provider=one.provider, profile=replace(profile, preferences=(asked,)))
                prices.append(known.cheapest_usd_per_hour)
                self._check_limit(one, known, faults)
                self._check_regions(one, known, faults)
        limit, cheapest = (
            draft.cost_per_hour_limit,
            min((one for one in prices if one is not None), default=None),
        )
        is_new = self.before is None or self.before.cost_per_hour_limit != limit
        if is_new and limit is not None and cheapest is not None and limit < cheapest:
            text = f"The cheapest machine known for this console costs {_usd(cheapest)} an hour: nothing could be launched."
            _add(found.config, "cost_per_hour_limit", text)

    def _old(self, provider: str) -> PreferenceDraft | None:
        listed = self.before.preferred_providers if self.before else ()
        return next((one for one in listed if one.provider == provider), None)

    def _check_limit(self, one: PreferenceDraft, known: OfferFacts, faults: Faults) -> None:
        limit, cheapest, old = one.cost_per_hour_limit, known.cheapest_usd_per_hour, self._old(one.provider)
        if limit is None or cheapest is None or (old is not None and old.cost_per_hour_limit == limit):
            return
        if limit < cheapest:
            text = f"{self._label(one)}'s cheapest machine for this console costs {_usd(cheapest)} an hour: none would be taken."
            _add(faults, "cost_per_hour_limit", text)

    def _check_regions(self, one: PreferenceDraft, known: OfferFacts, faults: Faults) -> None:
        old = self._old(one.provider)
        for entry in one.regions:
            if not known.places or (old is not None and entry in old.regions):
                continue
            # A place without an offer may be sold out for the moment: only what is no place at all is refused.
            if not any(place.is_meant_by(entry) for place in known.places) and not self.is_on_map(entry):
                text = f"{self._label(one)} has nothing in “{entry}”; it has machines in {_countries(known.places)}."
                _add(faults, "regions", text)


def _add(faults: Faults, name: str, text: str) -> None:
    faults.setdefault(name, []).append(text)


def _usd(amount: Decimal) -> str:
    return f"${amount:.3f}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _countries(places: Sequence[KnownPlace]) -> str:
    """The countries by name, the codes of places whose provider is silent about them; the first few."""
    names = sorted({place.country or place.region for place in places})
    more = len(names) - PLACES_NAMED
    return ", ".join(names[:PLACES_NAMED]) + (f" and {more} more" if more > 0 else "")
