"""What the shipped proxy says by itself, asked of a real nginx whose servers are away."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from django.conf import settings

from emulators.archives import MAX_PACKED, MIB
from gamer.env import ROOT
from gamer.web.errors import error_body
from tests import ports
from tests.gamer.conftest import NGINX
from tests.waiting import eventually

# As shipped, but for its port, which is no other's, and the certificate, of which none is here.
OURS = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off; lingering_timeout 60s;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    upstream gamer_api {{ server unix:{folder}/nobody; }}
    upstream gamer_streams {{ server unix:{folder}/nobody; }}
    {shipped}
}}
"""


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("proxy"), ports.free()
    served = (ROOT / "deploy/nginx/gamer.conf").read_text()
    maps, _, server = served.partition("server {")
    server = server[server.index("server {") :]  # the first one only leads to https
    lines = [line for line in server.splitlines() if "listen" not in line and "ssl_" not in line]
    lines.insert(1, f"listen 127.0.0.1:{port};")
    (folder / "nginx.conf").write_text(OURS.format(folder=folder, shipped="\n".join([maps, *lines])))
    process = subprocess.Popen([NGINX, "-e", folder / "error.log", "-c", folder / "nginx.conf"])
    try:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: process.poll() is not None or _answers(url))
        assert process.poll() is None, (folder / "error.log").read_text()
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return bool(requests.get(url, timeout=30).status_code)
    except requests.ConnectionError:
        return False


@pytest.mark.parametrize("path", ["/vms", "/health", "/adminish", "/events/stream"])
def test_tells_programs_in_the_apis_shape_that_nobody_is_there(proxy: str, path: str) -> None:
    answer = requests.get(proxy + path, timeout=30)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json()["error"]["code"] == "unavailable"


@pytest.mark.parametrize("path", ["/admin", "/admin/vms/vm/", "/password/forgotten"])
def test_tells_people_on_a_page_that_asks_again(proxy: str, path: str) -> None:
    answer = requests.get(proxy + path, timeout=30)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert '<meta http-equiv="refresh" content="5">' in answer.text


@pytest.mark.parametrize(
    "path", ["/admin/events/event/export/", "/admin/billing/usageday/export/?what=table"]
)
def test_does_not_ask_for_a_file_again_by_itself(proxy: str, path: str) -> None:
    answer = requests.get(proxy + path, timeout=30)
    assert (answer.status_code, "<h1>No file</h1>" in answer.text) == (503, True)
    assert "refresh" not in answer.text
    assert "Retry-After" not in answer.headers


def test_refuses_large_bodies_in_the_shape_of_who_asks(proxy: str) -> None:
    large = b"x" * (1024 * 1024 + 1)
    said = error_body("too_large", f"The body is larger than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes.")
    assert requests.post(f"{proxy}/vms", large, timeout=30).json() == said
    page = requests.post(f"{proxy}/admin/vms/vm/", large, timeout=30)
    assert (page.status_code, "<h1>Too large</h1>" in page.text) == (413, True)


@pytest.mark.parametrize("path", ["/agent/saves", "/saves/7/versions/"])
def test_names_the_bound_that_the_product_has_for_saves(proxy: str, path: str) -> None:
    answer = requests.put(proxy + path, b"x" * (MAX_PACKED + 2 * MIB), timeout=30)
    said = error_body("too_large", f"The body is larger than {MAX_PACKED} bytes.")
    assert (answer.status_code, answer.json()) == (413, said)


def test_takes_the_larger_bodies_of_saves(proxy: str, tmp_path: Path) -> None:
    (tmp_path / "save").write_bytes(b"x" * (2 * 1024 * 1024))
    with (tmp_path / "save").open("rb") as save:
        assert requests.put(f"{proxy}/agent/saves", save, timeout=30).status_code == 503
