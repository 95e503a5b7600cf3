"""The live feed: Server-Sent Events that are encoded once and sent to all viewers."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.errors import OperationalError
from tillstream.web.static_files import LEVEL, accepts_gzip

EVENT_STREAM = "text/event-stream"

HEARTBEAT_S = 5.0
"""The maximum time between two events. After 12 s without an event, the page reports a lost connection."""

VIEWER_LIMIT = 1_000
"""The maximum number of concurrent viewers."""

STUCK_S = 30.0
"""A viewer is disconnected if sending one event to it takes longer than this time."""

CLOSING_S = 0.5
"""The time that viewers have to receive the last event when the feed closes."""

RETRY_MS = 1_000
"""The time after which a browser reconnects."""

GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""The header of a gzip stream (RFC 1952) without file name and time. Deflate blocks follow the header."""

_HEADERS = (
    (b"content-type", f"{EVENT_STREAM}; charset=utf-8".encode()),
    (b"cache-control", b"no-store"),
    (b"vary", b"Accept-Encoding"),
    (b"x-accel-buffering", b"no"),
)

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Event:
    """An encoded event. `compressed` contains `text` as deflate blocks that can follow `GZIP_HEADER`."""

    id: int
    text: bytes
    compressed: bytes

    @classmethod
    def of(cls, id: int, name: str, data: bytes) -> Event:
        """Encode an event. `data` must not contain line breaks."""
        text = b"id: %d\nevent: %s\ndata: %s\n\n" % (id, name.encode(), data)
        return cls(id, text, _deflate(text))

    def encoded(self, *, gzip: bool) -> bytes:
        return self.compressed if gzip else self.text


def preamble(retry_ms: int, *, gzip: bool) -> bytes:
    """Return the start of a stream. `retry_ms` is the time after which a browser reconnects."""
    text = b"retry: %d\n\n" % retry_ms
    return GZIP_HEADER + _deflate(text) if gzip else text


def _deflate(text: bytes) -> bytes:
    """Compress the text to deflate blocks (RFC 1951) that can be inserted into any stream.

    The blocks do not refer to earlier data and end at a byte boundary. No block is marked as the last of its stream.
    """
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)


class Viewer:
    """One open stream. `seen` is the id of the last event that was sent or skipped.

    `sending_since` is the time at which the current send began, or None between sends.
    """

    __slots__ = ("_woken", "aborted", "disconnected", "gzip", "seen", "sending_since", "task")

    def __init__(self, *, gzip: bool, seen: int) -> None:
        self.gzip = gzip
        self.seen = seen
        self.disconnected = self.aborted = False
        self.sending_since: float | None = None
        self.task = asyncio.current_task()
        self._woken = asyncio.Event()

    async def wait(self) -> None:
        """Wait until `wake` is called."""
        self._woken.clear()
        await self._woken.wait()

    def wake(self) -> None:
        self._woken.set()

    def mark_disconnected(self) -> None:
        """Record that the client has disconnected, and wake the stream, so that it ends."""
        self.disconnected = True
        self.wake()

    def abort(self) -> None:
        """End the stream, even while an event is being sent."""
        self.aborted = True
        if self.task is not None:
            self.task.cancel()


