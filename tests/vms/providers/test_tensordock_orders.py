"""What is ordered from TensorDock, and what the machine does at its first boot."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.vms.providers.specs import key_pair, spec, tag
from tests.vms.providers.wire import OFFER
from vms.providers.base import Offer, Rejected
from vms.providers.tensordock.orders import attributes_of, cloud_init_of

HOST = replace(
    OFFER,
    offer_id="host:h:cpu",
    gpu_model="",
    min_gpus=0,
    max_gpus=0,
    order={"hostnode_id": "h", "ports": [20009, 20010]},
)
NO_PORTS: dict[str, Any] = {"tcp_ports": (), "udp_ports": ()}


class TestOrder:
    def test_is_the_documented_one(self) -> None:
        attributes = attributes_of(spec(OFFER, vcpus=8, ram_gb=16, disk_gb=200), tag())
        assert {key: value for key, value in attributes.items() if key != "cloud_init"} == {
            "name": tag(),
            "type": "virtualmachine",
            "image": "ubuntu2404",
            "resources": {
                "vcpu_count": 8,
                "ram_gb": 16,
                "storage_gb": 200,
                "gpus": {"geforcertx4090-pcie-24gb": {"count": 1}},
            },
            "location_id": "x",
            "useDedicatedIp": True,
            "ssh_key": key_pair()[1],
        }

    def test_forwards_ssh_where_no_address_of_its_own_is_needed(self) -> None:
        attributes = attributes_of(spec(OFFER, **NO_PORTS), tag())
        assert attributes["useDedicatedIp"] is False
        assert attributes["port_forwards"] == [{"internal_port": 22, "external_port": 22}]

    def test_of_a_pinned_host_takes_one_of_its_free_ports(self) -> None:
        taken = {
            attributes_of(spec(HOST, **NO_PORTS), tag(number))["port_forwards"][0]["external_port"]
            for number in range(20)
        }
        assert taken == {20009, 20010}

    def test_of_a_pinned_host_without_free_ports_takes_an_address(self) -> None:
        full = replace(HOST, order={"hostnode_id": "h", "ports": []})
        attributes = attributes_of(spec(full, **NO_PORTS), tag())
        assert (attributes["useDedicatedIp"], "port_forwards" in attributes) == (True, False)

    def test_without_gpu_names_none(self) -> None:
        assert "gpus" not in attributes_of(spec(HOST), tag())["resources"]

    @pytest.mark.parametrize(
        ("offer", "changes", "words"),
        [
            (replace(OFFER, has_dedicated_ip=False), {}, "dedicated IP"),
            (OFFER, {"gpus": 0}, "without a GPU"),
            (replace(OFFER, order={}), {}, "no place"),
            (OFFER, {"ssh_public_key": "one\ntwo"}, "one line"),
            (OFFER, {"ssh_public_key": " "}, "one line"),
            (OFFER, {"cloud_init": {"bootcmd": ["x"]}}, "bootcmd"),
            (OFFER, {"cloud_init": {"write_files": [{"path": "/x", "encoding": "b64"}]}}, "encoding of /x"),
        ],
    )
    def test_that_would_be_refused_is_not_sent(
        self, offer: Offer, changes: dict[str, Any], words: str
    ) -> None:
        with pytest.raises(Rejected, match=words):
            attributes_of(spec(offer, **changes), tag())


class TestCloudInit:
    def test_adds_what_the_spec_brings_after_our_own(self) -> None:
        extra = {
            "runcmd": ["theirs"],
            "packages": ["docker.io"],
            "package_update": True,
            "write_files": [{"path": "/x", "content": "y"}],
        }
        alone, merged = cloud_init_of(spec(OFFER)), cloud_init_of(spec(OFFER, cloud_init=extra))
        assert merged["runcmd"] == [*alone["runcmd"], "theirs"]
        assert merged["write_files"] == [*alone["write_files"], {"path": "/x", "content": "y"}]
        assert (merged["packages"], merged["package_update"]) == (["docker.io"], True)
        assert extra["runcmd"] == ["theirs"]

    def test_writes_the_host_key_for_root_alone(self) -> None:
        files = {each["path"]: each for each in cloud_init_of(spec(OFFER))["write_files"]}
        key = files["/etc/ssh/ssh_host_ed25519_key"]
        assert (key["permissions"], key["owner"]) == ("0600", "root:root")
        assert key["content"] == key_pair()[0]
        assert files["/etc/ssh/ssh_host_ed25519_key.pub"]["content"] == key_pair()[1] + "\n"
        assert all(each["permissions"] == "0600" for each in files.values() if "PRIVATE" in each["content"])


class FirstBoot:
    """Runs cloud-init's part with a folder as the machine's root: files, then commands by sh."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls = root / "calls"
        tools = root / "tools"
        tools.mkdir()
        for name, script in {
            "chown": f'echo chown "$@" >> {self.calls}',
            "systemctl": f'echo systemctl "$@" >> {self.calls}',
        }.items():
            (tools / name).write_text(f"#!/bin/sh\n{script}\n")
            (tools / name).chmod(0o755)
        self.environ = {"PATH": f"{tools}:{os.environ['PATH']}"}

    def write_files(self, cloud_init: dict[str, Any]) -> None:
        for each in cloud_init["write_files"]:
            path = self.root / each["path"].lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(each["content"])
            path.chmod(int(each["permissions"], 8))

    def run(self, cloud_init: dict[str, Any]) -> None:
        for command in cloud_init["runcmd"]:
            inside = re.sub(r"(?<=\s)/(?=etc/|root/|home/)", f"{self.root}/", command)
            subprocess.run(["sh", "-c", inside], env=self.environ, check=True)

    def mode(self, path: str) -> int:
        return stat.S_IMODE((self.root / path).stat().st_mode)


class TestFirstBoot:
    @pytest.fixture
    def boot(self, tmp_path: Path) -> FirstBoot:
        return FirstBoot(tmp_path)

    def test_puts_our_host_key_back_after_cloud_init_made_its_own(self, boot: FirstBoot) -> None:
        cloud_init = cloud_init_of(spec(OFFER))
        boot.write_files(cloud_init)
        for key in (boot.root / "etc/ssh").glob("ssh_host_*key*"):
            key.unlink()
            key.write_text("cloud-init's own")
        boot.run(cloud_init)
        assert (boot.root / "etc/ssh/ssh_host_ed25519_key").read_text() == key_pair()[0]
        assert (boot.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text().strip() == key_pair()[1]
        assert boot.mode("etc/ssh/ssh_host_ed25519_key") == 0o600
        assert not (boot.root / "etc/gamer/ssh_host_ed25519_key").exists()
        assert "systemctl restart ssh" in boot.calls.read_text()

    def test_lets_our_key_in_as_root_and_user(self, boot: FirstBoot) -> None:
        cloud_init = cloud_init_of(spec(OFFER))
        boot.write_files(cloud_init)
        (boot.root / "home/user/.ssh").mkdir(parents=True)
        (boot.root / "home/user/.ssh/authorized_keys").write_text("somebody else's")
        boot.run(cloud_init)
        root_keys = (boot.root / "root/.ssh/authorized_keys").read_text()
        user_keys = (boot.root / "home/user/.ssh/authorized_keys").read_text()
        assert root_keys.split("\n") == ["", key_pair()[1], ""]
        assert user_keys.splitlines() == ["somebody else's", key_pair()[1]]
        assert (boot.mode("root/.ssh"), boot.mode("root/.ssh/authorized_keys")) == (0o700, 0o600)
        assert f"chown -R user: {boot.root}/home/user/.ssh" in boot.calls.read_text()
