"""A store that speaks as much of S3's API as the saves use, and believes nobody: every signature is counted again by botocore."""

from __future__ import annotations

import hashlib
import re
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.locations.stand_in import StandIn

CLAIM = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/[^,]+, SignedHeaders=(?P<names>[^,]+), Signature=(?P<signature>\w+)"
)


class S3(StandIn):
    """One bucket, `saves`. `status` other than 200 is what everybody gets instead."""

    protocol = "HTTP/1.1"
    key, secret, region = "reader", "se/cr+et", "eu-1"

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, bytes] = {}
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        secret = self.secret.replace("/", "%2F").replace("+", "%2B")
        return f"s3://{self.key}:{secret}@{self.url[7:]}/saves/of/players?region={self.region}&insecure=1"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(request.command)
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        url = urlsplit(request.path)
        if self.status != 200:
            self._refuse(request, self.status, "SlowDown")
        elif not (
            self._is_signed(request, body) if request.headers.get("Authorization") else self._is_link(request)
        ):
            self._refuse(request, 403, "SignatureDoesNotMatch")
        elif not url.path.startswith("/saves/"):
            self._refuse(request, 404, "NoSuchBucket")
        else:
            self._serve(request, unquote(url.path).removeprefix("/saves/"), parse_qs(url.query), body)

    def _serve(
        self, request: BaseHTTPRequestHandler, name: str, query: dict[str, list[str]], body: bytes
    ) -> None:
        self.headers = {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}
        if request.command == "PUT":
            self.objects[name] = body
            self.reply(request, b"")
        elif request.command == "DELETE":
            self.objects.pop(name, None)
            self.reply(request, b"", 204)
        elif name not in self.objects:
            self._refuse(request, 404, "NoSuchKey")
        else:
            said = {
                "response-content-disposition": "Content-Disposition",
                "response-content-type": "Content-Type",
            }
            self.headers |= {said[key]: values[0] for key, values in query.items() if key in said}
            self._give(request, self.objects[name])

    def _give(self, request: BaseHTTPRequestHandler, content: bytes) -> None:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        if match is None or not content:
            self.reply(request, content)
            return
        start, end = int(match[1]), min(int(match[2] or len(content)), len(content) - 1)
        self.headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        self.reply(request, content[start : end + 1], 206)

    def reply(self, request: BaseHTTPRequestHandler, body: object, status: int = 200) -> None:
        if request.command != "HEAD":
            super().reply(request, body, status)
            return
        request.send_response(status)
        for name, value in {**self.headers, "Content-Length": str(len(bytes(body)))}.items():  # type: ignore[call-overload]
            request.send_header(name, value)
        request.end_headers()

    def _refuse(self, request: BaseHTTPRequestHandler, status: int, code: str) -> None:
        self.headers = {}
        self.reply(request, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode(), status)

    def _is_signed(self, request: BaseHTTPRequestHandler, body: bytes) -> bool:
        claim = CLAIM.fullmatch(request.headers["Authorization"])
        told = request.headers["X-Amz-Content-SHA256"]
        if claim is None or claim["key"] != self.key:
            return False
        if told != "UNSIGNED-PAYLOAD" and told != hashlib.sha256(body).hexdigest():
            return False
        headers = {name: request.headers[name] for name in claim["names"].split(";")}
        mine = AWSRequest(request.command, f"{self.url}{request.path}", headers, body)
        mine.context["timestamp"] = request.headers["X-Amz-Date"]
        return self._counted(S3SigV4Auth(self._credentials, "s3", self.region), mine) == claim["signature"]

    def _is_link(self, request: BaseHTTPRequestHandler) -> bool:
        path, _, signature = request.path.partition("&X-Amz-Signature=")
        mine = AWSRequest("GET", f"{self.url}{path}", {"host": request.headers["Host"]})
        mine.context["timestamp"] = parse_qs(urlsplit(path).query).get("X-Amz-Date", [""])[0]
        return self._counted(S3SigV4QueryAuth(self._credentials, "s3", self.region), mine) == signature

    @property
    def _credentials(self) -> Credentials:
        return Credentials(self.key, self.secret)

    @staticmethod
    def _counted(auth: S3SigV4Auth, request: AWSRequest) -> str:
        return str(auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request))
