"""The regions we ship: where each cloud that CloudyPad drives rents out machines, and with which GPUs.

Facts, not quotes: which machine can be bought, and for how much, is what offers say. Coordinates are those of the town
(GeoNames, through the gazetteer), because clouds name no buildings. Afterwards the rows are staff's.

Towns too small for the gazetteer have their coordinates here.

Sources, read in November 2026:
- Google Cloud: cloud.google.com/compute/docs/regions-zones (all public regions and their towns) and …/gpus/gpu-regions-zones
  (T4 with N1, L4 with G2 machines, the families CloudyPad offers).
- AWS: docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-regions-availability-zones.html; A10G where
  `describe-instance-type-offerings` lists g5 (validatedpatterns/rag-llm-gitops, pull request 52), T4 where it lists g4dn.
- Azure: `az account list-locations` and azure.microsoft.com/explore/global-infrastructure/products-by-region
  (T4: NCasT4_v3; A10: NVadsA10_v5).
- Paperspace: docs.digitalocean.com/products/paperspace/machines/details/availability; the codes are CloudyPad's own.
- Scaleway: scaleway.com/en/docs/account/reference-content/products-availability.
What a vendor moved since, staff correct in the admin.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# The clouds of `/launch/<cloud>/regions` and the kind of provider that rents there.
CLOUDS = {
    "gcp": "cloudypad_gcp",
    "aws": "cloudypad_aws",
    "azure": "cloudypad_azure",
    "paperspace": "cloudypad_paperspace",
    "scaleway": "cloudypad_scaleway",
}
GCP = CLOUDS["gcp"]
_NAMES = {
    "cloudypad_gcp": "Google Cloud",
    "cloudypad_aws": "AWS",
    "cloudypad_azure": "Azure",
    "cloudypad_paperspace": "Paperspace",
    "cloudypad_scaleway": "Scaleway",
}


def name_of(kind: str) -> str:
    """How people call the cloud of a provider kind."""
    return _NAMES.get(kind, kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionSeed:
    """A region as a provider's catalogue lists it. Without coordinates the gazetteer places it, by its town."""

    kind: str
    code: str
    name: str
    city: str = ""
    state: str = ""
    country: str = ""
    latitude: float | None = None
    longitude: float | None = None
    gpu_models: tuple[str, ...] = ()


US, CANADA, GERMANY, INDIA, JAPAN = "United States", "Canada", "Germany", "India", "Japan"
UK, NETHERLANDS, AUSTRALIA, BRAZIL, KOREA = (
    *("United Kingdom", "Netherlands", "Australia", "Brazil", "South Korea"),
)

# A port on the Ems; the nearest town the gazetteer knows is Roodeschool.
_POSITIONS = {"Eemshaven": (53.4386, 6.8355)}

