"""The archive of a save: what it holds, what is refused, and that the server reads it alike."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import os
import threading
import tracemalloc
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

    def test_of_too_much_is_not_begun(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        place, target = tmp_path / "saves", tmp_path / "packed.tgz"
        place.mkdir()
        for name in "abcdefgh":
            (place / name).write_bytes(os.urandom(1024 * 1024))
        monkeypatch.setattr(archive, "MAX_PACKED", 1024 * 1024)
        with pytest.raises(archive.TooLarge, match="packed it has more than 1 MiB"):
            archive.pack(place, target)
        assert target.stat().st_size < 3 * 1024 * 1024  # nor written to its end, where only that tells
        target.unlink()
        with (place / "z").open("wb") as large:
            large.truncate(archive.MAX_UNPACKED)
        with pytest.raises(archive.TooLarge, match="it has more than 256 MiB"):
            archive.pack(place, target)
        assert not target.exists()

    def test_of_a_game_that_never_rests_is_made_all_the_same(self, tmp_path: Path) -> None:
        """Its files come and go: at the end of a machine, what else is there is all that its player has."""
        place, is_packed = tmp_path / "saves", threading.Event()
        place.mkdir()
        (place / "a.srm").write_bytes(os.urandom(4 * 1024 * 1024))  # it takes a while to come to the next
        (place / "b.0").touch()

        def scribble() -> None:
            for number in itertools.count():
                if is_packed.wait(0.001):
                    return
                (place / f"b.{number}").rename(place / f"b.{number + 1}")

        writer = threading.Thread(target=scribble)
        writer.start()
        try:
            digest, _ = archive.pack(place, tmp_path / "packed.tgz", is_torn_fine=True)
        finally:
            is_packed.set()
            writer.join()
        archive.unpack(tmp_path / "packed.tgz", tmp_path / "out", digest)
        assert (tmp_path / "out/a.srm").read_bytes() == (place / "a.srm").read_bytes()

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

    @pytest.mark.parametrize("kind", ["GNU", "pax"])
    def test_of_sparse_files_is_refused_before_their_map_is_read(self, tmp_path: Path, kind: str) -> None:
        """A few kilobytes of map would be hundreds of thousands of pairs."""
        entry, source = archive.tarfile.TarInfo("a"), tmp_path / "bad.tgz"
        if kind == "GNU":
            entry.type = archive.tarfile.GNUTYPE_SPARSE
            raw = bytearray(entry.tobuf(archive.tarfile.GNU_FORMAT))
            raw[482] = 1  # more of the map follows
            raw[148:156] = b"%06o\x00 " % (sum(raw[:148]) + 8 * 32 + sum(raw[156:]))
            part = b"%011o\x00" % 8 * 42 + b"\x01" + bytes(7)
            source.write_bytes(gzip.compress(bytes(raw) + part * 10_000))
        else:
            content = b"200000\n" + b"8\n" * 400_000
            with archive.tarfile.open(source, "w:gz", format=archive.tarfile.PAX_FORMAT) as bad:
                entry.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
                entry.size = len(content)
                bad.addfile(entry, io.BytesIO(content))
        tracemalloc.start()
        with pytest.raises(archive.BadArchive, match="neither a file nor a folder"):
            archive.unpack(source, tmp_path / "out", EMPTY)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 4 * 1024 * 1024

    @pytest.mark.parametrize(
        ("length", "count", "words"),
        [(70_000, 1, "headers without end"), (1, 2, "more than one global header")],
    )
    def test_of_headers_that_take_memory_is_refused(
        self, tmp_path: Path, length: int, count: int, words: str
    ) -> None:
        source = tmp_path / "bad.tgz"
        head = archive.tarfile.TarInfo.create_pax_global_header({"comment": "x" * length})
        source.write_bytes(gzip.compress(head * count + bytes(1024)))
        with pytest.raises(archive.BadArchive, match=words):
            archive.unpack(source, tmp_path / "out", EMPTY)
