"""A create in TensorDock's words, first boot included. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from vms.providers.base import MachineSpec, Rejected
from vms.providers.tensordock.answers import Row

IMAGE = "ubuntu2404"
SSH_USER = "user"

_HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"
_KEPT = "/etc/gamer"

# All that v2 takes; it rejects other keys, and knows no `encoding` in write_files.
_CLOUD_INIT_LISTS = ("write_files", "packages", "runcmd")
_CLOUD_INIT_FLAGS = ("package_update", "package_upgrade")

# cloud-init's own ssh module removes /etc/ssh/ssh_host_* after write_files and makes new ones: ours is put back from a copy.
_INSTALL_HOST_KEY = (
    f"mv -f {_KEPT}/ssh_host_ed25519_key {_HOST_KEY}",
    f"mv -f {_KEPT}/ssh_host_ed25519_key.pub {_HOST_KEY}.pub",
)
_RESTART_SSH = "systemctl restart ssh || systemctl restart sshd"


def _install_login_key(home: str, owner: str) -> tuple[str, ...]:
    """On some hosts `ssh_key` is not installed, and /home/user/.ssh does not exist yet when write_files runs."""
    keys = f"{home}/.ssh/authorized_keys"
    return (
        f"mkdir -p {home}/.ssh",
        f"cat {_KEPT}/authorized_key >> {keys}",
        f"chown -R {owner}: {home}/.ssh",
        f"chmod 700 {home}/.ssh",
        f"chmod 600 {keys}",
    )


def attributes_of(spec: MachineSpec, tag: str) -> Row:
    """`data.attributes` of POST /instances. Raises Rejected for what TensorDock is known to refuse."""
    offer, order = spec.offer, spec.offer.order
    if (spec.tcp_ports or spec.udp_ports) and not offer.has_public_ports:
        raise Rejected("the offer has no dedicated IP, and forwarded ports come out under other numbers")
    if spec.gpus < offer.min_gpus:
        raise Rejected("a location sells no machine without a GPU")
    place = {key: order[key] for key in ("location_id", "hostnode_id") if key in order}
    if len(place) != 1:
        raise Rejected("the offer names no place to order from")
    resources: Row = {"vcpu_count": spec.vcpus, "ram_gb": spec.ram_gb, "storage_gb": spec.disk_gb}
    if spec.gpus:
        resources["gpus"] = {offer.gpu_model: {"count": spec.gpus}}
    attributes: Row = {
        "name": tag,
        "type": "virtualmachine",
        "image": IMAGE,
        "resources": resources,
        **place,
        "useDedicatedIp": _takes_ip(spec),
        "ssh_key": _one_line(spec.ssh_public_key),
        "cloud_init": cloud_init_of(spec),
    }
    if not attributes["useDedicatedIp"]:
        # v2 refuses Ubuntu without either.
        attributes["port_forwards"] = [{"internal_port": 22, "external_port": _external_ssh_port(order, tag)}]
    return attributes


def _takes_ip(spec: MachineSpec) -> bool:
    """Needed for fixed ports; else only where a pinned host has no port left to forward."""
    return spec.uses_dedicated_ip or ("hostnode_id" in spec.offer.order and not spec.offer.order.get("ports"))


def _external_ssh_port(order: Mapping[str, Any], tag: str) -> int:
    """A pinned host takes only one of its free ports, so tags are spread over them; for a location the number is advisory."""
    ports = order.get("ports")
    return int(ports[zlib.crc32(tag.encode()) % len(ports)]) if ports else 22


def cloud_init_of(spec: MachineSpec) -> Row:
    """Our host key and login key, then what the spec adds."""
    files = [
        # Begins with a line break: what it is appended to may end without one.
        _file(f"{_KEPT}/authorized_key", f"\n{_one_line(spec.ssh_public_key)}\n", "0644"),
        *(
            _file(folder + "/ssh_host_ed25519_key" + suffix, content, permissions)
            for folder in ("/etc/ssh", _KEPT)
            for suffix, content, permissions in (
                ("", spec.ssh_host_key.rstrip("\n") + "\n", "0600"),
                (".pub", _one_line(spec.ssh_host_public_key) + "\n", "0644"),
            )
        ),
    ]
    commands = [
        *_INSTALL_HOST_KEY,
        *_install_login_key("/root", "root"),
        *_install_login_key(f"/home/{SSH_USER}", SSH_USER),
        _RESTART_SSH,
    ]
    ours: Row = {"write_files": files, "runcmd": commands}
    extra = dict(spec.cloud_init)
    merged: Row = {}
    for key in _CLOUD_INIT_LISTS:
        if both := [*ours.get(key, ()), *extra.pop(key, ())]:
            merged[key] = both
    for key in _CLOUD_INIT_FLAGS:
        if key in extra:
            merged[key] = extra.pop(key)
    encoded = [each["path"] for each in merged["write_files"] if "encoding" in each]
    if extra or encoded:
        raise Rejected(
            f"TensorDock's cloud-init takes no {', '.join([*extra, *(f'encoding of {p}' for p in encoded)])}"
        )
    return merged


def _file(path: str, content: str, permissions: str) -> Row:
    return {"path": path, "content": content, "owner": "root:root", "permissions": permissions}


def _one_line(key: str) -> str:
    line = key.strip()
    if not line or "\n" in line:
        raise Rejected("a public key is one line")
    return line
