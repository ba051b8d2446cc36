"""The library's address, and rclone told of it: its own binary reads what we write."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vms.setup.library import Library, obscured, parse

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIBJ9uKZKqqsvHRFtaqVjbwhcvQim7l0mmTZa94sRTAw+"
RCLONE = shutil.which("rclone")
ADDRESSES = {
    "gs://games/roms": ("google cloud storage", "games/roms"),
    "s3://id:se%2Fcret@s3.example.com/games": ("s3", "games"),
    "sftp://reader:pass@nas.example.com:2222/srv/games": ("sftp", "/srv/games"),
}


def known(address: str) -> Library:
    library = parse(address)
    assert library is not None
    return library


class TestParse:
    @pytest.mark.parametrize(("address", "found"), ADDRESSES.items(), ids=lambda value: str(value)[:10])
    def test_tells_the_three_kinds_apart(self, address, found):
        library = known(address)
        assert (library.kind, library.folder) == found

    def test_knows_none(self):
        assert parse("") is None

    @pytest.mark.parametrize(
        "address",
        [
            "games",
            "http://x/y",
            "s3://host/games",
            "sftp://host/x",
            "s3://a:b@h:x/g",
            "sftp://u%0a:p@h/x",
            "sftp://u:p@h/x?host_key=ssh-ed25519",
            "sftp://u:p@h/x?host_key=ssh-ed25519+canary",
            f"sftp://u:p@h/x?host_key=ssh-rsa+{KEY}",
            f"sftp://u:p@h/x?host_key=ssh-ed2551+{KEY}",
            f"sftp://u:p@h/x?host_key=ssh-ed25519+{KEY[:-4]}",
        ],
    )
    def test_refuses_others_without_repeating_them(self, address):
        with pytest.raises(ValueError) as caught:
            parse(address)
        assert address not in str(caught.value)

    def test_reads_the_same_address_the_same(self):
        """Or a machine's plan would be another at every look, and begun anew."""
        address = "sftp://reader:pass@nas/games"
        assert known(address).rclone_config("") == known(address).rclone_config("")
        assert obscured("one") != obscured("two")

    @pytest.mark.parametrize(
        ("host", "name"), [("nas", "nas"), ("nas:22", "nas"), ("nas:2222", "[nas]:2222"), ("[::1]", "::1")]
    )
    @pytest.mark.parametrize("plus", ["+", "%2B"])
    def test_knows_the_host_by_its_key(self, host, name, plus):
        key = KEY.replace("+", plus)
        library = known(f"sftp://reader:pass@{host}/games?host_key=ssh-ed25519+{key}")
        assert library.known_hosts == f"{name} ssh-ed25519 {KEY}\n"
        config = library.rclone_config("/etc/known_hosts").decode()
        assert "\nknown_hosts_file = /etc/known_hosts\n" in config
        assert "known_hosts_file" not in known("sftp://reader:pass@nas/games").rclone_config("/x").decode()

    def test_shows_no_secret(self):
        assert "se/cret" not in repr(known("s3://id:se%2Fcret@s3.example.com/games"))
        assert known("s3://id:se%2Fcret@s3.example.com/games").secrets == ("se/cret",)

    @given(
        password=st.text(
            st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40
        )
    )
    def test_never_lets_a_value_become_a_line(self, password):
        library = Library("s3", "x", {"secret_access_key": f"{password}\n[evil]\ntype = local"})
        assert library.rclone_config("").decode().count("\n[") == 0


if RCLONE:

    class TestRclone:
        def test_reveals_the_password_we_hid(self):
            hidden = obscured("s3cret pässword")
            shown = subprocess.run([RCLONE, "reveal", "--", hidden], stdout=subprocess.PIPE, check=True)
            assert shown.stdout.decode().strip() == "s3cret pässword"

        @pytest.mark.parametrize("address", ADDRESSES)
        def test_reads_the_configuration(self, address, tmp_path: Path):
            config, hosts = tmp_path / "rclone.conf", tmp_path / "known_hosts"
            hosts.write_text(known(address).known_hosts)
            config.write_bytes(known(address).rclone_config(str(hosts)))
            listed = subprocess.run(
                [RCLONE, "--config", str(config), "listremotes", "--long"], stdout=subprocess.PIPE, check=True
            )
            assert listed.stdout.decode().split() == ["games:", *known(address).kind.split()]
