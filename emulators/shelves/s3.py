"""Any store that speaks S3's API."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from emulators.shelves.base import Shelf, StoredFile
from emulators.storages.s3 import storage_at
from stores.addresses import Address


class S3(Shelf):
    trouble = (OSError, BotoCoreError, ClientError, Boto3Error)

    def _files(self, folder: str) -> Iterator[StoredFile]:
        start = posixpath.join(self.storage.location, "")
        pages = self.storage.connection.meta.client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.storage.bucket_name, Prefix=f"{start}{folder}/"):
            for entry in page.get("Contents", ()):
                if not entry["Key"].endswith("/"):  # a folder, as some tools make them
                    yield StoredFile(entry["Key"].removeprefix(start), entry["Size"])

    def close(self) -> None:
        self.storage.connection.meta.client.close()

    def _reading(self, error: Exception) -> tuple[bool, str]:
        if not isinstance(error, ClientError):
            return False, type(error).__name__
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
        code = str(error.response.get("Error", {}).get("Code", "unknown"))[:60]
        return 400 <= status < 500 and status not in (408, 429), code


def open_shelf(address: Address, google_credentials: str) -> Shelf:
    return S3(storage_at(address))
