"""Raw requests to the sandbox's vendor API, nothing of our own client in between."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import requests

from sandbox.testing import SandboxServer
from tests.waiting import eventually

RTX4090 = "geforcertx4090-pcie-24gb"
SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGiK0yo9GUkGgH2mpFzOrrN0pB4h5O4cKcG6vGgUoEJx player"


class Vendor:
    """A session with the token."""

    def __init__(self, server: SandboxServer, *, token: str | None = None) -> None:
        self.server = server
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token or server.token}"

    def send(self, method: str, path: str, body: object = None) -> requests.Response:
        return self.session.request(method, self.server.base_url + path, json=body, timeout=60)

    def hang_up(self, method: str, path: str, body: object = None) -> None:
        """Sends a request and closes the connection as soon as the sandbox holds it."""
        address = urlsplit(self.server.base_url)
        connection = HTTPConnection(str(address.hostname), address.port)
        headers = {"Authorization": str(self.session.headers["Authorization"])}
        connection.request(method, address.path + path, json.dumps(body), headers)
        eventually(lambda: self.server.control.held() == 1)
        connection.close()

    def get(self, path: str) -> Any:
        answer = self.send("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def location(self, city: str) -> dict[str, Any]:
        return next(each for each in self.get("/locations")["data"]["locations"] if each["city"] == city)

    def hostnode(self, city: str, *, gpu: str | None = RTX4090) -> dict[str, Any]:
        """The city's first hostnode with this GPU, or without any."""
        for each in self.get("/hostnodes")["data"]["hostnodes"]:
            names = [listed["v0Name"] for listed in each["available_resources"]["gpus"]]
            if each["location"]["city"] == city and (gpu in names if gpu else not names):
                return dict(each)
        raise LookupError(city)

    def body(self, **changes: object) -> dict[str, Any]:
        """A create of one RTX 4090 with a dedicated IP in Dallas; `changes` replace attributes, None removes."""
        attributes = {
            "name": "one",
            "type": "virtualmachine",
            "image": "ubuntu2404",
            "resources": {
                "vcpu_count": 8,
                "ram_gb": 16,
                "storage_gb": 200,
                "gpus": {RTX4090: {"count": 1}},
            },
            "useDedicatedIp": True,
            "ssh_key": SSH_KEY,
            **changes,
        }
        if "location_id" not in changes and "hostnode_id" not in changes:
            attributes["location_id"] = self.location("Dallas")["id"]
        kept = {key: value for key, value in attributes.items() if value is not None}
        return {"data": {"type": "virtualmachine", "attributes": kept}}

    def create(self, **changes: object) -> str:
        """The new instance's id."""
        answer = self.send("POST", "/instances", self.body(**changes))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["data"]["id"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.close()
