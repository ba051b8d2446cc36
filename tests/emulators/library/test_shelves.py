"""Every kind of place for games does the same: a directory, two SFTP servers, S3's and Google's APIs over real HTTP."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from django.utils import timezone
from google.cloud.storage.retry import DEFAULT_RETRY

from emulators import shelves
from emulators.models import Game, GameUpload
from emulators.services import uploads
from emulators.shelves import sftp
from emulators.storages.google import ASKED
from gamer.env import ROOT
from tests.emulators.library.conftest import BY, scanned
from tests.emulators.library.stores import (
    PASSWORD,
    RCLONE,
    USER,
    Hanging,
    ListingGcs,
    ListingS3,
    asyncssh_server,
    rclone_server,
)
from tests.mute import mute_host

KINDS = ["file", "s3", "gs", "sftp", *(["rclone"] if RCLONE else [])]
FILES = {
    "nes/Castle (USA).nes": b"12345",
    "nes/deep/er/It's $(x) & 100% ポケモン.nes": b"1",
    "nes-extra/other.nes": b"x",
    "loose.txt": b"",
    "wii/a.wbfs": b"123",
}


class Library:
    """A library with an address, filled behind the back of whoever reads it."""

    def __init__(self, kind: str, folder: Path, stack: ExitStack, monkeypatch: Any) -> None:
        self.kind, self.login, self.root = kind, "", folder / "games"
        self.store: ListingS3 | ListingGcs | None = None
        self.root.mkdir()
        match kind:
            case "file":
                self.address = f"file://{self.root}"
            case "s3":
                self.store = stack.enter_context(ListingS3())
                self.address = self.store.address
            case "gs":
                self.store = stack.enter_context(ListingGcs())
                monkeypatch.setenv("STORAGE_EMULATOR_HOST", self.store.url)
                self.address, self.login = "gs://gamer-saves/of/players", self.store.credentials
            case "sftp" | "rclone":
                serve = asyncssh_server if kind == "sftp" else rclone_server
                port = stack.enter_context(serve(self.root))
                self.address = f"sftp://{USER}:{PASSWORD}@127.0.0.1:{port}/"

    def put(self, path: str, content: bytes) -> None:
        if self.store is not None:
            self.store.objects[f"of/players/{path}"] = content
            return
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(content)

    def get(self, path: str) -> bytes | None:
        if self.store is not None:
            return self.store.objects.get(f"of/players/{path}")
        return (self.root / path).read_bytes() if (self.root / path).exists() else None


@pytest.fixture(params=KINDS)
def library(request: Any, tmp_path: Path, settings: Any, monkeypatch: Any) -> Iterator[Library]:
    monkeypatch.setenv("HOME", str(tmp_path))  # whose known_hosts and keys are nobody's business here
    with ExitStack() as stack:
        made = Library(request.param, tmp_path, stack, monkeypatch)
        settings.GAMES_URL, settings.GAMES_GOOGLE_CREDENTIALS = made.address, made.login
        settings.GAMES_UPLOAD_DIR = str(tmp_path / "uploads")
        yield made


def listed(folder: str) -> dict[str, int]:
    with shelves.opened() as shelf:
        return {one.path: one.size for one in shelf.files(folder)}


def put(path: str, content: bytes) -> None:
    with shelves.opened(to_write=True) as shelf:
        shelf.put(path, io.BytesIO(content), len(content))


def address_of_sftp(port: int, key: asyncssh.SSHKey | None) -> str:
    """Of an SFTP host on loopback, with its key where one is given."""
    shown = key and key.export_public_key().decode().strip().replace(" ", "+")
    return f"sftp://{USER}:{PASSWORD}@127.0.0.1:{port}/{f'?host_key={shown}' if shown else ''}"


class TestEveryPlace:
    def test_tells_its_folders_and_files(self, library: Library):
        for path, content in FILES.items():
            library.put(path, content)
        with shelves.opened() as shelf:
            folders, files = shelf.top()
        assert (sorted(folders), files) == (["nes", "nes-extra", "wii"], ["loose.txt"])

    def test_lists_a_folder_to_its_depths_and_nothing_beside_it(self, library: Library):
        for path, content in FILES.items():
            library.put(path, content)
        assert listed("nes") == {path: len(one) for path, one in FILES.items() if path.startswith("nes/")}

    def test_lists_page_after_page(self, library: Library):
        for number in range(7):
            library.put(f"nes/{number}.nes", b"x" * number)
        assert listed("nes") == {f"nes/{number}.nes": number for number in range(7)}

    def test_takes_a_file_into_a_folder_that_is_not_there_yet(self, library: Library):
        content = os.urandom(300_000)
        put("snes/It's (new).sfc", content)
        assert library.get("snes/It's (new).sfc") == content
        assert listed("snes") == {"snes/It's (new).sfc": 300_000}

    def test_takes_one_in_the_place_of_another_and_the_same_again(self, library: Library):
        library.put("nes/a.nes", b"a longer one that was there before")
        for _ in range(2):
            put("nes/a.nes", b"new")
            assert library.get("nes/a.nes") == b"new"
        assert listed("nes") == {"nes/a.nes": 3}

    def test_knows_what_it_has(self, library: Library):
        library.put("nes/a.nes", b"x")
        with shelves.opened() as shelf:
            assert (shelf.has("nes/a.nes"), shelf.has("nes/b.nes")) == (True, False)

    @pytest.mark.usefixtures("shipped")
    def test_is_scanned_and_uploaded_to(self, library: Library):
        library.put("nes/Castle (USA).nes", b"12345")
        assert scanned().made == 1
        now = timezone.now()
        upload = uploads.begin(by=BY, console="snes", filename="Quest.sfc", size=4, now=now)
        uploads.receive(upload_id=upload.pk, offset=0, piece=b"data", now=now)
        uploads.move(upload_id=upload.pk, now=timezone.now())
        upload.refresh_from_db()
        assert (upload.state, upload.error_text) == (GameUpload.State.DONE, "")
        assert library.get("snes/Quest.sfc") == b"data"
        scan = scanned()
        assert (scan.state, scan.files, scan.missing, scan.made) == ("done", 2, 0, 0)
        assert Game.objects.available(True).count() == 2


class TestRefusal:
    def address_of(self, library: Library) -> str:
        return library.address.replace(PASSWORD, "wrong-canary").replace("se%2Fcr%2Bet", "wrong-canary")

    def test_of_a_wrong_login_is_for_an_operator_and_tells_no_secret(self, library: Library, settings: Any):
        if library.kind in ("file", "gs"):  # neither has one in its address
            assert "canary" not in library.address
            return
        settings.GAMES_URL = self.address_of(library)
        with pytest.raises(shelves.LibraryRefuses) as caught, shelves.opened() as shelf:
            shelf.top()
        assert "canary" not in str(caught.value)

    def test_of_a_store_in_trouble_is_for_later(self, library: Library, monkeypatch: Any):
        if library.store is None:
            return
        monkeypatch.setitem(ASKED, "retry", DEFAULT_RETRY.with_timeout(0.5))
        library.store.status = 503
        with pytest.raises(shelves.LibraryAway), shelves.opened() as shelf:
            shelf.has("nes/a.nes")

    def test_by_nobody_there_is_for_later(self, settings: Any):
        settings.GAMES_URL = "sftp://reader:x@127.0.0.1:9/"
        with pytest.raises(shelves.LibraryAway), shelves.opened() as shelf:
            shelf.top()

    @pytest.mark.parametrize("is_pinned", [True, False])
    def test_of_an_sftp_host_that_falls_silent_is_for_later(
        self, tmp_path: Path, settings: Any, monkeypatch: Any, is_pinned: bool
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        key = asyncssh.generate_private_key("ssh-ed25519")
        with asyncssh_server(tmp_path, key, Hanging) as port:
            settings.GAMES_URL = address_of_sftp(port, key if is_pinned else None)
            with shelves.opened() as shelf:
                monkeypatch.setattr(sftp, "READ_S", 0.2)
                for ask in (lambda: shelf.has("nes/a.nes"), shelf.top, lambda: list(shelf.files("nes"))):
                    with pytest.raises(shelves.LibraryAway, match="Timeout"):
                        ask()

    def test_of_an_sftp_host_that_never_begins_to_speak_is_for_later(
        self, settings: Any, monkeypatch: Any
    ) -> None:
        key = asyncssh.generate_private_key("ssh-ed25519")
        monkeypatch.setattr(sftp, "READ_S", 0.5)
        with mute_host(key.export_private_key().decode()) as port:
            settings.GAMES_URL = address_of_sftp(port, key)
            with pytest.raises(shelves.LibraryAway), shelves.opened() as shelf:
                shelf.top()


class TestLinks:
    def test_that_point_nowhere_are_passed_over(self, library: Library) -> None:
        if library.store is not None:
            return
        files = {f"nes/{number}.nes": b"x" for number in range(300)}
        for path, content in files.items():
            library.put(path, content)
        (library.root / "nes/gone.nes").symlink_to("gone")
        (library.root / "nes/same.nes").symlink_to("1.nes")
        found = listed("nes")
        assert found.pop("nes/same.nes", 1) == 1  # rclone's server shows no links
        assert found == dict.fromkeys(files, 1)


class TestHostKey:
    """Of an SFTP host, in its address."""

    def test_is_what_the_host_must_show(self, tmp_path: Path, settings: Any, monkeypatch: Any) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        key, other = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        with asyncssh_server(tmp_path, key) as port:
            (tmp_path / "nes").mkdir()
            settings.GAMES_URL = address_of_sftp(port, key)
            with shelves.opened() as shelf:
                assert shelf.top()[0] == ["nes"]
            settings.GAMES_URL = address_of_sftp(port, other)
            with pytest.raises(shelves.LibraryRefuses, match="BadHostKey"), shelves.opened() as shelf:
                shelf.top()

    def test_that_is_none_is_refused(self, settings: Any) -> None:
        settings.GAMES_URL = "sftp://reader:x@host/folder?host_key=ssh-ed25519+canary"
        with pytest.raises(shelves.LibraryRefuses, match="no public key"), shelves.opened():
            pass


class TestAddress:
    @pytest.mark.parametrize(
        "address", ["", "http://x/y", "sftp://host/x", "s3://a:b@h:x/g", "file://host/x", "gs:///x"]
    )
    def test_that_cannot_be_used_is_refused(self, address):
        with pytest.raises(ValueError):
            shelves.shelf_at(address)

    def test_of_a_bucket_refuses_credentials_that_are_none(self):
        with pytest.raises(ValueError, match="service account") as caught:
            shelves.shelf_at("gs://bucket", '{"canary": 1}')
        assert "canary" not in str(caught.value)

    def test_to_write_may_have_a_login_of_its_own(self, tmp_path: Path, settings: Any):
        settings.GAMES_URL = f"file://{tmp_path}/read"
        settings.GAMES_UPLOAD_URL = f"file://{tmp_path}/write"
        put("nes/a.nes", b"x")
        assert (tmp_path / "write/nes/a.nes").exists()

    def test_loads_the_clients_of_no_other_kind(self):
        code = (
            "import django; django.setup(); import sys; from emulators import shelves; shelves.shelf_at('file:///tmp/x'); "
            "sys.exit(bool({'boto3', 'google.cloud.storage'} & set(sys.modules)))"
        )
        env = {**os.environ, "DJANGO_SETTINGS_MODULE": "gamer.settings"}
        assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, check=False).returncode == 0
