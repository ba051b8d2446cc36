"""Where the archives of saves lie, by one address (`SAVES_URL`). One module per kind of place, loaded when it is used.

Each module has `open_place(address, google_credentials)`. What is open may take time and fail with `SaveUnavailable`: use it
where no request waits and no transaction is open. Links alone are only computed.
"""

from emulators.storages.base import LINK_S, Place, SaveUnavailable, check, open_place

__all__ = ["LINK_S", "Place", "SaveUnavailable", "check", "open_place"]
