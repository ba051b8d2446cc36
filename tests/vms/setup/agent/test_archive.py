"""The archive of a save: what it holds, what is refused, and that the server reads it alike."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from emulators import archives
from tests.vms.setup.agent.running import packed_of
from vms.setup.agent import archive
from vms.setup.agent.archive import EMPTY


class TestArchive:
    def test_is_the_same_for_the_same_files_and_read_alike_by_the_server(self, tmp_path: Path) -> None:
        files = {"a.srm": "one", "states/ü b.state": "two", "states/deep/c": ""}
        digest, packed = packed_of(tmp_path / "a", files)
        again, repacked = packed_of(tmp_path / "b", dict(reversed(files.items())))
        for path in (tmp_path / "a", tmp_path / "b"):
            assert archive.digest_of(path) == digest
        assert digest == again == archives.digest_of(packed) == archives.digest_of(repacked)

    def test_holds_files_and_folders_only(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("canary")
        place = tmp_path / "saves"
        place.mkdir()
        (place / "link").symlink_to(tmp_path / "secret")
        (place / "folder").symlink_to(tmp_path)
        os.mkfifo(place / "pipe")
        digest, _ = archive.pack(place, tmp_path / "packed.tgz")
        assert digest == EMPTY
        archive.unpack(tmp_path / "packed.tgz", tmp_path / "out", EMPTY)
        assert list((tmp_path / "out").iterdir()) == []

    def test_of_too_much_is_refused_in_words(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archive, "MAX_ENTRIES", 3)
        for number in range(4):
            (tmp_path / str(number)).touch()
        with pytest.raises(archive.TooLarge, match="more than 3 files"):
            archive.digest_of(tmp_path)
        monkeypatch.setattr(archive, "MAX_ENTRIES", 10)
        monkeypatch.setattr(archive, "MAX_UNPACKED", 1024 * 1024)
        (tmp_path / "big").write_bytes(bytes(1024 * 1024 + 1))
        with pytest.raises(archive.TooLarge, match="more than 1 MiB"):
            archive.pack(tmp_path, tmp_path.with_suffix(".tgz"))

    @pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a/../../b", "a//b", "."])
    def test_is_never_unpacked_beside_its_folder(self, tmp_path: Path, name: str) -> None:
        source = tmp_path / "bad.tgz"
        with archive.tarfile.open(source, "w:gz") as bad:
            entry = archive.tarfile.TarInfo(name)
            bad.addfile(entry, archive.io.BytesIO())
        with pytest.raises(archive.BadArchive):
            archive.unpack(source, tmp_path / "out", EMPTY)
        assert sorted(path.name for path in tmp_path.rglob("*")) == ["bad.tgz", "out"]

    def test_of_another_packer_is_unpacked_for_games_to_write_in(self, tmp_path: Path) -> None:
        """As `tar -C folder .` names things, without folders of their own, and with a time that no file has."""
        source = tmp_path / "packed.tgz"
        with archive.tarfile.open(source, "w:gz", format=archive.tarfile.PAX_FORMAT) as made:
            folder = archive.tarfile.TarInfo("./")
            folder.type = archive.tarfile.DIRTYPE
            made.addfile(folder)
            file = archive.tarfile.TarInfo("./memcards/a/card.raw")
            file.size, file.pax_headers = 1, {"mtime": "1e300"}
            made.addfile(file, archive.io.BytesIO(b"x"))
        line = f"{hashlib.sha256(b'x').hexdigest()} 1 memcards/a/card.raw\n"
        archive.unpack(source, tmp_path / "out", hashlib.sha256(line.encode()).hexdigest())
        made_of = ["", "memcards", "memcards/a", "memcards/a/card.raw"]
        assert len({(tmp_path / "out" / name).stat().st_uid for name in made_of}) == 1

    def test_makes_no_link_of_anybodys(self, tmp_path: Path) -> None:
        source = tmp_path / "bad.tgz"
        with archive.tarfile.open(source, "w:gz") as bad:
            entry = archive.tarfile.TarInfo("way")
            entry.type, entry.linkname = archive.tarfile.SYMTYPE, "/etc"
            bad.addfile(entry)
        with pytest.raises(archive.BadArchive, match="neither a file nor a folder"):
            archive.unpack(source, tmp_path / "out", EMPTY)
