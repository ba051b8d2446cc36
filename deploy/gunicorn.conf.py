"""Gunicorn's bounds and hooks. With PROMETHEUS_MULTIPROC_DIR its workers count into files there, and any of them answers for all."""

import os
from pathlib import Path

# Bounds of what a request may say before its body; the proxy's are the same.
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190

# A request's whole time, the answer's sending included: the longest export takes minutes, and is nowhere shorter at the proxy.
timeout = 300

DIRECTORY = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")


def on_starting(server):
    """Forgets the counts of an earlier start: Prometheus takes it for the restart it is."""
    if DIRECTORY:
        Path(DIRECTORY).mkdir(parents=True, exist_ok=True)
        for left in Path(DIRECTORY).glob("*.db"):
            left.unlink()


def child_exit(server, worker):
    """What a worker was just doing ends with it; what it counted stays."""
    if DIRECTORY:
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)
