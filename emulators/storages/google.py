"""Google Cloud Storage. Only a service account's own key signs links without asking Google, so there must be one."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import Any

from django.core.files.base import ContentFile, File
from google.api_core.exceptions import GoogleAPIError, NotFound
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage.retry import DEFAULT_RETRY
from google.oauth2.service_account import Credentials
from requests import RequestException
from storages.backends.gcloud import GoogleCloudStorage

from emulators.storages.base import LINK_S, PACKED, Place
from stores.addresses import Address

CONNECT_AND_READ_S = (5, 30)
# Its own patience, two minutes for each of several requests, is longer than a task may take.
ASKED: dict[str, Any] = {"retry": DEFAULT_RETRY.with_timeout(20), "timeout": CONNECT_AND_READ_S}


# Unasked, the client looks the bucket up for its traces, in a thread of its own that asks for two minutes. Read at every request.
os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")


class BoundedStorage(GoogleCloudStorage):  # type: ignore[misc]
    """django-storages' own, for archives: one request for each act, and none without an end."""

    def _save(self, name: str, content: File[bytes]) -> str:
        blob = self.bucket.blob(self._normalize_name(name))
        blob.upload_from_file(content, rewind=True, size=content.size, content_type=PACKED, **ASKED)
        return name

    def _open(self, name: str, mode: str = "rb") -> File[bytes]:
        return ContentFile(self.bucket.blob(self._normalize_name(name)).download_as_bytes(**ASKED))

    def delete(self, name: str) -> None:
        try:
            self.bucket.delete_blob(self._normalize_name(name), **ASKED)
        except NotFound:
            return


def open_place(address: Address, google_credentials: str) -> Place:
    try:
        known = Credentials.from_service_account_info(json.loads(google_credentials))  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, AttributeError):
        raise ValueError("SAVES_GOOGLE_CREDENTIALS must hold a service account's key as JSON") from None
    storage = BoundedStorage(
        credentials=known,
        project_id=known.project_id,
        bucket_name=address.host,
        location=address.path,
        expiration=timedelta(seconds=LINK_S),
    )
    return Place(storage, (OSError, GoogleAPIError, GoogleAuthError, RequestException), _shown)


def _shown(disposition: str) -> dict[str, str]:
    return {"response_disposition": disposition, "response_type": PACKED}