# Code, town, state, country, GPUs. Google's own name of a region is its place.
_GCP = (
    ("africa-south1", "Johannesburg", "", "South Africa", ""),
    ("asia-east1", "Changhua", "", "Taiwan", "L4 T4"),
    ("asia-east2", "Hong Kong", "", "Hong Kong", "T4"),
    ("asia-northeast1", "Tokyo", "", JAPAN, "L4 T4"),
    ("asia-northeast2", "Osaka", "", JAPAN, ""),
    ("asia-northeast3", "Seoul", "", KOREA, "L4 T4"),
    ("asia-south1", "Mumbai", "Maharashtra", INDIA, "L4 T4"),
    ("asia-south2", "Delhi", "", INDIA, ""),
    ("asia-southeast1", "Singapore", "", "Singapore", "L4 T4"),
    ("asia-southeast2", "Jakarta", "", "Indonesia", "T4"),
    ("asia-southeast3", "Bangkok", "", "Thailand", ""),
    ("australia-southeast1", "Sydney", "New South Wales", AUSTRALIA, "T4"),
    ("australia-southeast2", "Melbourne", "Victoria", AUSTRALIA, ""),
    ("europe-central2", "Warsaw", "", "Poland", "T4"),
    ("europe-north1", "Hamina", "", "Finland", ""),
    ("europe-north2", "Stockholm", "", "Sweden", ""),
    ("europe-southwest1", "Madrid", "", "Spain", ""),
    ("europe-west1", "Saint-Ghislain", "", "Belgium", "L4 T4"),
    ("europe-west2", "London", "England", UK, "L4 T4"),
    ("europe-west3", "Frankfurt am Main", "Hesse", GERMANY, "L4 T4"),
    ("europe-west4", "Eemshaven", "Groningen", NETHERLANDS, "L4 T4"),
    ("europe-west6", "Zürich", "", "Switzerland", "L4"),
    ("europe-west8", "Milan", "Lombardy", "Italy", ""),
    ("europe-west9", "Paris", "Île-de-France", "France", ""),
    ("europe-west10", "Berlin", "Berlin", GERMANY, ""),
    ("europe-west12", "Turin", "Piedmont", "Italy", ""),
    ("me-central1", "Doha", "", "Qatar", ""),
    ("me-central2", "Dammam", "", "Saudi Arabia", "L4"),
    ("me-west1", "Tel Aviv", "", "Israel", "T4"),
    ("northamerica-northeast1", "Montréal", "Quebec", CANADA, "T4"),
    ("northamerica-northeast2", "Toronto", "Ontario", CANADA, "L4"),
    ("northamerica-south1", "Querétaro", "", "Mexico", ""),
    ("southamerica-east1", "Osasco", "São Paulo", BRAZIL, "T4"),
    ("southamerica-west1", "Santiago", "", "Chile", ""),
    ("us-central1", "Council Bluffs", "Iowa", US, "L4 T4"),
    ("us-east1", "Moncks Corner", "South Carolina", US, "L4 T4"),
    ("us-east4", "Ashburn", "Virginia", US, "L4 T4"),
    ("us-east5", "Columbus", "Ohio", US, ""),
    ("us-south1", "Dallas", "Texas", US, ""),
    ("us-west1", "The Dalles", "Oregon", US, "L4 T4"),
    ("us-west2", "Los Angeles", "California", US, "T4"),
    ("us-west3", "Salt Lake City", "Utah", US, "T4"),
    ("us-west4", "Las Vegas", "Nevada", US, "L4 T4"),
)

# Code, the vendor's name, town, state, country, GPUs.
_AWS = (
    ("af-south-1", "Africa (Cape Town)", "Cape Town", "", "South Africa", "T4"),
    ("ap-east-1", "Asia Pacific (Hong Kong)", "Hong Kong", "", "Hong Kong", "T4"),
    ("ap-northeast-1", "Asia Pacific (Tokyo)", "Tokyo", "", JAPAN, "A10G T4"),
    ("ap-northeast-2", "Asia Pacific (Seoul)", "Seoul", "", KOREA, "A10G T4"),
    ("ap-northeast-3", "Asia Pacific (Osaka)", "Osaka", "", JAPAN, "A10G T4"),
    ("ap-south-1", "Asia Pacific (Mumbai)", "Mumbai", "Maharashtra", INDIA, "A10G T4"),
    ("ap-southeast-1", "Asia Pacific (Singapore)", "Singapore", "", "Singapore", "A10G T4"),
    ("ap-southeast-2", "Asia Pacific (Sydney)", "Sydney", "New South Wales", AUSTRALIA, "A10G T4"),
    ("ca-central-1", "Canada (Central)", "Montréal", "Quebec", CANADA, "A10G T4"),
    ("eu-central-1", "Europe (Frankfurt)", "Frankfurt am Main", "Hesse", GERMANY, "A10G T4"),
    ("eu-north-1", "Europe (Stockholm)", "Stockholm", "", "Sweden", "A10G T4"),
    ("eu-south-1", "Europe (Milan)", "Milan", "Lombardy", "Italy", "T4"),
    ("eu-west-1", "Europe (Ireland)", "Dublin", "", "Ireland", "A10G T4"),
    ("eu-west-2", "Europe (London)", "London", "England", UK, "A10G T4"),
    ("eu-west-3", "Europe (Paris)", "Paris", "Île-de-France", "France", "A10G T4"),
    ("me-south-1", "Middle East (Bahrain)", "Manama", "", "Bahrain", "T4"),
    ("sa-east-1", "South America (São Paulo)", "São Paulo", "São Paulo", BRAZIL, "A10G T4"),
    ("us-east-1", "US East (N. Virginia)", "Ashburn", "Virginia", US, "A10G T4"),
    ("us-east-2", "US East (Ohio)", "Columbus", "Ohio", US, "A10G T4"),
    ("us-west-1", "US West (N. California)", "San Jose", "California", US, "A10G T4"),
    ("us-west-2", "US West (Oregon)", "Boardman", "Oregon", US, "A10G T4"),
)

