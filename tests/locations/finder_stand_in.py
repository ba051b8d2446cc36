"""Google's Cloud Location Finder and its token endpoint on loopback.

Written from docs.cloud.google.com/location-finder/docs (syntax) and googleapis/googleapis,
google/cloud/locationfinder/v1: the path, `sourceCloudLocation`, `query`, `pageSize`, `pageToken`, and the shape of a
`CloudLocation`. The token endpoint is that of RFC 7523, which service accounts use.
"""

from __future__ import annotations

import json
import re
from functools import cache
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt

from locations.finder import SCOPE
from tests.locations.stand_in import StandIn

PROJECT = "gamer-tests"
SEARCH = f"/v1/projects/{PROJECT}/locations/global/cloudLocations:search"
SOURCE = re.compile(rf"projects/{PROJECT}/locations/global/cloudLocations/gcp-([a-z0-9-]+)\Z")
QUERY = re.compile(
    r"cloud_provider=CLOUD_PROVIDER_(GCP|AWS|AZURE) AND cloud_location_type=CLOUD_LOCATION_TYPE_REGION\Z"
)


@cache
def _keys() -> tuple[str, bytes]:
    """A service account's private key and its public one, in PEM; made when the first test asks."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public


class FinderStandIn(StandIn):
    """`order` maps (cloud, source region) to the cloud's regions, the closest first. `body` replaces a whole answer."""

    root = "/v1"

    def __init__(self) -> None:
        super().__init__()
        self.order: dict[tuple[str, str], list[str]] = {}
        self.asked: list[tuple[str, str]] = []
        self.authorizations: list[str | None] = []
        self.tokens = 0
        self.refuses_tokens = False
        self.expired: set[str] = set()
        self.most_per_page = 200
        self.drips = False

    def credentials(self, directory: Path) -> Path:
        """A service account's file, as GOOGLE_APPLICATION_CREDENTIALS names one."""
        path = directory / "service-account.json"
        path.write_text(
            json.dumps(
                {
                    "type": "service_account",
                    "project_id": PROJECT,
                    "private_key_id": "tests",
                    "private_key": _keys()[0],
                    "client_email": "gamer@gamer-tests.iam.gserviceaccount.com",
                    "token_uri": self.url.removesuffix("/v1") + "/token",
                }
            )
        )
        return path

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("Content-Length") or 0)
        body = request.rfile.read(length).decode()
        if request.command == "POST":
            self._token(request, body)
        else:
            self._search(request)

    def _token(self, request: BaseHTTPRequestHandler, body: str) -> None:
        form = {name: values[0] for name, values in parse_qs(body).items()}
        claims = jwt.decode(form["assertion"], certs=_keys()[1])  # proves the signature
        if self.refuses_tokens or claims["scope"] != SCOPE:
            refusal = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
            self.reply(request, refusal, 400)
            return
        self.tokens += 1
        token = {"access_token": f"canary-{self.tokens}", "expires_in": 3599, "token_type": "Bearer"}
        self.reply(request, token)

    def _search(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        authorization = request.headers["Authorization"]
        self.authorizations.append(authorization)
        if not self.has_waited():
            return
        if authorization in self.expired or authorization != f"Bearer canary-{self.tokens}":
            self.reply(request, _error(401, "Request had invalid authentication credentials."), 401)
            return
        if self.drips:
            self._drip(request)
            return
        source, query = SOURCE.match(asked.get("sourceCloudLocation", "")), QUERY.match(asked["query"])
        if parts.path != SEARCH or source is None or query is None:
            self.reply(request, _error(400, "Request contains an invalid argument."), 400)
            return
        cloud = query[1].lower()
        self.asked.append((cloud, source[1]))
        if self.body is not None or self.status != 200:
            self.reply(request, self.body, self.status)
            return
        start = int(asked.get("pageToken", 0))
        codes = self.order.get((cloud, source[1]), [])
        end = start + min(int(asked["pageSize"]), self.most_per_page)
        page = {"cloudLocations": [location(cloud, code) for code in codes[start:end]]}
        self.reply(request, page | ({"nextPageToken": str(end)} if end < len(codes) else {}))

    def _drip(self, request: BaseHTTPRequestHandler) -> None:
        """A byte now and then, without end: each read is in time, the whole never is."""
        request.send_response(200)
        request.end_headers()
        try:
            while not self._ends.wait(0.02):
                request.wfile.write(b" ")
                request.wfile.flush()
        except OSError:
            return


def location(cloud: str, code: str) -> dict[str, object]:
    """A CloudLocation in JSON."""
    return {
        "name": f"projects/{PROJECT}/locations/global/cloudLocations/{cloud}-{code}",
        "displayName": code,
        "cloudProvider": f"CLOUD_PROVIDER_{cloud.upper()}",
        "territoryCode": "US",
        "cloudLocationType": "CLOUD_LOCATION_TYPE_REGION",
    }


def _error(status: int, message: str) -> dict[str, object]:
    return {"error": {"code": status, "message": message, "status": "INVALID"}}
