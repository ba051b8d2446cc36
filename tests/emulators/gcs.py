"""Google Cloud Storage's JSON API, as far as the saves use it, and Google's way from a service account's key to a token."""

from __future__ import annotations

import base64
import json
import re
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, quote, unquote, urlsplit

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google_crc32c import Checksum

from tests.locations.stand_in import StandIn

AUDIENCE = "https://oauth2.googleapis.com/token"  # whichever address is asked
WHO = "saves@gamer.iam.gserviceaccount.com"
OBJECT = re.compile(r"(?:/download)?/storage/v1/b/gamer-saves/o/(?P<name>[^/?]+)")


class Gcs(StandIn):
    """One bucket, `gamer-saves`. `status` other than 200 is what everybody who asks for objects gets instead."""

    protocol = "HTTP/1.1"

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, bytes] = {}
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def credentials(self) -> str:
        encoding, form, without = (
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        pem = self._key.private_bytes(encoding, form, without).decode()
        account = {"type": "service_account", "project_id": "gamer", "private_key": pem, "client_email": WHO}
        return json.dumps({**account, "token_uri": f"{self.url}/token"})

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        url = urlsplit(request.path)
        if url.path == "/token":
            claim = jwt.decode(
                parse_qs(body.decode())["assertion"][0],
                self._key.public_key(),
                ["RS256"],
                audience=AUDIENCE,
            )
            assert claim["iss"] == WHO
            self.reply(request, {"access_token": "a-token", "expires_in": 3600, "token_type": "Bearer"})
        elif request.headers.get("Authorization") != "Bearer a-token":
            self.reply(request, {"error": {"message": "who?"}}, 401)
        elif self.status != 200:
            self.reply(request, {"error": {"message": "no"}}, self.status)
        elif url.path == "/upload/storage/v1/b/gamer-saves/o":
            self._take(request, body)
        else:
            self._serve(request, url.path, parse_qs(url.query))

    def _take(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        """Small ones in one request with their name, large ones in one after their name."""
        query = parse_qs(urlsplit(request.path).query)
        if query.get("uploadType") == ["resumable"]:
            name = quote(json.loads(body)["name"], safe="")
            self.headers = {"Location": f"{self.url}{urlsplit(request.path).path}?begun={name}"}
            self.reply(request, {})
            self.headers = {}
            return
        if "begun" in query:
            name, content = query["begun"][0], body
        else:
            boundary = request.headers["Content-Type"].partition('boundary="')[2].rstrip('"').encode()
            _, about, part, _ = body.split(b"--" + boundary)
            name = json.loads(about.partition(b"\r\n\r\n")[2])["name"]
            content = part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
        self.objects[name] = content
        self.reply(request, self._said(name))

    def _serve(self, request: BaseHTTPRequestHandler, path: str, query: dict[str, list[str]]) -> None:
        match = OBJECT.fullmatch(path)
        name = unquote(match["name"]) if match else ""
        if name not in self.objects:
            self.reply(request, {"error": {"message": "not there"}}, 404)
        elif request.command == "DELETE":
            del self.objects[name]
            self.reply(request, b"", 204)
        elif query.get("alt") == ["media"]:
            self.headers = {"X-Goog-Hash": f"crc32c={self._said(name)['crc32c']}"}
            self.reply(request, self.objects[name])
            self.headers = {}
        else:
            self.reply(request, self._said(name))

    def _said(self, name: str) -> dict[str, str]:
        content = self.objects[name]
        summed = base64.b64encode(Checksum(content).digest()).decode()
        return {
            "name": name,
            "bucket": "gamer-saves",
            "size": str(len(content)),
            "crc32c": summed,
            "generation": "1",
        }
