"""Google's Cloud Location Finder: a cloud's regions by network latency from a region of Google Cloud. Never within a request.

The API takes no coordinates: it ranks by the round-trip times it measures between cloud locations, so the caller names a
source. Its answer says the order and no times. It knows Google Cloud, AWS, Azure and Oracle.

Sources: docs.cloud.google.com/location-finder/docs (overview; syntax: field names in a query are in snake case) and
googleapis/googleapis, google/cloud/locationfinder/v1/*.proto (`SearchCloudLocations`: `query`, `pageSize`, `pageToken`;
names like `projects/P/locations/global/cloudLocations/aws-us-east-1`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Protocol, Self

import google.auth
import requests
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession
from urllib3.exceptions import HTTPError

PUBLIC_URL = "https://cloudlocationfinder.googleapis.com/v1"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TIMEOUT_S = 10.0
MAX_PAGES = 10
MAX_BYTES = 2_000_000
_PAGE_SIZE = 200
_CHUNK_BYTES = 65_536
# What a cloud is called here -> in its locations' names, in a query.
PROVIDERS = {"gcp": "CLOUD_PROVIDER_GCP", "aws": "CLOUD_PROVIDER_AWS", "azure": "CLOUD_PROVIDER_AZURE"}


class FinderUnavailable(Exception):
    """No answer this time: no credentials, refused, timed out or unreadable. Ask again later, not sooner than `retry_after`."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Finder(Protocol):
    def closest(self, cloud: str, source: str) -> list[str]:
        """Codes of the cloud's regions, the closest by latency from the Google Cloud region `source` first; never none.

        `cloud` is one of PROVIDERS. FinderUnavailable when there is no clear answer.
        """
        ...


class LocationFinder:
    """A context manager that keeps one connection. Application Default Credentials are looked for at the first question."""

    def __init__(self, *, project: str, url: str = PUBLIC_URL, timeout_s: float = TIMEOUT_S) -> None:
        self._parent = f"projects/{project}/locations/global"
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._session: AuthorizedSession | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            self._session.close()

    def closest(self, cloud: str, source: str) -> list[str]:
        """See `Finder`. All pages together take at most about `timeout_s`."""
        until = time.monotonic() + self._timeout_s
        query = {
            "sourceCloudLocation": f"{self._parent}/cloudLocations/gcp-{source}",
            "query": f"cloud_provider={PROVIDERS[cloud]} AND cloud_location_type=CLOUD_LOCATION_TYPE_REGION",
            "pageSize": str(_PAGE_SIZE),
        }
        codes: list[str] = []
        for _ in range(MAX_PAGES):
            page = self._ask(query, until)
            codes.extend(_codes(page, cloud))
            token = page.get("nextPageToken")
            if not token:
                break
            query["pageToken"] = str(token)
        if not codes:
            raise FinderUnavailable("the Location Finder named no region")
        return list(dict.fromkeys(codes))

    def _ask(self, query: dict[str, str], until: float) -> dict[str, Any]:
        try:
            status, headers, body = self._get(query, until)
        except GoogleAuthError as error:
            raise FinderUnavailable(f"no credentials: {error}") from None
        except (requests.RequestException, HTTPError, OSError) as error:
            # Not chained: the library's error carries the request, and with it the token.
            raise FinderUnavailable(f"no answer ({type(error).__name__})") from None
        if status != 200:
            raise FinderUnavailable(
                f"HTTP {status}: {_reason(body)}", retry_after=_seconds(headers.get("Retry-After"))
            )
        page = _read(body)
        if not isinstance(page, dict):
            raise FinderUnavailable("the Location Finder's answer cannot be read")
        return page

    def _get(self, query: dict[str, str], until: float) -> tuple[int, Any, bytes]:
        left_s = max(0.01, until - time.monotonic())
        if self._session is None:
            self._session = _session(left_s)
        with self._session.request(
            "GET",
            f"{self._url}/{self._parent}/cloudLocations:search",
            params=query,
            timeout=left_s,
            max_allowed_time=left_s,
            stream=True,
            allow_redirects=False,
        ) as response:
            return response.status_code, response.headers, b"".join(_chunks(response, until))


def _session(timeout_s: float) -> AuthorizedSession:
    """Raises GoogleAuthError without credentials. A token is fetched with the first request."""
    credentials, _ = google.auth.default(scopes=[SCOPE])
    # It retries by itself on 401 only, with a new token.
    return AuthorizedSession(credentials, refresh_timeout=timeout_s)


def _chunks(response: requests.Response, until: float) -> Iterator[bytes]:
    """What comes, as it comes: a slow drip cannot stretch one read past the bound."""
    size = 0
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        size += len(chunk)
        if size > MAX_BYTES or time.monotonic() > until:
            raise FinderUnavailable("an answer that is too long or too slow")
        yield chunk


def _codes(page: dict[str, Any], cloud: str) -> Iterator[str]:
    """`aws-us-east-1` is the region us-east-1 of AWS."""
    found = page.get("cloudLocations", [])
    if not isinstance(found, list):
        raise FinderUnavailable("the Location Finder's answer cannot be read")
    prefix = f"{cloud}-"
    for location in found:
        name = location.get("name") if isinstance(location, dict) else None
        if not isinstance(name, str):
            raise FinderUnavailable("the Location Finder's answer cannot be read")
        code = name.rpartition("/")[2]
        if code.startswith(prefix):
            yield code.removeprefix(prefix)[:80]


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _reason(body: bytes) -> str:
    """Google's own sentence, where there is one."""
    error = _read(body)
    inner = error.get("error") if isinstance(error, dict) else None
    message = inner.get("message") if isinstance(inner, dict) else None
    return message if isinstance(message, str) else "no reason given"


def _seconds(header: str | None) -> float | None:
    try:
        return max(0.0, float(header or ""))
    except ValueError:
        return None
