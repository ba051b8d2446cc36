"""The places where archives lie: a directory, and a store that speaks S3's API over real HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from emulators import checks, doctor, storages
from gamer.env import ROOT
from gamer.web.doctor import Verdict
from tests.emulators.gcs import Gcs
from tests.emulators.s3 import S3

NAME = "9a1d6f0c-3b52-4c8e-a7f4-1e2d3c4b5a69/2c26b46b.0a1b2c3d4e5f"
PLACES = ["directory", "s3", "google"]


@pytest.fixture
def s3() -> Iterator[S3]:
    with S3() as store:
        yield store


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gcs]:
    with Gcs() as store:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.url)
        yield store


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, settings: Any, tmp_path: Path, s3: S3, gcs: Gcs) -> storages.Place:
    addresses = {
        "directory": f"file://{tmp_path}/with a space",
        "s3": s3.address,
        "google": "gs://gamer-saves/of/players",
    }
    settings.SAVES_URL, settings.SAVES_GOOGLE_CREDENTIALS = addresses[request.param], gcs.credentials
    return storages.open_place()


class TestEveryPlace:
    def test_gives_back_what_it_took(self, place: storages.Place) -> None:
        content = os.urandom(9 * 1024 * 1024)  # past what its client would send in parts
        place.put(NAME, content)
        assert place.get(NAME) == content

    def test_takes_the_same_again(self, place: storages.Place) -> None:
        place.put(NAME, b"longer at first, cut off in the middle")
        place.put(NAME, b"whole")
        assert place.get(NAME) == b"whole"

    def test_deletes_and_minds_nothing_that_is_gone(self, place: storages.Place) -> None:
        place.put(NAME, b"1")
        place.delete(NAME)
        place.delete(NAME)
        with pytest.raises(storages.SaveUnavailable):
            place.get(NAME)

    def test_passes_the_doctor_who_leaves_nothing(
        self, place: storages.Place, now: Any, s3: S3, gcs: Gcs, tmp_path: Path
    ) -> None:
        assert [one.verdict for one in doctor.saves(now)] == [Verdict.FINE]
        assert (s3.objects, gcs.objects) == ({}, {})
        assert [one for one in tmp_path.rglob("*") if one.is_file()] == []


class TestDirectory:
    def test_is_its_owners_alone(self, settings: Any, tmp_path: Path) -> None:
        settings.SAVES_URL = f"file://{tmp_path}/saves"
        storages.open_place().put(NAME, b"1")
        made = list((tmp_path / "saves").rglob("*"))
        assert {oct(one.stat().st_mode & 0o777) for one in made} == {"0o700", "0o600"}

    def test_has_no_links_and_opens_its_files(self, settings: Any, tmp_path: Path) -> None:
        settings.SAVES_URL = f"file://{tmp_path}/saves"
        place = storages.open_place()
        place.put(NAME, b"1")
        assert place.link(NAME, filename="a.tar.gz") == ""
        with place.file(NAME) as file:
            assert file.read() == b"1"

    def test_that_cannot_be_written_is_away(self, settings: Any, tmp_path: Path, now: Any) -> None:
        (tmp_path / "saves").write_text("a file where the folder should be")
        settings.SAVES_URL = f"file://{tmp_path}/saves"
        with pytest.raises(storages.SaveUnavailable):
            storages.open_place().put(NAME, b"1")
        assert [one.verdict for one in doctor.saves(now)] == [Verdict.BROKEN]


class TestS3:
    @pytest.fixture
    def place(self, settings: Any, s3: S3) -> storages.Place:
        settings.SAVES_URL = s3.address
        return storages.open_place()

    def test_keeps_archives_in_the_folder(self, place: storages.Place, s3: S3) -> None:
        place.put(NAME, b"1")
        assert s3.objects == {f"of/players/{NAME}": b"1"}

    def test_links_to_an_archive_for_whoever_has_the_link(self, place: storages.Place) -> None:
        place.put(NAME, b"packed")
        link = place.link(NAME, filename="snes-zelda-v1.tar.gz")
        answer = requests.get(link, timeout=10)
        assert (answer.status_code, answer.content) == (200, b"packed")
        assert answer.headers["Content-Disposition"] == 'attachment; filename="snes-zelda-v1.tar.gz"'
        assert answer.headers["Content-Type"] == "application/gzip"
        assert "X-Amz-Expires=300" in link
        assert requests.get(link.replace("zelda-v1", "other-v1"), timeout=10).status_code == 403

    def test_makes_a_link_without_asking(self, place: storages.Place, s3: S3) -> None:
        place.link(NAME, filename="a.tar.gz")
        assert s3.asked == []

    @pytest.mark.parametrize("status", [403, 500, 503])
    def test_that_refuses_is_away(self, place: storages.Place, s3: S3, status: int, now: Any) -> None:
        s3.status = status
        for ask in (lambda: place.put(NAME, b"1"), lambda: place.get(NAME), lambda: place.delete(NAME)):
            with pytest.raises(storages.SaveUnavailable, match="does not answer"):
                ask()
        assert [one.verdict for one in doctor.saves(now)] == [Verdict.BROKEN]

    def test_with_a_wrong_key_is_away_and_names_no_secret(self, settings: Any, s3: S3) -> None:
        settings.SAVES_URL = s3.address.replace("se%2Fcr", "canary")
        with pytest.raises(storages.SaveUnavailable) as caught:
            storages.open_place().put(NAME, b"1")
        assert "canary" not in f"{caught.value!r} {caught.value.__cause__!r}"

    def test_that_is_not_there_is_away(self, settings: Any) -> None:
        settings.SAVES_URL = "s3://key:secret@127.0.0.1:1/saves?insecure=1"
        with pytest.raises(storages.SaveUnavailable):
            storages.open_place().put(NAME, b"1")


class TestGoogle:
    def test_links_to_an_archive_without_asking(self, settings: Any, gcs: Gcs) -> None:
        settings.SAVES_URL, settings.SAVES_GOOGLE_CREDENTIALS = "gs://gamer-saves/of", gcs.credentials
        gcs.status = 500
        link = urlsplit(storages.open_place().link(NAME, filename="snes-zelda-v1.tar.gz"))
        assert link.path == f"/gamer-saves/of/{NAME}"
        assert "X-Goog-Expires=300" in link.query
        assert "response-content-disposition=attachment" in link.query

    def test_is_asked_for_nothing_behind_our_back(
        self, settings: Any, gcs: Gcs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.SAVES_URL, settings.SAVES_GOOGLE_CREDENTIALS = "gs://gamer-saves/of", gcs.credentials
        started: list[str] = []
        start = threading.Thread.start

        def noted(thread: threading.Thread) -> None:
            started.append(thread.name)
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", noted)
        storages.open_place().put(NAME, b"1")
        # Each is one of the stand-in's, which answers.
        assert [name for name in started if "process_request" not in name] == []

    def test_that_refuses_is_away(self, settings: Any, gcs: Gcs, now: Any) -> None:
        settings.SAVES_URL, settings.SAVES_GOOGLE_CREDENTIALS = "gs://gamer-saves/of", gcs.credentials
        gcs.status = 403
        place = storages.open_place()
        for ask in (lambda: place.put(NAME, b"1"), lambda: place.get(NAME), lambda: place.delete(NAME)):
            with pytest.raises(storages.SaveUnavailable, match="does not answer"):
                ask()
        assert [one.verdict for one in doctor.saves(now)] == [Verdict.BROKEN]

    def test_with_a_key_that_is_none_is_away_and_shows_nothing_of_it(self, settings: Any) -> None:
        settings.SAVES_URL, settings.SAVES_GOOGLE_CREDENTIALS = (
            "gs://gamer-saves",
            '{"private_key": "canary"}',
        )
        with pytest.raises(storages.SaveUnavailable) as caught:
            storages.open_place()
        assert "canary" not in caught.value.message


class TestAddress:
    @pytest.mark.parametrize(
        ("url", "credentials"),
        [
            ("file:///srv/saves", ""),
            ("s3://key:secret@s3.example/bucket", ""),
            ("s3://key:secret@s3.example:9000/bucket/folder?region=eu&insecure=1", ""),
            ("gs://bucket/folder", "{}"),
        ],
    )
    def test_that_can_be_used_passes(self, settings: Any, url: str, credentials: str) -> None:
        settings.SAVES_URL, settings.SAVES_GOOGLE_CREDENTIALS = url, credentials
        assert checks.saves() == []

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "saves",
            "file://host/srv/saves",
            "file://",
            "s3://s3.example/bucket",
            "s3://key:canary@s3.example",
            "s3://key@s3.example/bucket",
            "s3://key:canary@s3.example:port/bucket",
            "gs://bucket",
            "gs:///folder",
            "sftp://player:canary@host/folder",
            "https://key:canary@host/bucket",
            "s3://key:can%00ary@s3.example/bucket",
        ],
    )
    def test_that_cannot_be_used_stops_every_server_and_shows_no_secret(
        self, settings: Any, url: str
    ) -> None:
        settings.SAVES_URL, settings.SAVES_GOOGLE_CREDENTIALS = url, ""
        (found,) = checks.saves()
        assert (found.id, found.level) == ("gamer.E021", 50)
        assert "canary" not in found.msg
        with pytest.raises(storages.SaveUnavailable):
            storages.open_place()

    @pytest.mark.parametrize(
        ("url", "expected"), [("file:///srv/saves", ["gamer.W005"]), ("gs://bucket", [])]
    )
    def test_of_one_host_is_remarked_in_a_deployment(
        self, settings: Any, url: str, expected: list[str]
    ) -> None:
        settings.SAVES_URL = url
        assert [one.id for one in checks.saves_are_shared()] == expected


def test_no_process_loads_a_cloud_that_it_does_not_use() -> None:
    """Their libraries take a second and 50 MB each."""
    code = (
        "import sys, django; django.setup(); from emulators.services import saves; from emulators import storages;"
        "storages.open_place(); print(sorted({'boto3', 'storages.backends.gcloud'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "gamer.settings"},
    )  # fmt: skip
    assert (ended.stdout, ended.stderr) == ("[]\n", "")
