"""Any store that speaks S3's API, AWS's own included (`s3.amazonaws.com`)."""

from __future__ import annotations

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from storages.backends.s3 import S3Storage

from emulators.archives import MAX_PACKED
from emulators.storages.base import LINK_S, PACKED, Place
from stores.addresses import Address

CONNECT_S, READ_S, TRIES = 5, 30, 2


def open_place(address: Address, google_credentials: str) -> Place:
    bucket, _, folder = address.path.partition("/")
    config = Config(
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
        retries={"total_max_attempts": TRIES, "mode": "standard"},
        s3={"addressing_style": "path"},
        signature_version="s3v4",
        # The newest kinds of sums are known to AWS alone.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    storage = S3Storage(
        access_key=address.user,
        secret_key=address.password,
        security_token=None,
        bucket_name=bucket,
        location=folder,
        endpoint_url=address.endpoint,
        region_name=address.options.get("region") or "us-east-1",
        client_config=config,
        # An archive is one request: in parts, a death in between leaves some that nobody sees and everybody pays.
        transfer_config=TransferConfig(multipart_threshold=2 * MAX_PACKED, use_threads=False),
        querystring_expire=LINK_S,
        object_parameters={"ContentType": PACKED},
    )
    return Place(storage, (OSError, BotoCoreError, ClientError, Boto3Error), _shown)


def _shown(disposition: str) -> dict[str, str]:
    return {"ResponseContentDisposition": disposition, "ResponseContentType": PACKED}
