"""What the shipped configuration of the servers promises."""

from __future__ import annotations

import json
import logging
import re
import runpy
import subprocess
from pathlib import Path

import pytest
import yaml

from gamer.env import ROOT
from tests.log_lines import written
from vms.reconcile.outcome import PAUSE_S


def test_bounds_the_headers_at_every_door() -> None:
    gunicorn = runpy.run_path(str(ROOT / "deploy" / "gunicorn.conf.py"))
    assert (gunicorn["limit_request_line"], gunicorn["limit_request_field_size"]) == (8190, 8190)
    assert gunicorn["limit_request_fields"] == 100
    assert "large_client_header_buffers 4 8k;" in (ROOT / "deploy/nginx/gamer.conf").read_text()
    for served in ("systemd/gamer-streams.service", "compose.yaml"):
        assert "--h11-max-incomplete-event-size 65536" in (ROOT / "deploy" / served).read_text()


def test_gives_exports_their_time_at_every_door() -> None:
    gunicorn = runpy.run_path(str(ROOT / "deploy" / "gunicorn.conf.py"))
    location = re.search(
        r"location [^{]+export[^{]+\{(.+?)\}", (ROOT / "deploy/nginx/gamer.conf").read_text(), re.S
    )
    assert location is not None
    assert f"proxy_read_timeout {gunicorn['timeout']}s;" in location[1]
    assert gunicorn["timeout"] >= 300


def test_follows_the_containers_of_a_new_version() -> None:
    """Names are asked for once only where a server line does not say otherwise, which older versions refuse."""
    upstreams = (ROOT / "deploy/nginx/compose/upstreams.conf").read_text()
    servers = re.findall(r"^ +server (\S+):\d+(.*);$", upstreams, re.M)
    services = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]
    assert {name for name, _ in servers} == {"api", "streams"} <= services.keys()
    assert {how.strip() for _, how in servers} == {"resolve"}
    assert upstreams.count("zone ") == len(servers)
    (major, minor) = re.findall(r"\d+", services["proxy"]["image"])
    assert (int(major), int(minor)) >= (1, 28)


def test_migrates_for_a_new_version_before_compose_stops_the_former_one() -> None:
    """`up` stops what runs first: what keeps the new version from being prepared would leave nothing running."""
    section = (ROOT / "deploy/README.md").read_text().partition("## With compose")[2].partition("\n## ")[0]
    steps = re.findall(r"docker compose -f deploy/compose\.yaml (\S+(?: --rm)?(?: [a-z]+)?)", section)
    assert steps[:3] == ["build", "run --rm prepare", "up"]
    prepare = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]["prepare"]["command"]
    assert "check --deploy" in prepare
    assert "manage.py migrate && python manage.py seed" in prepare


def test_tells_of_a_pause_that_ends_by_itself_and_begins_again() -> None:
    told = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    (rule,) = [
        rule for group in told["groups"] for rule in group["rules"] if re.search(r"\bpaused\b", rule["expr"])
    ]
    assert "for" not in rule
    (minutes,) = re.findall(r"max_over_time\(.+\[(\d+)m\]\)", rule["expr"])
    assert int(minutes) * 60 > PAUSE_S


def test_finds_errors_in_the_log_by_the_pattern_it_names() -> None:
    (pattern,) = re.findall(r"grep -E '(.+)'", (ROOT / "deploy/README.md").read_text())
    with written("tests.deploy") as log:
        for level in (logging.WARNING, logging.ERROR, logging.CRITICAL):
            logging.getLogger("tests.deploy").log(level, "it is %s", logging.getLevelName(level))
    found = [json.loads(line)["event"] for line in log.getvalue().splitlines() if re.search(pattern, line)]
    assert found == ["it is ERROR", "it is CRITICAL"]


def test_gives_a_shell_the_values_that_systemd_and_compose_read(tmp_path: Path) -> None:
    """The commands of a bad night begin with sourcing this file: a blank or an & must not end a value."""
    example = (ROOT / "deploy/gamer.env.example").read_text()
    filled_in = re.sub(r"^#(?=[A-Z_]+=)", "", example, flags=re.MULTILINE)
    wanted = dict(re.findall(r"^([A-Z_]+)='([^']*)'$", filled_in, flags=re.MULTILINE))
    assert len(wanted) == len(re.findall(r"^[A-Z_]+=", filled_in, flags=re.MULTILINE))
    (tmp_path / "gamer.env").write_text(filled_in)
    told = subprocess.run(
        ["/bin/sh", "-ec", "set -a; . ./gamer.env; exec env -0"],
        cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = dict(line.split("=", 1) for line in told.stdout.split("\0") if line)
    assert wanted.items() <= found.items()
    assert found["CLOUDYPAD_BIN"].startswith("node /opt/")


@pytest.mark.parametrize("kind", ["qworker", "reconciler"])
def test_gives_the_clouds_tools_a_home_they_may_write_to(kind: str) -> None:
    unit = (ROOT / f"deploy/systemd/gamer-{kind}@.service").read_text()
    assert "ProtectSystem=strict" in unit
    (home,) = re.findall(r"^Environment=HOME=(.+)$", unit, flags=re.MULTILINE)
    (state,) = re.findall(r"^StateDirectory=(.+)$", unit, flags=re.MULTILINE)
    assert home == f"/var/lib/{state}"


def test_says_how_the_units_may_write_elsewhere(tmp_path: Path) -> None:
    """By the command of deploy/README.md itself, but for its place."""
    (command,) = re.findall(
        r"^printf .+folders\.conf", (ROOT / "deploy/README.md").read_text(), flags=re.MULTILINE
    )
    subprocess.run(
        ["/bin/sh", "-ec", command.replace("/etc/systemd/system/gamer-.service.d/", "")],
        cwd=tmp_path,
        check=True,
    )
    assert (tmp_path / "folders.conf").read_text() == "[Service]\nReadWritePaths=/srv/saves\n"
