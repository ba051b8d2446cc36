"""A sandbox for tests and benchmarks: a real process of its own, and a small client that steers it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import requests

START_S = 60.0
STOP_S = 30.0


class Control:
    """Steers a sandbox through its control endpoint; a refused request raises requests.HTTPError with the text."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()

    def _send(self, method: str, path: str, body: object = None, **query: object) -> Any:
        answer = self._session.request(
            method, self._url + path, json=body, params=cast(Any, query), timeout=60
        )
        if not answer.ok:
            raise requests.HTTPError(answer.text, response=answer)
        return answer.json()

    def alive(self) -> list[dict[str, Any]]:
        """Every machine that exists: id, name, status, created_at, ip_address, ssh_port, usd_per_hour, faults …"""
        return cast(list[dict[str, Any]], self._send("GET", "/alive"))

    def reset(self) -> None:
        """Kills every machine and forgets everything but the clock."""
        self._send("POST", "/reset")

    def settings(self, **changes: object) -> dict[str, Any]:
        """Reads the settings, changed first where any are given (`speed`, `balance_usd`, fields of Settings)."""
        return cast(dict[str, Any], self._send("PUT" if changes else "GET", "/settings", changes or None))

    def fault(
        self,
        name: str,
        *,
        times: int | None = None,
        match: dict[str, str] | None = None,
        args: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Switches a fault on (`times` None: until cleared)."""
        body = {"name": name, "times": times, "match": match or {}, "args": args or {}}
        return cast(dict[str, Any], self._send("POST", "/faults", body))

    def clear_faults(self, *names: str) -> None:
        """All of them where no name is given."""
        self._send("DELETE", "/faults", **({"name": names} if names else {}))

    def advance(self, seconds: float = 0) -> None:
        """Moves the sandbox's clock; returns when everything that thereby fell due has happened."""
        self._send("POST", "/advance", {"seconds": seconds})

    def requests(self) -> dict[str, int]:
        """How often each kind of request came, as {"GET /instances/{id}": 3}."""
        return cast(dict[str, int], self._send("GET", "/requests")["counts"])

    def held(self) -> int:
        """How many requests wait for an answer that a fault keeps back."""
        return int(self._send("GET", "/requests")["held"])

    def forget_requests(self) -> None:
        self._send("DELETE", "/requests")

    def vanish(self, instance_id: str) -> None:
        """The machine disappears without a word."""
        self._send("POST", f"/instances/{instance_id}/vanish")

    def stop(self, instance_id: str) -> None:
        """The machine stops by itself."""
        self._send("POST", f"/instances/{instance_id}/stop")

    def kill_guest(self, instance_id: str) -> None:
        """The machine hangs: it answers nothing any more while the vendor says running."""
        self._send("POST", f"/instances/{instance_id}/kill_guest")

    def close(self) -> None:
        self._session.close()


class SandboxServer:
    """A running sandbox; a context manager. `environ` is added to the environment of its process."""

    def __init__(
        self,
        *,
        token: str = "sandbox-token",  # noqa: S107 - opens nothing but this sandbox
        speed: str = "instant",
        seed: str = "tests",
        state_dir: Path | None = None,
        environ: dict[str, str] | None = None,
    ) -> None:
        self._stack = contextlib.ExitStack()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sandbox-")))
        ready_file = folder / "ready.json"
        command = [
            sys.executable,
            "-m",
            "sandbox",
            "--speed",
            speed,
            "--seed",
            seed,
            "--ready-file",
            str(ready_file),
        ]
        self.state_dir = state_dir or folder / "state"
        command += ["--state-dir", str(self.state_dir)]
        self.process = subprocess.Popen(
            command,
            cwd=Path(__file__).parent.parent,
            env={**os.environ, "SANDBOX_TOKEN": token, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        self._stack.callback(self._end)
        facts = self._wait_until_ready(ready_file)
        self.token = token
        self.base_url: str = facts["base_url"]
        self.control = Control(facts["control_url"])
        self._stack.callback(self.control.close)

    def _wait_until_ready(self, ready_file: Path) -> dict[str, Any]:
        give_up_at = time.monotonic() + START_S
        while time.monotonic() < give_up_at:
            with contextlib.suppress(FileNotFoundError):
                return cast(dict[str, Any], json.loads(ready_file.read_text()))
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = self.process.wait(0.05)
                self._stack.close()
                raise RuntimeError(f"the sandbox ended with status {status} before it was ready")
        self._stack.close()
        raise RuntimeError(f"the sandbox was not ready within {START_S:.0f} s")

    def _end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def close(self) -> None:
        """Stops the process; all its machines are killed."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
