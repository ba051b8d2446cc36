"""What the shipped configuration of the servers promises."""

from __future__ import annotations

import runpy

from gamer.env import ROOT


def test_bounds_the_headers_at_every_door() -> None:
    gunicorn = runpy.run_path(str(ROOT / "deploy" / "gunicorn.conf.py"))
    assert (gunicorn["limit_request_line"], gunicorn["limit_request_field_size"]) == (8190, 8190)
    assert gunicorn["limit_request_fields"] == 100
    assert "large_client_header_buffers 4 8k;" in (ROOT / "deploy/nginx/gamer.conf").read_text()
    for served in ("systemd/gamer-streams.service", "compose.yaml"):
        assert "--h11-max-incomplete-event-size 65536" in (ROOT / "deploy" / served).read_text()
