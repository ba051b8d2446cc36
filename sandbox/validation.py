"""A create's body, checked as v2 does: problems come back as a list of {code, message, path}."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from sandbox.stock import Resources

IMAGES = (
    "ubuntu2204",
    "ubuntu2404",
    "ubuntu2404_ml_everything",
    "ubuntu2404_ml_pytorch",
    "ubuntu2404_ml_tensorflow",
    "windows10",
)
RAM_STEPS_GB = frozenset({2, 4, 6, 8, 10, *range(16, 257, 16), 512})
_CLOUD_INIT_KINDS: dict[str, type] = {
    "runcmd": list,
    "packages": list,
    "package_update": bool,
    "package_upgrade": bool,
    "write_files": list,
}
_WRITE_FILE_KEYS = ("path", "content", "owner", "permissions")


class Invalid(Exception):
    """Validation failed; `problems` is the body the vendor answers with."""

    def __init__(self, problems: list[dict[str, Any]]) -> None:
        super().__init__(str(problems))
        self.problems = problems


@dataclass(frozen=True)
class PortForward:
    internal_port: int
    external_port: int


@dataclass(frozen=True)
class Order:
    """A valid create."""

    name: str
    image: str
    resources: Resources
    location_id: str | None
    hostnode_id: str | None
    dedicated_ip: bool
    port_forwards: tuple[PortForward, ...]
    ssh_key: str | None
    ssh_key_id: str | None
    cloud_init: dict[str, Any]

    @property
    def is_windows(self) -> bool:
        return self.image.startswith("windows")


class _Checker:
    """Collects problems while it reads."""

    def __init__(self) -> None:
        self.problems: list[dict[str, Any]] = []

    def problem(self, code: str, message: str, *path: str | int) -> None:
        self.problems.append({"code": code, "message": message, "path": list(path)})

    def whole(self, source: dict[str, Any], key: str, *path: str | int, least: int = 0) -> int:
        value = source.get(key)
        if type(value) is not int:
            self.problem("invalid_type", _expected("number", value), *path, key)
            return 0
        if value < least:
            self.problem("too_small", f"Number must be greater than or equal to {least}", *path, key)
        return value

    def text(self, source: dict[str, Any], key: str, *path: str | int, required: bool = False) -> str | None:
        value = source.get(key)
        if value is None and not required:
            return None
        if not isinstance(value, str):
            self.problem("invalid_type", _expected("string", value), *path, key)
            return None
        if not value:
            self.problem("too_small", "String must contain at least 1 character(s)", *path, key)
        return value

    def mapping(self, source: dict[str, Any], key: str, *path: str | int) -> dict[str, Any]:
        value = source.get(key)
        if not isinstance(value, dict):
            self.problem("invalid_type", _expected("object", value), *path, key)
            return {}
        return value

    def stop(self) -> NoReturn:
        raise Invalid(self.problems)


def _expected(kind: str, value: object) -> str:
    if value is None:
        return "Required"
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return f"Expected {kind}, received {names.get(type(value), 'unknown')}"


_AT = ("data", "attributes")


def parse_order(body: object) -> Order:
    """Reads a create's body; raises Invalid with every problem found."""
    check = _Checker()
    attributes = _attributes(check, body)
    name = check.text(attributes, "name", *_AT, required=True) or ""
    if attributes.get("type") != "virtualmachine":
        check.problem("invalid_literal", 'Invalid literal value, expected "virtualmachine"', *_AT, "type")
    image = attributes.get("image")
    if image not in IMAGES:
        check.problem(
            "invalid_enum_value", f"Invalid enum value. Expected one of {', '.join(IMAGES)}", *_AT, "image"
        )
    location_id, hostnode_id = _place(check, attributes)
    resources = _resources(check, attributes, gpu_needed=hostnode_id is None)
    ssh_key, ssh_key_id = _keys(check, attributes, is_windows=str(image).startswith("windows"))
    dedicated_ip = attributes.get("useDedicatedIp", False)
    if not isinstance(dedicated_ip, bool):
        check.problem("invalid_type", _expected("boolean", dedicated_ip), *_AT, "useDedicatedIp")
    forwards = _port_forwards(check, attributes)
    cloud_init = _cloud_init(check, attributes)
    if check.problems:
        check.stop()
    return Order(
        name=name,
        image=str(image),
        resources=resources,
        location_id=location_id,
        hostnode_id=hostnode_id,
        dedicated_ip=bool(dedicated_ip),
        port_forwards=forwards,
        ssh_key=ssh_key,
        ssh_key_id=ssh_key_id,
        cloud_init=cloud_init,
    )


def _attributes(check: _Checker, body: object) -> dict[str, Any]:
    if not isinstance(body, dict):
        check.problem("invalid_type", _expected("object", body))
        check.stop()
    data = check.mapping(body, "data")
    if check.problems:
        check.stop()
    if data.get("type") != "virtualmachine":
        check.problem("invalid_literal", 'Invalid literal value, expected "virtualmachine"', "data", "type")
    return check.mapping(data, "attributes", "data")


