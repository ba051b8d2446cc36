"""A host that lets everybody in over SSH, opens what it is asked for, and says nothing from then on."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import StringIO

import paramiko


class _Mute(paramiko.ServerInterface):
    """`is_over` ends the silence, so that nothing is left behind."""

    def __init__(self, is_over: threading.Event) -> None:
        self._is_over = is_over

    def get_allowed_auths(self, username: str) -> str:
        return "publickey,password"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL

    def check_auth_password(self, username: str, password: str) -> int:
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self._is_over.wait()
        return False

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        return True


@contextmanager
def mute_host(private_openssh: str) -> Iterator[int]:
    """Its port. It takes one connection after another, and shows this ed25519 host key."""
    key = paramiko.Ed25519Key.from_private_key(StringIO(private_openssh))
    is_over = threading.Event()
    connections: list[paramiko.Transport] = []

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):  # shut down
            while True:
                connection = paramiko.Transport(listener.accept()[0])
                connections.append(connection)
                connection.add_server_key(key)
                connection.start_server(server=_Mute(is_over))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield listener.getsockname()[1]
        is_over.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in connections:
        connection.close()
