"""Google Cloud Storage. Only a service account's own key signs links without asking Google, so there must be one."""

from __future__ import annotations

import json
from datetime import timedelta

from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.oauth2.service_account import Credentials
from requests import RequestException
from storages.backends.gcloud import GoogleCloudStorage

from emulators.storages.base import LINK_S, PACKED, Place
from stores.addresses import Address


def open_place(address: Address, google_credentials: str) -> Place:
    if not address.host:
        raise ValueError("a bucket's address is gs://bucket")
    try:
        known = Credentials.from_service_account_info(json.loads(google_credentials))  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, AttributeError):
        raise ValueError("SAVES_GOOGLE_CREDENTIALS must hold a service account's key as JSON") from None
    storage = GoogleCloudStorage(
        credentials=known,
        project_id=known.project_id,
        bucket_name=address.host,
        location=address.path,
        expiration=timedelta(seconds=LINK_S),
        object_parameters={"content_type": PACKED},
    )
    return Place(storage, (OSError, GoogleAPIError, GoogleAuthError, RequestException), _shown)


def _shown(disposition: str) -> dict[str, str]:
    return {"response_disposition": disposition, "response_type": PACKED}
