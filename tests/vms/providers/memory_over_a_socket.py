"""A `MemoryCloud` that other processes can call, so that one of them can die in a call: a socket, and calls that are held."""

from __future__ import annotations

import threading
from collections.abc import Callable
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from vms.providers.base import ProviderError
from vms.providers.memory import MemoryCloud

KEY = b"between a test and its child"


class Served:
    """Answers calls of a cloud's verbs at `address`, each in a thread of its own."""

    def __init__(self, cloud: MemoryCloud) -> None:
        self.cloud = cloud
        self._listener = Listener(family="AF_UNIX", authkey=KEY)
        self._held: dict[str, str] = {}
        self._time = threading.Event()
        self.in_the_middle: set[str] = set()
        self._is_open = True
        self._door = threading.Thread(target=self._accept, daemon=True)
        self._door.start()

    @property
    def address(self) -> str:
        return str(self._listener.address)

    def hold(self, verb: str, moment: str) -> None:
        self._time.clear()
        self._held[verb] = moment

    def release(self) -> None:
        self._time.set()

    def close(self) -> None:
        """Whoever waits at the door is let go before it is closed: another file might get its number."""
        self.release()
        self._is_open = False
        Client(self.address, family="AF_UNIX", authkey=KEY).close()
        self._door.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            connection = self._listener.accept()
            if not self._is_open:
                connection.close()
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: Connection) -> None:
        with connection:
            verb, arguments = connection.recv()
            moment = self._held.pop(verb, "")
            if moment == "asked":
                self._wait(verb)
            try:
                answer = getattr(self.cloud, verb)(*arguments)
            except ProviderError as error:
                answer = error
            if moment == "done":
                self._wait(verb)
            try:
                connection.send(answer)
            except BrokenPipeError:
                return  # who asked is dead

    def _wait(self, verb: str) -> None:
        self.in_the_middle.add(verb)
        self._time.wait(60)
        self.in_the_middle.discard(verb)


class Remote:
    """The cloud, seen from another process."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            with Client(self._address, family="AF_UNIX", authkey=KEY) as connection:
                connection.send((verb, arguments))
                answer = connection.recv()
            if isinstance(answer, ProviderError):
                raise answer
            return answer

        return call
