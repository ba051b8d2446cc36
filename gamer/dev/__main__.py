"""What `make run` executes: the whole product on this machine, in the foreground, until Ctrl-C.

Postgres (the embedded one, unless DATABASE_URL names another), migrations, seeds, the sandbox cloud (unless TENSORDOCK_API_TOKEN
names a real one), web, worker and reconciler. State is kept in `.gamer/`.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from gamer.dev import embedded
from gamer.dev.supervisor import PR_SET_PDEATHSIG, Interrupted, Program, Supervisor
from gamer.env import ROOT, STATE_DIR, kept_keys

HOST = "127.0.0.1"
PYTHON = sys.executable
ANSWER_TIMEOUT_S, FAREWELL_S = 2, 10
SANDBOX_READY = "sandbox.json"


class CannotRun(Exception):
    """Something the developer has to change first; the message says what."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m gamer.dev", description=__doc__)
    parser.add_argument(
        "--end-with-parent", action="store_true", help="end when the starting process is killed (Linux)"
    )
    if parser.parse_args(argv).end_with_parent:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        port = free_port(os.environ.get("PORT") or "8000")
        with alone(), Supervisor(cwd=ROOT) as supervisor:
            run(supervisor, port)
    except (CannotRun, embedded.PostgresMissing) as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    except subprocess.CalledProcessError as failed:
        sys.stderr.write(f"`{' '.join(failed.cmd[1:])}` failed; its lines above say why.\n")
        return 1
    return 0


def run(supervisor: Supervisor, port: int) -> None:
    """Starts everything in order, says when it answers, and stays until a signal. Raises CalledProcessError."""
    environment = environment_for(port)
    control = ""
    try:
        if not os.environ.get("DATABASE_URL"):
            start_postgres(supervisor)
        has_cloud = bool(os.environ.get("TENSORDOCK_API_TOKEN"))
        if not has_cloud:
            start_sandbox(supervisor)
        supervisor.once("migrate", [PYTHON, "manage.py", "migrate", "--verbosity", "0"], environment)
        if not has_cloud:
            control, found = await_sandbox(supervisor)
            environment |= found
        supervisor.once("seed", [PYTHON, "manage.py", "seed"], environment)
        for program in programs(port, environment):
            supervisor.start(program)
        supervisor.wait_until(lambda: answers(port))
        supervisor.show(welcome(environment["PUBLIC_URL"], kept_keys() | dict(os.environ)))
        supervisor.wait_until(lambda: False)
    except Interrupted:
        supervisor.say("stopping")
        supervisor.end("web", "worker", "reconciler")
        if control:
            supervisor.say(farewell(control))


def environment_for(port: int) -> dict[str, str]:
    """What our processes are told beyond what the developer told us."""
    public_url = os.environ.get("PUBLIC_URL") or f"http://{HOST}:{port}"
    named = urlsplit(public_url).hostname or HOST
    return {
        "GAMER_DEVELOPMENT": "1",
        "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "gamer.settings"),
        "PORT": str(port),
        "PUBLIC_URL": public_url,
        "ALLOWED_HOSTS": os.environ.get("ALLOWED_HOSTS", f"{named},{HOST},localhost,[::1]"),
    }


def start_postgres(supervisor: Supervisor) -> None:
    server = embedded.started(ROOT)
    if server is None:
        supervisor.say("the embedded Postgres is already up; it belongs to another process")
        return
    cluster = embedded.Cluster.of(ROOT)
    waiting = [server]
    supervisor.start(
        Program(
            "postgres",
            launch=lambda: waiting.pop() if waiting else cluster.start(),
            ended_by=signal.SIGINT,  # "fast": clients are cut off, the data is safe
        )
    )


def start_sandbox(supervisor: Supervisor) -> None:
    # A port of our choice, so that it is found in the same place after a restart.
    argv = [PYTHON, "-m", "sandbox", "--port", str(own_port()), "--state-dir", str(STATE_DIR / "sandbox")]
    ready = STATE_DIR / SANDBOX_READY
    ready.unlink(missing_ok=True)
    token = {"SANDBOX_TOKEN": secrets.token_urlsafe(24)}
    supervisor.start(Program("sandbox", [*argv, "--ready-file", str(ready)], token))


