"""`python -m sandbox`: the sandbox in the foreground, until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
from asyncio import Transport
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from sandbox.addresses import bound
from sandbox.app import make_app
from sandbox.cloud import Cloud
from sandbox.settings import SPEEDS


class Protocol(H11Protocol):
    """Lets a request reach its connection, to drop it without an answer."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        self.app_state = {**self.app_state, "transport": transport}
        super().connection_made(transport)


class Server(uvicorn.Server):
    """Says when it is ready, and ends cleanly (status 0) on a signal."""

    def __init__(self, config: uvicorn.Config, facts: dict[str, Any], ready_file: Path | None) -> None:
        super().__init__(config)
        self._facts = facts
        self._ready_file = ready_file

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._ready_file is not None:
            unfinished = self._ready_file.with_suffix(".part")
            unfinished.touch(mode=0o600)
            unfinished.write_text(json.dumps(self._facts))
            unfinished.rename(self._ready_file)
        sys.stdout.write(
            f"Sandbox cloud at {self._facts['base_url']}, steered at {self._facts['control_url']}\n"
        )
        sys.stdout.flush()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.should_exit = True


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="TensorDock's API v2 on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    parser.add_argument(
        "--state-dir", type=Path, help="where the guests' disks live; else a temporary folder"
    )
    parser.add_argument("--token", help="the API token; else SANDBOX_TOKEN, else made up")
    parser.add_argument(
        "--ready-file", type=Path, help="written when ready: base_url, control_url, token, pid"
    )
    parser.add_argument("--speed", choices=SPEEDS, default="fast", help="how long the machines take")
    parser.add_argument("--balance", type=float, default=100.0, metavar="USD")
    parser.add_argument("--seed", help="makes instance ids repeatable; else they are new at every start")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    arguments = _arguments(argv)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    token = arguments.token or os.environ.get("SANDBOX_TOKEN") or secrets.token_urlsafe(24)
    listening = bound("127.0.0.1", arguments.port)
    origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
    facts = {
        "base_url": f"{origin}/api/v2",
        "control_url": f"{origin}/control",
        "token": token,
        "pid": os.getpid(),
    }
    with contextlib.ExitStack() as stack:
        state_dir = arguments.state_dir or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="sandbox-", ignore_cleanup_errors=True))
        )
        stack.enter_context(_only_one_in(state_dir))
        asyncio.run(_serve(arguments, state_dir, listening, facts))


@contextlib.contextmanager
def _only_one_in(state_dir: Path) -> Iterator[None]:
    """Guests of another sandbox in the same folder would lose their disks."""
    state_dir.mkdir(parents=True, exist_ok=True)
    with (state_dir / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit(f"another sandbox runs in {state_dir}")
        yield


async def _serve(
    arguments: argparse.Namespace, state_dir: Path, listening: socket.socket, facts: dict[str, Any]
) -> None:
    cloud = Cloud(
        settings=SPEEDS[arguments.speed],
        state_dir=state_dir,
        seed=arguments.seed or secrets.token_hex(8),
        balance_usd=arguments.balance,
    )
    config = uvicorn.Config(
        make_app(cloud, facts["token"]),
        http=Protocol,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    await Server(config, facts, arguments.ready_file).serve(sockets=[listening])


if __name__ == "__main__":
    main()
