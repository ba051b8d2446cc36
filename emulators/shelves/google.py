"""Google Cloud Storage: by a service account's key, or as anybody reads a public bucket."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator

from django.core.files import File
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError, TransportError
from google.oauth2.service_account import Credentials
from requests import RequestException
from storages.backends.gcloud import GoogleCloudStorage

from emulators.shelves.base import Shelf, StoredFile
from emulators.storages.google import ASKED
from stores.addresses import Address

LISTED = "items(name,size),prefixes,nextPageToken"
PART = 64 * 1024 * 1024  # sent at once of a large file; what fails is sent again from there


class Google(Shelf):
    trouble = (OSError, exceptions.GoogleAPIError, GoogleAuthError, RequestException)

    def top(self) -> tuple[list[str], list[str]]:
        with self._asked():
            prefix = self._name("")
            pages = self.storage.bucket.list_blobs(prefix=prefix, delimiter="/", fields=LISTED, **ASKED)
            files = [blob.name.removeprefix(prefix) for blob in pages]
            folders = [folder.removeprefix(prefix).rstrip("/") for folder in pages.prefixes]
            return folders, [name for name in files if name]

    def has(self, path: str) -> bool:
        with self._asked():
            return self.storage.bucket.get_blob(self._name(path), **ASKED) is not None

    def _files(self, folder: str) -> Iterator[StoredFile]:
        start = self._name("")
        for blob in self.storage.bucket.list_blobs(prefix=self._name(f"{folder}/"), fields=LISTED, **ASKED):
            if not blob.name.endswith("/"):  # a folder, as some tools make them
                yield StoredFile(blob.name.removeprefix(start), blob.size or 0)

    def _put(self, path: str, content: File[bytes]) -> None:
        blob = self.storage.bucket.blob(self._name(path), chunk_size=PART)
        blob.upload_from_file(content, rewind=True, size=content.size, **ASKED)

    def _name(self, path: str) -> str:
        return posixpath.join(self.storage.location, path)

    def close(self) -> None:
        self.storage.client.close()

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
