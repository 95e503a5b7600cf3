"""The live feed: each update is made and encoded once, and every viewer gets the latest."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from tillstream.alerts.evaluator import AlertEvaluator
from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.database.base import Row
from tillstream.errors import OperationalError
from tillstream.queries.queries import Queries
from tillstream.web.live.events import Event, event, greeting, takes_gzip

HEARTBEAT_S = 5.0
"""Longest silence of a live connection: a page that hears nothing for longer knows it is cut off."""

VIEWER_LIMIT = 1_000
"""Most pages that watch at a time."""

STUCK_S = 30.0
"""How long a viewer may take for one update before it is cut off and its place is free for another."""

CLOSING_S = 0.5
"""How long a viewer may go on taking its last update when the feed closes."""

RETRY_MS = 1_000
"""How soon a browser connects again."""

logger = structlog.get_logger()


def live_update(queries: Queries, alerts: AlertEvaluator) -> Row:
    """The live page's figures: the chain's overview of today, and the active alerts under `alerts`."""
    return {**queries.overview(), "alerts": alerts.current()["alerts"]}


class Viewer:
    """One open stream: which update it has, and since when the next one has been on its way."""

    __slots__ = ("_news", "cut_off", "gone", "packed", "seen", "sending_since", "task")

    def __init__(self, *, packed: bool, seen: int) -> None:
        self.packed = packed
        self.seen = seen
        self.gone = self.cut_off = False
        self.sending_since: float | None = None
        self.task = asyncio.current_task()
        self._news: asyncio.Future[None] | None = None

    async def news(self) -> None:
        """Wait until it is woken."""
        self._news = asyncio.get_running_loop().create_future()
        await self._news

    def wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def leave(self) -> None:
        """The client hung up."""
        self.gone = True
        self.wake()

    def cut(self) -> None:
        """End its stream, whatever it does."""
        self.cut_off = True
        if self.task is not None:
            self.task.cancel()


class LiveFeed:
    """Server-Sent Events of what `read` returns, made at most every `live_interval_ms` and only for viewers.

    An event is the whole state under the name given, or `trouble` with why there is none; it comes after a
    commit, and after `HEARTBEAT_S` at the latest. A viewer that reads slowly skips to the latest: for each
    of them there is one update on its way at most, and one that takes none for `STUCK_S` is cut off.

    The id of an event is the moment when it was made, in milliseconds since 1970, greater than any before it,
    after a restart too. One who comes back gets the current state at once, which is all that was missed;
    where `Last-Event-ID` says that the page has that state already, it hears of the next one.

    `notify` may be called from any thread.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], dict[str, Any]],
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
        """How many watch."""
        return len(self._viewers)

    @property
    def sending(self) -> int:
        """To how many of them an update is on its way."""
        return sum(viewer.sending_since is not None for viewer in self._viewers)

    @property
    def full(self) -> bool:
        """As many watch as may."""
        return self.viewers >= VIEWER_LIMIT

    def notify(self) -> None:
        """Something was committed: viewers want to see it."""
        loop = self._loop
        if loop is None or not self._viewers:
            return
        # The loop may close between the check and the call when the process ends.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._news.set)

    async def stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one viewer (ASGI) until it leaves, is cut off, or the feed closes."""
        viewer = self._admitted(Headers(scope=scope))
        leaving = asyncio.ensure_future(_hung_up(receive))
        leaving.add_done_callback(lambda _: viewer.leave())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _head(viewer.packed)})
            await self._send(viewer, send, greeting(RETRY_MS, packed=viewer.packed))
            while not (self._closed or viewer.gone):
                if viewer.seen == self._latest.id:
                    await viewer.news()
                    continue
                viewer.seen = self._latest.id
                await self._send(viewer, send, self._latest.bytes_for(packed=viewer.packed))
            if not viewer.gone:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            if not viewer.cut_off:
                raise
        finally:
            self._viewers.discard(viewer)
            leaving.cancel()

    def close(self) -> None:
        """End every stream. To be called from the loop's own thread, or once it has ended."""
        self._closed = True
        if self._loop is None or self._loop.is_closed():
            return
        if self._pump is not None:
            self._pump.cancel()
        for viewer in self._viewers:
            viewer.wake()
        # One that does not read would keep the server from ending.
        self._loop.call_later(CLOSING_S, self._cut_off)

    def _cut_off(self) -> None:
        for viewer in self._viewers:
            viewer.cut()

    def _admitted(self, headers: Headers) -> Viewer:
        self._loop = asyncio.get_running_loop()
        # What was made before anybody watched is old; what others watch is current.
        old = not self._viewers and self._loop.time() - self._made_at > self._interval_s
        knows = headers.get("last-event-id") == str(self._latest.id)
        viewer = Viewer(
            packed=takes_gzip(headers.get("accept-encoding", "")), seen=self._latest.id if old or knows else 0
        )
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
            self._latest = await asyncio.to_thread(self._made)
            self._made_at = loop.time()
            for viewer in self._viewers:
                viewer.wake()
                if viewer.sending_since is not None and loop.time() - viewer.sending_since > STUCK_S:
                    viewer.cut()
            # A state that is slow to read leaves at least half of the time to others.
            took = loop.time() - began
            await asyncio.sleep(max(self._interval_s - took, took))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(began + HEARTBEAT_S):
                    await self._news.wait()

    def _made(self) -> Event:
        name, data = self._read()
        return event(max(self._latest.id + 1, self._clock.now_us() // 1_000), name, data)

    def _read(self) -> tuple[str, bytes]:
        """The state as it is now, or why there is none: the page must see trouble, and soon."""
        try:
            if (trouble := self._trouble()) is not None:
                return "trouble", msgspec.json.encode({"error": f"the figures stand still: {trouble.because}"})
            return self._name, msgspec.json.encode(self._state())
        except Exception as error:  # noqa: BLE001 - whatever it is, the feed goes on and says so
            logger.warning("live.failed", reason=str(error))
            return "trouble", msgspec.json.encode({"error": "the figures cannot be read now"})


def _head(packed: bool) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"vary", b"Accept-Encoding"),
        (b"x-accel-buffering", b"no"),
    ]
    return [*headers, (b"content-encoding", b"gzip")] if packed else headers


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
