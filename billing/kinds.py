"""The kinds of providers, by the names under which money is kept."""

from __future__ import annotations

from collections.abc import Mapping

from gamer.errors import bad_field

KINDS = (
    "tensordock",
    "cloudypad_gcp",
    "cloudypad_aws",
    "cloudypad_azure",
    "cloudypad_paperspace",
    "cloudypad_scaleway",
    "libvirt",
    "memory",
)
OFFERED = tuple(kind for kind in KINDS if kind != "memory")  # which serves tests and benchmarks
# Names that the first product had for its clouds.
ALIASES: Mapping[str, str] = {
    name: f"cloudypad_{name}" for name in ("gcp", "aws", "azure", "paperspace", "scaleway")
}


def kind_of(provider: str) -> str:
    """The kind of provider that is meant: `gcp` is `cloudypad_gcp`."""
    return ALIASES.get(provider, provider)


def known(provider: str) -> str:
    """The same, of one that there is. Raises ValidationError naming `provider`: under a misspelt one nothing would ever be found."""
    kind = kind_of(provider)
    if kind not in KINDS:
        raise bad_field("provider", f"One of {', '.join(OFFERED)}.")
    return kind
