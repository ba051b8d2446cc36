"""Whether Wolf answers where Moonlight will ask."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from vms.streaming import MAX_ANSWER, unreachable_because

SERVERINFO = b"<?xml version='1.0'?><root status_code='200'><hostname>Wolf</hostname><state>SUNSHINE_SERVER_FREE</state></root>"


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A port that says this to its first caller."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                try:
                    connection.sendall(answer)
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@contextmanager
def dripping(first: bytes = b"HTTP/1.0 200 OK\r\nX-Drip: ") -> Iterator[int]:
    """A port that begins so, and goes on byte by byte until its caller leaves, or has waited for some seconds."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        is_over = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.sendall(first)
                for _ in range(500):
                    if is_over.wait(0.01):
                        return
                    connection.sendall(b"x")

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        is_over.set()
        thread.join()


def http(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.0 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def asked(port: int) -> str:
    """In the time of a busy machine."""
    return unreachable_because("127.0.0.1", port, within_s=30)


class TestWolf:
    @pytest.mark.parametrize("state", [b"FREE", b"BUSY"])
    def test_is_reached_when_it_says_its_state(self, state):
        with answering(http(SERVERINFO.replace(b"FREE", state))) as port:
            assert asked(port) == ""

    @pytest.mark.parametrize(
        "answer",
        [
            http(b"<html>nginx</html>"),
            http(SERVERINFO, "404 Not Found"),
            http(SERVERINFO, "302 Found"),
            http(b"x" * (MAX_ANSWER + 1) + SERVERINFO),
        ],
        ids=["a page", "not found", "elsewhere", "endless"],
    )
    def test_is_not_something_else_on_its_port(self, answer):
        with answering(answer) as port:
            assert "Something else" in asked(port)

    @pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n"])
    def test_is_not_reached_by_what_speaks_no_http(self, answer):
        with answering(answer) as port:
            assert "does not answer" in asked(port)

    def test_is_not_waited_for_where_a_byte_comes_now_and_then(self):
        with dripping() as port:
            assert "TimeoutError" in unreachable_because("127.0.0.1", port, within_s=0.1)

    def test_is_reached_on_a_connection_that_stays_open(self):
        with dripping(http(SERVERINFO)) as port:
            assert asked(port) == ""

    def test_is_not_reached_where_nobody_listens(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
            assert asked(port) == f"Port {port} of the machine does not answer: ConnectionRefusedError."
