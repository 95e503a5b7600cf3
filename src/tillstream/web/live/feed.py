"""The live feed: each update is read and encoded once, and every viewer gets the latest."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.errors import OperationalError
from tillstream.web.live.events import Event, accepts_gzip, event, preamble

EVENT_STREAM = "text/event-stream"

HEARTBEAT_S = 5.0
"""Longest time without an event. A page that receives nothing for longer knows that it is cut off."""

VIEWER_LIMIT = 1_000
"""Most viewers at a time."""

STUCK_S = 30.0
"""A viewer that does not take an update for this long is cut off, which makes room for another."""

CLOSING_S = 0.5
"""Time for a viewer to take its last update when the feed closes."""

RETRY_MS = 1_000
"""Time after which a browser reconnects."""

logger = structlog.get_logger()


class Viewer:
    """One open stream, with the update it has, and the time since when it has been taking the next one."""

    __slots__ = ("_news", "cut_off", "gone", "gzip", "seen", "sending_since", "task")

    def __init__(self, *, gzip: bool, seen: int) -> None:
        self.gzip = gzip
        self.seen = seen
        self.gone = self.cut_off = False
        self.sending_since: float | None = None
        self.task = asyncio.current_task()
        self._news: asyncio.Future[None] | None = None

    async def news(self) -> None:
        """Wait for a wake-up."""
        self._news = asyncio.get_running_loop().create_future()
        await self._news

    def wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def leave(self) -> None:
        """Note that the client has disconnected."""
        self.gone = True
        self.wake()

    def cut(self) -> None:
        """End the stream, even in the middle of an update."""
        self.cut_off = True
        if self.task is not None:
            self.task.cancel()


class LiveFeed:
    """Sends the state that `read` returns as Server-Sent Events, at most every `live_interval_ms`.

    An event has the whole state under the given name, or `trouble` with the reason why there is none. It is sent
    after a commit, and after `HEARTBEAT_S` at the latest. Nothing is read while there are no viewers. A slow viewer
    skips to the latest update. One that takes no update for `STUCK_S` is cut off.

    The id of an event is the time when it was made, in milliseconds since 1970. It is greater than every earlier id,
    even after a restart. A viewer that reconnects gets the current state at once, unless its `Last-Event-ID` shows
    that it has this state already.

    `notify` may be called from any thread.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], Any],
        trouble: Callable[[], OperationalError | None],
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._name = name
        self._state = read
        self._trouble = trouble
        self._clock = clock
        self._interval_s = settings.live_interval_ms / 1_000
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._viewers: set[Viewer] = set()
        self._latest = Event(0, b"", b"")
        self._made_at = float("-inf")
        self._closed = False

    @property
    def viewers(self) -> int:
        """The number of viewers."""
        return len(self._viewers)

    @property
    def sending(self) -> int:
        """The number of viewers that are taking an update."""
        return sum(viewer.sending_since is not None for viewer in self._viewers)

    @property
    def full(self) -> bool:
        """Whether the limit of viewers is reached."""
        return self.viewers >= VIEWER_LIMIT

    def notify(self) -> None:
        """Tell the viewers that something was committed."""
        loop = self._loop
        if loop is None or not self._viewers:
            return
        # The loop may close between the check and the call when the process ends.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._news.set)

    def response(self) -> Response:
        """The response to a new viewer."""
        return _Stream(self)

    async def stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events to one viewer (ASGI) until it disconnects, is cut off, or the feed closes."""
        viewer = self._admit(Headers(scope=scope))
        leaving = asyncio.ensure_future(_wait_for_disconnect(receive))
        leaving.add_done_callback(lambda _: viewer.leave())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _headers(gzip=viewer.gzip)})
            await self._send(viewer, send, preamble(RETRY_MS, gzip=viewer.gzip))
            while not (self._closed or viewer.gone):
                if viewer.seen == self._latest.id:
                    await viewer.news()
                    continue
                viewer.seen = self._latest.id
                await self._send(viewer, send, self._latest.encoded(gzip=viewer.gzip))
            if not viewer.gone:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            if not viewer.cut_off:
                raise
        finally:
            self._viewers.discard(viewer)
            leaving.cancel()

    def close(self) -> None:
        """End every stream. Call it in the loop's thread, or after the loop has ended."""
        self._closed = True
        if self._loop is None or self._loop.is_closed():
            return
        if self._pump is not None:
            self._pump.cancel()
        for viewer in self._viewers:
            viewer.wake()
        # A viewer that does not read would keep the server from stopping.
        self._loop.call_later(CLOSING_S, self._cut_off)

    def _cut_off(self) -> None:
        for viewer in self._viewers:
            viewer.cut()

    def _admit(self, headers: Headers) -> Viewer:
        self._loop = asyncio.get_running_loop()
        # Without viewers the latest update is not renewed, so it may be old.
        old = not self._viewers and self._loop.time() - self._made_at > self._interval_s
        knows = headers.get("last-event-id") == str(self._latest.id)
        seen = self._latest.id if old or knows else 0
        viewer = Viewer(gzip=accepts_gzip(headers.get("accept-encoding", "")), seen=seen)
        self._viewers.add(viewer)
        self._news.set()
        if self._pump is None or self._pump.done():
            self._pump = self._loop.create_task(self._run())
        return viewer

    async def _send(self, viewer: Viewer, send: Send, body: bytes) -> None:
        viewer.sending_since = asyncio.get_running_loop().time()
        await send({"type": "http.response.body", "body": body, "more_body": True})
        viewer.sending_since = None

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._viewers:
            began = loop.time()
            self._news.clear()
            self._latest = await asyncio.to_thread(self._make)
            self._made_at = loop.time()
            for viewer in self._viewers:
                viewer.wake()
                if viewer.sending_since is not None and loop.time() - viewer.sending_since > STUCK_S:
                    viewer.cut()
            # Reading a slow state takes at most half of the time.
            took = loop.time() - began
            await asyncio.sleep(max(self._interval_s - took, took))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(began + HEARTBEAT_S):
                    await self._news.wait()

    def _make(self) -> Event:
        name, data = self._read()
        return event(max(self._latest.id + 1, self._clock.now_us() // 1_000), name, data)

    def _read(self) -> tuple[str, bytes]:
        """The name and data of an event: the current state, or the reason why there is none."""
        try:
            if (trouble := self._trouble()) is not None:
                return "trouble", msgspec.json.encode({"error": f"the figures stand still: {trouble.because}"})
            return self._name, msgspec.json.encode(self._state())
        except Exception as error:  # noqa: BLE001 - the feed goes on, and tells the page
            logger.warning("live.failed", reason=str(error))
            return "trouble", msgspec.json.encode({"error": "the figures cannot be read now"})


def _headers(*, gzip: bool) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"content-type", f"{EVENT_STREAM}; charset=utf-8".encode()),
        (b"cache-control", b"no-store"),
        (b"vary", b"Accept-Encoding"),
        (b"x-accel-buffering", b"no"),
    ]
    return [*headers, (b"content-encoding", b"gzip")] if gzip else headers


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
