"""Viewers of the live feed as a process of its own: raw sockets, so that what is measured is not the client.

Called with an address, how many there are and whether they take gzip, it says `watching` once each has an
event, and what they saw, as one line of JSON, once its standard input ends.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
import zlib
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec

PATH = "/api/v1/live"
HEAD_END = b"\r\n\r\n"
READ_BYTES = 1 << 18
OPENING_LIMIT_S = 30.0
ID_BYTES = 64
"""As much of an event as has its id and its name: the rest is read and not unpacked."""


class Seen(msgspec.Struct):
    """What all viewers saw together. `delays_ms` is from when an event was made to when it had come whole."""

    delays_ms: list[float] = []
    events: int = 0
    bytes_read: int = 0
    troubles: int = 0
    cut_off: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0


@dataclass
class Viewer:
    """One connection and what it has of the event that comes."""

    socket: socket.socket
    buffer: bytearray = field(default_factory=bytearray)
    head: bytes = b""
    events: int = 0

    def chunks(self, data: bytes) -> list[bytes]:
        """The chunks of the body that are whole with these data: the server sends an event as one."""
        self.buffer += data
        if not self.head:
            if HEAD_END not in self.buffer:
                return []
            head, _, rest = self.buffer.partition(HEAD_END)
            self.head, self.buffer = bytes(head), bytearray(rest)
            if not self.head.startswith(b"HTTP/1.1 200 "):
                raise SystemExit(f"the feed answers {self.head.splitlines()[0].decode()}")
        found = []
        while (line := self.buffer.find(b"\r\n")) > 0:
            size = int(self.buffer[:line], 16)
            if len(self.buffer) < line + size + 4:
                break
            found.append(bytes(self.buffer[line + 2 : line + 2 + size]))
            del self.buffer[: line + size + 4]
        return found


def opened(url: str, *, packed: bool) -> Viewer:
    """A viewer that has asked for the feed."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    accepts = "Accept-Encoding: gzip\r\n" if packed else ""
    connected = socket.create_connection((parts.hostname, parts.port))
    connected.sendall(f"GET {PATH} HTTP/1.1\r\nHost: {parts.netloc}\r\n{accepts}\r\n".encode())
    connected.setblocking(False)
    return Viewer(connected)


def id_and_name(chunk: bytes, *, packed: bool) -> tuple[int, str] | None:
    """An event's id and name; None: it is no event."""
    text = zlib.decompressobj(-zlib.MAX_WBITS).decompress(chunk, ID_BYTES) if packed else chunk[:ID_BYTES]
    lines = text.split(b"\n", 2)
    if not lines[0].startswith(b"id: "):
        return None
    return int(lines[0].removeprefix(b"id: ")), lines[1].removeprefix(b"event: ").decode()


class Crowd:
    """All viewers of one run, read in one loop."""

    def __init__(self, url: str, count: int, *, packed: bool) -> None:
        self._packed = packed
        self._selector = selectors.DefaultSelector()
        self._open = 0
        self._waiting = count
        self.seen = Seen()
        for _ in range(count):
            viewer = opened(url, packed=packed)
            self._selector.register(viewer.socket, selectors.EVENT_READ, viewer)
            self._open += 1

    def gather(self) -> None:
        """Read until every viewer has an event; what comes then is counted."""
        deadline = time.monotonic() + OPENING_LIMIT_S
        while self._waiting > 0:
            if time.monotonic() > deadline:
                raise SystemExit(f"{self._waiting} viewers had no event within {OPENING_LIMIT_S:g} s")
            self._read(1.0)
        self.seen = Seen()

    def watch(self) -> None:
        """Read until the standard input ends."""
        began, used = time.monotonic(), time.process_time()
        self._selector.register(sys.stdin, selectors.EVENT_READ, None)
        while not self._read(None):
            pass
        self.seen.seconds, self.seen.cpu_s = time.monotonic() - began, time.process_time() - used

    def _read(self, timeout_s: float | None) -> bool:
        """Take what has come; whether it is time to end."""
        for key, _ in self._selector.select(timeout_s):
            viewer = key.data
            if viewer is None:
                return True
            data = viewer.socket.recv(READ_BYTES)
            at_ms = time.time() * 1_000
            if not data:
                self._selector.unregister(viewer.socket)
                self.seen.cut_off += 1
                continue
            self.seen.bytes_read += len(data)
            for chunk in viewer.chunks(data):
                self._take(viewer, chunk, at_ms)
        return False

    def _take(self, viewer: Viewer, chunk: bytes, at_ms: float) -> None:
        try:
            found = id_and_name(chunk, packed=self._packed)
        except zlib.error:
            return  # the greeting, behind the head of its gzip stream
        if found is None:
            return
        made_ms, name = found
        self._waiting -= viewer.events == 0
        viewer.events += 1
        self.seen.events += 1
        self.seen.troubles += name == "trouble"
        self.seen.delays_ms.append(at_ms - made_ms)


def main() -> None:
    url, count, packed = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "gzip"
    crowd = Crowd(url, count, packed=packed)
    crowd.gather()
    print("watching", flush=True)
    crowd.watch()
    print(msgspec.json.encode(crowd.seen).decode(), flush=True)


if __name__ == "__main__":
    main()
