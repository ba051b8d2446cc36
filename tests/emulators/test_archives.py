"""What is believed of an archive, and what is not."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulators import archives
from emulators.archives import digest_of, files_in
from gamer.errors import TooLarge, ValidationError
from tests.emulators.saving import member, packed, tar

NOTHING = hashlib.sha256(b"").hexdigest()
NAMES = st.lists(
    st.text(
        st.characters(exclude_characters="/\x00", exclude_categories=["Cs"]), min_size=1, max_size=30
    ).filter(lambda part: part not in (".", "..")),
    min_size=1,
    max_size=4,
).map("/".join)


def refused(archive: bytes) -> str:
    with pytest.raises(ValidationError) as caught:
        digest_of(archive)
    assert list(caught.value.details) == ["archive"]
    return caught.value.message


class TestDigest:
    def test_is_of_names_sizes_and_contents(self) -> None:
        lines = b"".join(
            b"%s %d %s\n" % (hashlib.sha256(content).hexdigest().encode(), len(content), name)
            for name, content in ((b"a.srm", b"one"), (b"b/c.srm", b""))
        )
        assert digest_of(packed({"b/c.srm": b"", "a.srm": b"one"})) == hashlib.sha256(lines).hexdigest()

    def test_minds_neither_order_nor_times_nor_rights_nor_folders_nor_packing(self) -> None:
        one = tar(member("a", b"1"), member("b/c", b"2"))
        other = tar(
            member("./", kind=tarfile.DIRTYPE),
            member("b", kind=tarfile.DIRTYPE, mode=0o700),
            member("./b/c", b"2", mtime=12, mode=0o600, uid=7, uname="player"),
            member("b/", kind=tarfile.DIRTYPE),
            member("a", b"1"),
        )
        assert digest_of(one) == digest_of(other) == digest_of(gzip.compress(gzip.decompress(one), 1))

    def test_of_no_file_is_that_of_nothing(self) -> None:
        assert digest_of(tar()) == digest_of(tar(member("states", kind=tarfile.DIRTYPE))) == NOTHING

    @pytest.mark.parametrize("changed", [{"a": b"2"}, {"b": b"1"}, {"a": b"1", "b": b""}, {}])
    def test_is_another_for_another_content(self, changed: dict[str, bytes]) -> None:
        assert digest_of(packed({"a": b"1"})) != digest_of(packed(changed))

    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.dictionaries(NAMES, st.binary(max_size=200), max_size=6))
    def test_tells_apart_all_that_can_lie_in_a_folder(self, files: dict[str, bytes]) -> None:
        if any(f"{name}/" in f"{other}/" for name in files for other in files if name != other):
            return  # one beneath the other, or alike but for their ends
        found = {one.name: one for one in files_in(packed(files))}
        assert {name: hashlib.sha256(content).hexdigest() for name, content in files.items()} == {
            name: one.sha256 for name, one in found.items()
        }

    def test_knows_names_that_are_no_utf_8(self) -> None:
        name = b"caf\xe9".decode("utf-8", "surrogateescape")
        archive = tar(member(name, b"1"), encoding="utf-8", errors="surrogateescape")
        assert [one.name for one in files_in(archive)] == [name]
        line = hashlib.sha256(b"1").hexdigest().encode() + b" 1 caf\xe9\n"
        assert digest_of(archive) == hashlib.sha256(line).hexdigest()


class TestRefusal:
    @pytest.mark.parametrize(
        "name", ["../a", "a/../../b", "/etc/passwd", "a//b", "a/./b", "..", "/", "a/..", "./../a", "./"]
    )
    def test_of_names_that_lead_elsewhere(self, name: str) -> None:
        assert "leads out" in refused(tar(member(name, b"1")))

    @pytest.mark.parametrize(
        "kind",
        [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"],
    )
    def test_of_what_is_neither_file_nor_folder(self, kind: bytes) -> None:
        assert "neither a file nor a folder" in refused(tar(member("a", kind=kind, linkname="/etc/passwd")))

    def test_of_sparse_files(self) -> None:
        sparse = {
            "pax_headers": {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}
        }
        refused(tar(member("a", b"0\n" + b"\x00" * 510, **sparse)))

    @pytest.mark.parametrize("kind", ["GNU", "pax"])
    def test_of_sparse_files_before_their_map_is_read(self, kind: str) -> None:
        """A few kilobytes of map would be hundreds of thousands of pairs."""
        if kind == "GNU":
            head = tarfile.TarInfo("a")
            head.type = tarfile.GNUTYPE_SPARSE
            raw = bytearray(head.tobuf(tarfile.GNU_FORMAT))
            raw[482] = 1  # more of the map follows
            raw[148:156] = b"%06o\x00 " % (sum(raw[:148]) + 8 * 32 + sum(raw[156:]))
            part = b"%011o\x00" % 8 * 42 + b"\x01" + bytes(7)
            archive = gzip.compress(bytes(raw) + part * 10_000)
        else:
            told = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
            archive = tar(member("a", b"200000\n" + b"8\n" * 400_000, pax_headers=told))
        tracemalloc.start()
        assert "neither a file nor a folder" in refused(archive)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 4 * archives.MIB

    def test_of_more_than_one_global_header(self) -> None:
        head = tarfile.TarInfo.create_pax_global_header({"comment": "as git writes one"})
        one = gzip.decompress(packed({"a": b"1"}))
        assert [found.name for found in files_in(gzip.compress(head + one))] == ["a"]
        assert "global header" in refused(gzip.compress(head + head + one))

    @pytest.mark.parametrize(
        "names", [("a", "a"), ("a", "./a"), ("a/b", "a"), ("a", "a/b")], ids=lambda names: " ".join(names)
    )
    def test_of_names_that_are_in_it_twice_or_beneath_a_file(self, names: tuple[str, str]) -> None:
        refused(tar(*(member(name, b"1") for name in names)))

    def test_of_a_file_where_a_folder_was(self) -> None:
        assert "twice" in refused(tar(member("a", kind=tarfile.DIRTYPE), member("a", b"1")))

    @pytest.mark.parametrize("name", ["a" * 256, "/".join(["ab"] * 1366), "ü" * 128])
    def test_of_names_that_no_file_system_has(self, name: str) -> None:
        assert "too long" in refused(tar(member(name, b"1")))

    def test_of_a_name_that_takes_memory_alone(self) -> None:
        assert "too long" in refused(tar(member("a" * 70_000, b"1")))

    @pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
    def test_of_headers_without_end(self, kind: bytes) -> None:
        header = tarfile.TarInfo("././@LongLink")
        header.type = kind
        assert "too many headers" in refused(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) * 1000))

    @pytest.mark.parametrize(
        "broken",
        [
            b"",
            b"\x1f\x8b",
            b"no archive",
            gzip.compress(b"no tar" * 200),
            packed({"a": b"1"})[:-9],
            packed({"a": b"1"})[:-1] + b"\x7f",
            packed({"a": b"1"}) + b"more",
            gzip.compress(gzip.decompress(packed({"a": b"x" * 2000}))[:1024]),
        ],
        ids=["empty", "half a head", "text", "no tar", "cut", "another sum", "a tail", "a file cut"],
    )
    def test_of_what_is_broken(self, broken: bytes) -> None:
        refused(broken)

    def test_of_more_bytes_than_are_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        archive = packed({"a": b"1"})
        monkeypatch.setattr(archives, "MAX_PACKED", len(archive) - 1)
        with pytest.raises(TooLarge):
            digest_of(archive)

    def test_of_more_files_than_are_taken(self) -> None:
        few = [member(f"{n}/{m}") for n in range(64) for m in range(63)]
        assert digest_of(tar(*few))
        with pytest.raises(TooLarge, match="4096"):
            digest_of(tar(*few, member("one more")))

    def test_of_a_folder_that_is_named_for_ever(self) -> None:
        folder = tarfile.TarInfo("./")
        folder.type = tarfile.DIRTYPE
        most = 2 * archives.MAX_ENTRIES
        assert files_in(gzip.compress(folder.tobuf() * most, 1)) == []
        with pytest.raises(TooLarge, match="4096"):
            digest_of(gzip.compress(folder.tobuf() * (most + 1), 1))

    def test_of_what_unpacks_to_too_much(self) -> None:
        """A few hundred kilobytes that would be 300 MiB: named as it is, and cut off long before where it is hidden."""
        tar_of_zeros = gzip.compress(b"\x00" * 1024, 9)
        with pytest.raises(TooLarge, match="unpacked"):
            digest_of(tar_of_zeros + gzip.compress(b"\x00" * (300 * archives.MIB), 1))
        raw = io.BytesIO()
        with gzip.open(raw, "wb", 1) as out:
            out.write(gzip.decompress(tar(member("a", b"", size=0)))[:512])
            head = tarfile.TarInfo("b")
            head.size = 257 * archives.MIB
            out.write(head.tobuf())
        with pytest.raises(TooLarge, match="unpacked"):
            digest_of(raw.getvalue())
