"""What can be turned while the sandbox runs: how fast it is and which of the vendor's observed manners it shows."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

LIST_SHAPES = ("flat", "instances", "attributes.instances")
STOPPED_STATUSES = ("stopped", "stoppeddisassociated")
SSH_PORTS = ("auto", "forwarded")


class BadSetting(ValueError):
    """A setting that does not exist, or a value it cannot have."""


@dataclass(frozen=True)
class Settings:
    """Delays are seconds of the simulated clock.

    `ip_s` and `running_s` count from the create; `ssh_s` from the later of the two; `cloud_init_s` from there until
    cloud-init's commands start. `create_status` is what a create answers, true or not (the vendor says "running").
    `ssh_port` "auto" gives a dedicated IP port 22 where this process may bind it, "forwarded" never does.
    """

    ip_s: float = 2.0
    running_s: float = 3.0
    ssh_s: float = 0.5
    cloud_init_s: float = 0.5
    start_s: float = 2.0
    stop_s: float = 1.0
    delete_s: float = 0.5
    latency_s: float = 0.0
    rate_limit: bool = True
    requests_per_minute: int = 100
    list_shape: str = "flat"
    stopped_status: str = "stopped"
    create_status: str = "running"
    ssh_port: str = "auto"

    def changed(self, changes: dict[str, Any]) -> Settings:
        """A copy with `changes` applied; raises BadSetting."""
        kinds = {each.name: type(each.default) for each in fields(self)}
        checked: dict[str, Any] = {}
        for name, value in changes.items():
            kind = kinds.get(name)
            if kind is None:
                raise BadSetting(f"no setting is called {name!r}; there are {', '.join(sorted(kinds))}")
            if kind is float and isinstance(value, int) and not isinstance(value, bool):
                value = float(value)
            if type(value) is not kind:
                raise BadSetting(f"{name} is a {kind.__name__}, not {value!r}")
            if isinstance(value, int | float) and value < 0:
                raise BadSetting(f"{name} cannot be below zero")
            checked[name] = value
        new = replace(self, **checked)
        for name, allowed in (
            ("list_shape", LIST_SHAPES),
            ("stopped_status", STOPPED_STATUSES),
            ("ssh_port", SSH_PORTS),
        ):
            if getattr(new, name) not in allowed:
                raise BadSetting(f"{name} is one of {', '.join(allowed)}")
        return new

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


# "vendor" is what live users measured: an IP after 5 to 30 s, cloud-init done 60 to 90 s later.
SPEEDS: dict[str, Settings] = {
    "instant": Settings(ip_s=0, running_s=0, ssh_s=0, cloud_init_s=0, start_s=0, stop_s=0, delete_s=0),
    "fast": Settings(),
    "vendor": Settings(
        ip_s=15, running_s=20, ssh_s=15, cloud_init_s=60, start_s=30, stop_s=20, delete_s=10, latency_s=4
    ),
}
