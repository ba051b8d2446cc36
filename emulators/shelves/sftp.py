"""A directory of a host that is reached by SSH. Its key is compared with the address's, or where our own `known_hosts` has one."""

from __future__ import annotations

import contextlib
import posixpath
import stat
import tempfile
import threading
from collections.abc import Iterator

import paramiko
from django.core.files import File
from storages.backends.sftpstorage import SFTPStorage

from emulators.shelves.base import Shelf, StoredFile, part_of
from emulators.shelves.directory import reading
from gamer.crash import crash_point
from stores.addresses import Address

CONNECT_S, READ_S = 10, 30


class BoundedTransport(paramiko.Transport):
    """Waits for no answer of SFTP for ever."""

    def open_sftp_client(self) -> paramiko.SFTPClient:
        # For a host that agrees to speak SFTP, and then does not, nothing else has an end.
        cut = threading.Timer(READ_S, self.close)
        cut.daemon = True
        cut.start()
        try:
            sftp = super().open_sftp_client()
        finally:
            cut.cancel()
        channel = sftp and sftp.get_channel()
        if channel:  # none where the connection is gone again
            channel.settimeout(READ_S)
        return sftp


class PinnedStorage(SFTPStorage):  # type: ignore[misc]  # untyped
    """Knows the host by the key in its address, where that has one."""

    known_hosts = ""

    def _connect(self) -> None:
        if not self.known_hosts:
            super()._connect()
            return
        with tempfile.NamedTemporaryFile("w", prefix="known_hosts-") as file:
            file.write(self.known_hosts)
            file.flush()
            self.known_host_file = file.name
            if not paramiko.HostKeys(file.name).lookup(self.known_hosts.split(" ")[0]):
                raise paramiko.SSHException("the host's keys cannot be read")  # or any host would be believed
            super()._connect()


class Sftp(Shelf):
    trouble = (OSError, EOFError, paramiko.SSHException)

    def _files(self, folder: str) -> Iterator[StoredFile]:
        sftp = self._open()
        waiting = [folder]
        while waiting:
            at = waiting.pop()
            links: list[str] = []
            for entry in sftp.listdir_iter(self._far(at)):
                path, mode = posixpath.join(at, entry.filename), entry.st_mode or 0
                if stat.S_ISDIR(mode):
                    waiting.append(path)
                elif stat.S_ISLNK(mode):
                    links.append(path)
                elif stat.S_ISREG(mode):
                    yield StoredFile(path, entry.st_size or 0)
            for path in links:  # not before: who asks in the middle of a list takes its answers away
                with contextlib.suppress(FileNotFoundError, PermissionError):
                    meant = sftp.stat(self._far(path))
                    if stat.S_ISREG(meant.st_mode or 0):
                        yield StoredFile(path, meant.st_size or 0)

    def _put(self, path: str, content: File[bytes]) -> None:
        sftp, part = self._open(), part_of(path)
        self.storage.delete(part)  # what a death left: the storage would choose another name
        self.storage.save(part, content)
        crash_point("shelf.part_written")
        sftp.posix_rename(self._far(part), self._far(path))

    def _far(self, path: str) -> str:
        return posixpath.join(self.storage.root_path, path)

    def _open(self) -> paramiko.SFTPClient:
        sftp: paramiko.SFTPClient = self.storage.sftp
        return sftp

    def _reading(self, error: Exception) -> tuple[bool, str]:
        if isinstance(error, paramiko.AuthenticationException | paramiko.BadHostKeyException):
            return True, type(error).__name__
        return reading(error)

    def close(self) -> None:
        self.storage.close()


def open_shelf(address: Address, google_credentials: str) -> Shelf:
    if not (address.host and address.user):
        raise ValueError("a host's address is sftp://user:password@host/folder")
    # Without a password it is the service's own keys.
    login = {"password": address.password, "look_for_keys": False, "allow_agent": False}
    params = {
        "port": address.port or 22,
        "username": address.user,
        "timeout": CONNECT_S,
        "banner_timeout": READ_S,
        "auth_timeout": READ_S,
        "transport_factory": BoundedTransport,
        **(login if address.password else {}),
    }
    storage = PinnedStorage(host=address.host, root_path=f"/{address.path}", params=params)
    storage.known_hosts = address.known_hosts
    return Sftp(storage)
