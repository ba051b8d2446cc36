"""Wolf beside an agent, and something for it to offer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sandbox.guests import wolf as stand_in
from vms.setup.agent.wolf import Wolf


class Playing:
    """A stand-in Wolf with its sockets below one folder, and what players do there."""

    def __init__(self, folder: Path, api: str) -> None:
        self.folder, self.api = folder, api
        self.socket = folder / "run/wolf.sock"
        self._end: Callable[[], None] | None = None
        self.client = Wolf((self.socket,))

    def start(self) -> None:
        self._end = stand_in.serve(
            self.socket, self.folder / "run/http.sock", self.folder / "state", self.api
        )

    def stop(self) -> None:
        if self._end is not None:
            self._end()
            self.socket.unlink(missing_ok=True)
        self._end = None

    def does(self, act: str, **body: Any) -> dict[str, Any]:
        return self.client.post(f"/stand-in/{act}", body)

    def titles(self) -> list[str]:
        return [str(app["title"]) for app in self.client.rows("/apps", "apps")]


@contextmanager
def played(folder: Path, api: str) -> Iterator[Playing]:
    playing = Playing(folder, api)
    playing.start()
    yield playing
    playing.stop()


def app(name: str = "zelda", **changes: Any) -> dict[str, Any]:
    return {
        "name": f"gamer-{name}",
        "title": name.title(),
        "image": "retroarch:edge",
        "mounts": [f"/srv/gamer/apps/{name}:/gamer:ro"],
        "env": {"RUN_SWAY": "1"},
        "files": {f"/srv/gamer/apps/{name}/startup.sh": "#!/bin/bash\n"},
        "folders": [f"/srv/gamer/saves/{name}"],
        "links": {},
        **changes,
    }
