"""The live feed: each snapshot is made and encoded once, and every viewer gets the latest."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import structlog

from tillstream.settings import Settings
from tillstream.views.views import Views

HEARTBEAT_S = 5.0
"""Longest silence of a live connection: a page that hears nothing for longer knows it is cut off."""

VIEWER_LIMIT = 500
"""Most pages that watch at a time."""

RETRY_MS = 1_000
"""How soon a browser connects again."""

logger = structlog.get_logger()


class LiveFeed:
    """Server-Sent Events of `Views.snapshot`, made at most every `live_interval_ms` and only for viewers.

    A viewer that reads slowly skips to the latest, so nothing queues. Each event has an id; one who
    comes back gets the current snapshot at once. `notify` may be called from any thread.
    """

    def __init__(self, views: Views, settings: Settings) -> None:
        self._views = views
        self._interval_s = settings.live_interval_ms / 1_000
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        self._event = b""
        self._id = 0
        self._closed = False
        self.viewers = 0

    def notify(self) -> None:
        """Something was committed: viewers want to see it."""
        loop = self._loop
        if loop is None or not self.viewers:
            return
        # The loop may close between the check and the call when the process ends.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._news.set)

    @property
    def full(self) -> bool:
        """As many watch as may."""
        return self.viewers >= VIEWER_LIMIT

    async def stream(self) -> AsyncIterator[bytes]:
        """Events for one viewer, until it leaves or the feed closes."""
        self.viewers += 1
        try:
            self._start()
            yield b"retry: %d\n\n" % RETRY_MS
            # What was made while nobody watched is old; what others watch is current.
            seen = self._id if self.viewers == 1 else 0
            while not self._closed:
                if seen == self._id:
                    await self._next()
                else:
                    seen = self._id
                    yield self._event
        finally:
            self.viewers -= 1

    def close(self) -> None:
        """End every stream. To be called from the loop's own thread, or once it has ended."""
        self._closed = True
        if self._loop is None or self._loop.is_closed():
            return
        self._wake()
        if self._pump is not None:
            self._pump.cancel()

    def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._news.set()
        if self._pump is None or self._pump.done():
            self._pump = self._loop.create_task(self._run())

    async def _run(self) -> None:
        while self.viewers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._news.wait()
            if not self.viewers:
                return
            self._news.clear()
            name, data = await asyncio.to_thread(self._read)
            self._id += 1
            self._event = b"id: %d\nevent: %s\ndata: %s\n\n" % (self._id, name, data)
            self._wake()
            await asyncio.sleep(self._interval_s)

    def _read(self) -> tuple[bytes, bytes]:
        """A fresh snapshot, or why there is none: the page must see trouble, and soon."""
        if (trouble := self._views.trouble()) is not None:
            return b"trouble", msgspec.json.encode({"error": f"the figures stand still: {trouble.because}"})
        try:
            snapshot: dict[str, Any] = self._views.snapshot()
        except Exception as error:  # noqa: BLE001 - whatever it is, the feed goes on and says so
            logger.warning("live.failed", reason=str(error))
            return b"trouble", msgspec.json.encode({"error": "the figures cannot be read now"})
        return b"snapshot", msgspec.json.encode(snapshot)

    async def _next(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)

    def _wake(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