_AZURE = (
    ("australiaeast", "Australia East", "Sydney", "New South Wales", AUSTRALIA, "A10 T4"),
    ("brazilsouth", "Brazil South", "São Paulo", "São Paulo", BRAZIL, "T4"),
    ("canadacentral", "Canada Central", "Toronto", "Ontario", CANADA, "A10 T4"),
    ("centralindia", "Central India", "Pune", "Maharashtra", INDIA, "A10 T4"),
    ("centralus", "Central US", "Des Moines", "Iowa", US, "T4"),
    ("eastasia", "East Asia", "Hong Kong", "", "Hong Kong", "T4"),
    ("eastus", "East US", "Ashburn", "Virginia", US, "A10 T4"),
    ("eastus2", "East US 2", "Boydton", "Virginia", US, "A10 T4"),
    ("francecentral", "France Central", "Paris", "Île-de-France", "France", "A10 T4"),
    ("germanywestcentral", "Germany West Central", "Frankfurt am Main", "Hesse", GERMANY, "A10 T4"),
    ("japaneast", "Japan East", "Tokyo", "", JAPAN, "A10 T4"),
    ("koreacentral", "Korea Central", "Seoul", "", KOREA, "T4"),
    ("northcentralus", "North Central US", "Chicago", "Illinois", US, "T4"),
    ("northeurope", "North Europe", "Dublin", "", "Ireland", "A10 T4"),
    ("norwayeast", "Norway East", "Oslo", "", "Norway", "T4"),
    ("southafricanorth", "South Africa North", "Johannesburg", "", "South Africa", "T4"),
    ("southcentralus", "South Central US", "San Antonio", "Texas", US, "A10 T4"),
    ("southeastasia", "Southeast Asia", "Singapore", "", "Singapore", "A10 T4"),
    ("swedencentral", "Sweden Central", "Gävle", "", "Sweden", "A10 T4"),
    ("switzerlandnorth", "Switzerland North", "Zürich", "", "Switzerland", "A10 T4"),
    ("uaenorth", "UAE North", "Dubai", "", "United Arab Emirates", "A10 T4"),
    ("uksouth", "UK South", "London", "England", UK, "A10 T4"),
    ("westeurope", "West Europe", "Amsterdam", "North Holland", NETHERLANDS, "A10 T4"),
    ("westus", "West US", "San Francisco", "California", US, "T4"),
    ("westus2", "West US 2", "Quincy", "Washington", US, "A10 T4"),
    ("westus3", "West US 3", "Phoenix", "Arizona", US, "A10 T4"),
)

_PAPERSPACE = (
    ("East Coast (NY2)", "East Coast (NY2)", "New York City", "New York", US, "M4000 P4000 RTX4000 P5000 RTX5000 A4000 A5000 A6000"),
    ("West Coast (CA1)", "West Coast (CA1)", "Santa Clara", "California", US, "P4000 RTX4000 P5000 A4000 A5000 A6000"),
    ("Europe (AMS1)", "Europe (AMS1)", "Amsterdam", "North Holland", NETHERLANDS, "M4000 P4000 RTX4000 P5000 A4000"),
)  # fmt: skip

_SCALEWAY = (
    ("fr-par", "Paris", "Paris", "Île-de-France", "France", "P100 RTX3070 L4 L40S H100"),
    ("pl-waw", "Warsaw", "Warsaw", "", "Poland", "L4 L40S H100"),
)


def shipped() -> Iterator[RegionSeed]:
    """Every region we know at delivery."""
    for code, city, state, country, gpus in _GCP:
        place = ", ".join(dict.fromkeys(part for part in (city, state, country) if part))
        yield _seed("gcp", code, place, city, state, country, gpus)
    for cloud, rows in (
        ("aws", _AWS),
        ("azure", _AZURE),
        ("paperspace", _PAPERSPACE),
        ("scaleway", _SCALEWAY),
    ):
        for row in rows:
            yield _seed(cloud, *row)


def _seed(cloud: str, code: str, name: str, city: str, state: str, country: str, gpus: str) -> RegionSeed:
    latitude, longitude = _POSITIONS.get(city, (None, None))
    return RegionSeed(
        kind=CLOUDS[cloud],
        code=code,
        name=name,
        city=city,
        state=state,
        country=country,
        latitude=latitude,
        longitude=longitude,
        gpu_models=tuple(gpus.split()),
    )
