"""Google Cloud Storage: by a service account's key, or as anybody reads a public bucket."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator

from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError, TransportError
from google.oauth2.service_account import Credentials
from requests import RequestException
from storages.backends.gcloud import GoogleCloudStorage

from emulators.shelves.base import Shelf, StoredFile
from stores.addresses import Address

CONNECT_S, READ_S = 10, 30
LISTED = "items(name,size),prefixes,nextPageToken"


class Google(Shelf):
    trouble = (OSError, exceptions.GoogleAPIError, GoogleAuthError, RequestException)

    def _files(self, folder: str) -> Iterator[StoredFile]:
        location = self.storage.location
        prefix = posixpath.join(location, folder, "")
        for blob in self.storage.bucket.list_blobs(prefix=prefix, fields=LISTED, timeout=(CONNECT_S, READ_S)):
            if not blob.name.endswith("/"):  # a folder, as some tools make them
                yield StoredFile(posixpath.relpath(blob.name, location or "."), blob.size or 0)

    def _reading(self, error: Exception) -> tuple[bool, str]:
        is_busy = isinstance(error, exceptions.TooManyRequests | TransportError)
        is_final = isinstance(error, exceptions.ClientError | GoogleAuthError) and not is_busy
        return is_final, type(error).__name__


def open_shelf(address: Address, google_credentials: str) -> Shelf:
    if not address.host:
        raise ValueError("a bucket's address is gs://bucket")
    known = None
    if google_credentials:
        try:
            known = Credentials.from_service_account_info(json.loads(google_credentials))  # type: ignore[no-untyped-call]
        except (ValueError, TypeError, AttributeError):
            raise ValueError("its credentials must be a service account's key as JSON") from None
    storage = GoogleCloudStorage(
        credentials=known or AnonymousCredentials(),
        project_id=known.project_id if known else "none",
        bucket_name=address.host,
        location=address.path,
    )
    return Google(storage)