def await_sandbox(supervisor: Supervisor) -> tuple[str, dict[str, str]]:
    """The sandbox cloud once it is up: where it is steered, and what tells our processes about it."""
    ready = STATE_DIR / SANDBOX_READY
    supervisor.wait_until(ready.exists)
    facts: dict[str, Any] = json.loads(ready.read_text())
    found = {"SANDBOX_URL": str(facts["base_url"]), "SANDBOX_TOKEN": str(facts["token"])}
    return str(facts["control_url"]), found


def programs(port: int, environment: Mapping[str, str]) -> Iterator[Program]:
    web = [PYTHON, "-m", "uvicorn", "gamer.asgi:application", "--host", HOST, "--port", str(port)]
    quiet = ["--lifespan", "off", "--no-access-log", "--log-level", "warning"]
    stop = ["--timeout-graceful-shutdown", "3"]
    yield Program("web", [*web, *quiet, *stop], {**environment, "GAMER_PROCESS": "streams"})
    for name, command in (("worker", "qworker"), ("reconciler", "reconciler")):
        yield Program(name, [PYTHON, "manage.py", command], {**environment, "GAMER_PROCESS": name})


def free_port(text: str) -> int:
    """The port to serve on. Raises CannotRun when it is none, or taken."""
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise CannotRun(f"PORT is {text!r}; it must be a number from 1 to 65535.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, int(text)))
        except OSError as error:
            raise CannotRun(
                f"Port {text} is not free ({error.strerror}). Stop what uses it, or choose another: PORT=8001 make run"
            ) from error
    return int(text)


def own_port() -> int:
    """One that is ours as long as this process is: it stays bound, beside which the sandbox may listen as often as it starts."""
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.bind((HOST, 0))
    port = int(taken.getsockname()[1])
    taken.detach()
    return port


@contextmanager
def alone() -> Iterator[None]:
    """One run per checkout, because they would share its database. Raises CannotRun."""
    STATE_DIR.mkdir(parents=True, exist_ok=True)
    with (STATE_DIR / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotRun("This checkout is running already. Stop that `make run` first.") from error
        yield


def answers(port: int) -> bool:
    """Whether GET /health is 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_TIMEOUT_S)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def welcome(url: str, keys: Mapping[str, str]) -> str:
    """What a developer needs to begin."""
    key = keys["DEMO_API_KEY"]
    return f"""
Gamer is ready.

  admin     {url}/admin/
  user      admin@gamer.local
  password  {keys["ADMIN_PASSWORD"]}
  API docs  {url}/docs
  API key   {key}

Launch a game:

  curl -s {url}/launch/game -H "X-API-Key: {key}" -H "Content-Type: application/json" \\
    -d '{{"console_type": "switch", "game_id": "mario-odyssey", "user_id": "alice",
         "user_latitude": 32.7767, "user_longitude": -96.7970}}'

Ctrl-C ends everything.
"""


def farewell(control: str) -> str:
    """Which sandbox machines are left. They end with the sandbox; at a real cloud they would go on costing money."""
    where = urlsplit(control)
    connection = http.client.HTTPConnection(where.netloc, timeout=FAREWELL_S)
    try:
        connection.request("GET", f"{where.path}/alive")
        alive: list[dict[str, Any]] = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return "the sandbox does not say which machines are left"
    finally:
        connection.close()
    if not alive:
        return "no sandbox machine is left"
    count = "1 sandbox machine was" if len(alive) == 1 else f"{len(alive)} sandbox machines were"
    ends = "ends" if len(alive) == 1 else "end"
    lines = [f"  {machine['id']}  {machine['name']}  {machine['status']}" for machine in alive]
    return "\n".join([f"{count} still alive and {ends} now:", *lines])


if __name__ == "__main__":
    sys.exit(main())