def _place(check: _Checker, attributes: dict[str, Any]) -> tuple[str | None, str | None]:
    location_id = check.text(attributes, "location_id", *_AT)
    hostnode_id = check.text(attributes, "hostnode_id", *_AT)
    if (location_id is None) == (hostnode_id is None):
        check.problem(
            "custom", "Exactly one of location_id and hostnode_id must be given", *_AT, "location_id"
        )
    return location_id, hostnode_id


def _resources(check: _Checker, attributes: dict[str, Any], *, gpu_needed: bool) -> Resources:
    at = (*_AT, "resources")
    given = check.mapping(attributes, "resources", *_AT)
    if not given:
        return Resources(0, 0, 0)
    vcpus = check.whole(given, "vcpu_count", *at, least=2)
    if vcpus % 2:
        check.problem("not_multiple_of", "Number must be a multiple of 2", *at, "vcpu_count")
    ram_gb = check.whole(given, "ram_gb", *at)
    if type(given.get("ram_gb")) is int and ram_gb not in RAM_STEPS_GB:
        steps = ", ".join(str(step) for step in sorted(RAM_STEPS_GB))
        check.problem("invalid_enum_value", f"Invalid enum value. Expected one of {steps}", *at, "ram_gb")
    storage_gb = check.whole(given, "storage_gb", *at, least=100)
    if storage_gb % 50:
        check.problem("not_multiple_of", "Number must be a multiple of 50", *at, "storage_gb")
    gpus = _gpus(check, given, at)
    if gpu_needed and not gpus and not check.problems:
        check.problem("custom", "At least one GPU is required when deploying to a location", *at, "gpus")
    return Resources(vcpus, ram_gb, storage_gb, gpus)


def _gpus(check: _Checker, given: dict[str, Any], at: tuple[str, ...]) -> dict[str, int]:
    if given.get("gpus") is None:
        return {}
    gpus: dict[str, int] = {}
    for name, value in check.mapping(given, "gpus", *at).items():
        if not isinstance(value, dict):
            check.problem("invalid_type", _expected("object", value), *at, "gpus", name)
        elif count := check.whole(value, "count", *at, "gpus", name, least=1):
            gpus[name] = count
    return gpus


def _keys(check: _Checker, attributes: dict[str, Any], *, is_windows: bool) -> tuple[str | None, str | None]:
    ssh_key = check.text(attributes, "ssh_key", *_AT)
    ssh_key_id = check.text(attributes, "ssh_key_id", *_AT)
    if ssh_key is not None and ssh_key_id is not None:
        check.problem("custom", "Only one of ssh_key and ssh_key_id may be given", *_AT, "ssh_key")
    if ssh_key is None and ssh_key_id is None and not is_windows:
        check.problem("custom", "One of ssh_key and ssh_key_id is required", *_AT, "ssh_key")
    return ssh_key, ssh_key_id


def _port_forwards(check: _Checker, attributes: dict[str, Any]) -> tuple[PortForward, ...]:
    given = attributes.get("port_forwards")
    if given is None:
        return ()
    if not isinstance(given, list):
        check.problem("invalid_type", _expected("array", given), *_AT, "port_forwards")
        return ()
    forwards = []
    for index, each in enumerate(given):
        at = (*_AT, "port_forwards", index)
        if not isinstance(each, dict):
            check.problem("invalid_type", _expected("object", each), *at)
            continue
        internal, external = (
            check.whole(each, "internal_port", *at, least=1),
            check.whole(each, "external_port", *at),
        )
        if max(internal, external) > 65535:
            check.problem("too_big", "Number must be less than or equal to 65535", *at)
        forwards.append(PortForward(internal, external))
    return tuple(forwards)


def _cloud_init(check: _Checker, attributes: dict[str, Any]) -> dict[str, Any]:
    if attributes.get("cloud_init") is None:
        return {}
    given = check.mapping(attributes, "cloud_init", *_AT)
    at = (*_AT, "cloud_init")
    if unknown := sorted(set(given) - set(_CLOUD_INIT_KINDS)):
        check.problem("unrecognized_keys", f"Unrecognized key(s) in object: {', '.join(unknown)}", *at)
    for key, kind in _CLOUD_INIT_KINDS.items():
        if key in given and not isinstance(given[key], kind):
            check.problem(
                "invalid_type", _expected("array" if kind is list else "boolean", given[key]), *at, key
            )
    if check.problems:
        return given
    for index, each in enumerate(given.get("write_files", ())):
        if not isinstance(each, dict):
            check.problem("invalid_type", _expected("object", each), *at, "write_files", index)
            continue
        if unknown := sorted(set(each) - set(_WRITE_FILE_KEYS)):
            message = f"Unrecognized key(s) in object: {', '.join(unknown)}"
            check.problem("unrecognized_keys", message, *at, "write_files", index)
        check.text(each, "path", *at, "write_files", index, required=True)
        for key in ("content", "owner", "permissions"):
            if not isinstance(each.get(key, ""), str):
                check.problem("invalid_type", _expected("string", each[key]), *at, "write_files", index, key)
    for index, command in enumerate(given.get("runcmd", ())):
        words = command if isinstance(command, list) else [command]
        if not words or not all(isinstance(word, str) for word in words):
            check.problem("invalid_type", _expected("string", command), *at, "runcmd", index)
    return given