class LiveFeed:
    """Sends the state that `read` returns to all viewers, as Server-Sent Events.

    An event is called `name` and contains the whole state. If the state is not available, the event is called
    `trouble` and contains the reason. An event is sent after a commit of the engine, and at least every `HEARTBEAT_S`.
    The setting `live_interval_ms` is the minimum time between two events. The state is not read while there are no
    viewers. A slow viewer gets only the latest event.

    The id of an event is its time in milliseconds since 1970, so ids increase even across restarts. A new viewer gets
    the latest event immediately, unless it already has this event (`Last-Event-ID`) or the event is outdated.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], Any],
        trouble: Callable[[], OperationalError | None],
        settings: Settings,
        clock: Clock,
    ) -> None:
        """`trouble` returns the error that stops updates of the figures, or None."""
        self._name = name
        self._state = read
        self._trouble = trouble
        self._clock = clock
        self._interval_s = settings.live_interval_ms / 1_000
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._viewers: set[Viewer] = set()
        self._latest = Event(0, b"", b"")
        self._latest_at = float("-inf")
        self._closed = False

    @property
    def viewers(self) -> int:
        return len(self._viewers)

    @property
    def full(self) -> bool:
        """Whether the feed has reached its viewer limit."""
        return self.viewers >= VIEWER_LIMIT

    def notify(self) -> None:
        """Report a commit, so that a new event is sent. Thread-safe."""
        loop = self._loop
        if loop is None or not self._viewers:
            return
        # When the process stops, the loop may already be closed.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._changed.set)

    def response(self) -> Response:
        """Return the response to a new viewer."""
        return _Stream(self)

    async def stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events to one viewer (ASGI) until it disconnects or the feed closes."""
        viewer = self._admit(Headers(scope=scope))
        disconnecting = asyncio.ensure_future(_wait_for_disconnect(receive))
        disconnecting.add_done_callback(lambda _: viewer.mark_disconnected())
        try:
            headers = [*_HEADERS, (b"content-encoding", b"gzip")] if viewer.gzip else list(_HEADERS)
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._send(viewer, send, preamble(RETRY_MS, gzip=viewer.gzip))
            while not (self._closed or viewer.disconnected):
                if viewer.seen == self._latest.id:
                    await viewer.wait()
                    continue
                viewer.seen = self._latest.id
                await self._send(viewer, send, self._latest.encoded(gzip=viewer.gzip))
            if not viewer.disconnected:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            if not viewer.aborted:
                raise
        finally:
            self._viewers.discard(viewer)
            disconnecting.cancel()

    def close(self) -> None:
        """End every stream. Must be called on the event loop, or after the loop has ended."""
        self._closed = True
        if self._loop is None or self._loop.is_closed():
            return
        if self._pump is not None:
            self._pump.cancel()
        for viewer in self._viewers:
            viewer.wake()
        # A viewer that does not receive its last event would delay the stop, so its stream is ended soon.
        self._loop.call_later(CLOSING_S, self._abort_viewers)

    def _abort_viewers(self) -> None:
        for viewer in self._viewers:
            viewer.abort()

    def _admit(self, headers: Headers) -> Viewer:
        self._loop = asyncio.get_running_loop()
        # Without viewers there are no new events, so the latest event may be outdated.
        outdated = not self._viewers and self._loop.time() - self._latest_at > self._interval_s
        has_latest = headers.get("last-event-id") == str(self._latest.id)
        seen = self._latest.id if outdated or has_latest else 0
        viewer = Viewer(gzip=accepts_gzip(headers.get("accept-encoding", "")), seen=seen)
        self._viewers.add(viewer)
        self._changed.set()
        if self._pump is None or self._pump.done():
            self._pump = self._loop.create_task(self._run())
        return viewer

    async def _send(self, viewer: Viewer, send: Send, body: bytes) -> None:
        viewer.sending_since = asyncio.get_running_loop().time()
        await send({"type": "http.response.body", "body": body, "more_body": True})
        viewer.sending_since = None

    async def _run(self) -> None:
        """Create events while there are viewers, and disconnect viewers that do not receive them."""
        loop = asyncio.get_running_loop()
        while self._viewers:
            started = loop.time()
            self._changed.clear()
            self._latest = await asyncio.to_thread(self._next_event)
            self._latest_at = loop.time()
            for viewer in self._viewers:
                viewer.wake()
                if viewer.sending_since is not None and loop.time() - viewer.sending_since > STUCK_S:
                    viewer.abort()
            # The pause is at least as long as the read, so that reading takes at most half of the time.
            elapsed = loop.time() - started
            await asyncio.sleep(max(self._interval_s - elapsed, elapsed))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(started + HEARTBEAT_S):
                    await self._changed.wait()

    def _next_event(self) -> Event:
        event_id = max(self._latest.id + 1, self._clock.now_us() // 1_000)
        try:
            if (trouble := self._trouble()) is not None:
                return _failure(event_id, f"the figures are not updated: {trouble.because}")
            return Event.of(event_id, self._name, msgspec.json.encode(self._state()))
        except Exception as error:  # noqa: BLE001 - the feed continues, and the event reports the failure
            logger.warning("live.failed", reason=str(error))
            return _failure(event_id, "the figures cannot be read now")


def _failure(event_id: int, error: str) -> Event:
    return Event.of(event_id, "trouble", msgspec.json.encode({"error": error}))


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _Stream(Response):
    """The stream of one viewer."""

    def __init__(self, feed: LiveFeed) -> None:
        super().__init__()
        self._feed = feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._feed.stream(scope, receive, send)
