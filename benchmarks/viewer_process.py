"""A process with viewers of the live feed. They use raw sockets, because an HTTP client would need more CPU time.

    python -m benchmarks.viewer_process ADDRESS COUNT

It prints `watching` after each viewer has received an event. At the end of standard input it prints `ViewerStats` as
one line of JSON.
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
"""The length of an event's start that contains its id and name. The rest is not decompressed."""


class ViewerStats(msgspec.Struct):
    """The totals of all viewers. A delay is the time from the creation of an event until all of it is received."""

    delays_ms: list[float] = []
    events: int = 0
    bytes_read: int = 0
    errors: int = 0
    disconnected: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0


@dataclass
class Viewer:
    """A connection and its buffer for the next chunk."""

    socket: socket.socket
    buffer: bytearray = field(default_factory=bytearray)
    head: bytes = b""
    events: int = 0

    def chunks(self, data: bytes) -> list[bytes]:
        """Add data, and return the chunks that are now complete. The server sends each event as one chunk."""
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


def connect(url: str) -> Viewer:
    """A viewer that has sent its request for the feed."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    connection = socket.create_connection((parts.hostname, parts.port))
    connection.sendall(f"GET {PATH} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept-Encoding: gzip\r\n\r\n".encode())
    connection.setblocking(False)
    return Viewer(connection)


def id_and_name(chunk: bytes) -> tuple[int, str] | None:
    """The id and the name of an event, or None if the chunk is not an event."""
    lines = zlib.decompressobj(-zlib.MAX_WBITS).decompress(chunk, ID_BYTES).split(b"\n", 2)
    if not lines[0].startswith(b"id: "):
        return None
    return int(lines[0].removeprefix(b"id: ")), lines[1].removeprefix(b"event: ").decode()


class Viewers:
    """All viewers of the process, in one event loop."""

    def __init__(self, url: str, count: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._waiting = count
        self.stats = ViewerStats()
        for _ in range(count):
            viewer = connect(url)
            self._selector.register(viewer.socket, selectors.EVENT_READ, viewer)

    def wait_for_first_events(self) -> None:
        """Read until every viewer has received an event. These events are not counted."""
        deadline = time.monotonic() + OPENING_LIMIT_S
        while self._waiting > 0:
            if time.monotonic() > deadline:
                raise SystemExit(f"{self._waiting} viewers had no event within {OPENING_LIMIT_S:g} s")
            self._read(1.0)
        self.stats = ViewerStats()

    def run(self) -> None:
        """Read and count events until standard input ends."""
        began, used = time.monotonic(), time.process_time()
        self._selector.register(sys.stdin, selectors.EVENT_READ, None)
        while not self._read(None):
            pass
        self.stats.seconds, self.stats.cpu_s = time.monotonic() - began, time.process_time() - used

    def _read(self, timeout_s: float | None) -> bool:
        """Read available data. True if standard input has ended."""
        for key, _ in self._selector.select(timeout_s):
            viewer = key.data
            if viewer is None:
                return True
            data = viewer.socket.recv(READ_BYTES)
            received_ms = time.time() * 1_000
            if not data:
                self._selector.unregister(viewer.socket)
                self.stats.disconnected += 1
                continue
            self.stats.bytes_read += len(data)
            for chunk in viewer.chunks(data):
                self._count_event(viewer, chunk, received_ms)
        return False

    def _count_event(self, viewer: Viewer, chunk: bytes, received_ms: float) -> None:
        try:
            found = id_and_name(chunk)
        except zlib.error:
            return  # The first chunk begins with a gzip header and has no event.
        if found is None:
            return
        created_ms, name = found
        self._waiting -= viewer.events == 0
        viewer.events += 1
        self.stats.events += 1
        self.stats.errors += name == "trouble"
        self.stats.delays_ms.append(received_ms - created_ms)


def main() -> None:
    viewers = Viewers(sys.argv[1], int(sys.argv[2]))
    viewers.wait_for_first_events()
    print("watching", flush=True)
    viewers.run()
    print(msgspec.json.encode(viewers.stats).decode(), flush=True)


if __name__ == "__main__":
    main()
