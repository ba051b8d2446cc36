"""Where the archives of saves lie, by one address (`SAVES_URL`): a local directory, an S3-compatible store or Google's.

Everything here may take time and fail with `Unavailable`: call it where no request waits and no transaction is open. `link`
alone computes, and asks nobody.
"""

from __future__ import annotations

import json
from datetime import timedelta
from functools import lru_cache
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.oauth2.service_account import Credentials
from requests import RequestException
from storages.backends.gcloud import GoogleCloudStorage
from storages.backends.s3 import S3Storage

from gamer.errors import Unavailable
from stores.addresses import Address, parse

PACKED = "application/gzip"
LINK_S = 300  # how long a link to an archive is good
CONNECT_S, READ_S, TRIES = 5, 30, 2
# What a storage can end with, besides an error of ours.
TROUBLE = (OSError, BotoCoreError, ClientError, Boto3Error, GoogleAPIError, GoogleAuthError, RequestException)


class SaveUnavailable(Unavailable):
    """The storage of saves does not answer, or not as it should. The next move: again, later."""


def open_storage() -> Storage:
    """The storage of the settings. Raises ValueError for an address that cannot be used."""
    return _opened(settings.SAVES_URL, settings.SAVES_GOOGLE_CREDENTIALS)


@lru_cache(maxsize=4)
def _opened(url: str, google_credentials: str) -> Storage:
    address = parse(url)
    match address.scheme:
        case "file" if address.path and not address.host:
            return FileSystemStorage(
                location=f"/{address.path}",
                allow_overwrite=True,
                file_permissions_mode=0o600,
                directory_permissions_mode=0o700,
            )
        case "s3" if address.host and address.path and address.user and address.password:
            return _s3(address)
        case "gs" if address.host:
            return _google(address, google_credentials)
    raise ValueError("it is file:///folder, s3://key:secret@endpoint/bucket or gs://bucket")


def _s3(address: Address) -> Storage:
    bucket, _, folder = address.path.partition("/")
    config = Config(
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
        retries={"total_max_attempts": TRIES, "mode": "standard"},
        s3={"addressing_style": "path"},
        signature_version="s3v4",
        # Sums of the newest kind are known to AWS alone.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return S3Storage(
        access_key=address.user,
        secret_key=address.password,
        security_token="",
        bucket_name=bucket,
        location=folder,
        endpoint_url=address.endpoint,
        region_name=address.options.get("region") or "us-east-1",
        client_config=config,
        querystring_expire=LINK_S,
        object_parameters={"ContentType": PACKED},
    )


def _google(address: Address, credentials: str) -> Storage:
    """Only a service account's own key can sign links without asking Google."""
    try:
        known = Credentials.from_service_account_info(json.loads(credentials))
    except (ValueError, TypeError):
        raise ValueError("SAVES_GOOGLE_CREDENTIALS must hold a service account's key as JSON") from None
    return GoogleCloudStorage(
        credentials=known,
        project_id=known.project_id,
        bucket_name=address.host,
        location=address.path,
        expiration=timedelta(seconds=LINK_S),
        object_parameters={"content_type": PACKED},
    )


def put(name: str, content: bytes) -> None:
    """Writes an archive; writing the same again changes nothing. Raises SaveUnavailable."""
    try:
        open_storage().save(name, ContentFile(content))
    except TROUBLE as error:
        raise _unavailable(error) from error


def get(name: str) -> bytes:
    """Raises SaveUnavailable, also for what should be there and is not."""
    try:
        with open_storage().open(name, "rb") as file:
            return bytes(file.read())
    except TROUBLE as error:
        raise _unavailable(error) from error


def delete(name: str) -> None:
    """Deletes an archive; one that is gone is no error. Raises SaveUnavailable."""
    try:
        open_storage().delete(name)
    except TROUBLE as error:
        raise _unavailable(error) from error


def link(name: str, *, filename: str) -> str:
    """An address that gives the archive to whoever has it, for `LINK_S` seconds; "" where only we can read."""
    storage = open_storage()
    shown = f'attachment; filename="{filename}"'
    parameters: dict[str, Any] = {}
    if isinstance(storage, S3Storage):
        parameters = {"ResponseContentDisposition": shown, "ResponseContentType": PACKED}
    elif isinstance(storage, GoogleCloudStorage):
        parameters = {"response_disposition": shown, "response_type": PACKED}
    else:
        return ""
    return str(storage.url(name, parameters=parameters))


def _unavailable(error: BaseException) -> SaveUnavailable:
    """Of the error only its kind is told: its text may name what is not everybody's."""
    return SaveUnavailable(f"The storage of saves does not answer ({type(error).__name__}).")
