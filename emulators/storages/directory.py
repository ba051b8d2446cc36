"""A directory of this host, or one that all hosts share. Only we read there, so its archives have no links."""

from __future__ import annotations

from django.core.files.storage import FileSystemStorage

from emulators.storages.base import Place
from stores.addresses import Address


def open_place(address: Address, google_credentials: str) -> Place:
    storage = FileSystemStorage(
        location=f"/{address.path}",
        allow_overwrite=True,
        file_permissions_mode=0o600,
        directory_permissions_mode=0o700,
    )
    return Place(storage, (OSError,))
