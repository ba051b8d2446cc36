"""Whether somebody plays. Idle needs proof: what is not known counts as playing.

Wolf's events tell it (Resume: the client is really there; Pause, Stop: it is not). They are not replayed: after a gap, a session that Wolf
lists may or may not have its player, and then packets on the control port decide, where this machine lets us see them.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

from .wolf import Wolf, WolfError

CONTROL_PORT = 47999
RETRY_S = 1.0
# How long packets are listened for: a client that is there sends many a second.
SNIFF_S = 2.0
CONNECTED, GONE = ("ResumeStreamEvent",), ("PauseStreamEvent", "StopStreamEvent")


class Activity:
    """Watched by one thread, asked from any. `wake` is set when a player comes or goes.

    The start of the agent counts as activity: what was before is not known.
    """

    def __init__(
        self,
        wolf: Wolf,
        *,
        wake: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
        sniff: Callable[[], bool | None] | None = None,
    ) -> None:
        self._wolf = wolf
        self._clock = clock
        self._sniff = sniff or (lambda: sees_control_traffic(SNIFF_S))
        self._lock = threading.Lock()
        self._is_watching = False
        self._connected: set[str] = set()
        self._unknown: set[str] = set()
        self._active_at = clock()
        self._seen_at: float | None = None
        self._wake = wake or threading.Event()

    def view(self) -> dict[str, Any]:
        """`is_playing` None when it cannot be told. `idle_s` is how long nobody has played, None unless that is proven."""
        with self._lock:
            is_playing = self._is_playing()
            if is_playing is not False:
                self._active_at = self._clock()
            return {
                "is_playing": is_playing,
                "idle_s": round(self._clock() - self._active_at, 1) if is_playing is False else None,
                "connected": len(self._connected),
                "is_wolf_up": self._is_watching,
            }

    def watch(self, stop: threading.Event) -> None:
        """Follow Wolf's events until `stop`, through any number of its restarts."""
        while not stop.is_set():
            with contextlib.suppress(WolfError):
                for name, event in self._wolf.events():
                    if stop.is_set():
                        return
                    self._note(name, event)
            with self._lock:
                self._is_watching = False
                # What happens now is not told to us: sessions that were empty may have a player again.
                self._unknown |= self._connected
                self._connected = set()
            self._wake.set()
            stop.wait(RETRY_S)

    def _note(self, name: str, event: dict[str, Any]) -> None:
        session_id = str(event.get("session_id", ""))
        with self._lock:
            was = self._is_playing()
            if not name:
                pass
            elif name in CONNECTED:
                self._connected.add(session_id)
                self._unknown.discard(session_id)
            elif name in GONE:
                self._connected.discard(session_id)
                self._unknown.discard(session_id)
            else:
                return
        if not self._is_watching or (not name and self._unknown):
            self._look_anew()
        if was != self.view()["is_playing"]:
            self._wake.set()

    def _look_anew(self) -> None:
        """Events are heard again: which sessions are there is asked, who sits at them is not known yet."""
        listed = {str(each.get("client_id", "")) for each in self._wolf.rows("/sessions", "sessions")}
        with self._lock:
            self._connected &= listed
            self._unknown = (self._unknown & listed) if self._is_watching else (listed - self._connected)
            has_unknown = bool(self._unknown)
            self._is_watching = True
        if has_unknown and self._sniff() is False:
            with self._lock:
                self._unknown = set()

    def _is_playing(self) -> bool | None:
        if self._connected:
            return True
        if not self._is_watching or self._unknown:
            return None
        return False


def sees_control_traffic(seconds: float) -> bool | None:
    """Whether a UDP packet comes for Wolf's control port; None where this machine does not let us look (packet(7))."""
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    except (OSError, AttributeError):
        return None
    deadline = time.monotonic() + seconds
    with sock:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if select.select([sock], [], [], left)[0] and _is_for_control(sock.recv(128)):
                return True


def _is_for_control(packet: bytes) -> bool:
    """Reads the headers of IPv4 and UDP (RFC 791, RFC 768)."""
    if len(packet) < 20 or packet[9] != socket.IPPROTO_UDP:
        return False
    start = (packet[0] & 15) * 4
    return len(packet) >= start + 4 and struct.unpack("!H", packet[start + 2 : start + 4])[0] == CONTROL_PORT
